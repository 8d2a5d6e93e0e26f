"""Delta and Iceberg tables on dlt's `filesystem`: each package one commit of a table, whoever is killed when."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow as pa
import pytest
from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from stripe_reports_source import ConfigurationError, Report, load_reports, reconcile, stripe_reports
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.warehouse.query import select, sql_client
from tests.conftest import LAKES, query, source_of
from tests.pipeline.truth import assert_true
from tests.pipeline.ways import FIRST_OF_WAYS, WAYS, posts, refusal

pytestmark = pytest.mark.parametrize("destination", LAKES, indirect=True)

PAYOUTS = "payouts.itemized"
REPORTS = ["balance.summary", "balance_change_from_activity.itemized", "payout_reconciliation.itemized"]
WINDOW = {"start_date": "2025-01-01", "end_date": "2025-03-01"}


def versions(tmp_path: Path, form: str, name: str) -> list[pa.Table]:
    """The rows of each version of a table that has had some, the oldest first, as a reader of its form sees them."""
    place = tmp_path / "lake" / "stripe" / name
    if form == "delta":
        newest = importlib.import_module("deltalake").DeltaTable(place)
        numbers = range(newest.version() + 1)
        return [importlib.import_module("deltalake").DeltaTable(place, version=n).to_pyarrow_table() for n in numbers]
    table = importlib.import_module("pyiceberg.table").StaticTable.from_metadata(str(place))
    return [table.scan(snapshot_id=snapshot.snapshot_id).to_arrow() for snapshot in table.snapshots()]


def cells_of(version: pa.Table) -> dict[str, set[str]]:
    """The load packages whose rows a version of a table has, by cell."""
    found: dict[str, set[str]] = {}
    for row in version.select(["_interval_key", "_dlt_load_id"]).to_pylist():
        found.setdefault(row["_interval_key"], set()).add(row["_dlt_load_id"])
    return found


@FIRST_OF_WAYS
def test_syncs_end_in_the_truth_and_reports_agree(
    emulator: Emulator, make_pipeline: Callable[..., Pipeline], way: str
) -> None:
    pipeline = make_pipeline()
    for days in (0, 1):
        emulator.advance(emulator.settings.available_end + timedelta(days=days))
        if way == "run":
            pipeline.run(source_of(emulator, REPORTS))
        else:
            load_reports(pipeline, source_of(emulator, REPORTS))
        assert_true(emulator, pipeline, REPORTS, end=emulator.service.available_end)
    assert reconcile(pipeline).ok
    asked = posts(emulator)
    assert load_reports(make_pipeline(folder="elsewhere"), source_of(emulator, REPORTS)).cells == 0
    assert posts(emulator) == asked


def test_a_package_is_one_commit_of_a_table_and_no_version_has_a_cell_half(
    emulator: Emulator, pipeline: Pipeline, tmp_path: Path, destination: str
) -> None:
    name = "payouts_itemized"
    load_reports(pipeline, source_of(emulator, [PAYOUTS], **WINDOW))
    [*_, first] = versions(tmp_path, destination, name)
    emulator.service.forget_idempotency()
    emulator.service.runs.clear()
    load_reports(pipeline, source_of(emulator, [PAYOUTS], **WINDOW))
    [*_, last, newest] = versions(tmp_path, destination, name)
    assert last == first
    before, after = cells_of(first), cells_of(newest)
    assert all(len(runs) == 1 for runs in [*before.values(), *after.values()])
    assert before.keys() == after.keys()
    assert all(before[key] != after[key] for key in before)


@pytest.mark.first(1)
def test_an_emptied_cell_has_no_rows(emulator: Emulator, pipeline: Pipeline) -> None:
    load_reports(pipeline, source_of(emulator, [PAYOUTS], **WINDOW))
    keys = [key for (key,) in query(pipeline, "SELECT DISTINCT _interval_key FROM payouts_itemized ORDER BY 1")]
    real = emulator.service._start

    def start(*args: Any, **options: Any) -> Any:
        run = real(*args, **options)
        run.file.write_bytes(run.file.read_bytes().splitlines(keepends=True)[0])
        return run

    emulator.service._start = start  # type: ignore[method-assign]
    emulator.service.forget_idempotency()
    emulator.service.runs.clear()
    load_reports(pipeline, source_of(emulator, [PAYOUTS], start_date="2025-01-01", end_date="2025-02-01"))
    assert query(pipeline, "SELECT DISTINCT _interval_key FROM payouts_itemized") == [(keys[1],)]
    assert query(pipeline, "SELECT rows FROM report_cells ORDER BY interval_key")[0] == (0,)


def die_after_a_commit(folder: Path, form: str, hosts: dict[str, Any]) -> None:
    from stripe_reports_source.warehouse.lake_jobs import CellJob

    real = CellJob.run

    def run(job: CellJob) -> None:
        real(job)
        if job.load_table_name == "payouts_itemized":
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(CellJob, "run", run)  # noqa: B010  # a process of its own, which ends here
    destination = dlt.destinations.filesystem(str(folder / "lake"))
    pipelines = str(folder / "pipelines")
    pipeline = dlt.pipeline("reports", destination=destination, dataset_name="stripe", pipelines_dir=pipelines)
    load_reports(pipeline, stripe_reports([PAYOUTS], table_format=form, **hosts))


@pytest.mark.first(1)
def test_a_sync_after_a_kill_doubles_and_loses_nothing(
    emulator: Emulator, make_pipeline: Callable[..., Pipeline], tmp_path: Path, destination: str
) -> None:
    load_reports(make_pipeline(), source_of(emulator, [PAYOUTS]))
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    hosts: dict[str, Any] = {"api_base_url": emulator.api_url, "files_base_url": emulator.files_url}
    hosts["api_key"] = emulator.settings.live_keys[0]
    # delta-rs has threads, which a fork does not take along
    killed = multiprocessing.get_context("spawn").Process(
        target=die_after_a_commit, args=(tmp_path, destination, hosts)
    )
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    runs = len(emulator.runs)
    load_reports(make_pipeline(), source_of(emulator, [PAYOUTS]))
    assert len(emulator.runs) == runs
    assert_true(emulator, make_pipeline(), [PAYOUTS], end=emulator.service.available_end)
    assert query(make_pipeline(), "SELECT count(*), count(DISTINCT run_id) FROM report_runs") == [(4, 4)]


@pytest.mark.long
def test_accounts_load_into_one_dataset_from_folders_of_their_own(
    start_emulator: Callable[..., Emulator], make_pipeline: Callable[..., Pipeline]
) -> None:
    accounts = {"rk_live_one": "one", "rk_live_two": "two"}
    emulator = start_emulator(live_keys=tuple(accounts), accounts=accounts)
    for key, name in accounts.items():
        pipeline = make_pipeline(name, folder=name)
        load_reports(pipeline, source_of(emulator, [PAYOUTS], account=name, api_key=key))
    found = query(pipeline, "SELECT account, count(*) FROM report_cells GROUP BY 1 ORDER BY 1")
    assert found == [("one", 3), ("two", 3)]
    with pytest.raises(ConfigurationError, match="would overlap"):
        load_reports(
            make_pipeline("third", folder="third"), source_of(emulator, [PAYOUTS], account="one", timezone="Asia/Tokyo")
        )


@pytest.mark.long
def test_a_table_that_was_removed_by_hand_is_loaded_anew(
    emulator: Emulator, pipeline: Pipeline, tmp_path: Path
) -> None:
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    shutil.rmtree(tmp_path / "lake" / "stripe" / "payouts_itemized")
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    assert_true(emulator, pipeline, [PAYOUTS], end=emulator.settings.available_end)
    shutil.rmtree(tmp_path / "lake" / "stripe")
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    assert_true(emulator, pipeline, [PAYOUTS], end=emulator.settings.available_end)


@pytest.mark.long
def test_a_column_that_comes_later_is_null_in_older_rows(emulator: Emulator, pipeline: Pipeline) -> None:
    january, february = ({"start_date": f"2025-0{n}-01", "end_date": f"2025-0{n + 1}-01"} for n in (1, 2))
    plain = Report("balance_change_from_activity.itemized")
    load_reports(pipeline, source_of(emulator, [plain], **january))
    wider = Report("balance_change_from_activity.itemized", metadata=["payment_metadata[order_id]"])
    load_reports(pipeline, source_of(emulator, [wider], **february))
    load_reports(pipeline, source_of(emulator, [plain], **january))
    counted = "SELECT _interval_day, count(payment_metadata_order_id) > 0 FROM {} GROUP BY 1 ORDER BY 1"
    found = query(pipeline, counted.format("balance_change_from_activity_itemized"))
    assert [has for _, has in found] == [False, True]


@pytest.mark.first(1)
def test_rows_are_changed_one_at_a_time(emulator: Emulator, pipeline: Pipeline) -> None:
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    instant = datetime(2025, 2, 3, 4, 5, 6, 7, tzinfo=timezone.utc)
    with sql_client(pipeline) as client:
        name, error, created = map(client.escape_column_name, ("run_id", "error", "created"))
        runs = client.make_qualified_table_name("report_runs")
        [(run,), *_] = client.execute_sql(f"SELECT {name} FROM {runs} ORDER BY 1") or ()
        changed = f"UPDATE {runs} SET {error} = %s, {created} = %s WHERE {name} = %s AND {error} IS NULL"
        client.execute_sql(changed, "it's \\ 50 %s", instant, run)
        found = client.execute_sql(f"SELECT {error}, {created} FROM {runs} WHERE {name} = %s", run) or ()
        assert [tuple(row) for row in found] == [("it's \\ 50 %s", instant)]
        client.execute_sql(f"DELETE FROM {runs} WHERE {name} = %s", run)
        assert client.execute_sql(f"SELECT count(*) FROM {runs}") == [(2,)]
        with pytest.raises(DatabaseUndefinedRelation):
            client.execute_sql("DELETE FROM nothing WHERE a = %s", 1)
    assert select(pipeline, "SELECT 1 FROM {table.nothing}") is None


def test_amounts_are_found_by_readers_that_skip_files(
    emulator: Emulator, pipeline: Pipeline, tmp_path: Path, destination: str
) -> None:
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    place = tmp_path / "lake" / "stripe" / "payouts_itemized"
    if destination == "delta":
        statistics = importlib.import_module("deltalake").DeltaTable(place).get_add_actions(flatten=True)
        kept = {name.removeprefix("min.") for name in statistics.schema.names if name.startswith("min.")}
    else:
        table = importlib.import_module("pyiceberg.table").StaticTable.from_metadata(str(place))
        [task] = table.scan().plan_files()
        kept = {table.schema().find_column_name(number) for number in task.file.lower_bounds}
    assert kept == {"_interval_key", "_interval_day", "_account"}


def test_duckdbs_own_reader_has_the_same_rows(
    emulator: Emulator, pipeline: Pipeline, tmp_path: Path, destination: str
) -> None:
    needed = {"delta": ["delta"], "iceberg": ["avro", "iceberg"]}[destination]
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    with duckdb.connect() as connection:
        for name in needed:
            extension = pytest.importorskip(f"duckdb_extension_{name}")
            folder = Path(extension.__file__).parent
            [file] = folder.glob(f"extensions/v{duckdb.__version__}/*.duckdb_extension")
            connection.execute(f"LOAD '{file}'")
        place = f"{tmp_path}/lake/stripe/payouts_itemized"
        rows = f"SELECT * EXCLUDE (_cell_dropped) FROM {destination}_scan('{place}')"
        read = Counter(connection.execute(rows).fetchall())
    assert read == Counter(query(pipeline, "SELECT * EXCLUDE (_cell_dropped) FROM payouts_itemized"))


@WAYS
@pytest.mark.parametrize(
    ("made", "table_format", "said"),
    [
        (lambda folder: dlt.destinations.filesystem(str(folder)), None, "set table_format='delta'"),
        (lambda folder: dlt.destinations.duckdb(str(folder / "x.duckdb")), "delta", "'duckdb' has no such tables"),
        (lambda folder: dlt.destinations.filesystem(str(folder)), "parquet", "must be one of delta, iceberg"),
    ],
)
def test_forms_that_a_destination_does_not_have_are_refused_before_a_run(
    emulator: Emulator,
    destination: str,
    tmp_path: Path,
    way: str,
    made: Callable[[Path], Any],
    table_format: str | None,
    said: str,
) -> None:
    pipeline = dlt.pipeline("other", destination=made(tmp_path), dataset_name="stripe", pipelines_dir=str(tmp_path))
    with pytest.raises(ConfigurationError, match=said):
        raise refusal(pipeline, source_of(emulator, [PAYOUTS], table_format=table_format), way)
    assert not posts(emulator)
