"""The command `status`: what is loaded, what has failed, how far it is behind."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

import click
from rich.console import Console

from ..errors import ConfigurationError
from ..reconcile.kept import kept_by_table
from ..warehouse.status import ReportStatus, label_of, report_status
from .accounts import few_rows, some_of
from .console import say
from .failures import NOT_ALL_THERE
from .listing import format_option, show_rows, told_on
from .offered import Answer, offered_if_possible
from .places import pipeline_options, place, read_only_pipeline
from .shared import plain_errors

HEADS = {
    "report": "report",
    "account": "account",
    "report_type": "",
    "loaded_to": "loaded to (UTC)",
    "available_to": "available to",
    "behind_seconds": "behind Stripe",
    "behind_now_seconds": "behind now",
    "rows": "rows",
    "tie_out": "tie-out",
    "failures": "failed",
    "pending": "pending",
    "last_sync": "last sync",
    "last_run": "last run",
}
"""Columns of the data, and of the table; failures and pending runs are counted in the table, and listed below it."""
MOST_LINES = 100
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def _duration(context: click.Context, option: click.Parameter, value: str | None) -> timedelta | None:
    if value is None:
        return None
    found = re.fullmatch(r"([0-9]{1,6})([mhd])", value)
    if found is None:
        raise click.BadParameter(f"{value!r} must be a number of minutes, hours or days, such as 90m, 36h or 2d.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


@click.command()
@pipeline_options
@format_option
@click.option("--offline", is_flag=True, help="Do not ask Stripe; so it is anyway without a key or a network.")
@click.option(
    "--account",
    "accounts",
    multiple=True,
    metavar="ACCOUNT",
    help="Only this account, such as acct_...; may be given several times.",
)
@click.option(
    "--max-behind",
    callback=_duration,
    metavar="DURATION",
    help="Exit code 3 if a report is further behind: 90m, 36h, 2d.",
)
@plain_errors
def status(
    destination: str,
    dataset: str,
    pipeline_name: str,
    database: Path | None,
    form: str,
    offline: bool,
    accounts: tuple[str, ...],
    max_behind: timedelta | None,
) -> None:
    """Show how far each report is loaded, what failed, what ties.

    Beside it stands how far Stripe's data reaches. It only reads, and makes no file. Offline, and of other accounts
    than the configured one, Stripe's data reaches as far as at the last sync, and a last sync that is longer ago than
    --max-behind counts as behind.

    Of more than 50 accounts of a report the table has a line for all of them and the 20 that are worst; JSON and CSV
    have every account.

    Exit code 0: all is loaded. 3: an interval has failed or is pending, a report is further behind than --max-behind,
    or nothing is loaded. 4: there is no such database, or a setting is wrong. 75: the database is busy.
    """
    told = told_on(form)
    with read_only_pipeline(destination, dataset, pipeline_name, database) as pipeline:
        say(told, place(pipeline))
        asked = Answer(None, why="--offline") if offline else offered_if_possible()
        available = None if asked.offered is None else {known.id: known.available.end for known in asked.offered}
        reports = report_status(pipeline, available, asked.account)
        _check_accounts(reports, accounts, dataset)
        found = [report for report in reports if _is_asked_for(report, accounts)]
        _say_who_was_asked(told, asked, found)
        verdicts = kept_by_table(pipeline)
    now = datetime.now(timezone.utc)
    rows = [status_row(report, verdicts, now, as_data=form != "table") for report in found]
    problems = problems_of(found, max_behind, now)
    was_asked = asked.offered is not None and all(report.asked for report in found)
    about = {"place": place(pipeline), "asked_stripe": was_asked, "ok": not problems, "problems": problems}
    if found or form != "table":
        show_rows(form, "Reports", HEADS, few_rows(rows) if form == "table" else rows, about)
    _explain(told, found, problems)
    if problems:
        raise SystemExit(NOT_ALL_THERE)


def _say_who_was_asked(told: Console, asked: Answer, found: Sequence[ReportStatus]) -> None:
    others = sorted({label_of(report.account) for report in found if not report.asked})
    if asked.offered is None:
        say(told, f"Stripe was not asked ({asked.why}); what it has is as of the last sync.")
    elif others:
        names = some_of(others)
        say(told, f"Stripe was asked of the account {asked.account!r} alone; of {names} it is as of the last sync.")


def _check_accounts(reports: Sequence[ReportStatus], accounts: Sequence[str], dataset: str) -> None:
    """Refuse an account that is not there, where there are others."""
    unknown = [account for account in accounts if not any(_is_asked_for(report, [account]) for report in reports)]
    if reports and unknown:
        labels = sorted({label_of(report.account) for report in reports})
        raise ConfigurationError(
            f"account {unknown[0]!r} is not loaded into {dataset!r}; set --account to one that is there: "
            f"{some_of(labels)}."
        )


def _is_asked_for(report: ReportStatus, accounts: Sequence[str]) -> bool:
    """True of an account by its name, as `acct_...`, or by its label, which may have connected accounts alone."""
    names = {report.account, report.account.rpartition("/")[2], label_of(report.account)}
    return not accounts or not names.isdisjoint(accounts)


def status_row(
    report: ReportStatus, verdicts: Mapping[tuple[str, str], str], now: datetime, *, as_data: bool
) -> dict[str, object]:
    """A report's line, by the names of `HEADS`; failures and pending runs as they are in data, else their number."""
    return {
        "report": report.table,
        "account": report.account,
        "report_type": report.report_type,
        "loaded_to": report.loaded_to,
        "available_to": report.available_to,
        "behind_seconds": report.behind,
        "behind_now_seconds": report.behind_now(now),
        "rows": report.rows,
        "tie_out": verdicts.get(
            (report.table, report.account), verdicts.get((report.table, label_of(report.account)), "not compared")
        ),
        "failures": report.failures if as_data else len(report.failures),
        "pending": report.pending if as_data else len(report.pending),
        "last_sync": report.checked_at,
        "last_run": report.last_run,
    }


def problems_of(found: Sequence[ReportStatus], most: timedelta | None, now: datetime) -> list[str]:
    """Why not all is there, in a few words each."""
    if not found:
        return ["Nothing is loaded yet. Begin with: stripe-reports sync"]
    problems = []
    failed = sum(len(report.failures) for report in found)
    pending = sum(len(report.pending) for report in found)
    if failed:
        problems.append(f"{failed:,} failed and not loaded since")
    if pending:
        problems.append(f"{pending:,} pending at Stripe; the next sync loads what is ready")
    behind = [] if most is None else [report for report in found if not report.fresh(most, now)]
    if behind:
        names = some_of([f"{report.table} [{report.account}]" for report in behind])
        problems.append(f"behind by more than --max-behind: {names}")
    return problems


def _explain(told: Console, found: Sequence[ReportStatus], problems: Sequence[str]) -> None:
    lines = [
        (f"{word}: {report.table} [{report.account}] {what}", style)
        for report in found
        for word, style, whats in (("not loaded", "red", report.failures), ("pending", "yellow", report.pending))
        for what in whats
    ]
    for line, style in lines[:MOST_LINES]:
        say(told, line, style)
    if len(lines) > MOST_LINES:
        say(told, f"and {len(lines) - MOST_LINES:,} more; --format json lists all of them, --account some")
    for problem in problems:
        say(told, problem, "bold")
