"""Which files of a load package can be loaded one by one: those of which no two have rows of one cell."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stripe_reports_source.warehouse.whole_files import cells_in, whole_files


def write(folder: Path, name: str, **columns: list[str]) -> None:
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), folder / name, row_group_size=2)


@pytest.mark.parametrize(
    ("second", "whole"),
    [(["c", "d"], True), (["c", "b"], False), ([], False)],
    ids=["other cells", "a cell of the first", "no cell"],
)
def test_two_files_are_whole_where_no_cell_is_in_both(tmp_path: Path, second: list[str], whole: bool) -> None:
    write(tmp_path / "new_jobs", "payouts.aaaa.0.parquet", _interval_key=["a", "a", "a", "b"])
    write(tmp_path / "completed_jobs", "payouts.bbbb.1.parquet", _interval_key=second)
    write(tmp_path / "new_jobs", "payouts_itemized.cccc.0.parquet", _interval_key=["a"])
    assert whole_files(tmp_path, "payouts") is whole
    assert whole_files(tmp_path, "payouts_itemized")


def test_one_file_is_whole_unless_it_is_not_parquet(tmp_path: Path) -> None:
    write(tmp_path / "new_jobs", "payouts.aaaa.0.parquet", _interval_key=["a"])
    (tmp_path / "new_jobs" / "payouts.aaaa.0.exception").touch()
    (tmp_path / "completed_jobs").mkdir()
    (tmp_path / "completed_jobs" / "payouts.eeee.0.sql").touch()
    assert whole_files(tmp_path, "payouts")
    (tmp_path / "new_jobs" / "other.aaaa.0.insert_values").touch()
    assert not whole_files(tmp_path, "other")


def test_files_are_read_once_though_each_of_their_jobs_asks(tmp_path: Path) -> None:
    for cell in ("a", "b"):
        write(tmp_path / "new_jobs", f"payouts.{cell}.0.parquet", _interval_key=[cell])
    assert whole_files(tmp_path, "payouts")
    (tmp_path / "started_jobs").mkdir()
    (tmp_path / "new_jobs" / "payouts.a.0.parquet").rename(tmp_path / "started_jobs" / "payouts.a.1.parquet")
    (tmp_path / "new_jobs" / "payouts.b.0.parquet").write_bytes(b"not read again")
    assert whole_files(tmp_path, "payouts")
    write(tmp_path / "new_jobs", "payouts.c.0.parquet", _interval_key=["a"])
    write(tmp_path / "new_jobs", "payouts.b.0.parquet", _interval_key=["b"])
    assert not whole_files(tmp_path, "payouts")


def test_files_without_cells_are_not_whole(tmp_path: Path) -> None:
    for name in ("aaaa", "bbbb"):
        write(tmp_path / "new_jobs", f"report_runs.{name}.0.parquet", run_id=["a"])
    assert not whole_files(tmp_path, "report_runs")
    assert cells_in(tmp_path / "new_jobs" / "report_runs.aaaa.0.parquet") == set()
