"""What a dlt user knows works as it does with any source, or is refused in a sentence before a run is made.

`docs/dlt-idioms.md` has a row for each; what other files test in full is named there.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
import pytest
from dlt import Pipeline
from dlt.common.configuration.container import Container
from dlt.extract.incremental.context import TimeIntervalContext
from dlt.pipeline.exceptions import PipelineStepFailed

from stripe_reports_source import (
    AuthenticationError,
    ConfigurationError,
    Event,
    Report,
    SyncFailed,
    load_reports,
    stripe_reports,
)
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.errors import NotOffered, RowError, WorkingFolderError, own_error
from tests.conftest import BOTH, query, source_of
from tests.pipeline.ledger import assert_ledger
from tests.pipeline.truth import assert_true
from tests.pipeline.ways import FIRST_OF_WAYS, WAYS, load, posts, refusal

UTC = timezone.utc
PAYOUTS, SUMMARY = "payouts.itemized", "balance.summary"
TABLE, OTHER = "payouts_itemized", "balance_summary"
ACTIVITY, ACTIVITY_TABLE = "balance_change_from_activity.itemized", "balance_change_from_activity_itemized"
BOTH_REPORTS = [PAYOUTS, SUMMARY]
FEBRUARY = datetime(2025, 2, 1, tzinfo=UTC)
MakePipeline = Callable[..., Pipeline]


@dataclass(frozen=True)
class World:
    """An emulator, a pipeline and the way to load."""

    emulator: Emulator
    pipeline: Pipeline
    way: str

    def source(self, reports: Any = BOTH_REPORTS, **settings: Any) -> Any:
        return source_of(self.emulator, reports, **settings)

    def load(self, source: Any, **how: Any) -> None:
        load(self.pipeline, source, self.way, **how)


@pytest.fixture
def world(emulator: Emulator, pipeline: Pipeline, way: str) -> World:
    return World(emulator, pipeline, way)


def assert_all_there(world: World, reports: list[str] = BOTH_REPORTS, pipeline: Pipeline | None = None) -> None:
    """Rows and every table of the ledger say the same, up to where Stripe's data ends, and no run was made twice."""
    end, used = world.emulator.settings.available_end, pipeline or world.pipeline
    assert_true(world.emulator, used, reports, end=end)
    assert_ledger(used, reports)
    tables = [report.replace(".", "_") for report in reports]
    assert sorted(query(used, "SELECT table_name, loaded_to, open_failures FROM report_freshness")) == [
        (table, end, 0) for table in sorted(tables)
    ]
    assert sorted(query(used, "SELECT DISTINCT table_name FROM report_columns")) == [
        (table,) for table in sorted(tables)
    ]
    runs = query(used, "SELECT run_id FROM report_runs WHERE error IS NULL")
    assert sorted(runs) == sorted(query(used, "SELECT run_id FROM report_cells"))
    asked = [str(run.parameters) for run in world.emulator.runs]
    assert len(set(asked)) == len(asked)


def cursor(pipeline: Pipeline, resource: str = TABLE, source: str = "stripe_reports") -> Any:
    """dlt's cursor of a resource."""
    kept: Any = pipeline.state["sources"][source]["resources"][resource]
    return kept["incremental"]["_interval_end"]["last_value"]


@pytest.mark.long
@WAYS
def test_a_selection_writes_its_own_ledger(world: World) -> None:
    world.load(world.source().with_resources(TABLE))
    assert_all_there(world, [PAYOUTS])
    assert cursor(world.pipeline) == world.emulator.settings.available_end
    runs = posts(world.emulator)
    world.load(world.source())
    assert_all_there(world)
    assert posts(world.emulator) == runs + 3  # those of the other report


@pytest.mark.first(1)
@FIRST_OF_WAYS
@pytest.mark.parametrize("isolated", [False, True])
def test_a_decomposed_source_is_the_whole_source(
    emulator: Emulator, make_pipeline: MakePipeline, way: str, isolated: bool
) -> None:
    # as Airflow's PipelineTasksGroup does it: a task for each part, on a machine that keeps nothing
    for number, part in enumerate(source_of(emulator, BOTH_REPORTS).decompose("scc")):
        pipeline = make_pipeline(f"part_{number}" if isolated else "reports", folder=f"worker_{number}")
        load(pipeline, part, way)
    world = World(emulator, make_pipeline(folder="last"), way)
    assert_all_there(world)
    assert query(world.pipeline, "SELECT count(*) > 0 FROM report_types") == [(True,)]


@pytest.mark.long
@pytest.mark.parametrize("at_once", [False, True])
def test_parts_of_one_source_in_one_process(emulator: Emulator, make_pipeline: MakePipeline, at_once: bool) -> None:
    parts = source_of(emulator, BOTH_REPORTS).decompose("scc")
    world = World(emulator, make_pipeline(), "run")
    if not at_once:
        world.pipeline.run(parts)
    else:
        # in pipelines of their own, as dlt's page on performance shows; DuckDB has one writer at a time
        pipelines = [make_pipeline(f"part_{number}") for number in range(len(parts))]
        with ThreadPoolExecutor() as threads:
            list(threads.map(extracted, pipelines, parts))
        for pipeline in pipelines:
            pipeline.activate()
            pipeline.load()
    assert_all_there(world)


def extracted(pipeline: Pipeline, source: Any) -> None:
    pipeline.activate()
    pipeline.extract(source)
    pipeline.normalize()


@pytest.mark.first(1)
@pytest.mark.parametrize("given", ["one", "list"])
def test_resources_without_their_source_write_the_ledger_too(
    emulator: Emulator, pipeline: Pipeline, given: str
) -> None:
    resources = source_of(emulator, BOTH_REPORTS).resources
    pipeline.run(resources[TABLE] if given == "one" else [resources[TABLE], resources[OTHER]])
    assert_all_there(World(emulator, pipeline, "run"), [PAYOUTS] if given == "one" else BOTH_REPORTS)


@pytest.mark.first(1)
@WAYS
def test_parallelize_changes_nothing(world: World) -> None:
    world.load(world.source().parallelize())
    assert_all_there(world)


@pytest.mark.long
@FIRST_OF_WAYS
@pytest.mark.parametrize("limit", [{"max_items": 1}, {"max_items": 20, "count_rows": True}, {"max_time": 1e-6}])
def test_a_limit_loads_whole_intervals_and_lists_them(world: World, limit: dict[str, Any]) -> None:
    world.load(world.source().with_resources(TABLE).add_limit(**limit))
    assert query(world.pipeline, "SELECT count(*) FROM report_cells") == [(1,)]
    assert_true(world.emulator, world.pipeline, [PAYOUTS], end=FEBRUARY)
    assert_ledger(world.pipeline, [PAYOUTS])
    assert query(world.pipeline, "SELECT loaded_to FROM report_freshness") == [(FEBRUARY,)]
    assert cursor(world.pipeline) == FEBRUARY
    world.load(world.source())
    assert_all_there(world)


@pytest.mark.first(1)
@FIRST_OF_WAYS
@pytest.mark.parametrize("left_out", [0, 1])
def test_a_limit_beside_a_step_goes_on_with_each_run(world: World, left_out: int) -> None:
    """Although an interval before the cursor might be another one with the step, and would use up the limit."""
    reached = []
    for _ in range(3):
        source = world.source([PAYOUTS], interval="week", lookback_days=10).with_resources(TABLE)
        source.resources[TABLE].add_map(lambda table: table.slice(left_out)).add_limit(1)
        world.load(source)
        [(loaded_to,)] = query(world.pipeline, "SELECT loaded_to FROM report_freshness")
        reached.append(loaded_to)
    assert sorted(set(reached)) == reached
    world.load(world.source([PAYOUTS], interval="week"))
    end = world.emulator.settings.available_end
    assert query(world.pipeline, "SELECT loaded_to FROM report_freshness") == [(end,)]


def test_a_limit_of_nothing_runs_nothing(emulator: Emulator, pipeline: Pipeline) -> None:
    pipeline.run(source_of(emulator, BOTH_REPORTS).add_limit(0))
    assert posts(emulator) == 0


def with_column(table: pa.Table) -> pa.Table:
    """A step of a user's own, which sees the rows of the report alone."""
    assert table["_account"].null_count == 0
    return table.append_column("mine", pa.array(["x"] * table.num_rows))


def as_rows(table: pa.Table) -> list[dict[str, Any]]:
    """A step that turns Arrow into dicts."""
    return table.to_pylist()  # type: ignore[no-any-return]


@pytest.mark.first(1)
@WAYS
@pytest.mark.parametrize("step", [with_column, as_rows])
def test_a_step_sees_rows_alone(world: World, step: Callable[[Any], Any]) -> None:
    source = world.source()
    source.resources[TABLE].add_map(step)
    world.load(source)
    assert_true(world.emulator, world.pipeline, BOTH_REPORTS, end=world.emulator.settings.available_end)
    if step is with_column:
        assert query(world.pipeline, f"SELECT count(*) FROM {TABLE} WHERE mine IS DISTINCT FROM 'x'") == [(0,)]


@pytest.mark.first(1)
@FIRST_OF_WAYS
@pytest.mark.parametrize("form", [lambda table: table, as_rows])
def test_what_a_step_leaves_nothing_of_is_emptied(world: World, form: Callable[[Any], Any]) -> None:
    before, source = world.source([PAYOUTS]), world.source([PAYOUTS], lookback_days=40)
    before.resources[TABLE].add_map(form)
    world.load(before)
    world.emulator.advance(world.emulator.settings.available_end + timedelta(days=1))
    source.resources[TABLE].add_filter(lambda table: table["_interval_day"][0].as_py().month == 2).add_map(form)
    world.load(source)
    assert query(world.pipeline, f"SELECT DISTINCT month(_interval_day) FROM {TABLE}") == [(2,)]
    if world.way == "load_reports":
        listed = query(world.pipeline, "SELECT month(interval_day), rows > 0 FROM report_cells ORDER BY 1")
        assert listed == [(1, False), (2, True), (3, False)]


@pytest.mark.long
@BOTH
def test_rows_that_come_after_emptied_cells_may_have_another_form(emulator: Emulator, pipeline: Pipeline) -> None:
    for end in ("2025-01-02", "2025-01-20"):  # the first payout is days after the first charge
        source = source_of(emulator, [PAYOUTS], interval="day", end_date=end)
        source.resources[TABLE].add_map(as_rows)
        load_reports(pipeline, source)
    assert query(pipeline, f"SELECT count(*) > 0, count(*) = count(_dlt_id) FROM {TABLE}") == [(True, True)]


def nested(table: pa.Table) -> list[dict[str, Any]]:
    """A step that gives lists, of which dlt makes tables."""
    return [{**row, "tags": [{"number": 1}, {"number": 2}]} for row in table.to_pylist()]


@pytest.mark.long
@pytest.mark.parametrize("step", [as_rows, nested])
@WAYS
@BOTH
def test_a_step_may_come_and_go(world: World, step: Callable[[Any], Any]) -> None:
    """Rows of dicts have dlt's ids, and so have those of Arrow that come after them; rows of lists go with theirs."""
    tags, orphans = f"{TABLE}__tags", f"SELECT count(*) FROM {TABLE}__tags WHERE _dlt_parent_id NOT IN "
    for steps in ([], [step], [], [step], []):
        source = world.source(lookback_days=20)
        for each in steps:
            source.resources[TABLE].add_map(each)
        world.load(source)
        assert_true(world.emulator, world.pipeline, BOTH_REPORTS, end=world.emulator.service.available_end)
        if step is nested and steps:
            assert query(world.pipeline, f"SELECT count(*) > 0 FROM {tags}") == [(True,)]
        if tags in world.pipeline.default_schema.tables:
            assert query(world.pipeline, f"{orphans} (SELECT _dlt_id FROM {TABLE} WHERE _dlt_id IS NOT NULL)") == [(0,)]
        world.emulator.advance(world.emulator.service.available_end + timedelta(days=1))


def as_frame(table: pa.Table) -> Any:
    """A step that turns Arrow into pandas."""
    return table.to_pandas()


@pytest.mark.first(1)
@WAYS
def test_a_step_may_give_pandas(world: World) -> None:
    """Columns that have no value in one interval and some in the next, and amounts of other sizes."""
    source = world.source([PAYOUTS, ACTIVITY], interval="week")
    for table in (TABLE, ACTIVITY_TABLE):
        source.resources[table].add_map(as_frame)
    world.load(source)
    assert_true(
        world.emulator, world.pipeline, [PAYOUTS, ACTIVITY], end=world.emulator.settings.available_end, grid="week"
    )


def with_floats(table: pa.Table) -> Any:
    frame = table.to_pandas()
    return frame.assign(gross=frame["gross"].astype(float))


def without(*names: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.drop_columns(list(names))


@pytest.mark.first(1)
@FIRST_OF_WAYS
@pytest.mark.parametrize(
    ("step", "said"),
    [
        (with_floats, "the column 'gross' as double, which is not exactly decimal128(38, 9); give Arrow or dicts"),
        (without("_interval_key"), f"gives table {TABLE!r} rows without '_interval_key'"),
        (without("_account", "fee"), f"gives table {TABLE!r} rows without '_account'"),
        (
            lambda table: as_rows(without("_report_run_id")(table)),
            f"gives table {TABLE!r} rows without '_report_run_id'",
        ),
    ],
    ids=["floats", "no key", "no account", "no run"],
)
def test_what_a_step_must_not_do_is_said_before_anything_is_stored(
    world: World, step: Callable[[Any], Any], said: str
) -> None:
    source = world.source()
    source.resources[TABLE].add_map(step)
    assert said in str(refusal(world.pipeline, source, world.way))
    world.load(world.source())
    assert_all_there(world)


@pytest.mark.long
def test_the_steps_of_a_run_one_by_one(emulator: Emulator, pipeline: Pipeline) -> None:
    pipeline.extract(source_of(emulator, BOTH_REPORTS))
    pipeline.normalize()
    pipeline.load()
    assert_all_there(World(emulator, pipeline, "run"))


def with_transformer(source: Any) -> Any:
    @dlt.transformer(data_from=source.resources[TABLE], write_disposition="append")
    def large(table: pa.Table) -> Iterator[Any]:
        yield table.select(["payout_id", "gross"])

    source.resources.add(large)
    return source


@FIRST_OF_WAYS
def test_a_transformer_gets_rows_and_its_own_table(world: World) -> None:
    world.load(with_transformer(world.source()))
    assert_all_there(world)
    columns = (
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'large' AND table_schema = 'stripe'"
    )
    assert sorted(query(world.pipeline, columns)) == [("gross",), ("payout_id",)]
    made, wanted = (query(world.pipeline, f"SELECT payout_id, gross FROM {name}") for name in ("large", TABLE))
    assert sorted(made) == sorted(wanted)


@FIRST_OF_WAYS
def test_hints_that_change_no_value_are_kept(world: World) -> None:
    source = world.source()
    source.resources[TABLE].apply_hints(
        columns={"_interval_day": {"partition": True}, "currency": {"cluster": True, "x-mine": "mine"}}
    )
    world.load(source)
    assert_all_there(world)
    columns: Any = world.pipeline.schemas["stripe_reports"].tables[TABLE]["columns"]
    assert columns["_interval_day"]["partition"]
    assert (columns["currency"]["cluster"], columns["currency"]["x-mine"]) == (True, "mine")


@pytest.mark.first(1)
@WAYS
def test_a_resource_of_another_name_or_table(world: World) -> None:
    source = world.source()
    source.resources.add(source.resources[TABLE].with_name("paid_out"))
    source.resources[TABLE].apply_hints(table_name="paid")
    world.load(source)
    tables = ("paid", "paid_out", OTHER)
    stored = {name: query(world.pipeline, f"SELECT count(*) FROM {name}")[0][0] for name in tables}
    assert stored["paid"] == stored["paid_out"] > 0
    assert dict(query(world.pipeline, "SELECT table_name, sum(rows) FROM report_cells GROUP BY 1")) == stored
    assert {name for (name,) in query(world.pipeline, "SELECT table_name FROM report_freshness")} == set(tables)
    assert len(world.emulator.runs) == 6  # the same files for both


def test_each_dev_mode_has_a_dataset(emulator: Emulator, make_pipeline: MakePipeline) -> None:
    one = dlt.pipeline("dev", destination=make_pipeline().destination, dataset_name="stripe", dev_mode=True)
    load_reports(one, source_of(emulator, BOTH_REPORTS))
    assert one.dataset_name != "stripe"
    assert_all_there(World(emulator, one, "load_reports"))


def narrow(columns: list[str]) -> Report:
    return Report(PAYOUTS, columns=["payout_id", "gross", *columns])


@pytest.mark.first(1)
@FIRST_OF_WAYS
@pytest.mark.parametrize("of", ["source", "resource"])
@pytest.mark.parametrize("mode", ["discard_row", "discard_value"])
def test_a_contract_that_discards_is_kept(world: World, mode: Any, of: str) -> None:
    world.load(world.source([narrow([])], end_date="2025-02-01"))
    source = world.source([narrow(["fee"])])
    if of == "source":
        source.schema_contract = {"columns": mode}
    else:
        source.resources[TABLE].apply_hints(schema_contract={"columns": mode})
    world.load(source)
    assert "fee" not in world.pipeline.schemas["stripe_reports"].tables[TABLE]["columns"]
    [(rows, cells)] = query(world.pipeline, f"SELECT count(*), count(DISTINCT _interval_key) FROM {TABLE}")
    assert (rows > 0, cells) == ((False, 0) if mode == "discard_row" else (True, 3))
    assert query(world.pipeline, "SELECT count(*) FROM report_cells") == [(3,)]
    listed = {name for (name,) in query(world.pipeline, "SELECT column_name FROM report_columns")}
    assert listed <= set(world.pipeline.schemas["stripe_reports"].tables[TABLE]["columns"])
    totals = query(
        world.pipeline, "SELECT control_totals FROM report_runs WHERE run_id <> (SELECT min(run_id) FROM report_runs)"
    )
    assert not [total for (total,) in totals if '"fee"' in total]


@pytest.mark.first(1)
@WAYS
def test_a_window_of_a_scheduler_is_a_backfill(world: World) -> None:
    with scheduled(datetime(2025, 1, 1, tzinfo=UTC), FEBRUARY):
        world.load(world.source())
    assert_true(world.emulator, world.pipeline, BOTH_REPORTS, end=FEBRUARY)
    assert_ledger(world.pipeline, BOTH_REPORTS)
    assert "incremental" not in world.pipeline.state["sources"]["stripe_reports"]["resources"][TABLE]
    world.load(world.source())
    assert_all_there(world)


@pytest.mark.long
def test_each_interval_of_a_schedule_is_a_cell_of_the_grid(emulator: Emulator, pipeline: Pipeline) -> None:
    days = [datetime(2025, 2, day, tzinfo=UTC) for day in (1, 2, 3)]
    for start, end in pairwise(days):
        with scheduled(start, end):
            pipeline.run(source_of(emulator, [PAYOUTS], interval="day"))
    assert sorted(query(pipeline, "SELECT interval_start FROM report_cells")) == [(day,) for day in days[:2]]
    assert_ledger(pipeline, [PAYOUTS])


@contextmanager
def scheduled(start: datetime, end: datetime) -> Iterator[None]:
    """As dlt is with `DLT_ALLOW_EXTERNAL_SCHEDULERS`, and an interval from `DLT_INTERVAL_START` or from Airflow."""
    with Container().injectable_context(TimeIntervalContext((start, end), allow_external_schedulers=True)):
        yield


@pytest.mark.first(1)
@WAYS
def test_an_initial_value_is_where_history_begins(world: World) -> None:
    source = world.source([PAYOUTS])
    begins = dlt.sources.incremental[datetime]("_interval_end", initial_value=FEBRUARY)
    source.resources[TABLE].apply_hints(incremental=begins)
    world.load(source)
    end = world.emulator.settings.available_end
    assert_true(world.emulator, world.pipeline, [PAYOUTS], start=FEBRUARY, end=end)
    assert cursor(world.pipeline) == end


@pytest.mark.first(1)
@WAYS
def test_several_sources_are_loaded_in_one_call(
    start_emulator: Callable[..., Emulator], pipeline: Pipeline, way: str
) -> None:
    worlds = {name: World(start_emulator(seed=seed), pipeline, way) for name, seed in (("us", 7), ("eu", 8))}
    sources = []
    for name, each in worlds.items():
        clone: Any = stripe_reports.clone(name=name)
        key, api, files = each.emulator.settings.live_keys[0], each.emulator.api_url, each.emulator.files_url
        sources.append(clone([PAYOUTS], account=name, api_key=key, api_base_url=api, files_base_url=files))
    if way == "run":
        pipeline.run(sources)
    else:
        loaded = load_reports(pipeline, sources)
        assert [(table.account, table.cells) for table in loaded.tables] == [("us", 3), ("eu", 3)]
        assert loaded.rows == query(pipeline, f"SELECT count(*) FROM {TABLE}")[0][0]
        assert loaded.reconciliation is not None
    assert_ledger(pipeline, [PAYOUTS])
    for name, each in worlds.items():
        window = each.emulator.settings.first_available, each.emulator.settings.available_end
        stored = query(pipeline, f"SELECT count(*) FROM {TABLE} WHERE _account = %s", name)
        assert stored == [(len(each.emulator.truth("payouts.itemized.3", *window)),)]
        assert cursor(pipeline, source=name) == window[1]


@pytest.mark.first(1)
@pytest.mark.parametrize("ways", ["backfills", "a sync between", "parts of a backfill"])
def test_what_several_sources_of_one_run_have_in_common_is_loaded_once(
    emulator: Emulator, pipeline: Pipeline, ways: str
) -> None:
    """dlt puts them into one package, in which nothing replaces what came before."""
    month, months = ({"start_date": start, "end_date": "2025-03-01"} for start in ("2025-02-01", "2025-01-01"))
    sources = [source_of(emulator, BOTH_REPORTS, **window) for window in (month, months)]
    if ways == "a sync between":
        sources.insert(1, source_of(emulator, BOTH_REPORTS))
    if ways == "parts of a backfill":
        sources = [sources[1].with_resources(TABLE), sources[1].with_resources(TABLE, OTHER)]
    pipeline.run(sources)
    end = emulator.settings.available_end if len(sources) == 3 else datetime(2025, 3, 1, tzinfo=UTC)
    assert_true(emulator, pipeline, BOTH_REPORTS, end=end)
    assert_ledger(pipeline, BOTH_REPORTS)


@pytest.mark.first(1)
@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"account": "another"}, "holds the same Stripe account's rows as account 'default'"),
        ({"interval": "day"}, "cells of 'payouts.itemized|day|UTC' would overlap them"),
    ],
    ids=["label", "grid"],
)
def test_sources_of_one_run_that_would_double_rows_are_refused(
    emulator: Emulator, pipeline: Pipeline, other: dict[str, Any], said: str
) -> None:
    with pytest.raises(PipelineStepFailed, match=said):
        pipeline.run([source_of(emulator, [PAYOUTS]), source_of(emulator, [PAYOUTS], **other)])
    pipeline.run(source_of(emulator, [PAYOUTS]))
    assert_true(emulator, pipeline, [PAYOUTS], end=emulator.settings.available_end)


def test_one_source_that_fails_leaves_the_others_loaded(emulator: Emulator, pipeline: Pipeline) -> None:
    bad = source_of(emulator, [Report(PAYOUTS, types={"payout_id": "bigint"})])
    with pytest.raises(SyncFailed) as caught:
        load_reports(pipeline, [bad, source_of(emulator, [SUMMARY])])
    assert [failure.report for failure in caught.value.failures] == ["payouts.itemized.3"]
    assert caught.value.loaded.cells == 3
    assert_true(emulator, pipeline, [SUMMARY], end=emulator.settings.available_end)


def test_a_source_that_cannot_be_begun_leaves_the_others_loaded(emulator: Emulator, pipeline: Pipeline) -> None:
    """Of each source it is said what has failed, also of those before it."""
    bad = source_of(emulator, [Report(PAYOUTS, types={"payout_id": "bigint"})])
    wrong_key = source_of(emulator, [SUMMARY, PAYOUTS], account="eu", api_key="rk_live_wrong").with_resources(
        "balance_summary"
    )
    unknown = source_of(emulator, ["balance.summary.99"], account="us")
    with pytest.raises(SyncFailed) as caught:
        load_reports(pipeline, [bad, wrong_key, unknown, source_of(emulator, [SUMMARY])])
    assert [(failure.report, failure.account, type(failure.error)) for failure in caught.value.failures] == [
        ("payouts.itemized.3", "default", RowError),
        (SUMMARY, "eu", AuthenticationError),
        ("balance.summary.99", "us", NotOffered),
    ]
    assert "balance.summary [eu] all intervals: Stripe: Invalid API Key" in str(caught.value)
    assert "Set an api_key that is valid." in str(caught.value)
    assert caught.value.loaded.cells == 3
    assert_true(emulator, pipeline, [SUMMARY], end=emulator.settings.available_end)
    with pytest.raises(AuthenticationError):
        load_reports(pipeline, wrong_key)


def test_what_had_failed_before_an_error_of_the_destination_is_in_the_log(
    emulator: Emulator, pipeline: Pipeline, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It concerns all sources, and is raised as it is. No value of a row gets into the log."""
    bad, good = source_of(emulator, [Report(PAYOUTS, types={"payout_id": "bigint"})]), source_of(emulator, [SUMMARY])
    lock = tmp_path / "pipelines" / "reports.lock"

    def spoil(event: Event) -> None:
        if event.kind == "failed":
            lock.unlink()
            lock.mkdir()

    with pytest.raises(WorkingFolderError):
        load_reports(pipeline, [bad, good], on_event=spoil)
    [said] = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert said.startswith("not loaded: payouts.itemized.3 [default] [2025-01-01T00:00:00Z, 2025-02-01T00:00:00Z), run")
    assert "its file does not fit the report; the next sync says where." in said
    assert "payout_id" not in said


def hinted(**hints: Any) -> Callable[[Any], Any]:
    def change(source: Any) -> Any:
        source.resources[TABLE].apply_hints(**hints)
        return source

    return change


def contracted(source: Any, contract: Any) -> Any:
    source.schema_contract = contract
    return source


def stepped(source: Any) -> Any:
    source.resources[TABLE].add_step(dlt.sources.incremental("_interval_end"))
    return source


def system_named(source: Any) -> Any:
    source.resources["report_runs"].apply_hints(table_name="runs")
    return source


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a type": (hinted(columns={"gross": {"data_type": "text"}}), "has the hint data_type='text' for column 'gross'"),
    "a scale": (hinted(columns={"gross": {"scale": 2}}), "has the hint scale=2 for column 'gross', which has scale=9"),
    "not null": (hinted(columns={"gross": {"nullable": False}}), "has the hint nullable=False for column 'gross'"),
    "a deletion mark": (
        hinted(columns={"currency": {"hard_delete": True}}),
        "has the hard_delete 'currency', which would drop rows",
    ),
    "a column of nobody's that is not null": (
        hinted(columns={"mine": {"data_type": "text", "nullable": False}}),
        "has the hint nullable=False for column 'mine', which the report does not have in every row",
    ),
    "a parent": (hinted(parent_table_name=OTHER), "has the hint parent_table_name"),
    "hints of nested tables": (
        hinted(nested_hints={"x": {"columns": {"a": {"data_type": "text"}}}}),
        "has the hint nested_hints",
    ),
    "a contract of no mode": (
        lambda source: contracted(source, {"columns": "frozen"}),
        "the schema contract columns='frozen' must be one of evolve, discard_value, freeze, discard_row",
    ),
    "another report's table": (hinted(table_name=OTHER), f"both have the table name {OTHER!r}"),
    "a system table": (
        hinted(table_name="report_runs"),
        "must be lower snake case, up to 63 characters, and not that of a system table",
    ),
    "a table of no normal name": (hinted(table_name="Paid"), "has the table name 'Paid'"),
    "a table of 64 characters": (hinted(table_name="a" * 64), "up to 63 characters"),
    "a renamed system table": (system_named, "system tables keep theirs"),
    "no new table": (lambda source: contracted(source, "freeze"), "tables='freeze' takes no new table"),
    "no new table of one": (
        hinted(schema_contract={"tables": "discard_row"}),
        "takes no new table, and 'payouts_itemized'",
    ),
    "a transformer alone": (
        lambda source: with_transformer(source).with_resources("large"),
        "gives its rows to a transformer and is not loaded itself",
    ),
    "text as a window": (
        hinted(
            incremental=dlt.sources.incremental("_interval_end", initial_value="2025-01-01", end_value="2025-02-01")
        ),
        "has the incremental initial_value '2025-01-01'",
    ),
    "an instant without a zone": (
        hinted(incremental=dlt.sources.incremental[datetime]("_interval_end", initial_value=datetime(2025, 1, 1))),
        "has the incremental initial_value datetime.datetime(2025, 1, 1, 0, 0)",
    ),
    "a second incremental": (stepped, "has a second incremental as a step"),
}


@WAYS
@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_kept_is_refused_before_a_run(world: World, what: str) -> None:
    change, said = REFUSED[what]
    error = refusal(world.pipeline, change(world.source()), world.way)
    assert isinstance(error, ConfigurationError)
    assert said in str(error)
    assert len(str(error)) < 250
    assert posts(world.emulator) == 0
    assert not world.pipeline.has_pending_data


def test_one_table_for_all_is_refused(emulator: Emulator, pipeline: Pipeline) -> None:
    with pytest.raises(Exception, match="table name 'all'") as caught:
        pipeline.run(source_of(emulator, BOTH_REPORTS), table_name="all")
    assert isinstance(own_error(caught.value), ConfigurationError)
    assert posts(emulator) == 0


@pytest.mark.first(1)
@WAYS
def test_a_frozen_table_takes_no_new_column(world: World) -> None:
    world.load(world.source([narrow([])]))
    world.emulator.advance(world.emulator.settings.available_end + timedelta(days=1))
    runs = posts(world.emulator)
    source = contracted(world.source([narrow(["fee"])]), {"columns": "freeze"})
    assert "columns='freeze' takes no new column, and table 'payouts_itemized' lacks 'fee'" in str(
        refusal(world.pipeline, source, world.way, refresh=None)
    )
    assert posts(world.emulator) == runs
    world.load(contracted(world.source([narrow([])]), "freeze"))


@pytest.mark.long
@WAYS
def test_a_frozen_table_and_a_header_that_nobody_asked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure of its interval; the others are loaded."""
    reports = [Report(PAYOUTS, columns="default"), SUMMARY]
    world.load(world.source(reports))
    end = world.emulator.settings.available_end
    world.emulator.advance(end + timedelta(days=1))
    with_header(world.emulator, monkeypatch, "payouts.itemized", "nova")
    error = refusal(world.pipeline, contracted(world.source(reports), {"columns": "freeze"}), world.way)
    assert "columns='freeze' takes no new column, and table 'payouts_itemized' lacks 'nova'" in str(error)
    if world.way == "load_reports":
        assert isinstance(error, SyncFailed)
        loaded = query(world.pipeline, "SELECT table_name, loaded_to FROM report_freshness ORDER BY 1")
        assert loaded == [(OTHER, end + timedelta(days=1)), (TABLE, end)]


def with_header(emulator: Emulator, monkeypatch: pytest.MonkeyPatch, report: str, header: str) -> None:
    """Let Stripe add a column to the files of a report."""
    start = emulator.service._start

    def started(*given: Any, **named: Any) -> Any:
        run = start(*given, **named)
        if run.report_type.startswith(report):
            lines = run.file.read_text().splitlines()
            run.file.write_text("".join(f'{line},"{"v" if number else header}"\n' for number, line in enumerate(lines)))
        return run

    monkeypatch.setattr(emulator.service, "_start", started)


@dlt.source
def another() -> Any:
    """A source of another kind."""
    return dlt.resource([{"a": 1}], name="a")


def test_what_is_not_a_source_of_ours_is_refused(emulator: Emulator, pipeline: Pipeline) -> None:
    source = source_of(emulator, [PAYOUTS])
    wrong: list[tuple[Any, str]] = [
        (another(), "source 'another' is not a stripe_reports source"),
        ([source, another()], "source 'another' is not a stripe_reports source"),
        (source.resources[TABLE], "resource 'payouts_itemized' is not a source; give the source that it is of"),
        (stripe_reports, "a source is wanted, as stripe_reports(...) returns it, not "),
        ([], "no source is given"),
        ([source, source.with_resources(TABLE)], "one source object is given twice"),
    ]
    for given, said in wrong:
        with pytest.raises(ConfigurationError) as caught:
            load_reports(pipeline, given)
        assert said in str(caught.value)
    pipeline.refresh = "drop_sources"
    with pytest.raises(
        ConfigurationError, match="refresh='drop_sources' drops what a source before has loaded; give one"
    ):
        load_reports(pipeline, [source, source_of(emulator, [SUMMARY])])
    assert posts(emulator) == 0


def dlt_command(folder: Path, *arguments: str) -> str:
    """What a command of dlt's prints."""
    command = [sys.executable, "-m", "dlt", "--yes", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
def test_dlts_own_commands(emulator: Emulator, tmp_path: Path) -> None:
    pipeline = dlt.pipeline("reports", destination="duckdb", dataset_name="stripe")  # as a user's script names it
    load_reports(pipeline, source_of(emulator, BOTH_REPORTS))
    for words in (["info"], ["trace"], ["load-package"], ["schema"], ["sync"]):
        assert dlt_command(tmp_path, "pipeline", "reports", *words)
    assert TABLE in dlt_command(tmp_path, "pipeline", "reports", "drop", TABLE)
    pipeline = dlt.pipeline("reports", destination="duckdb", dataset_name="stripe")
    assert TABLE not in pipeline.default_schema.tables
    load_reports(pipeline, source_of(emulator, BOTH_REPORTS))
    assert_all_there(World(emulator, pipeline, "load_reports"))
