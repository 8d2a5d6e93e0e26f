"""The task group: `wait_for_stripe`, `plan`, a mapped `fetch` for each interval, `load`.

In: functions that make a source and a pipeline. Out: Airflow's task group. What passes between its tasks is JSON:
planned cells and fetched files, which hold neither the key nor a password.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .intervals import DataInterval
from .sensors import StripeAvailabilitySensor
from .versions import AirflowFailException, AirflowSkipException, TaskGroup, get_current_context, state_of, task
from .work import Values, Work, place_of

if TYPE_CHECKING:
    from dlt import Pipeline
    from dlt.extract import DltSource

AT_ONCE = 8
RETRIES = 2


def report_tasks(
    source: Callable[[], DltSource],
    *,
    pipeline: Callable[[], Pipeline],
    url: str | os.PathLike[str],
    group_id: str = "stripe_reports",
    by_interval: bool = True,
    wait: bool = True,
    at_once: int = AT_ONCE,
    wait_args: Mapping[str, Any] | None = None,
    fetch_args: Mapping[str, Any] | None = None,
    load_args: Mapping[str, Any] | None = None,
) -> TaskGroup:
    """Tasks that load the reports of a source for the data interval of their DAG run.

    `plan` tells which cells the days of the interval lie in, `fetch` is mapped over them and waits for Stripe, `load`
    loads what has come. Where a `fetch` fails, `load` loads the others, names what is missing, and fails. Where `plan`
    is skipped, as after a wait with `soft_fail`, so is all that follows. A run without an interval loads whatever is
    not loaded yet, as `load_reports` does.

    Args:
        source: makes the source, from `stripe_reports(...)`; called in the tasks alone, each time with the same
            settings and key.
        pipeline: makes the pipeline to load to; called in the tasks `plan` and `load`.
        url: where files are between `fetch` and `load`: a folder that all workers see, or an address that fsspec takes.
            Files are removed when they are loaded.
        group_id: of the task group.
        by_interval: False loads whatever is not loaded yet, also in a run that has an interval.
        wait: wait for Stripe to have the interval, in the triggerer.
        at_once: `fetch` tasks that run at once, in all runs of the DAG.
        wait_args, fetch_args, load_args: arguments of Airflow's for these tasks, such as `retries`, `pool` or `queue`;
            of `wait_args` also `poke_interval` and `timeout`. `fetch_args` are those of `plan` too.
    """
    with TaskGroup(group_id) as group:
        # the whole id: within other groups, several may be called alike
        steps = _Steps(Work(source, pipeline), os.fspath(url), str(group.group_id), by_interval)
        plan = steps.plan(**{"retries": RETRIES, **(fetch_args or {})})
        fetch = steps.fetch(**{"retries": RETRIES, "max_active_tis_per_dag": at_once, **(fetch_args or {})})
        load = steps.load(**{"retries": RETRIES, "max_active_tis_per_dag": 1, **(load_args or {})})
        cells = plan()
        if wait:
            waiting = {"task_id": "wait_for_stripe", "retries": RETRIES, **(wait_args or {})}
            StripeAvailabilitySensor(source=source, **waiting) >> cells
        load(cells, fetch.expand(cell=cells))
    return group


@dataclass(frozen=True)
class _Steps:
    """The tasks, as Airflow's decorator makes them, with arguments of Airflow's."""

    work: Work
    url: str
    group_id: str
    by_interval: bool

    def plan(self, **arguments: Any) -> Any:
        @task(multiple_outputs=False, **arguments)
        def plan() -> list[Values]:
            """The cells of the interval, or those that are not loaded yet."""
            return self.work.plan(self._interval())

        return plan

    def fetch(self, **arguments: Any) -> Any:
        @task(multiple_outputs=False, **arguments)
        def fetch(cell: Values) -> Values:
            """Runs the report of a cell at Stripe, and brings its file. Repeated, it finds the run again."""
            return self.work.fetch(cell, place_of(self.url, self.group_id, get_current_context()))

        return fetch

    def load(self, **arguments: Any) -> Any:
        @task(multiple_outputs=False, trigger_rule="all_done", **arguments)
        def load(planned: Sequence[Values] | None, files: Sequence[Values] | None) -> Values:
            """Loads the files that are there: rows, system tables and `tie_out`."""
            if planned is None and state_of(get_current_context(), f"{self.group_id}.plan") == "skipped":
                raise AirflowSkipException("Nothing is loaded: the task plan was skipped.")
            if planned is None:
                raise AirflowFailException("Nothing is loaded: the task plan has not ended well; see its log.")
            return self.work.load(list(files or ()), self._interval())

        return load

    def _interval(self) -> DataInterval:
        context = get_current_context()
        found = DataInterval(context.get("data_interval_start"), context.get("data_interval_end"))
        return found if self.by_interval else DataInterval(None, None)
