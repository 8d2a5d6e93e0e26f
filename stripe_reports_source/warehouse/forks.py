"""Whether the histories of two syncs of one pipeline have crossed, and from where to load again.

dlt numbers the states of a pipeline and takes the one of the youngest load package for the present one. Where two
syncs ran at once, or a package that was left pending was loaded late, the rows may be those of one sync and the
cursor that of the other. Both wrote a state with the same number, though, and those rows stay in
`_dlt_pipeline_state`: they show the fork without a clock or a lock, on any machine, and what each branch replaced.

In: a pipeline. Out: the forks in its history, and the start of the earliest cell that a branch has replaced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from dlt import Pipeline
from dlt.common.versioned_state import decompress_state

from ..plan.state import lanes_in
from .query import select

Fork = str
"""A state number and how many load packages wrote it, such as `12x2`."""


class History:
    """The states that a pipeline's loads have left at the destination. Reads once, when it is made."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        found = self._states("s.version, s._dlt_load_id", 0)
        counts = Counter(version for version, _ in set(found))
        self._loads = {(int(version), str(load)) for version, load in found}
        self._forks = {f"{version}x{count}": int(version) for version, count in counts.items() if count > 1}
        self._since: dict[int, list[tuple[int, Mapping[str, Any]]]] = {}

    @property
    def forks(self) -> frozenset[Fork]:
        """All forks there have ever been."""
        return frozenset(self._forks)

    def replaced_since(self, handled: Collection[Fork], source: str, resource: str, lane: str) -> datetime | None:
        """The start of the earliest cell of a lane that was replaced after a fork; None if none was.

        Args:
            handled: forks that the lane's state says are dealt with.
            source, resource, lane: where in the pipeline's state the lane is kept.
        """
        first = self._first(handled)
        if first is None:
            return None
        before = first - 1
        common: set[str | None] = set()
        starts: list[datetime] = []
        for version, state in self._states_from(before):
            kept = lanes_in(state, source).get(resource, {}).get(lane)
            if version == before:
                common.add(kept.package if kept else None)
            elif kept and kept.package is not None and kept.package not in common:
                starts.append(kept.package_from)
        return min(starts, default=None)

    def loads_since(self, handled: Collection[Fork]) -> frozenset[str]:
        """The load packages from the first fork on that is not `handled`; none if all are."""
        first = self._first(handled)
        return frozenset() if first is None else frozenset(load for version, load in self._loads if version >= first)

    def _first(self, handled: Collection[Fork]) -> int | None:
        return min((version for fork, version in self._forks.items() if fork not in handled), default=None)

    def _states_from(self, version: int) -> list[tuple[int, Mapping[str, Any]]]:
        if version not in self._since:
            found = self._states("s.version, s.state", version)
            self._since[version] = sorted(
                ((number, decompress_state(state)) for number, state in found), key=lambda numbered: numbered[0]
            )
        return self._since[version]

    def _states(self, columns: str, version: int) -> list[tuple[Any, ...]]:
        found = select(
            self._pipeline,
            f"SELECT {columns} FROM {{table._dlt_pipeline_state}} AS s "  # noqa: S608
            "JOIN {table._dlt_loads} AS l ON l.load_id = s._dlt_load_id "
            "WHERE l.status = 0 AND s.pipeline_name = %s AND s.version >= %s",
            self._pipeline.pipeline_name,
            version,
        )
        return found or []
