"""The sensor: one question to Stripe, and a run for each partition that has something new."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

pytest.importorskip("dagster", reason='Dagster is not installed: pip install "stripe-reports-source[dagster]"')

from dagster import (
    AssetKey,
    DagsterInstance,
    Definitions,
    RunRequest,
    SensorResult,
    SkipReason,
    build_sensor_context,
    materialize,
)

from stripe_reports_source import ConfigurationError, Report
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.orchestration.dagster import availability_sensor, report_assets
from tests.orchestration.world import World

WEEKLY = Report("ending_balance_reconciliation.itemized", interval="week", timezone="America/New_York")


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
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    [later] = watch.tick()
    assert asked([later]) == [("payouts_itemized", "2025-03-01")]


def test_days_before_the_newest_are_read_again(emulator: Emulator, watch: Watch) -> None:
    watch.tick()
    emulator.advance(datetime(2025, 4, 2, tzinfo=timezone.utc))
    assert [day for _, day in asked(watch.tick())] == ["2025-03-01", "2025-04-01"]
    emulator.advance(datetime(2025, 4, 3, tzinfo=timezone.utc))
    assert [day for _, day in asked(watch.tick())] == ["2025-03-01", "2025-04-01"]  # 2 April less 3 days
    emulator.advance(datetime(2025, 4, 20, tzinfo=timezone.utc))
    watch.tick()
    emulator.advance(datetime(2025, 4, 21, tzinfo=timezone.utc))
    assert [day for _, day in asked(watch.tick())] == ["2025-04-01"]


def test_what_is_materialized_is_not_requested_at_first_but_the_newest(watch: Watch) -> None:
    materialize(watch.assets, partition_key="2025-02-01", instance=watch.instance)
    materialize(watch.assets, partition_key="2025-03-01", instance=watch.instance)
    assert [day for _, day in asked(watch.tick())] == ["2025-03-01"]


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
