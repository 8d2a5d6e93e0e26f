"""The scripts that users copy run as they are, offline."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "pipelines"
SCRIPT = FOLDER / "stripe_reports_pipeline.py"


@pytest.mark.first(1)
@pytest.mark.parametrize(
    "function",
    [
        "load_daily_cells",
        "load_everything_since",
        "load_chosen_columns_and_metadata",
        "backfill_a_quarter",
        "load_into_another_destination",
    ],
)
def test_a_function_loads_rows(function: str) -> None:
    environment = {**os.environ, "STRIPE_REPORTS_EMULATOR": "1", "STRIPE_REPORTS_DESTINATION": "duckdb"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), function], env=environment, capture_output=True, text=True, check=True
    )
    said = done.stdout.split()
    assert said[0] == f"{function}:"
    assert int(said[1]) > 0
    assert int(said[3]) > 0


def test_the_functions_take_an_event_and_load_it() -> None:
    environment = {**os.environ, "STRIPE_REPORTS_EMULATOR": "1"}
    done = subprocess.run(
        [sys.executable, str(FOLDER / "stripe_webhook_function.py")],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    answers, loaded = done.stdout.splitlines()
    assert answers == "answers: 400 to a forgery, 200 to Stripe; on the queue: 1"
    assert int(loaded.split()[1]) > 0
    assert int(loaded.split()[3]) > 0
