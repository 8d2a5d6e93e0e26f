"""A sensor on Stripe's availability: when Stripe has new data, the partitions that they are in are materialized.

In: a source, the keys of its assets. Out: a sensor of Dagster's, which asks Stripe one question a tick.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from dagster import (
    AssetKey,
    AssetPartitionStatus,
    AssetsDefinition,
    DagsterInstance,
    DefaultSensorStatus,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    TimestampMetadataValue,
    TimeWindowPartitionsDefinition,
    sensor,
)
from dlt.extract import DltSource

from ... import Availability, ConfigurationError, ReportTable, availability, report_tables
from ...plan.intervals import ONE_SECOND, day_of, floor_to_grid, start_of_day
from .metadata import LOADED_TO

HOUR = 3600
RECORDS_AT_ONCE = 1000


def availability_sensor(
    source: DltSource,
    assets: Sequence[AssetsDefinition],
    *,
    name: str = "stripe_availability",
    minimum_interval_seconds: int = HOUR,
    default_status: DefaultSensorStatus = DefaultSensorStatus.STOPPED,
) -> SensorDefinition:
    """A sensor that asks Stripe, in one request, up to when it has data, and requests a run for each partition.

    Whenever Stripe has new data, the partitions in which they lie are requested, with the source's `lookback_days`
    before them; and all that Stripe has data for and that Dagster has never materialized, or whose last run has
    failed. At the first tick, also those that were last materialized while they were in progress. A partition is
    requested once for each refresh of Stripe's data, so that one that fails is not repeated until then; use a
    `retry_policy` for that.

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
        asset_selection=[key for each in watched for key in (each.key, *each.following)],
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
    """A report, its asset, the asset's partitions, and assets that are run for its payouts in the same run."""

    table: ReportTable
    key: AssetKey
    partitions: TimeWindowPartitionsDefinition
    following: tuple[AssetKey, ...] = ()

    def available(self, now: Availability) -> dict[str, datetime]:
        """The partitions that Stripe has data for, and up to when it will have data of each."""
        windows = {
            key: self.partitions.time_window_for_partition_key(key) for key in self.partitions.get_partition_keys()
        }
        last = self.table.end_date
        end = None if last is None else start_of_day(last, ZoneInfo(self.table.timezone))
        return {
            key: window.end if end is None else min(window.end, end)
            for key, window in windows.items()
            if now.start < window.end and window.start < now.end
        }

    def follows(self, other: Watched) -> bool:
        """True if this one is run for the payouts of the other."""
        return self.table.payouts_table == other.table.resource and self.partitions == other.partitions


def _watched(source: DltSource, assets: Sequence[AssetsDefinition]) -> list[Watched]:
    of_table = {key.path[-1]: (key, asset.partitions_def) for asset in assets for key in asset.keys}
    watched = []
    for table in report_tables(source):
        key, partitions = of_table.get(table.table, (AssetKey(table.table), None))
        if not isinstance(partitions, TimeWindowPartitionsDefinition):
            raise ConfigurationError(f"there is no asset with time partitions of {table.table!r}; give report_assets'.")
        watched.append(Watched(table, key, partitions))
    return [
        replace(each, following=tuple(other.key for other in watched if other.follows(each)))
        for each in watched
        if not any(each.follows(other) for other in watched)
    ]


def _new_requests(
    watched: Sequence[Watched], found: Mapping[str, Availability], seen: dict[str, list[str]], instance: DagsterInstance
) -> Iterator[RunRequest]:
    """Runs for what is new of each table; `seen`, what was there at the last tick, is brought up to date."""
    for each in watched:
        now, known = found.get(each.table.table), seen.get(each.table.table)
        if now is None or known == [now.end.isoformat(), now.updated.isoformat()]:
            continue
        before = None if known is None else datetime.fromisoformat(known[0])
        there = each.available(now)
        lacking = _not_there(each, there, found, instance)
        if before is None:
            lacking |= _in_part(each, there, now, instance)
        fresh_from = _fresh_from(each.table, now, before)
        for partition, end in there.items():
            if end > fresh_from or partition in lacking:
                yield RunRequest(
                    run_key=f"{each.key.to_user_string()}|{partition}|{now.updated.isoformat()}",
                    partition_key=partition,
                    asset_selection=[each.key, *each.following],
                )
        seen[each.table.table] = [now.end.isoformat(), now.updated.isoformat()]


def _fresh_from(table: ReportTable, now: Availability, before: datetime | None) -> datetime:
    """From when on data is new or read again; `before` is up to when Stripe had data at the last tick."""
    zone = ZoneInfo(table.timezone)
    day = day_of(min(before or now.end, now.end), zone) - timedelta(days=table.lookback_days)
    return start_of_day(floor_to_grid(day, table.grid), zone)


def _not_there(
    each: Watched, there: Collection[str], found: Mapping[str, Availability], instance: DagsterInstance
) -> set[str]:
    """The partitions that are not materialized, or whose last run has failed, and that no run is at work on."""
    lacking: set[str] = set()
    for key in (each.key, *(key for key in each.following if key.path[-1] in found)):
        statuses = instance.get_status_by_partition(key, list(there), each.partitions) or {}
        lacking |= {name for name in there if statuses.get(name) in (None, AssetPartitionStatus.FAILED)}
    return lacking


def _in_part(each: Watched, there: Mapping[str, datetime], now: Availability, instance: DagsterInstance) -> set[str]:
    """The partitions that were over after they were materialized last, as far as their metadata tells."""
    left = {name: end for name, end in there.items() if end <= now.end}
    partly: set[str] = set()
    cursor: str | None = None
    while left:
        page = instance.fetch_materializations(each.key, RECORDS_AT_ONCE, cursor)
        for record in page.records:
            end, made = left.pop(record.partition_key or "", None), record.asset_materialization
            loaded_to = None if made is None else made.metadata.get(LOADED_TO)
            if end is not None and isinstance(loaded_to, TimestampMetadataValue):
                partly |= {str(record.partition_key)} if loaded_to.value < (end - ONE_SECOND).timestamp() else set()
        if not page.has_more:
            break
        cursor = page.cursor
    return partly
