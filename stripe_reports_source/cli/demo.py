"""The command `demo`: what the product does, shown in a minute, offline."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click
from rich.console import Console

from ..demo import DATASET, LATE_CHARGE, LATE_NET, Demonstration, demonstration, pipeline_name, row_counts
from ..load import Loaded
from ..proof import reconcile
from ..reconcile.reconciliation import Reconciliation
from .columns import money
from .console import say, show_table, standard_output
from .page import show_page
from .places import open_pipeline
from .progress import SyncProgress
from .reconcile import show_lines
from .reconciliation_view import months_lines, open_lines, roll_forward_lines, verdict_line, view
from .shared import NamedPath, plain_errors
from .verdict import say_loaded

COMMAND = "stripe-reports"


@click.command()
@click.option(
    "--database",
    type=NamedPath(path_type=Path, dir_okay=False),
    default=Path("stripe_demo.duckdb"),
    show_default=True,
    help="DuckDB file to load into.",
)
@plain_errors
def demo(database: Path) -> None:
    """Load six months of a synthetic business, offline.

    The books prove themselves. Then Stripe's past changes: the proof says so, and it is put right. All of it is on a
    page then, beside the file. Run it again on the same file for a sync of a few new days.
    """
    from ..page.make import make_page  # and marts and charts, which other commands do without

    console = standard_output()
    folder = database.absolute().with_name(f".{database.stem}.dlt")  # two files of one name share nothing
    pipeline = open_pipeline("duckdb", DATASET, pipeline_name(database), database, folder)
    say(console, "stripe-reports demo: an offline emulator of Stripe's Reporting API", "bold")
    say(console, f"loaded into {database.absolute()}\n")
    with demonstration(pipeline) as shown:
        say(console, f"Emulator at {shown.emulator.api_url}, data up to {shown.end:%Y-%m-%d}.")
        loaded = _sync(console, shown)
        if shown.again:
            say(console, "Only what is new and the lookback was run.")
        else:
            show_table(console, None, ["table", "rows", "columns"], row_counts(pipeline))
        _headline(console, "Does it tie? As stripe-reports reconcile shows it:")
        show_lines(console, view, reconcile(pipeline))
        if not shown.again:
            loaded = _change_the_past(console, shown)
        if loaded.reconciliation is not None and not loaded.reconciliation.ok:
            _alarm_and_heal(console, shown, loaded.reconciliation)
    _headline(console, "All of it on a page, as stripe-reports page makes it")
    show_page(console, make_page(pipeline), database.with_suffix(".html"))
    _next_steps(console)


def _sync(console: Console, shown: Demonstration) -> Loaded:
    with SyncProgress(console, shown.pipeline) as progress:
        loaded = shown.sync(progress)
    say_loaded(console, shown.pipeline, loaded)
    return loaded


def _change_the_past(console: Console, shown: Demonstration) -> Loaded:
    _headline(console, "A day later, Stripe's past has changed")
    turned_up = f"A charge of {LATE_CHARGE.day} {LATE_CHARGE:%B} turns up, {money(LATE_NET, 'usd')} usd net."
    again = f"A sync reads the last days again; by itself it does not come back to {LATE_CHARGE:%B}."
    say(console, f"{turned_up} {again}\n")
    shown.pass_a_day()
    return _sync(console, shown)


def _alarm_and_heal(console: Console, shown: Demonstration, alarm: Reconciliation) -> None:
    show_lines(console, open_lines, Reconciliation(alarm.variances))
    _headline(console, "Put right, as stripe-reports reconcile --refresh does it")
    with SyncProgress(console, shown.pipeline, only_loaded=True) as progress:
        healed, runs = shown.heal(progress)
    say(console, f"{runs} report runs found the month and loaded what differed, and nothing else.")
    in_usd = [forward for forward in healed.roll_forward if forward.currency == "usd"]
    for forward in in_usd:
        show_lines(console, roll_forward_lines, forward)
    show_lines(console, months_lines, healed)
    show_lines(console, verdict_line, healed)


def _headline(console: Console, text: str) -> None:
    say(console, f"\n{text}", "bold cyan")


def _next_steps(console: Console) -> None:
    typed = sys.argv[0]  # such as .venv/bin/stripe-reports, where the environment is not active
    command = typed if Path(typed).name == COMMAND and shutil.which(COMMAND) is None else COMMAND
    say(console, f"\nNext: {command} demo again syncs a few new days. With your own key:")
    say(console, "  export SOURCES__STRIPE_REPORTS__API_KEY=rk_live_...")
    for name in ("types", "sync", "reconcile"):
        say(console, f"  {command} {name}")
