"""Assets in one process: what is materialized is what `load_reports` loads, and what the catalogue then shows of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dagster", reason='Dagster is not installed: pip install "stripe-reports-source[dagster]"')

from dagster import (
    AssetCheckSeverity,
    AssetKey,
    AssetsDefinition,
    AssetSelection,
    DagsterInstance,
    DailyPartitionsDefinition,
    Definitions,
    ExecuteInProcessResult,
    RetryPolicy,
    define_asset_job,
    materialize,
)
from dlt import Pipeline
from dlt.extract import DltSource

from stripe_reports_source import ConfigurationError, Report, SyncFailed, load_reports, reconcile, report_tables
from stripe_reports_source.emulator import Emulator, Fault
from stripe_reports_source.orchestration.dagster import report_assets
from stripe_reports_source.orchestration.dagster.assets import place_of
from stripe_reports_source.orchestration.dagster.checks import result_of
from stripe_reports_source.orchestration.dagster.dataset import verdicts
from tests.conftest import query
from tests.orchestration.world import World

JANUARY, FEBRUARY, MARCH = "2025-01-01", "2025-02-01", "2025-03-01"
BALANCE, PAYOUTS = AssetKey("balance_summary"), AssetKey("payouts_itemized")
RUNS = "/v1/reporting/report_runs"


@pytest.fixture
def assets(world: World) -> list[AssetsDefinition]:
    """Of two reports, by month."""
    return report_assets(world.source(), pipeline=world.pipeline())


def run(
    assets: Sequence[AssetsDefinition],
    partition: str,
    instance: DagsterInstance,
    *keys: AssetKey,
    succeeds: bool = True,
) -> ExecuteInProcessResult:
    """Materialize a partition of some assets, or of all."""
    selection = AssetSelection.assets(*keys) if keys else None
    result = materialize(
        assets, partition_key=partition, instance=instance, selection=selection, raise_on_error=succeeds
    )
    assert result.success is succeeds
    return result


def metadata_of(result: ExecuteInProcessResult, key: AssetKey) -> dict[str, Any]:
    """What the catalogue shows of the partition that was materialized."""
    [found] = result.asset_materializations_for_node(key.to_python_identifier())
    assert found.asset_key == key
    return {name: value.value for name, value in found.metadata.items()}


def failure_of(result: ExecuteInProcessResult) -> str:
    """What people read of a step that failed."""
    [first, *_] = [event for event in result.all_events if event.is_step_failure]
    error = first.step_failure_data.error
    assert error is not None
    return str(error.message)


def test_definitions_make_no_request_and_tell_the_catalogue_of_columns(
    emulator: Emulator, world: World, assets: list[AssetsDefinition]
) -> None:
    graph = Definitions(assets=assets).resolve_asset_graph()
    assert graph.get(BALANCE).pools == {"stripe_reports_load"}
    assert not emulator.requests
    assert not (world.folder / "reports.duckdb").exists()
    [balance] = [asset for asset in assets if BALANCE in asset.keys]
    spec = balance.get_asset_spec(BALANCE)
    assert "never add them up" in (spec.description or "")
    assert spec.metadata["dagster/table_name"] == "reports_data.balance_summary"
    columns = {column.name: column for column in spec.metadata["dagster/column_schema"].columns}
    assert columns["net_amount"].type == "decimal(38,9)"
    assert columns["_interval_key"].description == "Identity of the grid cell: what loading it again replaces"
    assert spec.kinds == {"stripe", "dlt"}
    assert spec.group_name == "stripe"


def test_a_load_after_partitions_in_any_order_loads_only_what_is_missing(
    emulator: Emulator, world: World, assets: list[AssetsDefinition], instance: DagsterInstance
) -> None:
    for partition in (MARCH, JANUARY):
        run(assets, partition, instance, PAYOUTS)
    for cells in (1, 0):
        assert load_reports(world.pipeline(), world.source(["payouts.itemized"])).cells == cells
    assert len(emulator.runs) == 3


def test_what_the_catalogue_shows_of_a_partition(
    emulator: Emulator, world: World, assets: list[AssetsDefinition], instance: DagsterInstance
) -> None:
    shown = metadata_of(run(assets, MARCH, instance, PAYOUTS), PAYOUTS)
    [made] = emulator.runs
    [(rows,)] = query(world.pipeline(), "SELECT count(*) FROM payouts_itemized")
    [(sha256,)] = query(world.pipeline(), "SELECT sha256 FROM report_runs")
    end = emulator.settings.available_end.timestamp()
    assert shown["dagster/partition_row_count"] == rows > 0
    assert (shown["stripe/run_id"], shown["stripe/sha256"]) == (made.id, sha256)
    assert shown["stripe/loaded_to"] == shown["stripe/available_to"] == end
    assert shown["stripe/open_failures"] == 0
    assert "stripe/checked_at" in shown
    assert (shown["stripe/cells"], shown["stripe/cells_loaded"]) == (1, 1)
    assert "tied" in shown["stripe/tie_out"]


@pytest.mark.parametrize("destination", ["duckdb", pytest.param("postgres", marks=pytest.mark.long)], indirect=True)
def test_a_partition_again_makes_no_run_and_loads_nothing(
    emulator: Emulator, world: World, pipeline: Pipeline, instance: DagsterInstance
) -> None:
    assets = report_assets(world.source(["payouts.itemized"]), pipeline=pipeline)
    first = run(assets, JANUARY, instance)
    [check] = first.get_asset_check_evaluations()
    assert check.passed
    shown, again = metadata_of(first, PAYOUTS), metadata_of(run(assets, JANUARY, instance), PAYOUTS)
    [made] = emulator.runs
    assert (shown["stripe/cells_loaded"], again["stripe/cells_loaded"]) == (1, 0)
    assert shown["dagster/partition_row_count"] == query(pipeline, "SELECT count(*) FROM payouts_itemized")[0][0] > 0
    assert shown["stripe/run_id"] == made.id
    for name in ("dagster/partition_row_count", "stripe/run_id", "stripe/sha256", "stripe/tie_out"):
        assert shown[name] == again[name]


def test_the_check_tells_of_rows_that_the_ledger_has_lost(emulator: Emulator, world: World) -> None:
    """No run is named of them, and another table's check does not tell of them."""
    pipeline, source = world.pipeline(), world.source()
    load_reports(pipeline, source)
    with pipeline.sql_client() as client:
        client.execute_sql(
            "DELETE FROM report_cells WHERE table_name = 'balance_summary' AND interval_day < '2025-02-01'"
        )
    assert not reconcile(pipeline).ok
    balance, payouts = (result_of(verdicts(pipeline, table), 0) for table in report_tables(source))
    assert (balance.passed, balance.severity) == (False, AssetCheckSeverity.ERROR)
    assert "the ledger does not have" in str(balance.description)
    assert payouts.passed


def test_assets_of_several_accounts_have_their_files_apart(world: World) -> None:
    pipeline = world.pipeline()
    keys = [AssetKey(["us", "payouts_itemized"]), AssetKey(["eu", "payouts_itemized"]), AssetKey("us/payouts_itemized")]
    for url in (None, "s3://bucket/cells/"):
        places = [place_of(pipeline, url, key) for key in keys]
        assert len(set(places)) == len(keys)
        assert all(place.endswith("payouts_itemized") for place in places)
    assert place_of(pipeline, "s3://bucket/cells/", keys[0]) == "s3://bucket/cells/us/payouts_itemized"


@pytest.mark.long
def test_two_accounts_are_loaded_in_one_run(
    start_emulator: Callable[..., Emulator], make_world: Callable[[Emulator], World], instance: DagsterInstance
) -> None:
    accounts = {"rk_live_us": "acct_1", "rk_live_eu": "acct_2"}
    world = make_world(start_emulator(live_keys=tuple(accounts), accounts=accounts))
    assets: list[AssetsDefinition] = []
    for key in accounts:
        label = key.removeprefix("rk_live_")
        source = world.source(["payouts.itemized"], account=label, api_key=key)
        assets += report_assets(source, pipeline=world.pipeline(), key_prefix=label)
    run(assets, JANUARY, instance)
    loaded = query(world.pipeline(), "SELECT DISTINCT _account FROM payouts_itemized ORDER BY 1")
    assert loaded == [("eu",), ("us",)]


@pytest.mark.long
def test_a_partition_that_stripe_has_in_part_is_replaced_later(
    emulator: Emulator, world: World, assets: list[AssetsDefinition], instance: DagsterInstance
) -> None:
    first = metadata_of(run(assets, MARCH, instance, PAYOUTS), PAYOUTS)
    emulator.advance(datetime(2025, 4, 2, tzinfo=timezone.utc))
    later = metadata_of(run(assets, MARCH, instance, PAYOUTS), PAYOUTS)
    assert later["stripe/loaded_to"] == datetime(2025, 4, 1, tzinfo=timezone.utc).timestamp()
    assert later["dagster/partition_row_count"] > first["dagster/partition_row_count"]
    assert query(world.pipeline(), "SELECT interval_day, complete FROM report_cells") == [
        (datetime(2025, 3, 1).date(), True)
    ]


@pytest.mark.long
def test_a_partition_that_fails_fails_alone(
    emulator: Emulator, world: World, assets: list[AssetsDefinition], instance: DagsterInstance
) -> None:
    run(assets, JANUARY, instance, PAYOUTS)
    emulator.add_fault(Fault("run_failed", method="POST", path=RUNS, times=3))
    failed = run(assets, FEBRUARY, instance, PAYOUTS, succeeds=False)
    assert "An internal error occurred" in failure_of(failed)
    run(assets, MARCH, instance, PAYOUTS)
    days = "SELECT interval_day FROM report_cells ORDER BY interval_day"
    assert [day.isoformat() for (day,) in query(world.pipeline(), days)] == [JANUARY, MARCH]
    assert instance.get_materialized_partitions(PAYOUTS) == {JANUARY, MARCH}
    run(assets, FEBRUARY, instance, PAYOUTS)
    assert [day.isoformat() for (day,) in query(world.pipeline(), days)] == [JANUARY, FEBRUARY, MARCH]


PLATFORM: dict[str, Any] = {
    "all_types": True,
    "available_start": datetime(2025, 3, 1, tzinfo=timezone.utc),
    "available_end": datetime(2025, 3, 5, 12, tzinfo=timezone.utc),
}


@pytest.mark.long
def test_reports_per_payout_come_after_the_payouts_of_the_same_run(
    start_emulator: Callable[..., Emulator], make_world: Callable[[Emulator], World], instance: DagsterInstance
) -> None:
    world = make_world(start_emulator(**PLATFORM, business_start=date(2025, 2, 20)))
    source = world.source(["payout_reconciliation.by_id.itemized", "payouts.itemized"])
    assets = report_assets(source, pipeline=world.pipeline())
    key = AssetKey("payout_reconciliation_by_id_itemized")
    [graph] = [asset for asset in assets if key in asset.keys]
    assert graph.asset_deps[key] == {PAYOUTS}
    shown = metadata_of(run(assets, MARCH, instance), key)
    [(runs,)] = query(
        world.pipeline(),
        "SELECT count(DISTINCT run_id) FROM report_cells WHERE table_name = 'payout_reconciliation_by_id_itemized'",
    )
    assert shown["stripe/cells"] == runs > 0


def test_of_connected_accounts_one_that_is_gone_fails_and_the_others_are_loaded(
    start_emulator: Callable[..., Emulator], make_world: Callable[[Emulator], World], instance: DagsterInstance
) -> None:
    first, gone, last = accounts = ("acct_1", "acct_2", "acct_3")
    emulator = start_emulator(**PLATFORM, connected_accounts=accounts, revoked_accounts=(gone,))
    world = make_world(emulator)
    key = AssetKey("connected_account_payouts_itemized")

    def source(*wanted: str) -> DltSource:
        return world.source(["connected_account_payouts.itemized"], connected_accounts=wanted, interval="day")

    def assets(*wanted: str) -> list[AssetsDefinition]:
        days = DailyPartitionsDefinition("2025-03-01")
        return report_assets(source(*wanted), pipeline=world.pipeline(), partitions_def=days)

    failed = run(assets(*accounts), "2025-03-02", instance, succeeds=False)
    assert f"default/{gone}" in failure_of(failed)
    assert len(query(world.pipeline(), "SELECT interval_key FROM report_cells")) == 2
    made = len(emulator.runs)
    shown = metadata_of(run(assets(first, last), "2025-03-02", instance), key)
    assert (shown["stripe/cells"], shown["stripe/cells_loaded"], len(emulator.runs)) == (2, 0, made)
    assert len(shown["stripe/run_id"]) == 2
    assert shown["stripe/open_failures"] == 1
    with pytest.raises(SyncFailed, match="connected_accounts"):
        load_reports(world.pipeline(), source(*accounts))
    shown = metadata_of(run(assets(first, last), "2025-03-02", instance), key)
    assert (shown["stripe/open_failures"], "stripe/available_to" in shown) == (1, False)
    load_reports(world.pipeline(), source(first, last))  # which ends the one that is not asked for any more
    shown = metadata_of(run(assets(first, last), "2025-03-02", instance), key)
    assert (shown["stripe/open_failures"], "stripe/available_to" in shown) == (0, True)


@pytest.mark.long
def test_a_step_is_tried_again_with_the_same_run(emulator: Emulator, world: World, instance: DagsterInstance) -> None:
    """The file cannot be had at first; no second run is made for it."""
    policy = {"attempts": 1}
    source = world.source(["payouts.itemized"], retry_policy=policy)
    assets = report_assets(source, pipeline=world.pipeline(), retry_policy=RetryPolicy(max_retries=2))
    emulator.add_fault(Fault("status", address="files", status=503, times=2))
    run(assets, JANUARY, instance)
    assert len(emulator.runs) == 1


def test_what_another_try_does_not_mend_is_not_tried_again(
    emulator: Emulator, world: World, instance: DagsterInstance
) -> None:
    source = world.source(["payouts.itemized"], api_key="rk_live_" + "wrong")
    assets = report_assets(source, pipeline=world.pipeline(), retry_policy=RetryPolicy(max_retries=2))
    failed = run(assets, JANUARY, instance, succeeds=False)
    assert "Set an api_key that is valid" in failure_of(failed)
    assert not [event for event in failed.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]


def test_days_that_stripe_does_not_have_yet(
    emulator: Emulator, assets: list[AssetsDefinition], instance: DagsterInstance
) -> None:
    failed = run(assets, "2025-06-01", instance, PAYOUTS, succeeds=False)
    assert "payouts.itemized [default] [2025-06-01T00:00:00Z" in failure_of(failed)
    assert "all others are" not in failure_of(failed)
    assert "of which Stripe has" in failure_of(failed)
    assert not emulator.runs


def test_what_goes_between_the_steps_is_plain_and_no_row_is_left_and_no_key_is_shown(
    emulator: Emulator, world: World, assets: list[AssetsDefinition], instance: DagsterInstance
) -> None:
    """Values that any IO manager can keep: lists, texts, numbers."""
    result = run(assets, JANUARY, instance, PAYOUTS)
    files = result.output_for_node("payouts_itemized.fetch_payouts_itemized")
    assert json.loads(json.dumps(files)) == files
    assert Path(files[0]["url"]).is_absolute()
    assert not list(world.folder.rglob("*.csv"))
    events = [str(event) for event in instance.all_logs(result.run_id)]
    assert events
    assert not [event for event in events if emulator.settings.live_keys[0] in event]


@pytest.mark.long
def test_files_are_where_they_are_wanted_and_stay_where_a_load_fails(
    emulator: Emulator, world: World, instance: DagsterInstance
) -> None:
    header = "payment_metadata[order_id]"
    broken = Report("payout_reconciliation.itemized", metadata=[header], types={header: "bool"})
    wanted = world.folder / "wanted"
    assets = report_assets(world.source([broken]), pipeline=world.pipeline(), url=wanted)
    failed = run(assets, JANUARY, instance, succeeds=False)
    assert header.replace("[", "_").replace("]", "") in failure_of(failed) or header in failure_of(failed)
    assert len(list(wanted.rglob("*.csv"))) == 1


def test_the_check_says_what_tie_out_says_and_run_alone_finds_what_differs(
    emulator: Emulator, world: World, assets: list[AssetsDefinition], instance: DagsterInstance
) -> None:
    checks = {check.asset_key: check for check in run(assets, JANUARY, instance).get_asset_check_evaluations()}
    assert set(checks) == {BALANCE, PAYOUTS}
    assert all(check.passed and check.check_name == "tie_out" for check in checks.values())
    assert "tied" in str(checks[PAYOUTS].description)
    pipeline = world.pipeline()
    with pipeline.sql_client() as client:
        client.execute_sql(
            "DELETE FROM payouts_itemized WHERE payout_id = (SELECT min(payout_id) FROM payouts_itemized)"
        )
    assert not reconcile(pipeline).ok
    asked = len(emulator.requests)
    job = define_asset_job("checks", selection=AssetSelection.all_asset_checks())
    defs = Definitions(assets=assets, jobs=[job])
    result = defs.resolve_job_def("checks").execute_in_process(instance=instance)
    found = {check.asset_key: check for check in result.get_asset_check_evaluations()}[PAYOUTS]
    assert not found.passed
    assert found.severity is AssetCheckSeverity.ERROR
    assert "(variance)" in str(found.description)
    assert len(emulator.requests) == asked


@pytest.mark.long
def test_the_check_says_what_is_not_compared(
    emulator: Emulator, world: World, assets: list[AssetsDefinition], instance: DagsterInstance
) -> None:
    job = define_asset_job("checks", selection=AssetSelection.all_asset_checks())
    checks = Definitions(assets=assets, jobs=[job]).resolve_job_def("checks")

    def alone() -> dict[AssetKey, tuple[bool, str]]:
        done = checks.execute_in_process(instance=instance).get_asset_check_evaluations()
        return {check.asset_key: (check.passed, str(check.description)) for check in done}

    assert set(alone().values()) == {(False, "nothing compared yet")}
    run(assets, JANUARY, instance)
    whole = alone()
    assert all(passed and "since" not in said for passed, said in whole.values())
    pipeline = world.pipeline()
    pipeline.run(world.source(["payouts.itemized"]))  # it compares nothing
    [(cells,)] = query(pipeline, "SELECT count(*) FROM report_cells WHERE table_name = 'payouts_itemized'")
    passed, said = alone()[PAYOUTS]
    assert (passed, said) == (True, f"{whole[PAYOUTS][1]}; {cells - 1} intervals were loaded since")
    assert cells > 1


def test_other_columns_keys_and_groups(world: World) -> None:
    named = Report("payouts.itemized", table_name="paid")
    assets = report_assets(world.source([named]), pipeline=world.pipeline(), key_prefix=["raw", "eu"], group_name="g")
    assert [asset.keys for asset in assets[:1]] == [{AssetKey(["raw", "eu", "paid"])}]
    assert {key.asset_key for key in assets[1].check_keys} == {AssetKey(["raw", "eu", "paid"])}


def test_a_source_without_reports_is_refused(world: World) -> None:
    with pytest.raises(ConfigurationError, match="no reports selected"):
        report_assets(world.source().with_resources("report_runs"), pipeline=world.pipeline())
