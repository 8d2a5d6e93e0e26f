"""Windows that Stripe does not have, data that it takes back, reports that it no longer offers."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from dlt import Pipeline

from stripe_reports_source import SyncFailed, load_reports, reconcile
from stripe_reports_source.cli.verdict import not_whole
from stripe_reports_source.emulator import Emulator, Fault
from stripe_reports_source.errors import NotAvailable, NotOffered
from stripe_reports_source.warehouse.status import report_status
from tests.conftest import FIRST_OF_BOTH, query, source_of
from tests.pipeline.truth import assert_true
from tests.pipeline.ways import FIRST_OF_WAYS, WAYS, load, posts, refusal

UTC = timezone.utc
PAYOUTS = "payouts.itemized"
TABLE = "payouts_itemized"
WINDOWS = {
    ("2025-03-01", "2025-04-01"): "[2025-03-01T00:00:00Z, 2025-03-10T12:00:00Z)",
    ("2024-12-01", "2025-02-01"): "[2025-01-01T00:00:00Z, 2025-02-01T00:00:00Z)",
    ("2025-04-01", "2025-05-01"): "[2025-01-01T00:00:00Z, 2025-03-10T12:00:00Z)",
    ("2024-11-01", "2024-12-01"): "[2025-01-01T00:00:00Z, 2025-03-10T12:00:00Z)",
}
"""The first two are there in part."""


def versions(emulator: Emulator, base: str) -> list[str]:
    """The exact ids of a report."""
    return [name for name in emulator.service.type_names if name.rpartition(".")[0] == base]


@pytest.mark.first(4)
@WAYS
@pytest.mark.parametrize("window", WINDOWS)
def test_a_window_that_is_not_there_is_refused(
    emulator: Emulator, pipeline: Pipeline, way: str, window: tuple[str, str]
) -> None:
    start, end = window
    error = refusal(pipeline, source_of(emulator, [PAYOUTS], start_date=start, end_date=end), way)
    assert f"asked for [{start}T00:00:00Z, {end}T00:00:00Z), of which Stripe has {WINDOWS[window]}." in str(error)
    if way == "load_reports":
        assert isinstance(error, SyncFailed)
        [failure] = error.failures
        assert isinstance(failure.error, NotAvailable)
        assert (failure.report, failure.account) == (PAYOUTS, "default")
        assert "allow_partial" in failure.remedy
    else:
        assert isinstance(error, NotAvailable)
    assert posts(emulator) == 0
    assert not pipeline.has_pending_data


@pytest.mark.first(1)
@WAYS
def test_a_part_is_loaded_where_that_is_wanted(emulator: Emulator, pipeline: Pipeline, way: str) -> None:
    wanted = {"start_date": "2025-03-01", "end_date": "2025-04-01", "allow_partial": True}
    load(pipeline, source_of(emulator, [PAYOUTS], **wanted), way)
    start = datetime(2025, 3, 1, tzinfo=UTC)
    assert_true(emulator, pipeline, [PAYOUTS], start=start, end=emulator.settings.available_end)
    nothing = {"start_date": "2025-04-01", "end_date": "2025-05-01", "allow_partial": True}
    assert "of which Stripe has" in str(refusal(pipeline, source_of(emulator, [PAYOUTS], **nothing), way))


def test_allow_partial_comes_from_config(
    emulator: Emulator, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__STRIPE_REPORTS__ALLOW_PARTIAL", "true")
    load_reports(pipeline, source_of(emulator, [PAYOUTS], start_date="2025-03-01", end_date="2025-04-01"))
    assert query(pipeline, f"SELECT count(*) FROM {TABLE}")[0][0] > 0


def test_other_reports_of_the_call_go_on(emulator: Emulator, pipeline: Pipeline) -> None:
    for name in versions(emulator, "balance.summary"):
        emulator.set_availability(name, end=datetime(2025, 1, 20, tzinfo=UTC))
    source = source_of(emulator, ["balance.summary", PAYOUTS], start_date="2025-01-01", end_date="2025-03-01")
    with pytest.raises(SyncFailed) as caught:
        load_reports(pipeline, source)
    assert [failure.report for failure in caught.value.failures] == ["balance.summary"]
    assert_true(emulator, pipeline, [PAYOUTS], end=datetime(2025, 3, 1, tzinfo=UTC))
    assert [table.table for table in caught.value.loaded.tables] == [TABLE]


def test_every_interval_that_is_not_loaded_is_named(emulator: Emulator, pipeline: Pipeline) -> None:
    emulator.add_fault(Fault("run_failed", method="POST", times=None, error="no such luck"))
    source = source_of(emulator, [PAYOUTS], max_concurrent_runs=1, run_policy={"attempts": 1})
    with pytest.raises(SyncFailed) as caught:
        load_reports(pipeline, source)
    [failure] = caught.value.failures
    months = [
        "[2025-01-01T00:00:00Z, 2025-02-01T00:00:00Z)",
        "[2025-02-01T00:00:00Z, 2025-03-01T00:00:00Z)",
        "[2025-03-01T00:00:00Z, 2025-03-10T12:00:00Z)",
    ]
    assert [failure.interval, *failure.following] == months
    for month in months:
        assert month in str(caught.value)
    assert "Not loaded either, because of that: " in str(caught.value)


@pytest.mark.long
@pytest.mark.parametrize(
    ("start", "said"),
    [
        (datetime(2025, 3, 5, tzinfo=UTC), "its data begins at 2025-03-05 00:00:00+00:00 now; the interval stays"),
        (datetime(2025, 4, 1, tzinfo=UTC), "[2025-03-10T12:00:00Z, 2025-04-01T00:00:00Z) is lost"),
    ],
)
def test_data_that_is_withdrawn_before_it_was_loaded_is_said_and_stops_nothing(
    emulator: Emulator, pipeline: Pipeline, start: datetime, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = f"SELECT count(*) FROM {TABLE} WHERE _interval_day = DATE '2025-03-01'"
    load_reports(pipeline, source_of(emulator, [PAYOUTS, "balance.summary"]))
    march = query(pipeline, rows)
    emulator.advance(datetime(2025, 4, 5, tzinfo=UTC))
    for name in versions(emulator, PAYOUTS):
        emulator.set_availability(name, start=start)
    for text in (said, "1 intervals between loaded ones are not loaded whole, from [2025-03-01T00"):
        caplog.clear()
        [line] = not_whole(load_reports(pipeline, source_of(emulator, [PAYOUTS, "balance.summary"])))
        assert line.startswith("payouts_itemized [default] is loaded whole up to 2025-03-10 12:00:00+00:00 alone")
        assert caplog.text.count(text) == 1
        assert_cut_off(pipeline, emulator.settings.available_end)
    assert query(pipeline, rows) == march
    complete = "SELECT interval_day, complete FROM report_cells WHERE table_name = '{}' AND interval_day > '2025-02-01'"
    days = [date(2025, 3, 1), date(2025, 4, 1)]
    assert sorted(query(pipeline, complete.format(TABLE))) == [(days[0], False), (days[1], False)]
    assert sorted(query(pipeline, complete.format("balance_summary"))) == [(days[0], True), (days[1], False)]
    assert "a start_date of 2025-04-01 or later asks for it no more" in caplog.text
    loaded = load_reports(pipeline, source_of(emulator, [PAYOUTS, "balance.summary"], start_date="2025-04-01"))
    assert_cut_off(pipeline, None)
    assert not_whole(loaded) == []


def assert_cut_off(pipeline: Pipeline, at: datetime | None) -> None:
    """What is said of a report whose interval is loaded up to an instant alone, although later ones are loaded."""
    assert query(pipeline, "SELECT table_name, open_failures FROM report_freshness ORDER BY table_name") == [
        ("balance_summary", 0),
        (TABLE, 0 if at is None else 1),
    ]
    whole, cut = report_status(pipeline)
    assert (whole.behind, whole.failures) == (timedelta(0), ())
    assert cut.loaded_to == (at or cut.available_to)
    assert len(cut.failures) == (0 if at is None else 1)
    joined = [each for each in reconcile(pipeline).statements if each.equation == "cells_join"]
    assert {each.status for each in joined} == {"tied", "not_comparable" if at is None else "pending"}


@pytest.mark.long
@FIRST_OF_BOTH
@FIRST_OF_WAYS
def test_data_that_is_taken_back_is_loaded_again_when_it_returns(
    emulator: Emulator, pipeline: Pipeline, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    end = emulator.settings.available_end

    def announce(to: datetime) -> None:
        for name in versions(emulator, PAYOUTS):
            emulator.set_availability(name, end=to)

    load(pipeline, source_of(emulator, [PAYOUTS], lookback_days=0), way)
    loaded = query(pipeline, f"SELECT count(*) FROM {TABLE}")
    runs = posts(emulator)
    for day in (20, 18):
        announce(datetime(2025, 2, day, tzinfo=UTC))
        caplog.clear()
        load(pipeline, source_of(emulator, [PAYOUTS], lookback_days=0), way)
        assert (
            caplog.text.count("Stripe has taken back data: [2025-01-01T00:00:00Z, 2025-03-10T12:00:00Z) is loaded") == 1
        )
        assert f"up to 2025-02-{day}" in caplog.text
    assert posts(emulator) == runs
    assert query(pipeline, f"SELECT count(*) FROM {TABLE}") == loaded
    withdrawn = [
        transaction.id
        for transaction in emulator.ledger.transactions
        if datetime(2025, 2, 21, tzinfo=UTC) < transaction.created < datetime(2025, 2, 26, tzinfo=UTC)
    ]
    for identity in withdrawn:
        emulator.withdraw_transaction(identity)
    announce(end)
    load(pipeline, source_of(emulator, [PAYOUTS], lookback_days=0), way)
    assert_true(emulator, pipeline, [PAYOUTS], end=end)
    assert query(pipeline, f"SELECT count(*) FROM {TABLE}") < loaded
    runs = posts(emulator)
    load(pipeline, source_of(emulator, [PAYOUTS], lookback_days=0), way)
    assert posts(emulator) == runs


@pytest.mark.long
def test_a_report_that_is_no_longer_offered(emulator: Emulator, pipeline: Pipeline) -> None:
    reports = ["balance.summary", PAYOUTS]
    load_reports(pipeline, source_of(emulator, reports))
    for name in versions(emulator, "balance.summary"):
        emulator.alter(name, hidden=True)
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    for _ in range(2):
        with pytest.raises(SyncFailed) as caught:
            load_reports(pipeline, source_of(emulator, reports))
        [failure] = caught.value.failures
        assert isinstance(failure.error, NotOffered)
        assert failure.report == "balance.summary"
        assert "what is loaded of it stays" in str(caught.value)
        known = "SELECT available_to, open_failures FROM report_freshness WHERE table_name = 'balance_summary'"
        assert query(pipeline, known) == [(emulator.settings.available_end, 1)]
    assert_true(emulator, pipeline, [PAYOUTS], end=emulator.service.available_end)
    assert query(pipeline, "SELECT count(*) FROM balance_summary")[0][0] > 0
    emulator.restore()
    load_reports(pipeline, source_of(emulator, reports))
    assert_true(emulator, pipeline, reports, end=emulator.service.available_end)


def test_a_report_that_was_never_offered_begins_nothing(emulator: Emulator, pipeline: Pipeline) -> None:
    for name in versions(emulator, "balance.summary"):
        emulator.alter(name, hidden=True)
    error: Any = refusal(pipeline, source_of(emulator, [PAYOUTS, "balance.summary"]), "load_reports")
    assert isinstance(error, NotOffered)
    assert posts(emulator) == 0
