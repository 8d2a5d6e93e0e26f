"""The demonstration: six months of a synthetic business from the emulator into a local DuckDB file.

In: the path of a DuckDB file. Out: loaded tables and their tie-out against Stripe's own summaries. Run again
on the same file, a few days have passed at the emulator and only those are synced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import dlt
from dlt import Pipeline

from .errors import ConfigurationError
from .load import Loaded, load_reports
from .plan.report import Report
from .source import stripe_reports
from .sync.progress import Event
from .warehouse.status import loaded_cursors

FIRST_DAY = datetime(2025, 1, 1, tzinfo=timezone.utc)
FIRST_END = datetime(2025, 7, 1, tzinfo=timezone.utc)
DAYS_PER_RUN = 3
DATASET = "stripe"
METADATA = ("payment_metadata[order_id]", "payment_metadata[orderId]")


@dataclass(frozen=True)
class TieOut:
    """A figure computed from rows beside the same figure in Stripe's summary."""

    what: str
    currency: str
    rows: Decimal
    stripe: Decimal

    @property
    def difference(self) -> Decimal:
        """Zero when nothing is lost or doubled."""
        return self.rows - self.stripe


def demo_reports() -> list[Report | str]:
    """What the demonstration loads."""
    return [
        "balance.summary",
        Report("balance_change_from_activity.itemized", metadata=METADATA),
        "balance_change_from_activity.summary",
        "payouts.itemized",
        "payouts.summary",
        Report("payout_reconciliation.itemized", metadata=METADATA),
        "ending_balance_reconciliation.itemized",
        "tax.transactions.itemized",
    ]


def demo_pipeline(database: Path) -> Pipeline:
    """The pipeline of the demonstration; its name goes with the file, so that two files do not share a state."""
    if database.stem == DATASET:
        # DuckDB cannot tell a schema from a database of the same name
        raise ConfigurationError(f"database {str(database)!r} must not be named after the dataset {DATASET!r}.")
    name = re.sub(r"\W+", "_", database.stem)
    return dlt.pipeline(name, destination=dlt.destinations.duckdb(str(database)), dataset_name=DATASET)


def next_end(pipeline: Pipeline) -> datetime:
    """Up to when the emulator has data in this run: six months at first, then some days more each time."""
    cursors = loaded_cursors(pipeline)
    return max(cursors.values()) + timedelta(days=DAYS_PER_RUN) if cursors else FIRST_END


def run_demo(
    pipeline: Pipeline, on_event: Callable[[Event], None], on_start: Callable[[str, datetime], None]
) -> Loaded:
    """Start an emulator, load its reports, stop it.

    Args:
        pipeline: from `demo_pipeline`.
        on_event: progress, see `load_reports`.
        on_start: called with the emulator's address and the end of its data.
    """
    from .emulator import Emulator, EmulatorSettings  # an extra, so only here

    end = next_end(pipeline)
    settings = EmulatorSettings(business_start=FIRST_DAY.date(), available_end=end, run_delay=0.2)
    with Emulator(settings) as emulator:
        on_start(emulator.api_url, end)
        source = stripe_reports(
            demo_reports(),
            api_key=settings.live_keys[0],
            api_base_url=emulator.api_url,
            files_base_url=emulator.files_url,
            max_concurrent_runs=8,
        )
        return load_reports(pipeline, source, on_event=on_event)


def row_counts(pipeline: Pipeline) -> list[tuple[str, int, int]]:
    """Each table with its number of rows and columns."""
    with _tables(pipeline) as query:
        tables = query(
            "SELECT table_name, count(*) FROM information_schema.columns WHERE table_schema = %s "
            "AND table_name NOT LIKE '\\_dlt%%' ESCAPE '\\' GROUP BY 1 ORDER BY 1",
            DATASET,
        )
        return [(name, int(query(f'SELECT count(*) FROM "{name}"')[0][0]), columns) for name, columns in tables]  # noqa: S608


def balance_roll_forward(pipeline: Pipeline) -> tuple[datetime, list[TieOut]]:
    """The first month's balance, rolled forward from rows, beside Stripe's balance summary."""
    with _tables(pipeline) as query:
        month = query("SELECT min(_interval_start) FROM balance_summary")[0][0]
        summary = {
            (currency, category): amount
            for currency, category, amount in query(
                "SELECT currency, category, net_amount FROM balance_summary WHERE _interval_start = %s", month
            )
        }
        activity = _sums(query, "balance_change_from_activity_itemized", "net", month)
        payouts = _sums(query, "payouts_itemized", "-net", month)
    result = []
    for currency in sorted({currency for currency, category in summary if category == "ending_balance"}):
        start = summary[currency, "starting_balance"]
        moved, paid = activity.get(currency, Decimal(0)), payouts.get(currency, Decimal(0))
        result += [
            TieOut("activity", currency, moved, summary[currency, "activity"]),
            TieOut("payouts", currency, paid, summary.get((currency, "payouts"), Decimal(0))),
            TieOut("ending balance", currency, start + moved + paid, summary[currency, "ending_balance"]),
        ]
    return month, result


def payout_sums(pipeline: Pipeline) -> list[TieOut]:
    """All payouts: the transactions they settle, and their own rows, beside Stripe's payouts summary."""
    with _tables(pipeline) as query:
        # payouts alone: the funds of a reversed one come back as a transaction that its retry settles
        only = "WHERE reporting_category = 'payout' GROUP BY 1"
        stripe = dict(query(f"SELECT currency, -sum(net) FROM payouts_summary {only}"))  # noqa: S608
        paid = dict(query(f"SELECT currency, sum(net) FROM payouts_itemized {only}"))  # noqa: S608
        settled = dict(query("SELECT currency, sum(net) FROM payout_reconciliation_itemized GROUP BY 1"))
    zero = Decimal(0)
    result = []
    for currency in sorted(stripe):
        result.append(TieOut("payouts, itemized", currency, paid.get(currency, zero), stripe[currency]))
        result.append(TieOut("transactions settled", currency, settled.get(currency, zero), stripe[currency]))
    return result


Query = Callable[..., list[tuple[Any, ...]]]


@contextmanager
def _tables(pipeline: Pipeline) -> Iterator[Query]:
    with pipeline.sql_client() as client:
        client.execute_sql(f"SET schema = '{DATASET}'")

        def query(sql: str, *values: Any) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in client.execute_sql(sql, *values) or ()]

        yield query


def _sums(query: Query, table: str, amount: str, month: datetime) -> dict[str, Decimal]:
    sql = f"SELECT currency, sum({amount}) FROM {table} WHERE _interval_start = %s GROUP BY 1"  # noqa: S608
    return dict(query(sql, month))
