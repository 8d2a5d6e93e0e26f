"""The command `types`: which report types there are, and what is known of each."""

from __future__ import annotations

from typing import Any

import click

from ..plan.catalog import ReportType, load_catalog, split_id
from .console import say
from .listing import format_option, show_rows, told_on
from .offered import offered_types
from .shared import plain_errors

_RUN_PER = {"interval": "interval", "snapshot": "instant", "per_payout": "payout"}
_OFFERED = {
    "report_type": "report type",
    "data_from": "data from",
    "data_to": "data to (UTC)",
    "run_per": "run per",
    "known_columns": "known columns",
    "newest_known": "newest known",
    "mode": "mode",
}
_CATALOG = {
    "family": "family",
    "report": "report",
    "newest": "newest",
    "run_per": "run per",
    "known_columns": "known columns",
    "row_is": "one row is",
}


@click.command()
@click.option(
    "--all", "everything", is_flag=True, help="Every report type that the catalogue knows; asks Stripe nothing."
)
@format_option
@plain_errors
def types(everything: bool, form: str) -> None:
    """List the report types that the key can run.

    Beside each stands how far its data reaches.

    Exit code 4: there is no key, or Stripe refuses it. 75: Stripe cannot be reached.
    """
    if everything:
        show_rows(form, "Report types in the catalogue", _CATALOG, _known_types(), {})
        return
    catalog = load_catalog()
    offered = offered_types()
    rows = []
    for offer in sorted(offered, key=lambda offer: offer.id):
        known = catalog.get(offer.id)
        versions = catalog.versions(split_id(offer.id)[0])
        rows.append(
            {
                "report_type": offer.id,
                "data_from": offer.available.start,
                "data_to": offer.available.end,
                "run_per": _RUN_PER[known.shape] if known else "interval",
                "known_columns": known_columns(known),
                "newest_known": str(versions[-1].version) if versions else None,
                "mode": "live" if offer.livemode else "test",
            }
        )
    lacking = sorted(set(catalog.bases()) - {split_id(offer.id)[0] for offer in offered})
    show_rows(form, "Report types of this key", _OFFERED, rows, {"not_offered": lacking})
    if lacking:
        why = "a live key or" if any(not offer.livemode for offer in offered) else "Connect or"
        text = f"Not offered to this key (they may need {why} another Stripe product): {', '.join(lacking)}"
        say(told_on(form), text)


def known_columns(known: ReportType | None) -> str:
    """How many columns the catalogue knows of a report type, in words."""
    if known is None:
        return "type not known"
    if not known.columns:
        return "none"
    return f"{len(known.columns)}{'' if known.columns_complete else ', not all'}"


def _known_types() -> list[dict[str, Any]]:
    catalog = load_catalog()
    newest = [catalog.versions(base)[-1] for base in catalog.bases()]
    return [
        {
            "family": known.family,
            "report": known.base,
            "newest": known.version,
            "run_per": _RUN_PER[known.shape],
            "known_columns": known_columns(known),
            "row_is": known.row,
        }
        for known in sorted(newest, key=lambda known: (known.family, known.base))
    ]
