"""It stays a plain dlt source, and refuses bad settings before it makes a run."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import dlt
import pytest
import requests
from dlt import Pipeline
from dlt.common.configuration.exceptions import ConfigFieldMissingException
from dlt.pipeline.exceptions import PipelineStepFailed

from stripe_reports_source import (
    AuthenticationError,
    ConfigurationError,
    Event,
    PermissionDenied,
    Report,
    SyncFailed,
    load_reports,
    stripe_reports,
)
from stripe_reports_source.emulator import Emulator, Fault
from stripe_reports_source.errors import StripeReportsError
from tests.conftest import query, source_of
from tests.pipeline.truth import assert_true

UTC = timezone.utc


def test_building_a_source_makes_no_request_and_no_thread(emulator: Emulator) -> None:
    threads = threading.active_count()
    source = source_of(emulator, ["balance.summary", Report("payouts.itemized", table_name="paid")])
    assert list(source.resources) == [
        "balance_summary",
        "paid",
        "report_types",
        "report_runs",
        "report_columns",
        "report_cells",
        "report_freshness",
        "report_lanes",
    ]
    assert list(emulator.requests) == []
    assert threading.active_count() == threads


def test_settings_come_from_dlt_config(emulator: Emulator, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    section = "SOURCES__STRIPE_REPORTS__"
    settings = {
        "API_KEY": emulator.settings.live_keys[0],
        "API_BASE_URL": emulator.api_url,
        "FILES_BASE_URL": emulator.files_url,
        "REPORTS": '["balance.summary"]',
        "INTERVAL": "week",
        "START_DATE": "2025-02-03",
        "ACCOUNT": "us",
    }
    for name, value in settings.items():
        monkeypatch.setenv(section + name, value)
    pipeline.run(stripe_reports())
    first = query(pipeline, "SELECT min(_interval_key) FROM balance_summary")
    assert first == [("us|balance.summary|week|UTC|2025-02-03",)]


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigFieldMissingException, match="SOURCES__STRIPE_REPORTS__API_KEY"):
        stripe_reports(["balance.summary"])


def test_resources_can_be_selected_limited_and_read_without_a_pipeline(emulator: Emulator, pipeline: Pipeline) -> None:
    source = source_of(emulator, ["balance.summary", "payouts.itemized"], interval="week")
    pipeline.run(source.with_resources("payouts_itemized"))
    tables = {name for (name,) in query(pipeline, "SELECT table_name FROM information_schema.tables")}
    assert "payouts_itemized" in tables
    assert not {"balance_summary", "report_types"} & tables
    tables_read = list(source_of(emulator, ["balance.summary"]).resources["balance_summary"])
    assert sum(table.num_rows for table in tables_read) > 3 * 8
    assert not any(thread.name.startswith("stripe-reports-") for thread in threading.enumerate())


def test_small_cells_that_come_one_by_one_are_given_to_dlt_together(start_emulator: Callable[..., Emulator]) -> None:
    emulator = start_emulator(run_delay=0.05)
    days = {"interval": "day", "start_date": "2025-01-01", "end_date": "2025-01-21"}
    source = source_of(emulator, ["balance.summary"], max_concurrent_runs=1, **days)
    tables = [item for item in source.resources["balance_summary"] if item is not None]
    assert len(emulator.runs) == 20
    assert len(tables) < 20
    keys = [key for table in tables for key in table["_interval_key"].unique().to_pylist()]
    assert len(set(keys)) == 20


def test_add_limit_loads_a_prefix_and_the_next_run_the_rest(emulator: Emulator, pipeline: Pipeline) -> None:
    report = "balance_change_from_activity.itemized"
    pipeline.run(source_of(emulator, [report], interval="week").add_limit(2))
    keys = query(pipeline, "SELECT DISTINCT _interval_key FROM balance_change_from_activity_itemized")
    assert 0 < len(keys) < 5
    pipeline.run(source_of(emulator, [report], interval="week"))
    assert_true(emulator, pipeline, [report], end=emulator.settings.available_end, grid="week")


def test_end_value_and_schedulers_choose_the_window(emulator: Emulator, pipeline: Pipeline) -> None:
    source = source_of(emulator, ["payouts.itemized"])
    start, end = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC)
    window = dlt.sources.incremental[datetime]("_interval_end", initial_value=start, end_value=end)
    source.resources["payouts_itemized"].apply_hints(incremental=window)
    pipeline.run(source)
    assert_true(emulator, pipeline, ["payouts.itemized"], start=start, end=end)
    assert len(emulator.runs) == 1


def test_refresh_begins_anew(emulator: Emulator, pipeline: Pipeline) -> None:
    pipeline.run(source_of(emulator, ["payouts.itemized"]))
    pipeline.run(
        source_of(emulator, ["payouts.itemized"], interval="day", max_concurrent_runs=8), refresh="drop_resources"
    )
    assert_true(emulator, pipeline, ["payouts.itemized"], end=emulator.settings.available_end, grid="day")


@pytest.mark.long
def test_clones_load_several_accounts_into_the_same_tables(
    start_emulator: Callable[..., Emulator], pipeline: Pipeline
) -> None:
    us, eu = start_emulator(), start_emulator(seed=8)
    for name, emulator in (("us", us), ("eu", eu), ("us", us)):
        clone: Any = stripe_reports.clone(name=name)
        key = emulator.settings.live_keys[0]
        source = clone(
            ["payouts.itemized"],
            account=name,
            api_key=key,
            api_base_url=emulator.api_url,
            files_base_url=emulator.files_url,
        )
        pipeline.run(source)
    counts = dict(query(pipeline, "SELECT _account, count(*) FROM payouts_itemized GROUP BY 1"))
    window = us.settings.first_available, us.settings.available_end
    assert counts == {
        name: len(emulator.truth("payouts.itemized.3", *window)) for name, emulator in (("us", us), ("eu", eu))
    }


@pytest.mark.long
def test_a_label_may_begin_like_another_one(start_emulator: Callable[..., Emulator], pipeline: Pipeline) -> None:
    """What follows the slash is not taken for a connected account of the shorter label."""
    labels = {"us": start_emulator(), "us/east": start_emulator(seed=9)}
    for _ in range(2):
        for label, emulator in labels.items():
            load_reports(pipeline, source_of(emulator, ["payouts.itemized"], account=label))
    found = query(pipeline, "SELECT account, count(*) FROM report_cells GROUP BY 1 ORDER BY 1")
    assert found == [("us", 3), ("us/east", 3)]
    assert query(pipeline, "SELECT account FROM report_freshness ORDER BY 1") == [("us",), ("us/east",)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reports": []}, "reports is empty"),
        ({"reports": ["payouts.itemized", "payouts.itemized.3"]}, "another table_name"),
        ({"reports": [Report("payouts.itemized", table_name="report_runs")]}, "system table"),
        ({"timezone": "Mars/Base"}, "timezone 'Mars/Base'"),
        ({"interval": "hour"}, "interval 'hour'"),
        ({"lookback_days": -1}, "lookback_days -1"),
        ({"start_date": "2025-02-30"}, "start_date '2025-02-30'"),
        ({"start_date": "2025-02-02", "end_date": "2025-02-02"}, "must lie before"),
        ({"max_concurrent_runs": 0}, "max_concurrent_runs 0"),
        ({"max_concurrent_runs": 10**9}, "max_concurrent_runs 1000000000 must be a whole number, 1,000 at most"),
        ({"max_concurrent_runs": 1.5}, "max_concurrent_runs 1.5 must be a whole number"),
        ({"start_date": "0001-01-01", "timezone": "Pacific/Auckland"}, "the day 0001-01-01 cannot be told in UTC"),
        ({"run_timeout": 0}, "run_timeout 0"),
        ({"retry_policy": {"tries": 3}}, "retry_policy has no 'tries'; it has attempts, "),
        ({"retry_policy": {"attempts": 2.5}}, "retry_policy.attempts 2.5 must be a whole number"),
        ({"run_policy": {"retry_delay": -1}}, "run_policy.retry_delay -1 must be a number above 0"),
        ({"account": "a|b"}, "account 'a|b'"),
        ({"stripe_account": "me"}, "stripe_account 'me'"),
        ({"connected_accounts": "acct_1, acct_2,acct_1"}, "connected_accounts names 'acct_1' twice"),
        ({"connected_accounts": ("acct_1", "acct_1")}, "connected_accounts names 'acct_1' twice"),
        ({"stripe_account": "acct_1", "stripe_context": "acct_2"}, "both set"),
        ({"stripe_context": "acct_1/x"}, "stripe_context 'acct_1/x'"),
        ({"api_key": "sk_org_live_1"}, "needs stripe_context"),
        ({"api_key": "rk_live_..."}, "placeholder"),
        ({"run_timeout": float("nan")}, "run_timeout nan"),
        ({"max_concurrent_runs": 10**400}, "must be a number above 0"),
        ({"api_key": "pk_live_1"}, "publishable key"),
        ({"api_key": "a b"}, "api_key is empty or holds spaces"),
        ({"api_base_url": "http://api.stripe.com"}, "must be an https address"),
    ],
)
def test_settings_are_refused_when_the_source_is_built(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        stripe_reports(**{"reports": ["balance.summary"], "api_key": "rk_test_x", **settings})
    assert message in str(caught.value)


@pytest.mark.first(2)
@pytest.mark.parametrize(
    ("report", "message"),
    [
        ("payouts.itemised", "did you mean 'payouts.itemized'"),
        ("connected_account_payouts.itemized", "not offered to this account"),
        (Report("payouts.itemized", columns=["gros"]), "no column 'gros'; did you mean 'gross'"),
        (Report("balance.summary", metadata=["payment_metadata[a]"]), "no metadata 'payment_metadata'"),
        (Report("balance.summary", parameters={"payout": "po_1"}), "takes no parameter 'payout'"),
    ],
)
def test_reports_are_refused_before_any_run(emulator: Emulator, pipeline: Pipeline, report: Any, message: str) -> None:
    for run in (pipeline.run, lambda source: load_reports(pipeline, source)):
        with pytest.raises((ConfigurationError, PipelineStepFailed), match=message):
            run(source_of(emulator, ["balance_change_from_activity.summary", report]))
    assert list(emulator.runs) == []


def test_a_context_is_sent_with_every_request_and_names_the_account(emulator: Emulator, pipeline: Pipeline) -> None:
    load_reports(pipeline, source_of(emulator, ["balance.summary"], stripe_context="acct_1/acct_2"))
    assert query(pipeline, "SELECT DISTINCT _account FROM balance_summary") == [("acct_2",)]
    assert query(pipeline, "SELECT DISTINCT account FROM report_types") == [("acct_2",)]
    assert {request.headers.get("stripe-context") for request in emulator.requests} == {"acct_1/acct_2"}
    assert not any("stripe-account" in request.headers for request in emulator.requests)


def test_a_fault_of_the_way_makes_no_second_run(emulator: Emulator, pipeline: Pipeline) -> None:
    page = Fault("status", status=200, body="<html>", headers={"Content-Encoding": "compress"}, times=None)
    emulator.add_fault(replace(page, address="files"))
    quick = {"attempts": 2, "first_delay": 0.001}
    source = source_of(emulator, ["balance.summary"], interval="month", retry_policy=quick)
    with pytest.raises(SyncFailed, match="came encoded as compress"):
        load_reports(pipeline, source)
    emulator.clear_faults()
    load_reports(pipeline, source_of(emulator, ["balance.summary"]))
    assert_true(emulator, pipeline, ["balance.summary"], end=emulator.settings.available_end)
    parameters = [str(run.parameters) for run in emulator.runs]
    assert len(set(parameters)) == len(parameters)


def test_a_type_that_cannot_be_read_does_not_stop_the_others(emulator: Emulator, pipeline: Pipeline) -> None:
    types = requests.get(f"{emulator.api_url}/v1/reporting/report_types", auth=(emulator.settings.live_keys[0], ""))
    listed = types.json()
    listed["data"].append({**listed["data"][0], "id": "new.report.1", "data_available_end": None})
    emulator.add_fault(Fault("status", path="report_types$", status=200, body=json.dumps(listed), times=None))
    load_reports(pipeline, source_of(emulator, ["balance.summary"]))
    assert_true(emulator, pipeline, ["balance.summary"], end=emulator.settings.available_end)
    with pytest.raises(StripeReportsError, match=r"report 'new\.report\.1' is offered, but .*data_available_end None"):
        load_reports(pipeline, source_of(emulator, ["new.report"]))


def test_keys_are_refused_before_any_run(emulator: Emulator, pipeline: Pipeline) -> None:
    with pytest.raises(AuthenticationError, match="Invalid API Key"):
        load_reports(pipeline, source_of(emulator, ["balance.summary"], api_key="rk_live_wrong"))
    with pytest.raises(PermissionDenied, match="required permissions"):
        load_reports(pipeline, source_of(emulator, ["balance.summary"], api_key=emulator.settings.powerless_keys[0]))
    assert list(emulator.runs) == []


def test_a_destination_that_would_double_rows_is_refused(emulator: Emulator, tmp_path: Path) -> None:
    files = dlt.destinations.filesystem(bucket_url=(tmp_path / "bucket").as_uri())
    pipeline = dlt.pipeline("files", destination=files, dataset_name="stripe", pipelines_dir=str(tmp_path / "p"))
    with pytest.raises(ConfigurationError, match="destination 'filesystem' cannot replace rows"):
        load_reports(pipeline, source_of(emulator, ["balance.summary"]))
    assert list(emulator.runs) == []


def test_one_failing_report_leaves_the_others_loaded(emulator: Emulator, pipeline: Pipeline) -> None:
    bad = Report("payouts.itemized", types={"payout_id": "bigint"})
    events: list[Event] = []
    with pytest.raises(SyncFailed) as caught:
        load_reports(pipeline, source_of(emulator, [bad, "balance.summary"]), on_event=events.append)
    [failure] = caught.value.failures
    assert (failure.report, failure.account) == ("payouts.itemized.3", "default")
    assert failure.interval == "[2025-01-01T00:00:00Z, 2025-02-01T00:00:00Z)"
    assert failure.run_id in {run.id for run in emulator.runs}
    assert "line 2, column 'payout_id': 'aa_" in str(caught.value)
    assert_true(emulator, pipeline, ["balance.summary"], end=emulator.settings.available_end)
    assert query(pipeline, "SELECT count(*) FROM report_runs WHERE error IS NOT NULL") == [(1,)]
    assert {event.kind for event in events} >= {
        "planned",
        "running",
        "downloading",
        "parsing",
        "fetched",
        "loaded",
        "failed",
    }
    load_reports(pipeline, source_of(emulator, ["payouts.itemized"]))
    assert_true(emulator, pipeline, ["payouts.itemized"], end=emulator.settings.available_end)


@pytest.mark.long
@pytest.mark.parametrize("what", ["runs", "plan"])
def test_what_is_loaded_at_the_second_try_has_not_failed(
    start_emulator: Callable[..., Emulator], pipeline: Pipeline, what: str
) -> None:
    """New payouts have their reports run in a second sync, which tries again what has failed in the first."""
    emulator, events = (
        start_emulator(all_types=True, available_end=datetime(2025, 1, 6, 12, tzinfo=UTC)),
        Counter[str](),
    )
    if what == "runs":
        emulator.add_fault(Fault("run_failed", method="POST", path="report_runs", times=3))
    else:
        emulator.alter("balance.summary.1", {"data_available_end": None})

    def hear(event: Event) -> None:
        events[event.kind] += 1
        if (event.kind, event.table) == ("loaded", "payouts_itemized"):
            emulator.restore()

    reports = ["balance.summary.1", "payouts.itemized", "payout_reconciliation.by_id.itemized"]
    source = source_of(emulator, reports, max_concurrent_runs=1, run_policy={"retry_delay": 0.001})
    loaded = load_reports(pipeline, source, on_event=hear)
    assert events["failed"] == 1
    assert [table.cells for table in loaded.tables if table.table == "balance_summary"] == [1]
    assert set(query(pipeline, "SELECT open_failures FROM report_freshness")) == {(0,)}


def test_a_failure_keeps_the_good_prefix(emulator: Emulator, pipeline: Pipeline) -> None:
    quick = {"retry_delay": 0.01}
    emulator.add_fault(Fault("run_failed", method="POST", skip=1, times=3, error="internal"))
    source = source_of(emulator, ["payouts.itemized"], max_concurrent_runs=1, run_policy=quick)
    with pytest.raises(SyncFailed, match=r"\[2025-02-01T00:00:00Z, .* failed 3 runs, the last \(frr_.*internal"):
        load_reports(pipeline, source)
    end = datetime(2025, 2, 1, tzinfo=UTC)
    assert_true(emulator, pipeline, ["payouts.itemized"], end=end)
    load_reports(pipeline, source_of(emulator, ["payouts.itemized"]))
    assert_true(emulator, pipeline, ["payouts.itemized"], end=emulator.settings.available_end)


def test_packages_are_bounded(emulator: Emulator, pipeline: Pipeline) -> None:
    loaded = load_reports(
        pipeline, source_of(emulator, ["payouts.itemized", "balance.summary"], interval="week"), max_cells=5
    )
    assert loaded.cells == 2 * 11
    assert len(loaded.load_infos) == 5
    assert len(emulator.runs) == loaded.cells
    assert_true(emulator, pipeline, ["payouts.itemized"], end=emulator.settings.available_end, grid="week")
