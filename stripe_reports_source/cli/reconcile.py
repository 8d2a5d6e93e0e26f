"""The command `reconcile`: whether Stripe's reports agree, for people and for programs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import click
from rich.console import Console

from ..proof import reconcile as look
from ..reconcile.reconciliation import Reconciliation
from .console import say, standard_output
from .deep import ALARMS, deep_data, deep_findings, deep_lines
from .failures import NOT_TIED
from .listing import format_option, told_on
from .machine import as_csv, as_json
from .places import loaded_pipeline, pipeline_options, place
from .progress import COMPARING, SyncProgress
from .reconciliation_view import ShownLine, view
from .shared import plain_errors
from .sources import report_options, source_of

T = TypeVar("T")
SETTLED = ("tied", "explained")


def _months(context: click.Context, option: click.Parameter, value: str | None) -> int | Literal["all"] | None:
    if value is None or value == "all":
        return "all" if value else None
    if not re.fullmatch("0*[1-9][0-9]{0,8}", value):
        raise click.BadParameter(f"{value!r} must be a number of months, or all.")
    return int(value)


@click.command()
@report_options
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Only intervals that begin on this day or later.")
@click.option("--account", "accounts", multiple=True, help="Only this account, as in the column _account; repeatable.")
@click.option("--strict", is_flag=True, help="Exit code 5 also for what is pending or could not be compared.")
@click.option("--refresh", is_flag=True, help="Load again what has changed at Stripe, and look again.")
@click.option("--months", callback=_months, help="With --refresh, run the summaries of so many last months, or all.")
@click.option("--deep", type=click.IntRange(min=1), help="Read the files of so many intervals again: every value.")
@format_option
@pipeline_options
@plain_errors
def reconcile(
    since: datetime | None,
    accounts: tuple[str, ...],
    strict: bool,
    refresh: bool,
    months: int | Literal["all"] | None,
    deep: int | None,
    form: str,
    destination: str,
    dataset: str,
    pipeline_name: str,
    database: Path | None,
    **reports: Any,
) -> None:
    """Look whether the loaded reports agree.

    They are compared with one another and with their files. It shows the last complete month's balance (or since a
    day), rolled forward from rows, beside Stripe's figures, what is open and why, and the payouts in words. All
    statements go to the table tie_out. No report is run without --refresh, whose REPORTS and options are those of sync.

    Exit code 0: all ties. 5: something differs or is stale. 4: nothing is loaded, or a setting is wrong. 75: the
    database is busy. With --refresh also those of a load.
    """
    if months is not None and not refresh:
        raise click.UsageError("--months goes with --refresh.")
    pipeline = loaded_pipeline(destination, dataset, pipeline_name, database)
    console = standard_output()
    told = told_on(form)
    say(told, f"Reconciling {place(pipeline)}.")
    day = since.date() if since else None
    with SyncProgress(told, pipeline, begins=COMPARING, only_loaded=True) as progress:
        found = look(
            pipeline,
            since=day,
            accounts=accounts or None,
            refresh=source_of(**reports) if refresh else None,
            months=months,
            on_event=progress,
        )
    findings = list(deep_findings(pipeline, deep, day, accounts or None)) if deep else []
    if form == "table":
        show_lines(console, view, found)
    else:
        click.echo(as_json(found, deep_data(findings) if deep else None) if form == "json" else as_csv(found), nl=False)
    if deep and form != "json":
        show_lines(told, deep_lines, findings)
    bad = not found.ok or any(finding.verdict in ALARMS for finding in findings)
    unsure = not is_settled(found) or any(finding.verdict != "equal" for finding in findings)
    if bad or (strict and unsure):
        raise SystemExit(NOT_TIED)


def show_lines(console: Console, lines_of: Callable[[T, int], Iterable[ShownLine]], what: T) -> None:
    """Print what a view makes of something, in the width of the terminal."""
    for text, style in lines_of(what, console.width):
        say(console, text, style)


def is_settled(found: Reconciliation) -> bool:
    """Whether there are statements, and each is tied or explained."""
    return bool(found.statements) and all(statement.status in SETTLED for statement in found.statements)
