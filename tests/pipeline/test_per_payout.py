"""Reports that are run per payout: which payouts are loaded, table by table, whatever has become of the tables."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from datetime import date, datetime, timezone
from typing import Any

import pytest
from dlt import Pipeline

from stripe_reports_source import ConfigurationError, Event, Report, SyncFailed, load_reports
from stripe_reports_source.emulator import Emulator, Fault
from stripe_reports_source.emulator.payouts import Payout
from tests.conftest import query, source_of
from tests.pipeline.ways import FIRST_OF_WAYS, load, refusal

UTC = timezone.utc
PAYOUTS, BY_ID = "payouts.itemized.3", "payout_reconciliation.by_id.itemized"
TABLE = "payout_reconciliation_by_id_itemized"
CELLS = f"SELECT _interval_key, count(*) FROM {TABLE} GROUP BY 1 ORDER BY 1"


@pytest.fixture
def emulator(start_emulator: Callable[..., Emulator]) -> Emulator:
    """A few payouts."""
    return start_emulator(
        all_types=True,
        available_start=datetime(2025, 3, 1, tzinfo=UTC),
        available_end=datetime(2025, 3, 4, 12, tzinfo=UTC),
        business_start=date(2025, 2, 24),
    )


def named(emulator: Emulator, **changes: Any) -> Report:
    """The report of two payouts."""
    payouts = [paid.id for paid in emulator.ledger.payouts if paid.settles and paid.effective.month == 3]
    return Report(BY_ID, parameters={"payout": payouts[:2]}, **changes)


@FIRST_OF_WAYS
@pytest.mark.parametrize("refresh", ["drop_resources", "drop_data", "drop_sources"])
@pytest.mark.first(1)
def test_a_refresh_loads_it_anew(emulator: Emulator, pipeline: Pipeline, way: str, refresh: str) -> None:
    load_reports(pipeline, source_of(emulator, [named(emulator)]))
    before = query(pipeline, CELLS)
    load(pipeline, source_of(emulator, [named(emulator)]).with_resources(TABLE), way, refresh=refresh)
    assert query(pipeline, CELLS) == before != []
    assert load_reports(pipeline, source_of(emulator, [named(emulator)])).cells == 0


def test_a_dropped_table_is_loaded_anew(emulator: Emulator, pipeline: Pipeline) -> None:
    """Also where the load that does so is ended half-way, so that the lane is known again."""
    load_reports(pipeline, source_of(emulator, [named(emulator)]))
    before = query(pipeline, CELLS)
    query(pipeline, f"DROP TABLE {TABLE}")
    stop = threading.Event()
    load_reports(
        pipeline,
        source_of(emulator, [named(emulator)], max_concurrent_runs=1),
        max_cells=1,
        stop=stop,
        on_event=lambda event: stop.set() if event.kind == "loaded" else None,
    )
    assert query(pipeline, CELLS) == before[:1]
    load_reports(pipeline, source_of(emulator, [named(emulator)]))
    assert query(pipeline, CELLS) == before


def test_two_tables_of_one_report_are_each_loaded_once(emulator: Emulator, pipeline: Pipeline) -> None:
    """They share the runs, of which the ledger has a row each."""
    reports = [named(emulator), named(emulator, table_name="copied")]
    assert load_reports(pipeline, source_of(emulator, reports)).cells == 4
    for _ in range(2):
        assert load_reports(pipeline, source_of(emulator, reports)).cells == 0
    assert query(pipeline, CELLS) == query(pipeline, CELLS.replace(TABLE, "copied"))


@pytest.mark.long
@pytest.mark.parametrize("lost", ["report_cells", "report_runs", "_dlt_loads"])
def test_what_is_stored_is_not_run_again(emulator: Emulator, make_pipeline: Callable[..., Pipeline], lost: str) -> None:
    """Whichever ledger an older version did not write, or someone has dropped; and by another pipeline."""
    load_reports(make_pipeline(), source_of(emulator, [named(emulator)]))
    runs, cells = len(emulator.runs), query(make_pipeline(), CELLS)
    query(make_pipeline(), f"DROP TABLE {lost}")
    for pipeline in (make_pipeline(), make_pipeline(), make_pipeline("another", "elsewhere")):
        assert load_reports(pipeline, source_of(emulator, [named(emulator)])).cells == 0
    assert (len(emulator.runs), query(make_pipeline(), CELLS)) == (runs, cells)


def test_payouts_that_no_one_loads_are_asked_for(emulator: Emulator, pipeline: Pipeline) -> None:
    """The source could load them, but not as it is narrowed."""
    error = refusal(pipeline, source_of(emulator, [PAYOUTS, BY_ID]).with_resources(TABLE), "load_reports")
    assert isinstance(error, ConfigurationError)
    assert "load 'payouts.itemized' into the table 'payouts_itemized' of the same dataset too" in str(error)
    assert list(emulator.runs) == []


@pytest.mark.parametrize("how", ["table_name", "hint"])
@pytest.mark.first(1)
def test_payouts_in_a_table_of_another_name_are_taken(emulator: Emulator, pipeline: Pipeline, how: str) -> None:
    paid = PAYOUTS if how == "hint" else Report(PAYOUTS, table_name="paid")
    source = source_of(emulator, [BY_ID, paid])
    if how == "hint":
        source.payouts_itemized.apply_hints(table_name="paid")
    load_reports(pipeline, source)
    [(stored,)] = query(pipeline, f"SELECT count(DISTINCT automatic_payout_id) FROM {TABLE}")
    assert stored == len([each for each in emulator.ledger.payouts if each.settles and _is_loaded(each)]) > 0


def _is_loaded(payout: Payout) -> bool:
    return datetime(2025, 3, 1, tzinfo=UTC) <= payout.effective < datetime(2025, 3, 4, 12, tzinfo=UTC)


REFUSED = {
    "another parameter": (400, {"message": "Invalid timezone: it is updated", "param": "parameters[timezone]"}),
    "the report's name": (404, {"message": "No such report type: 'payout_reconciliation.by_id.itemized.4'"}),
    "the account": (404, {"message": "No such payout on this account", "code": "account_invalid"}),
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.first(1)
def test_what_does_not_speak_of_the_payout_is_a_failure(emulator: Emulator, pipeline: Pipeline, what: str) -> None:
    status, error = REFUSED[what]
    body = json.dumps({"error": {"type": "invalid_request_error", **error}})
    emulator.add_fault(Fault("status", method="POST", path="report_runs", status=status, times=None, body=body))
    with pytest.raises(SyncFailed, match=re.escape(error["message"])) as caught:
        load_reports(pipeline, source_of(emulator, [named(emulator)]))
    assert len(caught.value.failures) == (1 if what == "the account" else 2)  # one that is gone is named once
    assert query(pipeline, "SELECT open_failures FROM report_freshness") == [(2,)]


@pytest.mark.parametrize(
    "error", [{"message": "It is not reconciled.", "param": "parameters[payout]"}, {"message": "Payout is manual."}]
)
@pytest.mark.first(1)
def test_a_payout_that_has_no_report_is_no_failure(
    emulator: Emulator, pipeline: Pipeline, error: dict[str, str]
) -> None:
    body = json.dumps({"error": {"type": "invalid_request_error", **error}})
    emulator.add_fault(Fault("status", method="POST", path="report_runs", status=400, times=None, body=body))
    events: list[Event] = []
    load_reports(pipeline, source_of(emulator, [named(emulator)]), on_event=events.append)
    assert [event.kind for event in events] == ["planned", "skipped", "skipped"]
