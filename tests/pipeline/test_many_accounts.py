"""Many connected accounts: what is kept of each lies in `report_lanes`, and one account does not hold up the others."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import dlt
import pytest
from click.testing import CliRunner
from dlt import Pipeline
from dlt.extract import DltSource

from stripe_reports_source import AccountGone, Event, StripeUnreachable, SyncFailed, load_reports
from stripe_reports_source.cli import cli
from stripe_reports_source.emulator import Emulator, Fault
from stripe_reports_source.plan.settings import RetryPolicy
from stripe_reports_source.warehouse.coverage import StoredTable
from stripe_reports_source.warehouse.lane_table import read_lanes
from stripe_reports_source.warehouse.status import report_status
from stripe_reports_source.warehouse.status_runs import shown_runs
from tests.conftest import BOTH, FIRST_OF_BOTH, query, source_of, with_settings

Make = Callable[..., Emulator]
UTC = timezone.utc
REPORT = "connected_account_balance_change_from_activity.itemized"
TABLE = REPORT.replace(".", "_")
ACCOUNTS = tuple(f"acct_{number:03d}" for number in range(60))
SOME = ACCOUNTS[:8]
END = datetime(2025, 3, 3, tzinfo=UTC)


@pytest.fixture
def platform(start_emulator: Make) -> Emulator:
    """A platform with 60 accounts and a few days of data."""
    return start_emulator(
        all_types=True,
        scale=0.05,
        business_start=date(2025, 3, 1),
        available_end=END,
        connected_accounts=ACCOUNTS,
        revoked_accounts=("acct_gone",),
    )


def lanes_of(emulator: Emulator, accounts: tuple[str, ...] = ACCOUNTS, **settings: Any) -> DltSource:
    """The report, run for each account."""
    return source_of(emulator, [REPORT], connected_accounts=accounts, max_concurrent_runs=8, **settings)


def resource_state(pipeline: Pipeline) -> dict[str, Any]:
    """dlt's state of the report's resource."""
    return dict(pipeline.state["sources"]["stripe_reports"]["resources"][TABLE])


def lane_rows(pipeline: Pipeline) -> list[tuple[Any, ...]]:
    return query(pipeline, "SELECT account, synced_to, listed_package, package FROM report_lanes ORDER BY account")


@FIRST_OF_BOTH
def test_what_is_kept_of_an_account_is_a_row(platform: Emulator, make_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = make_pipeline()
    assert load_reports(pipeline, lanes_of(platform)).cells == 60
    assert [account for account, *_ in lane_rows(pipeline)] == [f"default/{account}" for account in ACCOUNTS]
    assert all((at, listed) == (END, package) for _, at, listed, package in lane_rows(pipeline))
    assert resource_state(pipeline)["lanes"] == {}
    assert len(json.dumps(pipeline.state, default=str)) < 3000
    assert query(pipeline, "SELECT count(*), count(DISTINCT account) FROM report_freshness") == [(60, 60)]

    runs, requests = len(platform.runs), len(platform.requests)
    assert load_reports(make_pipeline(folder="elsewhere"), lanes_of(platform)).cells == 0
    assert (len(platform.runs), len(platform.requests)) == (runs, requests + 1)

    platform.advance(END + timedelta(days=1, hours=8))
    assert load_reports(pipeline, lanes_of(platform)).cells == 60
    assert {at for _, at, *_ in lane_rows(pipeline)} == {platform.service.available_end.replace(microsecond=0)}


@pytest.mark.long
def test_what_an_older_version_has_kept_in_dlts_state_is_taken_over(platform: Emulator, pipeline: Pipeline) -> None:
    load_reports(pipeline, lanes_of(platform, SOME))
    kept = read_lanes(pipeline, TABLE, resource_state(pipeline))
    with pipeline.managed_state(extract_state=True) as state:
        resources: Any = state["sources"]["stripe_reports"]["resources"]
        resources[TABLE] = {"lanes": {lane: kept.get(lane).to_state() for lane in kept}}  # type: ignore[union-attr]
        resources["report_cells"] = {"covered": {TABLE: dict(kept.listed)}}
    with pipeline.sql_client() as client:
        client.execute_sql("DROP TABLE report_lanes")
    pipeline.normalize()
    pipeline.load()
    runs = len(platform.runs)
    assert load_reports(pipeline, lanes_of(platform, SOME)).cells == 0
    assert len(platform.runs) == runs
    assert len(lane_rows(pipeline)) == len(SOME)
    assert resource_state(pipeline)["lanes"] == {}
    assert pipeline.state["sources"]["stripe_reports"]["resources"]["report_cells"]["covered"][TABLE] == {}


@pytest.mark.long
def test_rows_are_void_once_dlt_forgets_the_report(platform: Emulator, make_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = make_pipeline()
    load_reports(pipeline, lanes_of(platform, SOME))
    pipeline.refresh = "drop_resources"
    assert load_reports(pipeline, lanes_of(platform, ACCOUNTS[:3])).cells == 3
    pipeline.refresh = None
    assert query(pipeline, f"SELECT count(DISTINCT connected_account) FROM {TABLE}") == [(3,)]
    assert load_reports(pipeline, lanes_of(platform, SOME)).cells == len(SOME) - 3


@pytest.mark.long
def test_rows_of_a_load_that_has_not_ended_do_not_count(platform: Emulator, pipeline: Pipeline) -> None:
    load_reports(pipeline, lanes_of(platform, SOME))
    [(package,)] = query(pipeline, "SELECT DISTINCT package FROM report_lanes")
    with pipeline.sql_client() as client:
        client.execute_sql("UPDATE _dlt_loads SET status = 1 WHERE load_id = %s", package)
    assert list(read_lanes(pipeline, TABLE, resource_state(pipeline))) == []


@pytest.mark.long
def test_a_table_that_was_dropped_is_made_up_for(platform: Emulator, pipeline: Pipeline) -> None:
    load_reports(pipeline, lanes_of(platform, SOME))
    runs = len(platform.runs)
    with pipeline.sql_client() as client:
        client.execute_sql("DROP TABLE report_lanes")
    load_reports(pipeline, lanes_of(platform, SOME))
    assert len(platform.runs) == runs
    assert query(pipeline, f"SELECT count(DISTINCT connected_account) FROM {TABLE}") == [(len(SOME),)]


@pytest.mark.long
def test_crossed_loads_are_loaded_again(platform: Emulator, make_pipeline: Callable[..., Pipeline]) -> None:
    one, other = make_pipeline(folder="one"), make_pipeline(folder="other")
    one.run(lanes_of(platform, ACCOUNTS[:2]))
    other.sync_destination()
    platform.advance(END + timedelta(days=1, hours=8))
    for pipeline in (one, other):  # both from the same state
        pipeline.extract(lanes_of(platform, ACCOUNTS[:2]))
        pipeline.normalize()
        platform.advance(platform.service.now + timedelta(days=1))
    other.load()
    one.load()  # the older rows come last
    third = make_pipeline(folder="third")
    third.run(lanes_of(platform, ACCOUNTS[:2]))
    end = platform.service.available_end.replace(microsecond=0)
    assert query(third, "SELECT DISTINCT synced_to FROM report_lanes") == [(end,)]
    for account in ACCOUNTS[:2]:
        truth = platform.truth(f"{REPORT}.3", datetime(2025, 3, 1, tzinfo=UTC), end, connected_account=account)
        stored = query(third, f"SELECT count(*) FROM {TABLE} WHERE connected_account = '{account}'")
        assert stored == [(len(truth),)]


def test_an_account_that_is_gone_ends_in_one_line(platform: Emulator, pipeline: Pipeline) -> None:
    accounts = (ACCOUNTS[0], "acct_gone", *ACCOUNTS[1:5])
    with pytest.raises(SyncFailed) as caught:
        load_reports(pipeline, lanes_of(platform, accounts, interval="day"))
    [failure] = caught.value.failures
    assert (failure.account, failure.following) == ("default/acct_gone", ())
    assert isinstance(failure.error, AccountGone)
    assert "from 2025-03-01 on" in str(failure)
    assert "Take the account out of connected_accounts" in str(failure)
    assert "permissions" not in str(failure)
    assert query(pipeline, "SELECT count(DISTINCT account) FROM report_lanes") == [(5,)]


@pytest.mark.first(1)
@BOTH
def test_what_is_stored_of_other_accounts_is_not_read_for_one_that_fails(
    platform: Emulator, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[StoredTable] = []

    class Noted(StoredTable):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            read.append(self)

    load_reports(pipeline, lanes_of(platform, SOME))
    monkeypatch.setattr("stripe_reports_source.sync.ledger.StoredTable", Noted)
    with pytest.raises(SyncFailed):
        load_reports(pipeline, lanes_of(platform, (*SOME, "acct_gone")))
    [one] = read
    assert (one.listed, one.stored, one.runs) == ({}, {}, {})
    whole = StoredTable(pipeline, TABLE, "default")
    assert len(whole.listed) == len(whole.stored) == len(whole.runs) == len(SOME)
    some = list(whole.stored)[2:4]
    part = StoredTable(pipeline, TABLE, "default", ["default|another|", *some])
    for all_of_them, those in ((whole.listed, part.listed), (whole.stored, part.stored), (whole.runs, part.runs)):
        assert those == {lane: all_of_them[lane] for lane in some}
    assert StoredTable(pipeline, TABLE, "default", ["défaut|"]).listed == whole.listed
    [[run], *_] = query(pipeline, "SELECT run_id FROM report_runs WHERE error IS NULL ORDER BY run_id")
    with pipeline.sql_client() as client:  # as a version without keys has written it
        client.execute_sql("UPDATE report_runs SET interval_key = NULL WHERE run_id = %s", run)
    assert [old.run_id for old in StoredTable(pipeline, TABLE, "default", some).runs[""]] == [run]


def test_accounts_take_turns(platform: Emulator, pipeline: Pipeline) -> None:
    loaded: list[str] = []

    def note(event: Event) -> None:
        if event.kind == "loaded":
            loaded.append(event.account)

    source = source_of(platform, [REPORT], connected_accounts=ACCOUNTS[:6], max_concurrent_runs=1, interval="day")
    load_reports(pipeline, source, on_event=note)
    assert len(loaded) == 12
    assert len(set(loaded[:6])) == 6  # each has its first day before any has its second


@pytest.mark.long
def test_syncs_that_always_end_early_leave_no_account_out(platform: Emulator, pipeline: Pipeline) -> None:
    for day in range(6):
        platform.advance(END + timedelta(days=day, hours=8))
        stop, loaded = threading.Event(), Counter[str]()

        def note(event: Event, stop: threading.Event = stop, loaded: Counter[str] = loaded) -> None:
            loaded[event.kind] += 1
            if loaded["loaded"] >= 8:
                stop.set()

        load_reports(pipeline, lanes_of(platform, ACCOUNTS[:24]), on_event=note, stop=stop)
    reached = [at for _, at, *_ in lane_rows(pipeline)]
    assert len(reached) == 24
    assert max(reached) - min(reached) <= timedelta(days=3)


def test_max_concurrent_runs_is_for_all_accounts_together(platform: Emulator, pipeline: Pipeline) -> None:
    lock, most = threading.Lock(), 0
    in_flight: set[str | None] = set()

    def note(event: Event) -> None:
        nonlocal most
        with lock:
            if event.kind == "running":
                in_flight.add(event.run_id)
            elif event.kind == "fetched":
                in_flight.discard(event.run_id)
            most = max(most, len(in_flight))

    load_reports(pipeline, lanes_of(platform), on_event=note)
    assert not in_flight
    assert 1 < most <= 8


def test_one_pause_is_for_all_accounts(platform: Emulator, pipeline: Pipeline) -> None:
    platform.add_fault(Fault("status", method="POST", status=429, times=8, headers={"Retry-After": "0.5"}, body="{}"))
    source = with_settings(lanes_of(platform, ACCOUNTS[:30]), retry_policy=RetryPolicy(attempts=3))
    assert load_reports(pipeline, source).cells == 30
    refused = sum(request.method == "POST" for request in platform.requests) - len(platform.runs)
    assert refused <= 8


@BOTH
@pytest.mark.long
def test_status_reads_the_last_run_of_each_account_and_those_of_failures(
    platform: Emulator, make_pipeline: Callable[..., Pipeline]
) -> None:
    pipeline = make_pipeline()
    load_reports(pipeline, lanes_of(platform, SOME))
    fails = Fault("run_failed", method="POST", times=None)
    for day in (1, 2, 3):
        platform.advance(END + timedelta(days=day, hours=8))
        if day == 2:
            platform.add_fault(fails)
            with pytest.raises(SyncFailed):
                load_reports(pipeline, lanes_of(platform, SOME[:1]))
            [failed] = [found for found in report_status(pipeline) if found.failures]
            assert failed.account == f"default/{SOME[0]}"
            platform.clear_faults()
        load_reports(pipeline, lanes_of(platform, SOME))
    listed = query(pipeline, "SELECT interval_key, created, run_id, error FROM report_runs")
    last = {run for key, created, run, _ in listed if created == max(at for of, at, *_ in listed if of == key)}
    [broken] = {key for key, *_, error in listed if error is not None}
    of_broken = {run for key, _, run, _ in listed if key == broken}
    assert {run.run_id for run in shown_runs(pipeline)} == last | of_broken
    assert len(last | of_broken) < len(listed) / 2
    found = report_status(pipeline)
    assert len(found) == len(SOME)
    assert {status.last_run for status in found} == {f"{run} succeeded" for run in last}
    assert not any(status.failures for status in found)
    counts = query(pipeline, f"SELECT connected_account, count(*) FROM {TABLE} GROUP BY 1")
    assert {status.account: status.rows for status in found} == {f"default/{account}": rows for account, rows in counts}


def test_an_account_that_is_not_asked_for_any_more_has_ended(platform: Emulator, pipeline: Pipeline) -> None:
    """It has left the platform, and is taken out of the list, as the error says."""

    def lane() -> tuple[Any, ...]:
        asked, later = {f"{REPORT}.3": platform.service.available_end}, datetime.now(UTC) + timedelta(days=7)
        found = {status.account: status for status in report_status(pipeline, asked)}
        assert len(found) == 3
        assert not found[f"default/{staying[0]}"].failures
        left = found[f"default/{leaving}"]
        kept = {status.account: status for status in report_status(pipeline)}
        assert not kept[f"default/{staying[0]}"].fresh(timedelta(days=1), later)
        assert kept[f"default/{leaving}"].fresh(timedelta(days=1), later) is left.ended
        return len(left.failures), left.behind, left.fresh(timedelta(hours=1), later)

    leaving, *staying = SOME[:3]
    load_reports(pipeline, lanes_of(platform, SOME[:3]))
    platform.revoke(leaving)
    platform.advance(END + timedelta(days=2))
    with pytest.raises(SyncFailed, match="connected_accounts"):
        load_reports(pipeline, lanes_of(platform, SOME[:3]))
    assert lane() == (1, timedelta(days=2), False)
    load_reports(pipeline, lanes_of(platform, tuple(staying)))
    assert lane() == (0, None, True)
    opened = "SELECT account, loaded_to, available_to FROM report_freshness WHERE open_failures > 0 OR loaded_to = %s"
    assert query(pipeline, opened, END) == [(f"default/{leaving}", END, None)]
    platform.reconnect(leaving)
    load_reports(pipeline, lanes_of(platform, SOME[:3]))
    assert lane() == (0, timedelta(0), True)


@pytest.mark.long
def test_an_account_ends_by_no_sync_of_other_accounts(start_emulator: Make, pipeline: Pipeline) -> None:
    """Another label's sync does not end it, nor does another source of the same label while its own names it."""
    platform = start_emulator(
        all_types=True,
        scale=0.05,
        business_start=date(2025, 3, 1),
        available_end=END,
        connected_accounts=SOME,
        live_keys=("rk_live_us", "rk_live_eu"),
        accounts={"rk_live_eu": "acct_of_another_platform"},
    )
    us = partial(lanes_of, platform, account="us", api_key="rk_live_us")
    eu = partial(lanes_of, platform, account="eu", api_key="rk_live_eu")

    def ended() -> bool:
        [left] = [status for status in report_status(pipeline) if status.account == f"us/{leaving}"]
        assert bool(left.failures) is not left.ended
        return left.ended

    leaving = SOME[0]
    load_reports(pipeline, [us(SOME[:2]), us(SOME[2:4]), eu(SOME[4:6])])
    platform.revoke(leaving)
    platform.advance(END + timedelta(days=1))
    with pytest.raises(SyncFailed):
        load_reports(pipeline, [us(SOME[:2]), eu(SOME[4:6])])
    assert not ended()
    for source in (eu(SOME[4:6]), us(SOME[2:4])):
        load_reports(pipeline, source)
        assert not ended()
    load_reports(pipeline, us(SOME[1:2]))
    assert ended()


def test_what_an_earlier_version_has_written_ends_no_account(platform: Emulator, pipeline: Pipeline) -> None:
    """It left `available_to` empty of every report that could not be planned."""
    load_reports(pipeline, lanes_of(platform, SOME[:2]))
    with pipeline.sql_client() as client:
        client.execute_sql("UPDATE report_freshness SET available_to = NULL, open_failures = 1")
    platform.advance(END + timedelta(days=1))
    load_reports(pipeline, lanes_of(platform, SOME[1:2]))
    found = {status.account: (bool(status.failures), status.ended) for status in report_status(pipeline)}
    assert found == {f"default/{SOME[0]}": (True, False), f"default/{SOME[1]}": (False, False)}


@pytest.mark.first(1)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_what_has_failed_otherwise_is_waited_for_also_where_others_are_asked_for(
    platform: Emulator, pipeline: Pipeline, method: str
) -> None:
    """Each of several sources may load some of the accounts into one table."""
    mine, others = SOME[:2], SOME[2:4]
    load_reports(pipeline, lanes_of(platform, mine))
    platform.advance(END + timedelta(days=2))
    platform.add_fault(Fault("status", method=method, status=503, times=None))
    with pytest.raises((SyncFailed, StripeUnreachable)) as failed:
        load_reports(pipeline, with_settings(lanes_of(platform, mine), retry_policy=RetryPolicy(attempts=1)))
    platform.clear_faults()
    load_reports(pipeline, lanes_of(platform, others))
    found = {status.account: (bool(status.failures), status.ended) for status in report_status(pipeline)}
    waited_for = mine if failed.type is SyncFailed else ()
    assert found == {f"default/{account}": (account in waited_for, False) for account in (*mine, *others)}


def test_status_shows_many_accounts_in_a_few_lines(
    platform: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "220")
    monkeypatch.chdir(tmp_path)
    database = tmp_path / "stripe_reports.duckdb"
    pipeline = dlt.pipeline(
        "stripe_reports",
        destination=dlt.destinations.duckdb(str(database)),
        dataset_name="stripe",
        pipelines_dir=str(tmp_path / "dlt"),
    )
    with pytest.raises(SyncFailed):
        load_reports(pipeline, lanes_of(platform, (*ACCOUNTS, "acct_gone")))

    def status(*arguments: str) -> Any:
        return CliRunner().invoke(cli, ["status", "--offline", *arguments], catch_exceptions=False)

    shown = status()
    assert shown.exit_code == 3
    assert "all 61, the worst below" in shown.output
    assert len([line for line in shown.output.splitlines() if "default/acct_" in line]) <= 22
    assert shown.output.index("default/acct_gone") < shown.output.index("default/acct_000")
    rows = json.loads(status("--format", "json").stdout)["rows"]
    assert len(rows) == 61
    assert sum(row["rows"] for row in rows) == query(pipeline, f"SELECT count(*) FROM {TABLE}")[0][0]
    [only] = json.loads(status("--format", "json", "--account", "acct_007").stdout)["rows"]
    assert only["account"] == "default/acct_007"
    assert status("--account", "acct_007").exit_code == 0
    assert len(json.loads(status("--format", "json", "--account", "default").stdout)["rows"]) == 61
