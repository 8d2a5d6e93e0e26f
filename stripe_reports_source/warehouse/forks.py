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
from dlt.destinations.exceptions import DatabaseUndefinedRelation

Fork = str
"""A state number and how many load packages wrote it, such as `12x2`."""


class History:
    """The states that a pipeline's loads have left at the destination. Reads once, when it is made."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        found = self._query("s.version, s._dlt_load_id", "1 = 1")
        counts = Counter(version for version, _ in set(found))
        self._forks = {f"{version}x{count}": int(version) for version, count in counts.items() if count > 1}
        self._states: dict[int, list[tuple[int, Mapping[str, Any]]]] = {}

    @property
    def forks(self) -> frozenset[Fork]:
        """All forks there have ever been."""
        return frozenset(self._forks)

    def replaced_since(self, handled: Collection[Fork], source: str, resource: str, lane: str) -> datetime | None:
        """The start of the earliest cell of a lane that was replaced after a fork; None if none was.

        Args:
            handled: forks that the lane's state says are dealt with.
            source, resource, lane: where in the pipeline's state the lane keeps `package` and `package_from`, the
                load package that last replaced cells of it and the start of the first of them.
        """
        versions = [version for fork, version in self._forks.items() if fork not in handled]
        if not versions:
            return None
        before = min(versions) - 1
        common: set[str] = set()
        starts: list[datetime] = []
        for version, state in self._states_from(before):
            lanes = state.get("sources", {}).get(source, {}).get("resources", {}).get(resource, {}).get("lanes", {})
            kept = lanes.get(lane, {})
            if version == before:
                common.add(kept.get("package"))
            elif "package" in kept and kept["package"] not in common:
                starts.append(kept["package_from"])
        return min(starts, default=None)

    def _states_from(self, version: int) -> list[tuple[int, Mapping[str, Any]]]:
        if version not in self._states:
            found = self._query("s.version, s.state", f"s.version >= {version}")
            self._states[version] = sorted(
                ((number, decompress_state(state)) for number, state in found), key=lambda one: one[0]
            )
        return self._states[version]

    def _query(self, columns: str, where: str) -> list[tuple[Any, ...]]:
        with self._pipeline.sql_client() as client:
            states, loads = map(client.make_qualified_table_name, ("_dlt_pipeline_state", "_dlt_loads"))
            query = (
                f"SELECT {columns} FROM {states} AS s JOIN {loads} AS l ON l.load_id = s._dlt_load_id "  # noqa: S608
                f"WHERE l.status = 0 AND s.pipeline_name = %s AND {where}"
            )
            try:
                return [tuple(row) for row in client.execute_sql(query, self._pipeline.pipeline_name) or ()]
            except DatabaseUndefinedRelation:
                return []
