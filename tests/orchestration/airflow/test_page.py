"""The page on Airflow: its DAGs are run by `airflow dags test`, with the key in the variable that the page names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("airflow", reason='Airflow is not installed: pip install "stripe-reports-source[airflow]"')

import duckdb

from stripe_reports_source.emulator import Emulator
from tests.docs.pages import DOCS, blocks_of
from tests.docs.test_blocks import read_toml
from tests.orchestration.world import World

PAGE = DOCS / "airflow.md"
PLACE = "/srv/stripe"


@pytest.fixture
def environment(world: World, metadata_database: None) -> dict[str, str]:
    """What the page's commands need, beside the key; its DAGs are in a folder of their own."""
    dags = world.folder / "dags"
    dags.mkdir()
    script = "\n".join(block.text for block in blocks_of(PAGE) if block.language == "python" and block.run)
    (dags / "page.py").write_text(script.replace(PLACE, str(world.folder)))
    found = {**os.environ, **world.environment}
    key = found.pop("SOURCES__STRIPE_REPORTS__API_KEY")
    return {
        **found,
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW_VAR_DLT_SECRETS_TOML": f'[sources.stripe_reports]\napi_key = "{key}"\n',
    }


def airflow(environment: dict[str, str], *arguments: str) -> str:
    """Run a command of Airflow's; what it has printed."""
    command = [sys.executable, "-m", "airflow", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


@pytest.mark.timeout(600)
def test_the_dags_of_the_page_load_what_they_say(emulator: Emulator, world: World, environment: dict[str, str]) -> None:
    printed = airflow(environment, "dags", "test", "stripe_reports", "2025-03-01")
    assert [run.parameters["interval_start"] for run in emulator.runs if "interval_start" in run.parameters]
    assert _days(world.folder / "reports.duckdb", "stripe") == {"2025-02-01"}
    assert world.key not in printed
    printed = airflow(environment, "dags", "test", "stripe_plain", "2025-03-01")
    assert _days(world.folder / "plain.duckdb", "stripe") == {"2025-01-01", "2025-02-01", "2025-03-01"}
    assert world.key not in printed


def _days(database: Path, dataset: str) -> set[str]:
    with duckdb.connect(str(database), read_only=True) as connection:
        rows = connection.execute(f"SELECT interval_day FROM {dataset}.report_cells").fetchall()
    return {day.isoformat() for (day,) in rows}


def test_its_commands_and_settings_can_be_read() -> None:
    for block in blocks_of(PAGE):
        if block.language == "bash":
            subprocess.run(["bash", "-n", "-c", block.text], check=True)
        elif block.language == "toml":
            read_toml(block.text)
        else:
            compile(block.text, block.language, "exec")
