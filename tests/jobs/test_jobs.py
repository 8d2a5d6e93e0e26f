"""Cells as jobs: what is planned, fetched and loaded is what `load_reports` loads, by whom and in whatever order."""

from __future__ import annotations

import random
import shutil
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dlt
import fsspec
import pytest
from dlt import Pipeline
from dlt.extract import DltSource

from stripe_reports_source import (
    ArchiveError,
    ConfigurationError,
    FetchedFile,
    NotFetched,
    NotOffered,
    PlannedCell,
    Report,
    RowError,
    SyncFailed,
    archived_reports,
    fetch_cell,
    load_cells,
    load_reports,
    plan_cells,
    reconcile,
)
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.warehouse.turns import pipeline_lock
from tests.archive.test_archive import files_of
from tests.archive.test_replay import lanes_of, rows_of
from tests.conftest import FIRST_OF_BOTH, query, source_of
from tests.jobs.equal import assert_equal_datasets
from tests.pipeline.truth import assert_true

Make = Callable[..., Emulator]
Pipelines = Callable[..., Pipeline]
REPORTS = ("balance.summary", "payouts.itemized")
ACTIVITY = "balance_change_from_activity.itemized"


@dataclass(frozen=True)
class Jobs:
    """Plans, fetches and loads, each with a source of its own."""

    emulator: Emulator
    pipeline: Pipeline
    url: str
    reports: Sequence[str | Report] = REPORTS
    how: Any = ()

    @property
    def source(self) -> DltSource:
        """A source; the settings are the same each time."""
        return source_of(self.emulator, list(self.reports), **dict(self.how))

    def plan(self) -> list[PlannedCell]:
        """What is to be loaded now."""
        return plan_cells(self.pipeline, self.source)

    def fetch(self, cells: Iterable[PlannedCell]) -> list[FetchedFile]:
        """The file of each cell."""
        return [fetch_cell(self.source, cell, self.url) for cell in cells]

    def load(self, files: Iterable[FetchedFile]) -> int:
        """Load files. Returns the number of intervals."""
        return load_cells(self.pipeline, self.source, files).cells

    def round(self) -> int:
        """All three, one after the other."""
        return self.load(self.fetch(self.plan()))


@pytest.fixture
def jobs(emulator: Emulator, pipeline: Pipeline, tmp_path: Path) -> Jobs:
    """Jobs for two reports, of three months each."""
    return Jobs(emulator, pipeline, str(tmp_path / "fetched"))


@pytest.fixture
def second(make_pipeline: Pipelines) -> Pipeline:
    """Another pipeline, with a dataset of its own."""
    pipeline = make_pipeline(name="second")
    pipeline.dataset_name = f"{pipeline.dataset_name}_second"
    return pipeline


def loaded_cells(pipeline: Pipeline) -> set[tuple[str, str]]:
    """Table and first day of all cells that are loaded."""
    found = query(pipeline, "SELECT table_name, interval_day FROM report_cells")
    return {(table, day.isoformat()) for table, day in found}


def of(files: Iterable[FetchedFile], table: str, day: str) -> FetchedFile:
    """The file of a cell."""
    [file] = [file for file in files if (file.cell.table, file.cell.interval_day) == (table, day)]
    return file


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({}, id="months"),
        pytest.param({"interval": "week", "timezone": "America/New_York"}, id="weeks", marks=pytest.mark.long),
        pytest.param({"start_date": "2025-02-10", "stripe_account": "acct_1A"}, id="account", marks=pytest.mark.long),
        pytest.param({"end_date": "2025-03-01", "start_date": "2025-01-01"}, id="window", marks=pytest.mark.long),
    ],
)
@FIRST_OF_BOTH
def test_it_is_what_load_reports_loads(jobs: Jobs, second: Pipeline, how: dict[str, Any]) -> None:
    """Twice, with new data in between, so that a partial cell is replaced and a lookback read."""
    jobs = replace(jobs, how=how)
    for _ in range(2):
        assert jobs.round() > 0
        if "end_date" not in how:
            assert jobs.plan() == []
        load_reports(second, jobs.source)
        assert_equal_datasets(jobs.pipeline, second)
        assert lanes_of(jobs.pipeline) == lanes_of(second)
        jobs.emulator.advance(jobs.emulator.settings.available_end + timedelta(days=2, hours=5))


def test_a_plan_changes_nothing_and_waits_for_nobody(jobs: Jobs, tmp_path: Path) -> None:
    before = {path for path in tmp_path.rglob("*") if "dlt" not in path.parts}
    with pipeline_lock(jobs.pipeline):
        held = {path for path in tmp_path.rglob("*") if "dlt" not in path.parts}
        cells = jobs.plan()
        assert jobs.plan() == cells
        assert {path for path in tmp_path.rglob("*") if "dlt" not in path.parts} == held
    assert held - before <= {path for path in held if path.name.endswith(".lock")}
    assert not jobs.emulator.runs
    assert [(cell.table, cell.interval_day) for cell in cells] == [
        (table, day)
        for table in ("balance_summary", "payouts_itemized")
        for day in ("2025-01-01", "2025-02-01", "2025-03-01")
    ]
    assert {request.method for request in jobs.emulator.requests} == {"GET"}


def test_a_plan_does_not_need_the_folder_of_the_pipeline_that_is_active(jobs: Jobs, tmp_path: Path) -> None:
    """dlt makes the pipeline active that was made last; a script may have removed its files since."""
    wanted = jobs.plan()
    folder = tmp_path / "gone"
    folder.mkdir()
    gone = dlt.destinations.duckdb(str(folder / "gone.duckdb"))
    dlt.pipeline("gone", destination=gone, pipelines_dir=str(folder)).run([{"number": 1}], table_name="numbers")
    shutil.rmtree(folder)
    assert jobs.plan() == wanted


def test_what_goes_about_holds_no_key(jobs: Jobs) -> None:
    files = jobs.fetch(jobs.plan()[:1])
    text = str([*(file.as_json() for file in files), *files])
    assert jobs.emulator.settings.live_keys[0] not in text
    assert "127.0.0.1" not in text


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2, 3))])
def test_files_in_any_order_and_in_any_parts(jobs: Jobs, second: Pipeline, seed: int) -> None:
    """Each call loads what joins what is loaded, and names the rest; no cursor passes a gap."""
    chance = random.Random(seed)
    files = jobs.fetch(jobs.plan())
    chance.shuffle(files)
    cut = chance.randrange(1, len(files))
    days = {"2025-01-01", "2025-02-01", "2025-03-01"}
    with pytest.raises(SyncFailed) as caught:
        jobs.load(files[:cut])
    there = loaded_cells(jobs.pipeline)
    given = {(file.cell.table, file.cell.interval_day) for file in files[:cut]}
    assert there <= given
    for table in ("balance_summary", "payouts_itemized"):
        of_table = {day for name, day in there if name == table}
        joined = next((number for number, day in enumerate(sorted(days)) if (table, day) not in given), len(days))
        assert of_table == set(sorted(days)[:joined])
    assert {type(failure.error) for failure in caught.value.failures} == {NotFetched}
    jobs.load([file for file in files if (file.cell.table, file.cell.interval_day) not in there])
    load_reports(second, jobs.source)
    assert_equal_datasets(jobs.pipeline, second, verdicts=False)
    assert lanes_of(jobs.pipeline) == lanes_of(second)


def test_a_call_without_files_names_all_that_is_missing(jobs: Jobs) -> None:
    with pytest.raises(SyncFailed) as caught:
        jobs.load([])
    failures = {failure.report: 1 + len(failure.following) for failure in caught.value.failures}
    assert failures == {"balance.summary.2": 3, "payouts.itemized.3": 3}
    assert "no file of it was given. Fetch the interval" in str(caught.value)


def test_a_missing_cell_stops_its_report_alone(jobs: Jobs) -> None:
    files = jobs.fetch(jobs.plan())
    with pytest.raises(SyncFailed) as caught:
        jobs.load(file for file in files if file is not of(files, "payouts_itemized", "2025-02-01"))
    [failure] = caught.value.failures
    assert (failure.report, failure.interval) == (
        "payouts.itemized.3",
        "[2025-02-01T00:00:00Z, 2025-03-01T00:00:00Z)",
    )
    assert failure.following == ("[2025-03-01T00:00:00Z, 2025-03-10T12:00:00Z)",)
    assert len(loaded_cells(jobs.pipeline)) == 4
    lanes = {table: lane.cursor for (table, _), lane in lanes_of(jobs.pipeline).items()}
    assert lanes["payouts_itemized"] == datetime(2025, 2, 1, tzinfo=timezone.utc)
    [(open_failures,)] = query(
        jobs.pipeline, "SELECT open_failures FROM report_freshness WHERE table_name = 'payouts_itemized'"
    )
    assert open_failures == 1
    assert jobs.load(files) == 2
    assert query(jobs.pipeline, "SELECT SUM(open_failures) FROM report_freshness") == [(0,)]


@pytest.mark.first(1)
@pytest.mark.parametrize("damage", ["other bytes", "cut", "gone"])
def test_a_spoiled_file_is_refused_and_fetched_again(jobs: Jobs, damage: str) -> None:
    files = jobs.fetch(jobs.plan())
    spoiled = of(files, "payouts_itemized", "2025-02-01")
    path = Path(jobs.url) / str(spoiled.path)
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(content.replace(b"0", b"1", 1) if damage == "other bytes" else content[:-9])
    with pytest.raises(SyncFailed) as caught:
        jobs.load(files)
    [failure] = caught.value.failures
    assert isinstance(failure.error, NotFetched)
    assert (failure.run_id, failure.report) == (spoiled.run_id, "payouts.itemized.3")
    assert len(loaded_cells(jobs.pipeline)) == 4
    runs = len(jobs.emulator.runs)
    assert jobs.fetch([spoiled.cell])[0].sha256 == spoiled.sha256
    assert len(jobs.emulator.runs) == runs
    assert jobs.load(files) == 2


def test_a_repeated_load_changes_nothing(jobs: Jobs, caplog: pytest.LogCaptureFixture) -> None:
    files = jobs.fetch(jobs.plan())
    jobs.load(files)
    tables = ("payouts_itemized", "report_runs", "report_cells", "tie_out")
    before = [rows_of(jobs.pipeline, table, ()) for table in tables]
    lanes = lanes_of(jobs.pipeline)
    assert jobs.load(files) == 0
    assert [rows_of(jobs.pipeline, table, ()) for table in tables] == before
    assert lanes_of(jobs.pipeline) == lanes
    assert not [record for record in caplog.records if record.name.startswith("stripe_reports_source")]


@pytest.mark.long
def test_files_that_are_older_than_what_is_loaded_are_left_alone(jobs: Jobs, caplog: pytest.LogCaptureFixture) -> None:
    old = jobs.fetch(jobs.plan())
    jobs.emulator.advance(jobs.emulator.settings.available_end + timedelta(days=1))
    load_reports(jobs.pipeline, jobs.source)
    tables = ("balance_summary", "payouts_itemized", "report_runs", "report_cells")
    before, lanes = [rows_of(jobs.pipeline, table, ()) for table in tables], lanes_of(jobs.pipeline)
    assert jobs.load(old) == 0
    assert [rows_of(jobs.pipeline, table, ()) for table in tables] == before
    assert lanes_of(jobs.pipeline) == lanes
    assert caplog.text.count("is not loaded, the newer frr_") == len(old)
    assert "taken back" not in caplog.text


@pytest.mark.long
def test_an_interval_that_is_newer_already_is_kept_and_passed(jobs: Jobs) -> None:
    """A sync of newer data was stopped after its first interval; the older files of the later ones are loaded."""
    old = jobs.fetch(jobs.plan())
    jobs.emulator.advance(jobs.emulator.settings.available_end + timedelta(days=1))
    fresh = jobs.fetch(jobs.plan())
    newer = of(fresh, "payouts_itemized", "2025-01-01")
    with pytest.raises(SyncFailed):
        jobs.load([newer])
    jobs.load(old)
    found = dict(
        query(jobs.pipeline, "SELECT interval_day, run_id FROM report_cells WHERE table_name LIKE 'payouts%%'")
    )
    assert found[date(2025, 1, 1)] == newer.run_id != of(old, "payouts_itemized", "2025-01-01").run_id
    assert found[date(2025, 3, 1)] == of(old, "payouts_itemized", "2025-03-01").run_id
    jobs.load(fresh)
    assert_true(jobs.emulator, jobs.pipeline, REPORTS, end=jobs.emulator.settings.available_end + timedelta(days=1))


@pytest.mark.long
def test_of_two_plans_the_newer_counts(jobs: Jobs, caplog: pytest.LogCaptureFixture) -> None:
    old = jobs.fetch(jobs.plan())
    jobs.emulator.advance(jobs.emulator.settings.available_end + timedelta(days=1))
    new = jobs.fetch(jobs.plan())
    assert jobs.load([*old, *new, *old]) == len(new)
    assert_true(jobs.emulator, jobs.pipeline, REPORTS, end=jobs.emulator.settings.available_end + timedelta(days=1))
    assert caplog.text.count("is not loaded, the newer frr_") == 2 * len(old)


@pytest.mark.long
def test_stripe_has_newer_data_when_the_files_are_loaded(jobs: Jobs, second: Pipeline) -> None:
    """What is loaded is what was planned, and is not said to be fresher than that."""
    files = jobs.fetch(jobs.plan())
    load_reports(second, jobs.source)
    end = jobs.emulator.settings.available_end + timedelta(days=3)
    jobs.emulator.advance(end)
    assert jobs.load(files) == len(files)
    assert rows_of(jobs.pipeline, "report_cells") == rows_of(second, "report_cells")
    assert lanes_of(jobs.pipeline) == lanes_of(second)
    [(checked,)] = query(jobs.pipeline, "SELECT MAX(checked_at) FROM report_freshness")
    assert checked.timestamp() <= max(run.created for run in jobs.emulator.runs)
    load_reports(jobs.pipeline, jobs.source)
    assert_true(jobs.emulator, jobs.pipeline, REPORTS, end=end)


def test_rows_that_do_not_fit_are_named_as_ever(jobs: Jobs) -> None:
    header = "payment_metadata[order_id]"
    report = Report(ACTIVITY, metadata=[header], types={header: "bool"})
    jobs = replace(jobs, reports=[report])
    with pytest.raises(SyncFailed) as caught:
        jobs.round()
    [failure] = caught.value.failures
    assert isinstance(failure.error, RowError)
    assert query(jobs.pipeline, "SELECT count(*) FROM report_runs WHERE error IS NOT NULL") == [(1,)]


@pytest.mark.long
def test_activity_is_loaded_again_in_a_second_round(start_emulator: Make, pipeline: Pipeline, tmp_path: Path) -> None:
    """Without a lookback the last rows of a month do not name the payouts of the next one until then."""
    start = datetime(2025, 2, 1, tzinfo=timezone.utc)
    emulator = start_emulator(scale=0.1, business_start=date(2025, 1, 20), available_end=start, traits=())
    reports = ("payouts.itemized", "payout_reconciliation.itemized", ACTIVITY)
    jobs = Jobs(emulator, pipeline, str(tmp_path / "fetched"), reports, {"lookback_days": 0})
    again = []
    for day in range(1, 4):
        jobs.round()
        cells = jobs.plan()
        assert all(cell.again for cell in cells)
        again += cells
        assert jobs.load(jobs.fetch(cells)) == len(cells)
        assert jobs.plan() == []
        emulator.advance(start + timedelta(days=day))
    assert {(cell.table, cell.interval_day) for cell in again} == {
        ("balance_change_from_activity_itemized", "2025-01-01")
    }
    unnamed = "SELECT count(*) FROM balance_change_from_activity_itemized WHERE automatic_payout_id IS NULL"
    settled = "SELECT balance_transaction_id FROM payout_reconciliation_itemized"
    assert query(pipeline, f"{unnamed} AND balance_transaction_id IN ({settled})") == [(0,)]


START, END = datetime(2025, 3, 1, tzinfo=timezone.utc), datetime(2025, 3, 5, 12, tzinfo=timezone.utc)
PLATFORM: dict[str, Any] = {"all_types": True, "available_start": START, "available_end": END}


@pytest.mark.long
def test_reports_per_payout_are_a_second_round(
    start_emulator: Make, pipeline: Pipeline, second: Pipeline, tmp_path: Path
) -> None:
    """Payouts that have no such report are tried in each round, as in each sync."""
    emulator = start_emulator(**PLATFORM, business_start=START.date() - timedelta(days=9))
    reports = ["payouts.itemized", "payout_reconciliation.by_id.itemized"]
    jobs = Jobs(emulator, pipeline, str(tmp_path / "fetched"), reports)
    jobs.round()
    files = jobs.fetch(jobs.plan())
    assert {file.cell.table for file in files} == {"payout_reconciliation_by_id_itemized"}
    there = [file for file in files if file.refused is None]
    assert jobs.load(files) == len(there) > 0
    assert [file.cell for file in files if file.refused] == jobs.plan()
    load_reports(second, jobs.source)
    for each in (pipeline, second):
        reconcile(each)
    assert_equal_datasets(pipeline, second)


@pytest.mark.long
def test_a_run_per_connected_account(
    start_emulator: Make, pipeline: Pipeline, second: Pipeline, tmp_path: Path
) -> None:
    emulator = start_emulator(**PLATFORM)
    accounts = emulator.settings.connected_accounts
    how = {"connected_accounts": accounts, "interval": "day"}
    jobs = Jobs(emulator, pipeline, str(tmp_path / "fetched"), ["connected_account_payouts.itemized"], how)
    files = jobs.fetch(jobs.plan())
    gone = files[0]
    with pytest.raises(SyncFailed) as caught:
        jobs.load(files[1:])
    assert [failure.account for failure in caught.value.failures] == [gone.cell.lane]
    assert jobs.load([*files]) == len([file for file in files if file.cell.lane == gone.cell.lane])
    load_reports(second, jobs.source)
    assert_equal_datasets(pipeline, second)
    assert lanes_of(pipeline) == lanes_of(second)


@pytest.mark.long
def test_snapshots_columns_and_names(jobs: Jobs, second: Pipeline) -> None:
    header = "payment_metadata[orderId]"
    settled = Report(
        "payout_reconciliation.itemized", metadata={header: "order_ref"}, table_name="settled", interval="week"
    )
    jobs = replace(jobs, reports=["ending_balance_reconciliation.itemized", settled], how={"personal_data": False})
    jobs.round()
    load_reports(second, jobs.source)
    assert_equal_datasets(jobs.pipeline, second)
    assert query(jobs.pipeline, "SELECT count(order_ref) > 0 FROM settled") == [(True,)]


def test_some_reports_of_a_source(jobs: Jobs) -> None:
    def narrowed() -> DltSource:
        return jobs.source.with_resources("payouts_itemized", "report_runs", "report_cells", "report_freshness")

    cells = plan_cells(jobs.pipeline, narrowed())
    assert {cell.table for cell in cells} == {"payouts_itemized"}
    files = [fetch_cell(narrowed(), cell, jobs.url) for cell in cells]
    assert load_cells(jobs.pipeline, narrowed(), files).cells == 3


@pytest.mark.long
@FIRST_OF_BOTH
def test_a_table_that_was_dropped_is_planned_anew(jobs: Jobs) -> None:
    jobs = replace(jobs, reports=["payouts.itemized"])
    jobs.round()
    with jobs.pipeline.sql_client() as client:
        client.execute_sql("DROP TABLE payouts_itemized")
    cells = jobs.plan()
    assert len(cells) == 3
    there = "SELECT count(*) FROM information_schema.tables WHERE table_name = %s AND table_schema = %s"
    assert query(jobs.pipeline, there, "payouts_itemized", jobs.pipeline.dataset_name) == [(0,)]
    assert jobs.load(jobs.fetch(cells)) == 3
    assert jobs.plan() == []
    assert_true(jobs.emulator, jobs.pipeline, ["payouts.itemized"], end=jobs.emulator.settings.available_end)


def test_a_table_that_was_renamed_by_a_hint(jobs: Jobs) -> None:
    def renamed() -> DltSource:
        source = replace(jobs, reports=["payouts.itemized"]).source
        source.payouts_itemized.apply_hints(table_name="paid")
        return source

    files = [fetch_cell(jobs.source, cell, jobs.url) for cell in plan_cells(jobs.pipeline, renamed())]
    assert {file.cell.table for file in files} == {"paid"}
    assert load_cells(jobs.pipeline, renamed(), files).cells == 3
    assert query(jobs.pipeline, "SELECT count(*) > 0 FROM paid") == [(True,)]
    assert plan_cells(jobs.pipeline, renamed()) == []


@pytest.mark.long
def test_columns_that_stripe_refuses_are_left_out(start_emulator: Make, jobs: Jobs, second: Pipeline) -> None:
    jobs = replace(jobs, emulator=start_emulator(refused_columns=("trace_id",)))
    jobs.round()
    load_reports(second, jobs.source)
    assert_equal_datasets(jobs.pipeline, second)


def test_files_at_an_address(jobs: Jobs) -> None:
    jobs = replace(jobs, url="memory://cells-of-this-test")
    try:
        assert jobs.round() == 6
    finally:
        fsspec.filesystem("memory").rm(jobs.url, recursive=True)


def test_files_are_for_their_owner_only_and_nothing_else_is_left(jobs: Jobs) -> None:
    files = jobs.fetch(jobs.plan()[:2])
    root = Path(jobs.url)
    assert set(files_of(root)) == {str(file.path) for file in files}
    assert {stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*.csv")} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (root, *root.iterdir()) if path.is_dir()} == {0o700}


@pytest.mark.long
def test_an_archive_is_kept_of_what_is_loaded(jobs: Jobs, second: Pipeline, tmp_path: Path) -> None:
    """Of nothing else: a file that is fetched behind a gap is not in a replay."""
    archive = str(tmp_path / "kept")
    jobs = replace(jobs, how={"archive_url": archive}, url=archive)
    files = jobs.fetch(jobs.plan())
    with pytest.raises(SyncFailed):
        jobs.load(file for file in files if file is not of(files, "payouts_itemized", "2025-02-01"))
    load_reports(second, archived_reports(archive))
    assert loaded_cells(second) == loaded_cells(jobs.pipeline)
    assert query(jobs.pipeline, "SELECT count(archive_path) FROM report_runs") == [(4,)]


@pytest.mark.parametrize(
    ("how", "reports", "message"),
    [
        ({"account": "other"}, REPORTS, "was planned with another source: this one is of the account 'other'"),
        ({}, ["payouts.itemized"], "was planned with another source: .* with payouts.itemized"),
        ({"interval": "week"}, REPORTS, "was planned with another grid, zone, columns or parameters"),
        ({}, [Report("balance.summary", parameters={"currency": "eur"})], "was planned with another grid, zone"),
    ],
    ids=["account", "reports", "grid", "parameters"],
)
def test_a_source_of_other_settings_fetches_nothing(
    jobs: Jobs, how: dict[str, Any], reports: Sequence[str | Report], message: str
) -> None:
    [cell, *_] = jobs.plan()
    with pytest.raises(ConfigurationError, match=message):
        replace(jobs, how=how, reports=reports).fetch([cell])
    assert not jobs.emulator.runs


def test_files_of_another_account_are_refused(start_emulator: Make, pipeline: Pipeline, tmp_path: Path) -> None:
    emulator = start_emulator(live_keys=("rk_live_a", "rk_live_b"), accounts={"rk_live_b": "acct_b"})
    ours = Jobs(emulator, pipeline, str(tmp_path / "fetched"))
    theirs = replace(ours, how={"api_key": "rk_live_b"})
    with pytest.raises(ConfigurationError, match=r"was fetched from another Stripe account or mode .* report run frr_"):
        ours.load(theirs.fetch(theirs.plan()))


@pytest.mark.long
def test_a_report_that_cannot_be_planned_is_named_at_the_end(jobs: Jobs, caplog: pytest.LogCaptureFixture) -> None:
    jobs = replace(jobs, reports=["balance.summary", "payouts.itemized.3"])
    jobs.round()
    jobs.emulator.advance(jobs.emulator.settings.available_end + timedelta(days=1))
    jobs.emulator.alter("payouts.itemized.3", hidden=True)
    cells = jobs.plan()
    assert {cell.table for cell in cells} == {"balance_summary"}
    assert "not planned: payouts.itemized" in caplog.text
    with pytest.raises(SyncFailed) as caught:
        jobs.load(jobs.fetch(cells))
    [failure] = caught.value.failures
    assert isinstance(failure.error, NotOffered)


def test_what_cannot_be_jobs_is_refused(jobs: Jobs, tmp_path: Path) -> None:
    archive = str(tmp_path / "kept")
    load_reports(jobs.pipeline, replace(jobs, how={"archive_url": archive}).source)
    with pytest.raises(ConfigurationError, match="the cells of archived_reports are fetched already"):
        plan_cells(jobs.pipeline, archived_reports(archive))
    with pytest.raises(ConfigurationError, match="not a PlannedCell of this version"):
        fetch_cell(jobs.source, {"table": "balance_summary"}, jobs.url)
    with pytest.raises(ConfigurationError, match="not a PlannedCell of this version"):
        load_cells(jobs.pipeline, jobs.source, [{"cell": None}])


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sftp://user:word@host/cells", "url holds a password"),
        ("s3://bucket/cells?token=word", "url holds a password or a query"),
        ("https://host/cells", "url must be a folder"),
        ("", "url must be a folder"),
    ],
)
def test_an_address_that_cannot_go_about_is_refused(jobs: Jobs, url: str, message: str) -> None:
    [cell, *_] = jobs.plan()
    with pytest.raises(ConfigurationError, match=message):
        fetch_cell(jobs.source, cell, url)


def test_a_place_that_cannot_be_written(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "fetched").mkdir()
    (tmp_path / "fetched" / "files").write_text("a file where the folder of files should be")
    with pytest.raises(ArchiveError, match="is not written"):
        jobs.fetch(jobs.plan()[:1])


def test_another_pipeline_stays_the_active_one(jobs: Jobs, second: Pipeline) -> None:
    second.activate()
    jobs.plan()
    assert second.is_active
