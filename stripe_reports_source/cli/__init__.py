"""The command `stripe-reports`: arguments in, calls of the library, tables out.

Settings that are not options (the API key, destination credentials) come from dlt config: the environment,
`.dlt/secrets.toml`, `.dlt/config.toml`. The key is never an argument, because arguments are visible to others.
"""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import click
import dlt
from dlt.extract import DltSource
from rich.console import Console

from ..console import SyncProgress, show_table
from ..errors import StripeReportsError
from ..load import load_reports
from ..plan.catalog import ReportType, load_catalog, split_id
from ..plan.report import Report
from ..source import DEFAULT_REPORTS, stripe_reports
from .files import fetch, replay
from .shared import loaded_summary, options, pipeline_options, plain_errors


def main() -> None:
    """The entry point."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # what a terminal cannot show must not end the work
    signal.signal(signal.SIGTERM, _stop)
    os.umask(0o077)  # customers' rows are for their owner only: the database, and dlt's files until they are loaded
    os.environ.setdefault("LOAD__DELETE_COMPLETED_JOBS", "true")  # dlt keeps the files of loaded packages otherwise
    cli()


def _stop(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends a command like Ctrl-C."""
    raise KeyboardInterrupt


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="stripe-reports-source")
@click.option("-v", "--verbose", is_flag=True, help="Log each step of each report run.")
def cli(verbose: bool) -> None:
    """Stripe's financial reports in your warehouse, exact to the cent."""
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(message)s")


_report_options = options(
    click.argument("reports", nargs=-1),
    click.option("--interval", type=click.Choice(["day", "week", "month"]), help="Grid of cells.  [default: month]"),
    click.option("--timezone", help="IANA zone of days.  [default: UTC]"),
    click.option("--columns", type=click.Choice(["all", "default"]), default="all", show_default=True),
    click.option("--metadata", multiple=True, help="Custom column, such as 'payment_metadata[order_id]'; repeatable."),
)
_sync_options = options(
    click.option("--start-date", help="First day of history, YYYY-MM-DD.  [default: where Stripe's data begins]"),
    click.option("--lookback-days", type=int, help="Days before the cursor to read again.  [default: 3]"),
)


@cli.command()
@click.option("--database", type=click.Path(path_type=Path, dir_okay=False), default=Path("stripe_demo.duckdb"))
@plain_errors()
def demo(database: Path) -> None:
    """Load six months of a synthetic business, offline, and tie it out.

    Run it again on the same file for an incremental sync of a few new days.
    """
    from .. import demo as demonstration

    console = Console()
    pipeline = demonstration.demo_pipeline(database)
    again = database.exists()
    title = f"[bold]stripe-reports demo[/bold]: an offline emulator of Stripe's Reporting API into {database}\n"
    console.print(title, soft_wrap=True)

    def started(address: str, end: Any) -> None:
        console.print(f"Emulator at {address}, data up to {end:%Y-%m-%d}.")

    with SyncProgress(console) as progress:
        loaded = demonstration.run_demo(pipeline, progress, started)
    only_new = " Only what is new and the lookback was run." if again else ""
    console.print(f"{loaded_summary(loaded)}{only_new}\n", soft_wrap=True)
    show_table(console, "Tables", ["table", "rows", "columns"], demonstration.row_counts(pipeline))
    month, balance = demonstration.balance_roll_forward(pipeline)
    ties = [
        (f"Balance of {month:%B %Y}, rolled forward from rows", balance),
        ("Payouts, all months", demonstration.payout_sums(pipeline)),
    ]
    for title, figures in ties:
        rows = [[figure.what, figure.currency, figure.rows, figure.stripe, figure.difference] for figure in figures]
        show_table(console, title, ["", "currency", "from rows", "Stripe's summary", "difference"], rows)
    if any(figure.difference for _, figures in ties for figure in figures):
        raise StripeReportsError("The figures do not tie out.")
    console.print("Next: [bold]stripe-reports demo[/bold] again syncs a few new days. With your own key:")
    console.print("  export SOURCES__STRIPE_REPORTS__API_KEY=rk_live_...", markup=False, highlight=False)
    console.print("  stripe-reports types && stripe-reports sync", markup=False, highlight=False)


@cli.command()
@click.option(
    "--all", "everything", is_flag=True, help="Every report type that the catalogue knows; asks Stripe nothing."
)
@plain_errors()
def types(everything: bool) -> None:
    """List the report types that the key can run, and how far their data reaches."""
    catalog = load_catalog()
    console = Console()
    if everything:
        newest = [catalog.versions(base)[-1] for base in catalog.bases()]
        found = [
            [known.family, known.base, known.version, _SHAPES[known.shape], known_columns(known), known.row]
            for known in newest
        ]
        columns = ["family", "report", "newest", "run per", "known columns", "one row is"]
        show_table(console, "Report types in the catalogue", columns, sorted(found))
        return
    offered = _offered()
    rows = []
    for offer in offered:
        known = catalog.get(offer["id"])
        versions = catalog.versions(split_id(offer["id"])[0])
        rows.append(
            [
                offer["id"],
                offer["data_available_start"],
                offer["data_available_end"],
                _SHAPES[known.shape] if known else "interval",
                known_columns(known),
                str(versions[-1].version) if versions else "-",
                "live" if offer["livemode"] else "test",
            ]
        )
    columns = ["report type", "data from", "data to (UTC)", "run per", "known columns", "newest known", "mode"]
    show_table(console, "Report types of this key", columns, sorted(rows))
    lacking = sorted(set(catalog.bases()) - {split_id(offer["id"])[0] for offer in offered})
    if lacking:
        why = "a live key or" if any(not offer["livemode"] for offer in offered) else "Connect or"
        text = f"Not offered to this key (they may need {why} another Stripe product): {', '.join(lacking)}"
        console.print(text, highlight=False, markup=False)


_SHAPES = {"interval": "interval", "snapshot": "instant", "per_payout": "payout"}


def known_columns(known: ReportType | None) -> str:
    """How many columns the catalogue knows of a report type, in words."""
    if known is None:
        return "type not known"
    if not known.columns:
        return "none"
    return f"{len(known.columns)}{'' if known.columns_complete else ', not all'}"


@cli.command()
@_report_options
@pipeline_options
@_sync_options
@plain_errors()
def sync(destination: str, dataset: str, pipeline_name: str, **options: Any) -> None:
    """Load all that is new of REPORTS (default: the six that prove one another)."""
    _load(_source(**options), destination, dataset, pipeline_name)


@cli.command()
@_report_options
@pipeline_options
@click.option("--start-date", required=True, help="First day, YYYY-MM-DD.")
@click.option("--end-date", required=True, help="Day after the last, YYYY-MM-DD.")
@plain_errors()
def backfill(destination: str, dataset: str, pipeline_name: str, **options: Any) -> None:
    """Load REPORTS anew from --start-date up to --end-date, without moving any cursor."""
    _load(_source(**options), destination, dataset, pipeline_name)


@cli.command()
@pipeline_options
@plain_errors()
def status(destination: str, dataset: str, pipeline_name: str) -> None:
    """Show how far each report is loaded, and how far Stripe's data reaches."""
    from ..warehouse.status import report_status

    pipeline = dlt.pipeline(pipeline_name, destination=destination, dataset_name=dataset)
    found = report_status(pipeline, _offered())
    console = Console()
    if not found:
        console.print("Nothing is loaded yet. Begin with: stripe-reports sync")
        return
    columns = ["report", "account", "loaded to (UTC)", "available to", "behind", "rows", "last run"]
    rows = [
        [row.table, row.account, row.loaded_to, row.available_to, row.behind, row.rows, row.last_run] for row in found
    ]
    show_table(console, "Reports", columns, rows)
    for report in found:
        for failure in report.failures:
            console.print(f"not loaded: {report.table} [{report.account}] {failure}", style="red", markup=False)


@cli.command()
@_report_options
@pipeline_options
@_sync_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=int, default=8080, show_default=True)
@click.option("--inbox", type=click.Path(path_type=Path, dir_okay=False), help="SQLite file that keeps the events.")
@click.option("--sync-every", type=float, default=6.0, show_default=True, help="Hours between syncs without an event.")
@click.option("--gather", type=float, default=2.0, show_default=True, help="Seconds that an event waits for others.")
@click.pass_context
@plain_errors()
def webhook(
    context: click.Context,
    destination: str,
    dataset: str,
    pipeline_name: str,
    host: str,
    port: int,
    inbox: Path | None,
    sync_every: float,
    gather: float,
    **options: Any,
) -> None:
    """Receive Stripe's events and load what they tell of REPORTS (default: the six that prove one another),
    until SIGTERM.

    The endpoint's signing secret comes from dlt config, as SOURCES__STRIPE_REPORTS__WEBHOOK_SECRETS in the environment
    or webhook_secrets in .dlt/secrets.toml; two of them, with a comma between, while one replaces the other.
    """
    from ..webhook.serve import serve_webhook  # an extra

    serve_webhook(
        dlt.pipeline(pipeline_name, destination=destination, dataset_name=dataset),
        lambda: _source(**options),
        host=host,
        port=port,
        inbox=inbox,
        sync_every_hours=sync_every,
        gather_seconds=gather,
        verbose=bool(context.find_root().params["verbose"]),
    )


@cli.command()
@click.option("--api-port", type=int, default=12111, show_default=True)
@click.option("--files-port", type=int, default=12112, show_default=True)
@click.option("--control-port", type=int, default=12113, show_default=True)
@click.option("--seed", type=int, default=7, show_default=True, help="Another seed is another business.")
@click.option("--run-delay", type=float, default=2.0, show_default=True, help="Seconds that a report run takes.")
@plain_errors()
def emulator(api_port: int, files_port: int, control_port: int, seed: int, run_delay: float) -> None:
    """Run an offline Stripe Reporting API on this machine until Ctrl-C."""
    from ..emulator import EmulatorSettings, run_forever

    run_forever(
        EmulatorSettings(
            api_port=api_port, files_port=files_port, control_port=control_port, seed=seed, run_delay=run_delay
        )
    )


cli.add_command(fetch)
cli.add_command(replay)


def _source(reports: tuple[str, ...], columns: str, metadata: tuple[str, ...], **options: Any) -> DltSource:
    """The source of a command; settings that are not given come from dlt config or the source's defaults."""
    given = {name: value for name, value in options.items() if value is not None}
    if reports or metadata or columns != "all":
        chosen = "default" if columns == "default" else None
        given["reports"] = [Report(report, columns=chosen, metadata=metadata) for report in reports or DEFAULT_REPORTS]
    return stripe_reports(**given)


def _offered() -> list[dict[str, Any]]:
    [table] = list(stripe_reports(["balance.summary"]).resources["report_types"])
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _load(source: DltSource, destination: str, dataset: str, pipeline_name: str) -> None:
    pipeline = dlt.pipeline(pipeline_name, destination=destination, dataset_name=dataset)
    console = Console()
    with SyncProgress(console) as progress:
        loaded = load_reports(pipeline, source, on_event=progress)
    console.print(loaded_summary(loaded))
