"""The runs that a status shows: the last one of each lane, and those that say what has failed and is not loaded.

In: a pipeline. Out: rows of `report_runs`, newest first. A ledger has a run for each account and day, so that the
database picks them: what is read grows with the lanes and the failures, not with the history.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseException

from ..plan.system_tables import LOAD_ID, REPORT_RUNS
from .ledger import LoadedRun, listed_of_failed
from .passing import raise_passing
from .query import Reader, prefix_sql, reading

_ACCOUNT_IDS = re.compile(r'"(acct_[^"]+)"')
_COLUMNS = ("run_id", "report_type", "account", "table_name", "interval_start", "interval_end", "status", "created")


@dataclass(frozen=True, slots=True)
class ShownRun:
    """A row of `report_runs`, as far as a status needs it.

    Args:
        parameters: only where an older version wrote no key.
        load_id: the load package that has noted it.
        listed: what the table has its cell from, where the run has failed; None for nothing.
    """

    run_id: str
    report_type: str
    account: str
    table_name: str
    interval_start: datetime | None
    interval_end: datetime | None
    status: str
    created: datetime
    error: str | None
    interval_key: str | None
    parameters: str | None
    load_id: str = ""
    listed: LoadedRun | None = None

    @property
    def lanes(self) -> Iterator[tuple[str, str]]:
        """The lanes that it may be of: its account's own, and those of the connected accounts that it names."""
        yield self.table_name, self.account
        for connected in accounts_in(self.interval_key or self.parameters or ""):
            yield self.table_name, f"{self.account}/{connected}"

    @property
    def cell(self) -> tuple[str, str, str | None]:
        """Its table, account and interval key."""
        return self.table_name, self.account, self.interval_key

    @property
    def places(self) -> list[object]:
        """What the run was made for: its interval key, and what stands for one in an older version's ledger.

        An interval that has grown since has the key that it had, and begins where it did; a snapshot has no start, and
        another end.
        """
        older = self.interval_start or self.interval_end or self.parameters
        return [what for what in (self.interval_key, older) if what is not None]

    @property
    def why(self) -> str:
        return f"{self.run_id}: {self.error}"


def accounts_in(key: str) -> list[str]:
    """The connected accounts that an interval key or parameters name."""
    return _ACCOUNT_IDS.findall(key)


def open_runs(runs: Sequence[ShownRun]) -> list[ShownRun]:
    """The run of each interval that was noted last, where it has failed and nothing was loaded since.

    A later load may have adopted an older run.

    Args:
        runs: all of one lane.
    """
    good: dict[object, list[LoadedRun]] = {}
    for run in runs:
        for place in run.places if run.error is None else ():
            good.setdefault(place, []).append(LoadedRun(run.load_id, run.created))
    later: set[object] = set()
    still_open = []
    for run in sorted(runs, key=lambda run: (run.load_id, run.created, run.run_id), reverse=True):
        if run.error is None:
            continue
        loaded = [*good.get(run.places[0], ()), *([run.listed] if run.listed else [])]
        if later.isdisjoint(run.places[:1]) and not any(each.mends(run.load_id, run.created) for each in loaded):
            still_open.append(run)
        later.update(run.places)
    return still_open


def shown_runs(pipeline: Pipeline) -> list[ShownRun]:
    """The last run of each lane, every run that has failed, and all later ones of the same cells; newest first."""
    with reading(pipeline) as reader:
        try:
            found = [*_select(reader, _LAST), *_select(reader, _FAILED)]
        except DatabaseException as error:  # an older version's ledger has no keys, or the dialect other functions
            raise_passing(error)
            found = _select(reader, _ALL)
        if any(run.error is not None for run in found):
            listed = listed_of_failed(reader)
            found = [replace(run, listed=listed.get(run.cell)) if run.error is not None else run for run in found]
    unique = {run.run_id: run for run in found}
    return sorted(unique.values(), key=lambda run: (run.created, run.run_id), reverse=True)


def _select(reader: Reader, query: str) -> list[ShownRun]:
    rows: Sequence[tuple[Any, ...]] = reader.select(query) or ()
    return [ShownRun(*row) for row in rows]


_SHOWN = ", ".join(f"r.{{column.{name}}}" for name in (*_COLUMNS, "error"))
_MADE_FOR = "r.{column.interval_key}, CASE WHEN r.{column.interval_key} IS NULL THEN r.{column.parameters} END"
_LOAD = f"COALESCE(r.{{column.{LOAD_ID}}}, '')"
_RUNS = f"{{table.{REPORT_RUNS.name}}}"
_LANE = ("r.{column.table_name}", "r.{column.account}", prefix_sql("r.{column.interval_key}"))
_LAST = (
    f"SELECT {_SHOWN}, {_MADE_FOR}, {_LOAD} FROM {_RUNS} r JOIN ("  # noqa: S608
    f"SELECT {_LANE[0]} AS of_table, {_LANE[1]} AS of_account, {_LANE[2]} AS lane, MAX(r.{{column.created}}) AS newest "
    f"FROM {_RUNS} r GROUP BY {', '.join(_LANE)}) l "
    f"ON {_LANE[0]} = l.of_table AND {_LANE[1]} = l.of_account AND {_LANE[2]} = l.lane "
    "AND r.{column.created} = l.newest"
)
_FAILED = (
    f"SELECT {_SHOWN}, {_MADE_FOR}, {_LOAD} FROM {_RUNS} r WHERE r.{{column.error}} IS NOT NULL "  # noqa: S608
    f"OR r.{{column.interval_key}} IS NULL OR r.{{column.interval_key}} IN "
    f"(SELECT f.{{column.interval_key}} FROM {_RUNS} f WHERE f.{{column.error}} IS NOT NULL)"
)
_ALL = f"SELECT {_SHOWN}, NULL, r.{{column.parameters}}, {_LOAD} FROM {_RUNS} r"  # noqa: S608
