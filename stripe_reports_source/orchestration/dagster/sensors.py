"""A sensor on Stripe's availability: when Stripe has new data, the partitions that they are in are materialized.

In: a source, the keys of its assets. Out: a sensor of Dagster's, which asks Stripe one question a tick.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from dagster import (
    AssetKey,
    AssetsDefinition,
    DagsterInstance,
    DefaultSensorStatus,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    TimeWindowPartitionsDefinition,
    sensor,
)
from dlt.extract import DltSource

from ... import Availability, ConfigurationError, ReportTable, availability, report_tables
from ...plan.intervals import day_of, floor_to_grid, start_of_day

HOUR = 3600


def availability_sensor(
    source: DltSource,
    assets: Sequence[AssetsDefinition],
    *,
    name: str = "stripe_availability",
    minimum_interval_seconds: int = HOUR,
    default_status: DefaultSensorStatus = DefaultSensorStatus.STOPPED,
) -> SensorDefinition:
    """A sensor that asks Stripe, in one request, up to when it has data, and requests a run for each partition.

    At the first tick those partitions are requested that Stripe has data for and that Dagster has never materialized;
    from then on, whenever Stripe has new data, those in which they lie, with the source's `lookback_days` before
    them. A partition is requested once for each refresh of Stripe's data, so that one that fails is not repeated
    until then; use a `retry_policy` for that.

    Args:
        source: that the assets were made of.
        assets: of `report_assets`.
        name: of the sensor.
        minimum_interval_seconds: between two ticks; Stripe refreshes its data about once a day.
        default_status: whether it runs before someone has switched it on.

    Raises:
        ConfigurationError: an asset of a report is not among those that are given.
    """
    watched = _watched(source, assets)

    @sensor(
        name=name,
        asset_selection=[each.key for each in watched],
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        description="Asks Stripe up to when it has data, and materializes what is new.",
    )
    def watch(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        seen: dict[str, list[str]] = json.loads(context.cursor or "{}")
        requests = list(_new_requests(watched, availability(source), seen, context.instance))
        if not requests:
            return SkipReason("Stripe has nothing new.")
        return SensorResult(run_requests=requests, cursor=json.dumps(seen))

    return watch


@dataclass(frozen=True)
class Watched:
    """A report, its asset and the asset's partitions."""

    table: ReportTable
    key: AssetKey
    partitions: TimeWindowPartitionsDefinition


def _watched(source: DltSource, assets: Sequence[AssetsDefinition]) -> list[Watched]:
    of_table = {key.path[-1]: (key, asset.partitions_def) for asset in assets for key in asset.keys}
    watched = []
    for table in report_tables(source):
        key, partitions = of_table.get(table.table, (AssetKey(table.table), None))
        if not isinstance(partitions, TimeWindowPartitionsDefinition):
            raise ConfigurationError(f"there is no asset with time partitions of {table.table!r}; give report_assets'.")
        watched.append(Watched(table, key, partitions))
    return watched


def _new_requests(
    watched: Sequence[Watched], found: Mapping[str, Availability], seen: dict[str, list[str]], instance: DagsterInstance
) -> Iterator[RunRequest]:
    """Runs for what is new of each table; `seen`, what was there at the last tick, is brought up to date."""
    for each in watched:
        now, known = found.get(each.table.table), seen.get(each.table.table)
        if now is None or known == [now.end.isoformat(), now.updated.isoformat()]:
            continue
        before = None if known is None else datetime.fromisoformat(known[0])
        done = set() if before is not None else instance.get_materialized_partitions(each.key)
        yield from _requests(each, now, before, done)
        seen[each.table.table] = [now.end.isoformat(), now.updated.isoformat()]


def _requests(each: Watched, now: Availability, before: datetime | None, done: set[str]) -> Iterator[RunRequest]:
    """A run for each partition that has new data.

    Args:
        before: up to when Stripe had data at the last tick; None at the first one.
        done: partitions that are materialized, for the first tick.
    """
    table, zone = each.table, ZoneInfo(each.table.timezone)
    day = day_of(min(before or now.end, now.end), zone) - timedelta(days=table.lookback_days)
    fresh_from = start_of_day(floor_to_grid(day, table.grid), zone)
    for partition in each.partitions.get_partition_keys():
        window = each.partitions.time_window_for_partition_key(partition)
        if window.end <= now.start or window.start >= now.end:
            continue
        if window.end <= fresh_from and (before is not None or partition in done):
            continue
        yield RunRequest(
            run_key=f"{each.key.to_user_string()}|{partition}|{now.updated.isoformat()}",
            partition_key=partition,
            asset_selection=[each.key],
        )
