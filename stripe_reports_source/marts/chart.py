"""The chart of accounts that journal lines are booked to: a default one, and what the user says instead.

In: a CSV file with the columns category, entry and ledger_account. Out: its rows. `entry` is `gross`, `fee` or `payout`
for what a category is booked against, `balance` for the Stripe balance and `suspense` for what has no account of its
own; the category `*` stands for all that are not named.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from ..errors import ConfigurationError
from .inputs import LEDGER_ACCOUNTS

Chart = Sequence[tuple[str, str, str]]
"""Category, entry, ledger account."""
ENTRIES = ("balance", "gross", "fee", "payout", "suspense")
DEFAULT_CHART = "ledger_accounts.csv"


def read_chart(path: Path | str | None = None) -> Chart:
    """The chart of accounts: a user's rows before the default ones.

    Args:
        path: the user's file; None for the default chart alone.

    Raises:
        ConfigurationError: the file cannot be read, or is not such a chart.
    """
    rows = {row[:2]: row for row in _parsed(_default_text(), DEFAULT_CHART)}
    if path is not None:
        try:
            text = Path(path).read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"ledger_accounts {str(path)!r} cannot be read: {error}.") from error
        rows |= {row[:2]: row for row in _parsed(text, str(path))}
    return tuple(rows[key] for key in sorted(rows))


def _default_text() -> str:
    return (resources.files(__package__) / DEFAULT_CHART).read_text("utf-8")


def _parsed(text: str, where: str) -> Chart:
    lines = csv.DictReader(io.StringIO(text, newline=""))
    if tuple(lines.fieldnames or ()) != tuple(LEDGER_ACCOUNTS):
        raise ConfigurationError(f"ledger_accounts {where!r} must begin with the line {','.join(LEDGER_ACCOUNTS)}.")
    rows = []
    for line in lines:
        category, entry, account = (line[name] for name in LEDGER_ACCOUNTS)
        if entry not in ENTRIES or not category or not account:
            raise ConfigurationError(
                f"ledger_accounts {where!r}, line {lines.line_num}: it must have a category, an entry that is one of "
                f"{', '.join(ENTRIES)}, and a ledger_account."
            )
        rows.append((category, entry, account))
    return rows
