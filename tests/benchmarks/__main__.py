"""Measures the package against fixed references, in one command.

    python -m tests.benchmarks
    python -m tests.benchmarks --rows 1000000 --cases small-load replace
    python -m tests.benchmarks --compare --json results.jsonl

Each figure is a whole process, start-up included, in pairs with its reference on the same file: DuckDB's own
`CREATE TABLE AS SELECT ... FROM read_csv(...)` with explicit types, and a checkpoint. What was loaded is compared
with the reference outside the timed part. The command ends with 1 if a load is not right, never for its time. The
whole needs some 20 GB of disk with the 10 million rows it begins with.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .big_stripe import BigStripe
from .cases import CASES, FULL_ROWS, Bench, Case
from .compare import comparison_table, comparisons
from .measure import CommandFailed
from .verify import Wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; print a line of JSON per case as it is measured, and the table at the end."""
    asked = _parser().parse_args(arguments)
    wanted = _with_needs(asked.cases)
    lines: list[dict[str, Any]] = [machine(asked.rows)]
    _say(lines[0])
    table, profiles, right = [_HEAD] if wanted else [], list[str](), True
    with (
        tempfile.TemporaryDirectory(prefix="stripe-reports-benchmarks-", dir=asked.folder) as folder,
        BigStripe() as stripe,
    ):
        big_pairs = asked.big_pairs or asked.pairs
        bench = Bench(Path(folder), stripe, asked.rows, asked.pairs, big_pairs, asked.runs, asked.profile)
        for case in wanted:
            try:
                result = case.run(bench)
            except (Wrong, CommandFailed) as error:
                result, right = {"value": None, "verified": False, "error": str(error)}, False
            bench.results[case.name] = result
            lines.append({"case": case.name, "unit": case.unit, "target": case.target, "aim": case.aim, **result})
            _say(lines[-1])
            table.append(_row(case, result))
            if asked.profile and "stages_of_last" in result:
                profiles += ["", f"{case.name}, from each stage to the next:", *_profile(result["stages_of_last"])]
        if asked.compare:
            try:
                compared = comparisons(bench, asked.compare_rows)
            except (Wrong, CommandFailed) as error:
                compared, right = [{"case": "compare", "way": "this package", "skipped": str(error)}], False
            lines += compared
            for line in compared:
                _say(line)
            table += ["", *comparison_table(compared)]
    print("\n".join(["", *table, *profiles]))
    if asked.json:
        asked.json.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return 0 if right else 1


def machine(rows: int) -> dict[str, Any]:
    """When, with what and on what this was measured."""
    names = [name for name in ("dlt", "duckdb", "pyarrow", "pandas", "sqlalchemy") if find_spec(name)]
    return {
        "case": "machine",
        "date": datetime.now(timezone.utc).date().isoformat(),
        "rows": rows,
        "python": platform.python_version(),
        **{name: version(name) for name in names},
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [case.name for case in CASES]
    parser.add_argument("--rows", type=int, default=FULL_ROWS, help="of the large load; the others take a fifth")
    parser.add_argument("--pairs", type=int, default=5, help="measurements of each case and of its reference")
    parser.add_argument("--big-pairs", type=int, help="the same for the large load; default: as --pairs")
    parser.add_argument("--runs", type=int, default=200, help="of the case many-runs")
    parser.add_argument("--cases", nargs="*", choices=names, default=names, metavar="CASE", help=", ".join(names))
    parser.add_argument("--compare", action="store_true", help="also what one would do without this package")
    parser.add_argument("--compare-rows", type=int, default=200_000)
    parser.add_argument("--profile", action="store_true", help="sample the memory of loads, and show it by stage")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the lines of JSON to a file, too")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    return parser


def _with_needs(names: Sequence[str]) -> list[Case]:
    needed = {need for case in CASES if case.name in names for need in (case.name, *case.needs)}
    return [case for case in CASES if case.name in needed]


_HEAD = "| case | this package | reference | result | target | peak memory | verified |\n|---|---|---|---|---|---|---|"


def _row(case: Case, result: dict[str, Any]) -> str:
    wanted = f"{case.target:g}" + (f" (aim {case.aim:g})" if case.aim else "")
    if result["value"] is None:
        return f"| {case.title} | | | failed | {wanted} | | no |"
    size = f", {result['rows']:,} rows" if "rows" in result else f", {result['runs']}" if "runs" in result else ""
    seconds = f"{result['seconds']:.2f} s" if "seconds" in result else ""
    reference = f"{result['reference_seconds']:.2f} s" if "reference_seconds" in result else ""
    value = f"{result['value']:g}" + ("" if case.unit == "times" else f" {case.unit}")
    if "small_peak_mb" in result:
        value += f" ({result['small_peak_mb']:g} MB with {result['small_rows']:,} rows)"
    if "polls_per_run" in result:
        value += f", {result['polls_per_run']:g} polls a run"
    peak = f"{result['peak_mb']:g} MB" if "peak_mb" in result else ""
    return f"| {case.title}{size} | {seconds} | {reference} | {value} | {wanted} | {peak} | yes |"


def _profile(stages: list[dict[str, Any]]) -> list[str]:
    return [
        f"  {row['from']:16} {row['seconds']:8.2f} s, own memory {row['own_mb']:6} MB, mapped {row['file_mb']:6} MB"
        for row in stages
    ]


def _say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    sys.exit(main())
