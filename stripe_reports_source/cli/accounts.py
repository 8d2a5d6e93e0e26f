"""Many accounts in a few lines: what `status` shows of a report that is loaded for thousands of them.

In: rows of a table, one for each report and account. Out: fewer rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

MOST_ACCOUNTS = 50
"""Of a report, that are shown one by one."""
WORST = 20
NAMED = 20
_NEVER = datetime.max.replace(tzinfo=timezone.utc)

Row = Mapping[str, Any]


def few_rows(rows: Sequence[Row]) -> list[Row]:
    """The rows, of reports with many accounts the worst, and a row for all of them."""
    of_report: dict[str, list[Row]] = {}
    for row in rows:
        of_report.setdefault(row["report"], []).append(row)
    shown: list[Row] = []
    for some in of_report.values():
        if len(some) <= MOST_ACCOUNTS:
            shown += some
        else:
            shown += [_total(some), *sorted(some, key=_badness)[:WORST]]
    return shown


def some_of(names: Sequence[str]) -> str:
    """Names in a sentence, at most `NAMED` of them."""
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _badness(row: Row) -> tuple[int, int, bool, timedelta, str]:
    """Sorts the worst first: what has failed or is pending, what does not tie, what is not loaded, what is behind."""
    behind = row["behind_seconds"]
    return (
        -(row["failures"] + row["pending"]),
        -_open(row),
        row["loaded_to"] is not None,
        -(timedelta() if behind is None else behind),
        row["account"],
    )


def _total(rows: Sequence[Row]) -> Row:
    """All accounts of a report: the sums, of each instant the earliest, and what is so of all of them."""
    types = {row["report_type"] for row in rows}
    return {
        "report": rows[0]["report"],
        "account": f"all {len(rows):,}, the worst below",
        "report_type": types.pop() if len(types) == 1 else None,
        "loaded_to": _first(rows, "loaded_to"),
        "available_to": _first(rows, "available_to"),
        "behind_seconds": max(
            (row["behind_seconds"] for row in rows if row["behind_seconds"] is not None), default=None
        ),
        "behind_now_seconds": max(
            (row["behind_now_seconds"] for row in rows if row["behind_now_seconds"] is not None), default=None
        ),
        "rows": sum(row["rows"] for row in rows),
        "tie_out": _tie_out(rows),
        "failures": sum(row["failures"] for row in rows),
        "pending": sum(row["pending"] for row in rows),
        "last_sync": _first(rows, "last_sync"),
        "last_run": None,
    }


def _tie_out(rows: Sequence[Row]) -> str:
    """The verdict of all accounts: the one that they share, else how many are not tied, or not compared."""
    verdicts = [str(row["tie_out"]) for row in rows]
    if len(set(verdicts)) == 1:
        return verdicts[0]
    not_tied = sum(1 for row in rows if _open(row))
    if not_tied:
        return f"{not_tied:,} of {len(rows):,} open"
    unknown = sum(1 for verdict in verdicts if verdict.startswith("not compared"))
    if unknown:
        return f"{unknown:,} of {len(rows):,} not compared"
    some = [what for what in ("not compared", "loaded since") if any(what in verdict for verdict in verdicts)]
    return ", some ".join(["tied", *some])


def _open(row: Row) -> int:
    """How many statements about an account are open."""
    found = re.match(r"([\d,]+) open", str(row["tie_out"]))
    return int(found[1].replace(",", "")) if found else 0


def _first(rows: Sequence[Row], name: str) -> datetime | None:
    first = min((row[name] or _NEVER for row in rows), default=_NEVER)
    return None if first == _NEVER else first
