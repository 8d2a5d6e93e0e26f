"""Stripe's financial reports in a warehouse; `dlt init stripe_reports duckdb --location ...` has copied the source."""

import dlt
from stripe_reports import Loaded, load_reports, stripe_reports


def load_everything_since(first_day: str = "2025-01-01") -> Loaded:
    """The six reports that prove one another, from a day on; run it on a schedule, it goes on where it stopped."""
    pipeline = dlt.pipeline(pipeline_name="stripe_reports", destination="duckdb", dataset_name="stripe")
    return load_reports(pipeline, stripe_reports(start_date=first_day))


if __name__ == "__main__":
    loaded = load_everything_since()
    print(f"{loaded.cells} intervals, {loaded.rows} rows")
