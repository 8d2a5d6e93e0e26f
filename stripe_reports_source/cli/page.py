"""The command `page`: the static page of a dataset, and the record of a month."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from dlt import Pipeline
from rich.console import Console

from .console import say, standard_output
from .failures import NOT_ALL_THERE, NOT_TIED
from .outputs import write
from .places import pipeline_options, place, read_only_pipeline
from .shared import NamedPath, plain_errors

if TYPE_CHECKING:
    from ..page.make import Page
    from ..page.record import Refusal

FILE = Path("stripe_reports.html")
STYLES = {"good": "bold green", "unsure": "bold yellow", "bad": "bold red"}


def _month(context: click.Context, option: click.Parameter, value: str | None) -> date | None:
    if value is None:
        return None
    try:
        month = datetime.strptime(value, "%Y-%m").date()
    except ValueError:
        month = date.min
    if not 2000 <= month.year < 9999:  # Stripe is younger, and there is a month after it
        raise click.BadParameter(f"{value!r} must be a month, such as 2025-06.")
    return month


@click.command()
@click.option(
    "--output",
    type=NamedPath(path_type=Path),
    help="File to write; with --month a folder.  [default: stripe_reports.html, or stripe_YYYY-MM]",
)
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d"]), help="Show the months from this day on.  [default: the last 24]"
)
@click.option("--account", "accounts", multiple=True, help="Only this account, as in the column _account; repeatable.")
@click.option(
    "--month", callback=_month, metavar="YYYY-MM", help="Write the record of this month: a page, and CSV files."
)
@click.option(
    "--with-open-items", is_flag=True, help="With --month, also where something is open; the page says so first."
)
@click.option(
    "--ledger-accounts",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="CSV file with category, entry, ledger_account, for the journal.  [default: a small chart of accounts]",
)
@pipeline_options
@plain_errors
def page(
    output: Path | None,
    since: datetime | None,
    accounts: tuple[str, ...],
    month: date | None,
    with_open_items: bool,
    ledger_accounts: Path | None,
    destination: str,
    dataset: str,
    pipeline_name: str,
    database: Path | None,
) -> None:
    """Write a page: what is loaded, whether it ties, the figures.

    It is one HTML file, which can be mailed and kept: it holds no script and asks nobody for anything. It only reads,
    in one go, and holds no lock on the database afterwards. The same data gives the same bytes.

    With --month it writes the record of a month into a folder: the page of that month, and its roll-forward, payouts,
    journal lines, open items and report runs with their hashes as CSV. There is none while the month is not complete,
    or something differs.

    Exit code 0: it is written, whatever it says. 3: the month is not complete, 5: something of it differs or is stale,
    and nothing is written. 4: there is no such database, nothing is loaded, or a setting is wrong. 75: the database is
    busy.
    """
    from ..page.make import make_page  # and marts and charts, which other commands do without

    if with_open_items and month is None:
        raise click.UsageError("--with-open-items goes with --month.")
    if since is not None and month is not None:
        raise click.UsageError("--since goes without --month.")
    if output is not None and output.exists() and output.is_dir() == (month is None):
        raise click.UsageError(f"--output {output} is a {'folder' if month is None else 'file'}: choose another name.")
    console, chosen = standard_output(), accounts or None
    with read_only_pipeline(destination, dataset, pipeline_name, database) as pipeline:
        say(console, f"Reading {place(pipeline)}.")
        if month is not None:
            folder = output or Path(f"stripe_{month:%Y-%m}")
            _record(console, pipeline, month, folder, chosen, ledger_accounts, with_open_items)
            return
        made = make_page(pipeline, since.date() if since else None, chosen, ledger_accounts)
    show_page(console, made, output or FILE)


def show_page(console: Console, made: Page, file: Path) -> None:
    """Write a page, and say what it says and where it is."""
    write(file, made.text)
    say(console, f"{made.verdict.word}: {made.verdict.sentence}", STYLES[made.verdict.tone])
    say(console, f"Written to {file.absolute()}")


def _record(
    console: Console,
    pipeline: Pipeline,
    month: date,
    folder: Path,
    accounts: Collection[str] | None,
    ledger_accounts: Path | None,
    with_open_items: bool,
) -> None:
    from ..page.make import make_record

    record = make_record(pipeline, month, accounts, ledger_accounts)
    if record.refusal:
        _say_refusal(console, record.refusal)
        if not with_open_items:
            say(console, f"There is no record of {month:%B %Y} yet; --with-open-items makes one that says so.", "bold")
            raise SystemExit(NOT_ALL_THERE if record.refusal.incomplete else NOT_TIED)
    for name, text in record.files.items():
        is_new = write(folder / name, text)
        say(console, f"{name}{'' if is_new else ': just so already'}")
    said = "with open items, " if record.refusal else ""
    say(console, f"Record of {month:%B %Y}, {said}written to {folder.absolute()}", "bold")


def _say_refusal(console: Console, refusal: Refusal) -> None:
    for line in refusal.lines:
        say(console, line, "red")
