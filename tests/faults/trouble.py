"""What can go wrong: the kinds of trouble that a schedule chooses from, as values. Pure."""

from __future__ import annotations

import random
from typing import Any, Literal

Play = Literal[
    # a sync that must be refused before it makes a run, and change nothing
    "another label",
    "a test key",
    "another account's key",
    "a window after the data",
    "a window over the data's end",
    "a window before the data",
    # dropped by hand before the sync, which mends it, or names a remedy that works
    "a table dropped",
    "a column dropped",
    "a system table dropped",
    "dlt's tables dropped",
    "the dataset dropped",
    # Stripe
    "data taken back",
    "odd objects",
    "a report goes",
    "an account leaves",
    # the destination, during the sync
    "held elsewhere",
    "the lock's connection lost",
    "the answer to COMMIT lost",
    "the answer to the rows' COMMIT lost",
]
REFUSALS: tuple[Play, ...] = (
    "another label",
    "a test key",
    "another account's key",
    "a window after the data",
    "a window over the data's end",
    "a window before the data",
)
DROPS: tuple[Play, ...] = (
    "a table dropped",
    "a column dropped",
    "a system table dropped",
    "dlt's tables dropped",
    "the dataset dropped",
)
OF_STRIPE: tuple[Play, ...] = ("data taken back", "data taken back", "odd objects", "a report goes")
OF_POSTGRES: tuple[Play, ...] = (
    "the lock's connection lost",
    "the answer to COMMIT lost",
    "the answer to the rows' COMMIT lost",
)

Form = Literal["parquet", "jsonl", "insert_values", "csv", "same tables", "dictionaries"]
"""How rows come to dlt's jobs: a file format asked for by hint, or steps of the user's that keep them."""
FORMS: dict[str, tuple[Form, ...]] = {
    "duckdb": ("parquet", "jsonl", "insert_values", "same tables"),
    "postgres": ("parquet", "insert_values", "csv", "same tables"),
}

KILL_POINTS = (
    "before creating a run",
    "after creating a run",
    "after a poll",
    "before a download",
    "after a download",
    "after a look at the header",
    "half-way through a cell",
    "after a cell",
    "package written",
    "package normalised",
    "before a job",
    "after a job",
    "before cells are replaced",
    "half-way through a merge",
    "after cells are replaced",
    "before the state is committed",
    "after the state is committed",
    "at any time",
)
WORKER_POINTS = (
    *KILL_POINTS[: KILL_POINTS.index("half-way through a cell")],
    "before a file is kept",
    "after a file is kept",
    "at any time",
)
"""Where a worker that fetches a cell comes past."""

ERROR = '{"error": {"message": "try again", "type": "api_error"}}'
BAD_FILES = {
    "empty file": "",
    "header of another report": '"who","what"\n"a","b"\n',
    "HTML file": "<html><body>Bad gateway</body></html>",
}
BLIND: dict[str, Any] = {
    "kind": "list of runs is blind",
    "action": "status",
    "status": 200,
    "method": "GET",
    "path": r"report_runs\?",
    "body": '{"object": "list", "data": [], "has_more": false}',
    "times": 1,
}


def some_fault(chance: random.Random) -> dict[str, Any]:
    """Fields of an emulator's fault, and its name under `kind`."""
    where = {"skip": chance.randrange(6), "times": chance.choice((1, 1, 2))}
    api = chance.choice(({"address": "api"}, {"method": "POST"}, {"method": "GET", "path": "report_runs/"}))
    kinds = {**_answers(where, api), **_runs(where), **_files(where)}
    kind = chance.choice(sorted(kinds))
    return {**kinds[kind], "kind": kind}


def _answers(where: dict[str, Any], api: dict[str, Any]) -> dict[str, dict[str, Any]]:
    status = {"action": "status", "body": ERROR, **api, **where}
    gzip = {"Content-Encoding": "gzip"}
    return {
        "500": {**status, "status": 500},
        "503 for long": {**status, "status": 503, "skip": 3, "times": 9},
        "429": {**status, "status": 429, "headers": {"Retry-After": "0"}},
        "409": {**status, "status": 409},
        "reset": {"action": "reset", **api, **where},
        "answer lost after the work": {"action": "truncate", "bytes": 9, "method": "POST", **where},
        "cut answer": {"action": "truncate", "bytes": 30, **api, **where},
        "HTML for JSON": {**status, "status": 200, "body": "<html>"},
        "broken compression": {"action": "status", "status": 200, "headers": gzip, "body": "no gzip", **where},
        "redirect": {**status, "status": 302, "headers": {"Location": "http://127.0.0.1:9/"}, "body": ""},
        "list of runs is blind": BLIND,
    }


def _runs(where: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        "run fails": {"action": "run_failed", "method": "POST", **where},
        "run fails for long": {"action": "run_failed", "method": "POST", "skip": where["skip"], "times": 4},
        "run is stuck": {"action": "run_stuck", "method": "POST", **where},
        "kept error": {"action": "kept_error", "status": 500, "method": "POST", **where},
    }


def _files(where: dict[str, Any]) -> dict[str, dict[str, Any]]:
    files = {"address": "files", **where}
    return {
        "cut download": {"action": "truncate", "bytes": 700, **files},
        "file too short": {"action": "wrong_length", "bytes": 5, **files, "times": 9},
        "file gone": {"action": "status", "status": 404, "body": ERROR, **files},
        **{name: {"action": "replace", "body": body, **files, "times": 9} for name, body in BAD_FILES.items()},
    }
