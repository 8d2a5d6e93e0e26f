"""What the tasks of a group do, called as plain functions: no DAG run, no scheduler."""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("airflow", reason='Airflow is not installed: pip install "stripe-reports-source[airflow]"')

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG

from stripe_reports_source import Report, load_reports
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.orchestration.airflow import report_tasks, tasks
from stripe_reports_source.orchestration.airflow.intervals import DataInterval
from stripe_reports_source.orchestration.airflow.versions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    TaskGroup,
)
from stripe_reports_source.orchestration.airflow.work import Work
from tests.orchestration.airflow.dags.reports import JANUARY, pipeline, source
from tests.orchestration.world import World

FEBRUARY = DataInterval(datetime(2025, 2, 1, tzinfo=timezone.utc), datetime(2025, 3, 1, tzinfo=timezone.utc))


def function_of(task: Any) -> Any:
    """What a task calls, mapped or not."""
    return getattr(task, "python_callable", None) or task.partial_kwargs["python_callable"]


def context(run_id: str = "monthly", plan: str = "success", *, airflow: int = 3) -> dict[str, Any]:
    """What Airflow tells a task of its run, in which `plan` has ended somehow."""
    other = SimpleNamespace(state=plan)
    run = SimpleNamespace(
        dag_id="stripe", run_id=run_id, get_task_instance=lambda task: other if "plan" in task else None
    )
    own = SimpleNamespace(get_task_states=lambda task_ids, **_: {run_id: dict.fromkeys(task_ids, plan)})
    return {"dag_run": run, "ti": own if airflow == 3 else SimpleNamespace()}


def test_groups_within_groups_have_their_files_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """As two accounts of one DAG: the end of one's load removes its files."""
    monkeypatch.setattr(tasks, "get_current_context", context)
    places: list[str] = []
    monkeypatch.setattr(Work, "fetch", lambda _self, _cell, url: places.append(url))
    with DAG("stripe", start_date=JANUARY, schedule=None) as dag:
        for account in ("us", "eu"):
            with TaskGroup(account):
                report_tasks(source, pipeline=pipeline, url="s3://bucket/cells", wait=False)
    for account in ("us", "eu"):
        function_of(dag.get_task(f"{account}.stripe_reports.fetch"))({})
    assert places == [f"s3://bucket/cells/stripe/{account}.stripe_reports/monthly" for account in ("us", "eu")]


@pytest.mark.parametrize("airflow", [2, 3])
@pytest.mark.parametrize(
    ("plan", "error"),
    [("skipped", AirflowSkipException), ("upstream_failed", AirflowFailException), ("failed", AirflowFailException)],
)
def test_where_nothing_is_planned_the_load_is_skipped_or_fails(
    monkeypatch: pytest.MonkeyPatch, plan: str, error: type[Exception], airflow: int
) -> None:
    monkeypatch.setattr(tasks, "get_current_context", lambda: context(plan=plan, airflow=airflow))
    with DAG("stripe", start_date=JANUARY, schedule=None) as dag:
        report_tasks(source, pipeline=pipeline, url="s3://bucket/cells")
    with pytest.raises(error, match="Nothing is loaded: the task plan"):
        function_of(dag.get_task("stripe_reports.load"))(None, None)


def test_a_report_that_is_gone_stops_none_of_another_grid(
    emulator: Emulator, world: World, metadata_database: None, caplog: pytest.LogCaptureFixture
) -> None:
    """Where it alone is asked for, nothing can be planned, and that fails."""
    weekly = Report("payouts.itemized.3", interval="week")
    load_reports(world.pipeline(), world.source(["balance.summary", weekly], end_date="2025-02-03"))
    emulator.alter(weekly.report, hidden=True)
    both = Work(lambda: world.source([weekly, "balance.summary"]), world.pipeline)
    with caplog.at_level(logging.ERROR):
        planned = both.plan(FEBRUARY)
    assert {cell["table"] for cell in planned} == {"balance_summary"}
    assert "not planned: payouts.itemized.3" in caplog.text
    with pytest.raises(AirflowException, match="is not offered to this account"):
        Work(lambda: world.source([weekly]), world.pipeline).plan(FEBRUARY)
