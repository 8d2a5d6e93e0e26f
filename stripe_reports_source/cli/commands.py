"""The commands of `stripe-reports`: arguments in, calls of the library, tables out.

Settings that are not options (the API key, destination credentials) come from dlt config: the environment,
`.dlt/secrets.toml`, `.dlt/config.toml`. The key is never an argument, because arguments are visible to others.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click
from dlt import Pipeline
from dlt.extract import DltSource

from ..errors import SyncFailed
from ..load import Loaded, load_reports
from .console import say
from .demo import demo
from .doctor import doctor
from .failures import NOT_ALL_THERE
from .files import fetch, replay
from .listing import format_option, told_on
from .page import page
from .places import open_pipeline, pipeline_options, place
from .progress import SyncProgress
from .reconcile import reconcile
from .report_types import types
from .shared import NamedPath, options, plain_errors
from .sources import account_option, partial_option, refresh_option, report_options, source_of
from .status import status
from .verdict import not_whole, say_loaded, show_loaded


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="stripe-reports-source")
@click.option("-v", "--verbose", is_flag=True, help="Log each step of each report run.")
def cli(verbose: bool) -> None:
    """Stripe's financial reports in your warehouse, exact to the cent."""
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(message)s")


_sync_options = options(
    account_option,
    click.option("--start-date", help="First day of history, YYYY-MM-DD.  [default: where Stripe's data begins]"),
    click.option("--lookback-days", type=int, help="Days before the cursor to read again.  [default: 3]"),
)


@cli.command()
@report_options
@pipeline_options
@_sync_options
@refresh_option
@format_option
@plain_errors
def sync(
    destination: str,
    dataset: str,
    pipeline_name: str,
    database: Path | None,
    refresh: Any,
    form: str,
    **options: Any,
) -> None:
    """Load all that is new of REPORTS.

    REPORTS are by default the six that prove one another. The last line says whether the reports agree. Where they do
    not, all is loaded all the same, and the exit code is 0; that of reconcile is 5. It is 3 where an interval was not
    loaded, or is cut as Stripe no longer has all of it.
    """
    source, pipeline = source_of(**options), open_pipeline(destination, dataset, pipeline_name, database)
    pipeline.refresh = refresh
    lacking = not_whole(_load(source, pipeline, form))
    for line in lacking:
        say(told_on(form), line, "red")
    if lacking:
        raise SystemExit(NOT_ALL_THERE)


@cli.command()
@report_options
@pipeline_options
@click.option("--start-date", required=True, help="First day, YYYY-MM-DD.")
@click.option("--end-date", required=True, help="Day after the last, YYYY-MM-DD.")
@account_option
@partial_option
@format_option
@plain_errors
def backfill(
    destination: str, dataset: str, pipeline_name: str, database: Path | None, form: str, **options: Any
) -> None:
    """Load REPORTS anew for a window of days.

    It goes from --start-date up to --end-date and moves no cursor.
    """
    _load(source_of(**options), open_pipeline(destination, dataset, pipeline_name, database), form)


@cli.command()
@report_options
@pipeline_options
@_sync_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Port to listen on.")
@click.option("--inbox", type=NamedPath(path_type=Path, dir_okay=False), help="SQLite file that keeps the events.")
@click.option("--sync-every", type=float, default=6.0, show_default=True, help="Hours between syncs without an event.")
@click.option("--gather", type=float, default=2.0, show_default=True, help="Seconds that an event waits for others.")
@click.pass_context
@plain_errors
def webhook(
    context: click.Context,
    destination: str,
    dataset: str,
    pipeline_name: str,
    database: Path | None,
    host: str,
    port: int,
    inbox: Path | None,
    sync_every: float,
    gather: float,
    **options: Any,
) -> None:
    """Receive Stripe's events and load what they tell of.

    It serves until SIGTERM, and loads REPORTS, by default the six that prove one another.

    The endpoint's signing secret comes from dlt config, as SOURCES__STRIPE_REPORTS__WEBHOOK_SECRETS in the environment
    or webhook_secrets in .dlt/secrets.toml; two of them, with a comma between, while one replaces the other.
    """
    from ..webhook.serve import serve_webhook  # an extra

    pipeline = open_pipeline(destination, dataset, pipeline_name, database)
    serve_webhook(
        pipeline,
        lambda: source_of(**options),
        into=place(pipeline),
        host=host,
        port=port,
        inbox=inbox,
        sync_every_hours=sync_every,
        gather_seconds=gather,
        verbose=bool(context.find_root().params["verbose"]),
    )


@cli.command()
@click.option("--api-port", type=click.IntRange(0, 65535), default=12111, show_default=True)
@click.option("--files-port", type=click.IntRange(0, 65535), default=12112, show_default=True)
@click.option("--control-port", type=click.IntRange(0, 65535), default=12113, show_default=True)
@click.option("--seed", type=int, default=7, show_default=True, help="Another seed is another business.")
@click.option("--run-delay", type=float, default=2.0, show_default=True, help="Seconds that a report run takes.")
@plain_errors
def emulator(api_port: int, files_port: int, control_port: int, seed: int, run_delay: float) -> None:
    """Run an offline Stripe Reporting API on this machine.

    It serves until Ctrl-C.
    """
    from ..emulator import EmulatorSettings, run_forever

    run_forever(
        EmulatorSettings(
            api_port=api_port, files_port=files_port, control_port=control_port, seed=seed, run_delay=run_delay
        )
    )


for command in (types, status, doctor, demo, fetch, replay, reconcile, page):
    cli.add_command(command)


def _load(source: DltSource, pipeline: Pipeline, form: str) -> Loaded:
    console = told_on(form)
    say(console, f"Loading into {place(pipeline)}.")
    try:
        with SyncProgress(console, pipeline) as progress:
            loaded = load_reports(pipeline, source, on_event=progress)
    except SyncFailed as error:
        if form != "table":
            show_loaded(form, pipeline, error.loaded, error.failures)
        elif error.loaded is not None and error.loaded.cells:
            say_loaded(console, pipeline, error.loaded)
        raise
    if form == "table":
        say_loaded(console, pipeline, loaded)
    else:
        show_loaded(form, pipeline, loaded)
    return loaded
