"""The benchmarks work and verify what they load; no time is looked at."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from tests.benchmarks.__main__ import main
from tests.benchmarks.cases import CASES
from tests.benchmarks.data import write_report
from tests.benchmarks.table import COLUMNS, TABLE, reference_sql
from tests.benchmarks.verify import Wrong, check_load


@pytest.mark.long
def test_every_case_runs_and_is_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = tmp_path / "lines.jsonl"
    arguments = ["--rows", "2000", "--pairs", "1", "--runs", "4", "--compare", "--compare-rows", "300", "--profile"]
    assert main([*arguments, "--json", str(lines), "--folder", str(tmp_path)]) == 0
    results = [json.loads(line) for line in lines.read_text().splitlines()]
    cases = [case for case in results if "verified" in case]
    assert [case["case"] for case in cases] == [case.name for case in CASES]
    assert all(case["verified"] for case in cases)
    assert any("this package" in result.get("way", "") for result in results)
    assert "| import, against `import dlt` |" in capsys.readouterr().out


def test_a_file_is_the_same_each_time_and_another_version_has_the_same_transactions(tmp_path: Path) -> None:
    first, again, restated = (
        write_report(tmp_path / name, 500, version) for name, version in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first.path.read_bytes() == again.path.read_bytes()
    rows = [[line.split(b",")[0] for line in file.path.read_bytes().split(b"\n")] for file in (first, restated)]
    assert set(rows[0]) & set(rows[1]) > {b'"balance_transaction_id"'}
    assert first.gross != restated.gross
    assert b',"",' in first.path.read_bytes()
    assert b",," in first.path.read_bytes()


def test_a_load_that_differs_in_one_value_is_not_verified(tmp_path: Path) -> None:
    file = write_report(tmp_path / "report.csv", 500)
    for name in ("good", "bad"):
        with duckdb.connect(str(tmp_path / f"{name}.duckdb")) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(reference_sql(file.path))
            if name == "bad":
                connection.execute("CREATE SCHEMA stripe")
                values = ", ".join(
                    f"upper({column}) AS {column}" if column == "currency" else column for column in COLUMNS
                )
                connection.execute(f"CREATE TABLE stripe.{TABLE} AS SELECT {values} FROM main.{TABLE}")
    with pytest.raises(Wrong, match="values"):
        check_load(tmp_path / "bad.duckdb", tmp_path / "good.duckdb", file)
