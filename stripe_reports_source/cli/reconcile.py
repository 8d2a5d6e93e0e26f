"""The command `reconcile`: whether Stripe's reports agree, for people and for programs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click
from rich.console import Console

from ..proof import reconcile as look
from ..reconcile.reconciliation import Reconciliation
from .console import WIDE, say, standard_output
from .machine import as_csv, as_json
from .places import loaded_pipeline, pipeline_options, place
from .reconciliation_view import view
from .shared import NOT_SET_UP, NOT_TIED, exit_code, plain_errors

SETTLED = ("tied", "explained")


@click.command()
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Only intervals that begin on this day or later.")
@click.option("--account", "accounts", multiple=True, help="Only this account, as in the column _account; repeatable.")
@click.option("--strict", is_flag=True, help="Exit code 5 also for what is pending or could not be compared.")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@pipeline_options
@plain_errors(exit_code, no_key=NOT_SET_UP)
def reconcile(
    since: datetime | None,
    accounts: tuple[str, ...],
    strict: bool,
    form: str,
    destination: str,
    dataset: str,
    pipeline_name: str,
    database: Path | None,
) -> None:
    """Look whether the loaded reports agree with one another and with their files. No report is run.

    It shows the balance of the last complete month (or since a day) rolled forward from rows beside Stripe's own
    figures, what is open with reason and remedy, and the payouts in words. All statements go to the table tie_out.

    Exit code 0: all ties. 5: something differs or is stale. 4: nothing is loaded, or a setting is wrong. 75: the
    database is busy.
    """
    pipeline = loaded_pipeline(destination, dataset, pipeline_name, database)
    console = standard_output()
    say(console if form == "table" else Console(stderr=True), f"Reconciling {place(pipeline)}.")
    found = look(pipeline, since=since.date() if since else None, accounts=accounts or None)
    if form == "table":
        show(console, found)
    else:
        click.echo(as_json(found) if form == "json" else as_csv(found), nl=form == "json")
    if not found.ok or (strict and not is_settled(found)):
        raise SystemExit(NOT_TIED)


def show(console: Console, found: Reconciliation) -> None:
    """Print a reconciliation for people."""
    for text, style in view(found, console.width if console.is_terminal else WIDE):
        say(console, text, style)


def is_settled(found: Reconciliation) -> bool:
    """Whether there are statements, and each is tied or explained."""
    return bool(found.statements) and all(statement.status in SETTLED for statement in found.statements)
