"""`reconcile --deep`: the files of some cells are read again and compared with every value that is stored.

In: a pipeline and a number. Out: findings, and lines that say them.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import asdict
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any

import dlt
from dlt import Pipeline
from dlt.common.configuration.exceptions import ConfigFieldMissingException

from ..source import settings_of, stripe_reports
from ..stripe_api.archive import Archive
from .columns import paragraph
from .reconciliation_view import ShownLine

if TYPE_CHECKING:
    from ..sync.deep import DeepFinding

ALARMS = ("differs", "not_the_file")
_STYLES = {"equal": "", "gone": "yellow"}


def deep_findings(
    pipeline: Pipeline, number: int, since: date | None, accounts: Collection[str] | None
) -> Iterator[DeepFinding]:
    """Read the files of so many cells again: from the archive that is set, else from Stripe. No report is run.

    Which cells is up to the day, so that a check every day comes round to all of them.
    """
    from ..stripe_api.client import stripe_client
    from ..sync.deep import check_cells, some_cells, stored_cells  # DuckDB and Arrow

    cells = [
        cell
        for cell in stored_cells(pipeline)
        if (accounts is None or cell.account in accounts)
        and (since is None or (cell.interval_day is not None and cell.interval_day >= since))
    ]
    chosen = some_cells(cells, number, seed=datetime.now(timezone.utc).toordinal())
    try:
        settings = settings_of(stripe_reports())
    except ConfigFieldMissingException:  # an archive needs no key
        archive_url = dlt.config.get("sources.stripe_reports.archive_url", str)
        if archive_url is None:
            raise
        yield from check_cells(pipeline, chosen, archive=Archive(archive_url))
        return
    archive = None if settings.archive_url is None else Archive(settings.archive_url)
    api = stripe_client(settings, time.sleep)
    yield from check_cells(pipeline, chosen, archive=archive, api=api, acts_on=settings.acts_on)


def deep_lines(findings: Collection[DeepFinding], width: int) -> Iterator[ShownLine]:
    """A line for each cell, and a reason where it is not equal to its file."""
    yield "", ""
    yield "Deep check: every value against the file", "bold"
    for finding in findings:
        cell = finding.cell
        what = f"{cell.table} [{cell.account}]{f' {cell.interval_day}' if cell.interval_day else ''}"
        rows = f": {finding.rows:,} row{'' if finding.rows == 1 else 's'}" if finding.verdict == "equal" else ""
        yield f"{finding.verdict.replace('_', ' ')}  {what}{rows}", _STYLES.get(finding.verdict, "bold red")
        for text in paragraph(finding.reason, width, "    "):
            yield text, ""
    if not findings:
        yield "No interval is loaded that could be read again.", ""


def deep_data(findings: Collection[DeepFinding]) -> list[dict[str, Any]]:
    """The same as data."""
    return [
        {
            **{name: getattr(finding.cell, name) for name in ("table", "account", "interval_key", "interval_day")},
            **{name: value for name, value in asdict(finding).items() if name != "cell"},
        }
        for finding in findings
    ]
