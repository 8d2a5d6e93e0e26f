"""The sensor: one question to Stripe, and a run for each partition that has something new."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

pytest.importorskip("dagster", reason='Dagster is not installed: pip install "stripe-reports-source[dagster]"')

from dagster import (
    AssetKey,
    AssetMaterialization,
    DagsterInstance,
    Definitions,
    MetadataValue,
    RunRequest,
    SensorResult,
    SkipReason,
    build_sensor_context,
    materialize,
)

from stripe_reports_source import ConfigurationError, Report
from stripe_reports_source.emulator import Emulator, Fault
from stripe_reports_source.orchestration.dagster import availability_sensor, report_assets
from stripe_reports_source.orchestration.dagster.metadata import LOADED_TO
from tests.orchestration.world import World

WEEKLY = Report("ending_balance_reconciliation.itemized", interval="week", timezone="America/New_York")

REFUSED = '{"error": {"message": "No such key.", "type": "invalid_request_error"}}'


class Watch:
    """A sensor, and what it remembers."""

    def __init__(self, world: World, instance: DagsterInstance, reports: list[str | Report]) -> None:
        self.source = world.source(reports, start_date="2025-02-01")
        self.assets = report_assets(self.source, pipeline=world.pipeline())
        self.instance = instance
        self.cursor: str | None = None
        sensor = availability_sensor(self.source, self.assets)
        self.repository = Definitions(assets=self.assets, sensors=[sensor]).get_repository_def()
        self.sensor = self.repository.get_sensor_def(sensor.name)

    def tick(self) -> list[RunRequest]:
        """What is requested now."""
        context = build_sensor_context(instance=self.instance, cursor=self.cursor, repository_def=self.repository)
        found = self.sensor(context)
        if isinstance(found, SkipReason):
            return []
        assert isinstance(found, SensorResult)
        self.cursor = found.cursor
        return list(found.run_requests or ())

    def materialized(self, partition: str, **metadata: MetadataValue) -> None:
        """A partition that is materialized, as far as Dagster knows."""
        event = AssetMaterialization("payouts_itemized", partition=partition, metadata=metadata)
        self.instance.report_runless_asset_event(event)


def asked(requests: list[RunRequest]) -> list[tuple[str, str]]:
    """Table and partition of each."""
    return [(key.path[-1], str(each.partition_key)) for each in requests for key in each.asset_selection or ()]


@pytest.fixture
def watch(world: World, instance: DagsterInstance) -> Watch:
    """A sensor of one report by month."""
    return Watch(world, instance, ["payouts.itemized"])


def test_first_what_was_never_materialized_then_what_is_new(emulator: Emulator, watch: Watch) -> None:
    assert asked(watch.tick()) == [("payouts_itemized", "2025-02-01"), ("payouts_itemized", "2025-03-01")]
    assert [request.method for request in emulator.requests] == ["GET"]
    assert watch.tick() == []
    watch.materialized("2025-02-01")
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    [later] = watch.tick()
    assert asked([later]) == [("payouts_itemized", "2025-03-01")]


def test_days_before_the_newest_are_read_again(emulator: Emulator, watch: Watch) -> None:
    watch.tick()
    watch.materialized("2025-02-01")
    watch.materialized("2025-03-01")
    emulator.advance(datetime(2025, 4, 2, tzinfo=timezone.utc))
    assert [day for _, day in asked(watch.tick())] == ["2025-03-01", "2025-04-01"]
    emulator.advance(datetime(2025, 4, 3, tzinfo=timezone.utc))
    assert [day for _, day in asked(watch.tick())] == ["2025-03-01", "2025-04-01"]  # 2 April less 3 days
    emulator.advance(datetime(2025, 4, 20, tzinfo=timezone.utc))
    watch.tick()
    emulator.advance(datetime(2025, 4, 21, tzinfo=timezone.utc))
    assert [day for _, day in asked(watch.tick())] == ["2025-04-01"]


def test_what_is_materialized_is_not_requested_at_first_but_the_newest(watch: Watch) -> None:
    for partition in ("2025-02-01", "2025-03-01"):
        watch.materialized(partition)
    assert [day for _, day in asked(watch.tick())] == ["2025-03-01"]


@pytest.mark.parametrize(
    ("until", "days"), [("2025-02-20", ["2025-02-01", "2025-03-01"]), ("2025-03-01", ["2025-03-01"])]
)
def test_what_was_materialized_while_in_progress_is_requested_at_first(
    watch: Watch, until: str, days: list[str]
) -> None:
    """A sensor that has forgotten all, or was not on then; what is materialized last counts."""
    for instant in ("2025-02-10", until):
        loaded_to = datetime.fromisoformat(f"{instant}T00:00:00+00:00").timestamp()
        watch.materialized("2025-02-01", **{LOADED_TO: MetadataValue.timestamp(loaded_to)})
    assert [day for _, day in asked(watch.tick())] == days


def test_what_is_not_materialized_is_requested_at_each_refresh(emulator: Emulator, watch: Watch) -> None:
    watch.tick()
    for days in (60, 61):
        emulator.advance(emulator.settings.available_end + timedelta(days=days))
        assert [day for _, day in asked(watch.tick())][:2] == ["2025-02-01", "2025-03-01"]
    assert watch.tick() == []


def test_what_has_failed_is_requested_at_the_next_refresh(emulator: Emulator, watch: Watch) -> None:
    """However old it is, and though it was materialized before."""
    emulator.advance(datetime(2025, 5, 19, tzinfo=timezone.utc))
    watch.tick()
    for partition in ("2025-02-01", "2025-03-01", "2025-04-01"):
        watch.materialized(partition)
    emulator.add_fault(Fault("status", path="/v1/reporting/report_types", times=None, status=401, body=REFUSED))
    assert not materialize(
        watch.assets, partition_key="2025-03-01", instance=watch.instance, raise_on_error=False
    ).success
    emulator.clear_faults()
    emulator.advance(datetime(2025, 5, 20, tzinfo=timezone.utc))
    assert [day for _, day in asked(watch.tick())] == ["2025-03-01", "2025-05-01"]
    watch.materialized("2025-03-01")
    emulator.advance(datetime(2025, 5, 21, tzinfo=timezone.utc))
    assert [day for _, day in asked(watch.tick())] == ["2025-05-01"]


def test_a_partition_is_requested_once_for_each_refresh(emulator: Emulator, watch: Watch) -> None:
    """Dagster starts no second run of the same key, also where the sensor has forgotten all."""
    first = {request.run_key for request in watch.tick()}
    watch.cursor = None
    assert {request.run_key for request in watch.tick()} == first
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    assert not first & {request.run_key for request in watch.tick()}


def test_reports_of_several_grids(world: World, instance: DagsterInstance) -> None:
    """Dagster takes the requests as they are, each for an asset with other partitions."""
    watch = Watch(world, instance, ["payouts.itemized", WEEKLY])
    context = build_sensor_context(instance=instance, repository_def=watch.repository)
    data = watch.sensor.evaluate_tick(context)
    found = asked(list(data.run_requests or ()))
    assert found[0] == ("payouts_itemized", "2025-02-01")
    assert found[-1] == ("ending_balance_reconciliation_itemized", "2025-03-10")
    assert len(found) == 2 + 7


def test_reports_per_payout_are_in_the_run_of_the_payouts(
    start_emulator: Callable[..., Emulator], make_world: Callable[[Emulator], World], instance: DagsterInstance
) -> None:
    world = make_world(start_emulator(all_types=True))
    watch = Watch(world, instance, ["payout_reconciliation.by_id.itemized", "payouts.itemized"])
    assert asked(watch.tick()[-1:]) == [
        ("payouts_itemized", "2025-03-01"),
        ("payout_reconciliation_by_id_itemized", "2025-03-01"),
    ]


def test_a_report_that_is_not_offered_stops_no_other(
    emulator: Emulator, world: World, instance: DagsterInstance
) -> None:
    watch = Watch(world, instance, ["balance.summary", "payouts.itemized.3"])
    emulator.alter("payouts.itemized.3", hidden=True)
    assert {table for table, _ in asked(watch.tick())} == {"balance_summary"}


def test_assets_of_another_source_are_refused(world: World) -> None:
    assets = report_assets(world.source(["balance.summary"]), pipeline=world.pipeline())
    with pytest.raises(ConfigurationError, match="no asset with time partitions of 'payouts_itemized'"):
        availability_sensor(world.source(["payouts.itemized"]), assets)
    assert AssetKey("balance_summary") in assets[0].keys
