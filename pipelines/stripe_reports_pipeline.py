"""Short functions to copy: Stripe's financial reports into a warehouse with dlt.

Run one by its name, `python pipelines/stripe_reports_pipeline.py load_daily_cells`; without a name the first runs.
The key comes from dlt config: `api_key` under `[sources.stripe_reports]` in `.dlt/secrets.toml`, or the environment
variable `SOURCES__STRIPE_REPORTS__API_KEY`. Set `STRIPE_REPORTS_EMULATOR=1` to try them offline.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import dlt

from stripe_reports_source import Loaded, Report, load_reports, stripe_reports


def load_everything_since() -> Loaded:
    """The six reports that prove one another, from a date on; run it on a schedule, it goes on where it stopped."""
    pipeline = dlt.pipeline("stripe_reports", destination="duckdb", dataset_name="stripe")
    return load_reports(pipeline, stripe_reports(start_date="2025-01-01"))


def load_daily_cells() -> Loaded:
    """Balance summaries by day are a daily balance; days begin at midnight in New York."""
    pipeline = dlt.pipeline("stripe_daily", destination="duckdb", dataset_name="stripe")
    source = stripe_reports(
        ["balance.summary"], start_date="2025-06-01", interval="day", timezone="America/New_York", max_concurrent_runs=8
    )
    return load_reports(pipeline, source)


def load_chosen_columns_and_metadata() -> Loaded:
    """A few columns, two custom ones: the first keeps its plain name, the second is given one."""
    pipeline = dlt.pipeline("stripe_orders", destination="duckdb", dataset_name="stripe")
    report = Report(
        "payout_reconciliation.itemized",
        columns=["automatic_payout_id", "balance_transaction_id", "created_utc", "currency", "gross", "fee", "net"],
        metadata={
            "payment_metadata[order_id]": "payment_metadata_order_id",
            "payment_metadata[seats]": "seats",
        },
        types={"payment_metadata[seats]": "bigint"},
    )
    return load_reports(pipeline, stripe_reports([report]))


def backfill_a_quarter() -> Loaded:
    """Load three months anew. The cursor of the scheduled syncs is neither read nor moved."""
    pipeline = dlt.pipeline("stripe_reports", destination="duckdb", dataset_name="stripe")
    return load_reports(pipeline, stripe_reports(start_date="2025-01-01", end_date="2025-04-01"))


def load_into_another_destination() -> Loaded:
    """Any SQL destination of dlt's, with credentials from dlt config, such as `DESTINATION__POSTGRES__CREDENTIALS`."""
    destination = os.environ.get("STRIPE_REPORTS_DESTINATION", "postgres")
    pipeline = dlt.pipeline("stripe_warehouse", destination=destination, dataset_name="stripe")
    return load_reports(pipeline, stripe_reports(["balance.summary", "payouts.itemized"]))


FUNCTIONS = [
    load_everything_since,
    load_daily_cells,
    load_chosen_columns_and_metadata,
    backfill_a_quarter,
    load_into_another_destination,
]


def main() -> None:
    """Run the function named on the command line, at Stripe or at an emulator."""
    named = {function.__name__: function for function in FUNCTIONS}
    chosen = named.get(sys.argv[1] if len(sys.argv) > 1 else FUNCTIONS[0].__name__)
    if chosen is None:
        sys.exit(f"choose one of: {', '.join(named)}")
    with emulator() if os.environ.get("STRIPE_REPORTS_EMULATOR") else nullcontext():
        loaded = chosen()
    print(f"{chosen.__name__}: {loaded.cells} intervals, {loaded.rows} rows")


@contextmanager
def emulator() -> Iterator[None]:
    """An offline Stripe whose addresses and key are put where dlt looks for settings."""
    from stripe_reports_source.emulator import Emulator

    with Emulator() as running:
        os.environ["SOURCES__STRIPE_REPORTS__API_KEY"] = running.settings.live_keys[0]
        os.environ["SOURCES__STRIPE_REPORTS__API_BASE_URL"] = running.api_url
        os.environ["SOURCES__STRIPE_REPORTS__FILES_BASE_URL"] = running.files_url
        yield


if __name__ == "__main__":
    main()
