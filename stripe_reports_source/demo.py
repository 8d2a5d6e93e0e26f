"""The demonstration: six months of a synthetic business from the emulator into a local DuckDB file.

In: the path of a DuckDB file. Out: loaded tables. Then a charge of three months ago turns up at Stripe, which no sync
reads again by itself; that the books say so, and are put right, is what the demonstration is about. Run again on the
same file, a few days have passed at the emulator and only those are synced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from dlt import Pipeline
from dlt.extract import DltSource

from .load import Loaded, load_reports
from .plan.report import Report
from .proof import reconcile
from .reconcile.reconciliation import Reconciliation
from .source import stripe_reports
from .sync.progress import Event
from .warehouse.status import loaded_cursors

if TYPE_CHECKING:
    from .emulator import Emulator
    from .emulator.service import StripeService

FIRST_DAY = datetime(2025, 1, 1, tzinfo=timezone.utc)
FIRST_END = datetime(2025, 7, 1, tzinfo=timezone.utc)
DAYS_PER_RUN = 3
DATASET = "stripe"
METADATA = ("payment_metadata[order_id]", "payment_metadata[orderId]")
LATE_CHARGE = datetime(2025, 4, 15, 10, 30, tzinfo=timezone.utc)
LATE_GROSS, LATE_FEE = 1999, 88
LATE_NET = Decimal(LATE_GROSS - LATE_FEE).scaleb(-2)


def demo_reports() -> list[Report | str]:
    """What the demonstration loads: the default reports with metadata, and two more."""
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


def pipeline_name(database: Path) -> str:
    """The name of the pipeline for a file, so that two files do not share a state."""
    return re.sub(r"\W+", "_", database.stem)


@dataclass(frozen=True)
class Demonstration:
    """An emulator and the pipeline that loads from it; `again` where the pipeline has loaded before."""

    pipeline: Pipeline
    emulator: Emulator
    again: bool

    @property
    def end(self) -> datetime:
        """Up to when there is data."""
        return self.emulator.service.available_end

    def source(self) -> DltSource:
        """The reports of the emulator."""
        return stripe_reports(
            demo_reports(),
            api_key=self.emulator.settings.live_keys[0],
            api_base_url=self.emulator.api_url,
            files_base_url=self.emulator.files_url,
            max_concurrent_runs=8,
        )

    def sync(self, on_event: Callable[[Event], None]) -> Loaded:
        """Load what is new; `on_event` see `load_reports`."""
        return load_reports(self.pipeline, self.source(), on_event=on_event)

    def pass_a_day(self) -> None:
        """A day more of data, in which a charge turns up that was made long before."""
        self.emulator.advance(self.end + timedelta(days=1))
        add_late_charge(self.emulator)

    def heal(self, on_event: Callable[[Event], None]) -> tuple[Reconciliation, int]:
        """Load again what has changed at Stripe; what is found then, and how many report runs that took."""
        before = len(self.emulator.runs)
        found = reconcile(self.pipeline, since=FIRST_DAY.date(), refresh=self.source(), on_event=on_event)
        return found, len(self.emulator.runs) - before


@contextmanager
def demonstration(pipeline: Pipeline) -> Iterator[Demonstration]:
    """Start an emulator for a pipeline into the dataset `DATASET`, and stop it at the end."""
    from .emulator import Emulator, EmulatorSettings  # an extra, so only here

    cursors = [cursor for cursor in loaded_cursors(pipeline).values() if cursor is not None]
    end = max(cursors) + timedelta(days=DAYS_PER_RUN) if cursors else FIRST_END
    settings = EmulatorSettings(business_start=FIRST_DAY.date(), available_end=end, run_delay=0.2)
    with Emulator(settings) as emulator:
        if cursors:
            add_late_charge(emulator)
        yield Demonstration(pipeline, emulator, bool(cursors))


def add_late_charge(emulator: Emulator | StripeService) -> None:
    """Let the charge turn up that the demonstration is about."""
    from .emulator import late_charge

    emulator.add_transaction(
        late_charge(
            identity="late",
            created=LATE_CHARGE,
            recorded=FIRST_END - timedelta(hours=5),
            currency="usd",
            gross=LATE_GROSS,
            fee=LATE_FEE,
            description="A charge that turned up late",
            metadata={},
        )
    )


def row_counts(pipeline: Pipeline) -> list[tuple[str, int, int]]:
    """Each table with its number of rows and columns."""
    with pipeline.sql_client() as client:
        client.execute_sql(f"SET schema = '{DATASET}'")
        tables = client.execute_sql(
            "SELECT table_name, count(*) FROM information_schema.columns WHERE table_schema = %s "
            "AND table_name NOT LIKE '\\_dlt%%' ESCAPE '\\' GROUP BY 1 ORDER BY 1",
            DATASET,
        )
        counts = {name: client.execute_sql(f'SELECT count(*) FROM "{name}"') for name, _ in tables or ()}  # noqa: S608
        return [(name, int((counts[name] or [(0,)])[0][0]), columns) for name, columns in tables or ()]
