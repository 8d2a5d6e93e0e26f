"""An Airflow of the tests' own: its home, set before Airflow is imported, and its database."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

DAGS = Path(__file__).parent / "dags"

if find_spec("airflow") is not None:
    HOME = tempfile.mkdtemp(prefix="stripe-reports-airflow-")
    atexit.register(shutil.rmtree, HOME, ignore_errors=True)
    os.environ.update(
        AIRFLOW_HOME=HOME,
        AIRFLOW__CORE__DAGS_FOLDER=str(DAGS),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AIRFLOW__CORE__UNIT_TEST_MODE="False",
        AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS="False",
        AIRFLOW__USAGE_DATA_COLLECTION__ENABLED="False",
        PYTHONPATH=str(Path(__file__).parents[3]),
    )


@pytest.fixture(scope="session")
def metadata_database() -> None:
    """Airflow's own tables."""
    from airflow.utils.db import initdb  # where Airflow is installed

    initdb()
