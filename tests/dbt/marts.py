"""What is made of the marts: models, their properties, the seed of ledger accounts."""

from __future__ import annotations

REPORTS = (
    "balance.summary",
    "balance_change_from_activity.itemized",
    "payouts.itemized",
    "payout_reconciliation.itemized",
    "ending_balance_reconciliation.itemized",
)
"""Those that marts read."""


def files() -> dict[str, str]:
    """The text of each file, by its path in the package."""
    return {}
