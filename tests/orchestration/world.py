"""What tests of Dagster and the processes that it starts have in common: source, pipeline, environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dlt
from dlt import Pipeline
from dlt.extract import DltSource

from stripe_reports_source import stripe_reports

REPORTS = ["balance.summary", "payouts.itemized"]
FOLDER = "STRIPE_REPORTS_TEST_FOLDER"


@dataclass(frozen=True)
class World:
    """A business at an emulator, and a place on this machine.

    Args:
        folder: where database, dlt's and Dagster's files are.
        key, api_url, files_url: of the emulator.
    """

    folder: Path
    key: str
    api_url: str
    files_url: str

    @property
    def environment(self) -> dict[str, str]:
        """What other processes need to have the same source and pipeline."""
        return {
            FOLDER: str(self.folder),
            "DAGSTER_HOME": str(self.folder / "dagster"),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "DLT_DATA_DIR": str(self.folder / "dlt"),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "SOURCES__STRIPE_REPORTS__API_KEY": self.key,
            "SOURCES__STRIPE_REPORTS__API_BASE_URL": self.api_url,
            "SOURCES__STRIPE_REPORTS__FILES_BASE_URL": self.files_url,
        }

    def source(self, reports: Any = None, **settings: Any) -> DltSource:
        """A source; its key and addresses come from the environment."""
        policy = {"first_poll": 0.01, "retry_delay": 0.01}
        return stripe_reports(
            REPORTS if reports is None else reports,
            **{"start_date": "2025-01-01", "run_policy": policy, **settings},
        )

    def pipeline(self, name: str = "reports") -> Pipeline:
        """A pipeline, whose name is that of its dataset too."""
        destination = dlt.destinations.duckdb(str(self.folder / "reports.duckdb"))
        return dlt.pipeline(
            name, destination=destination, dataset_name=f"{name}_data", pipelines_dir=str(self.folder / "pipelines")
        )


def world_here() -> World:
    """The world that the environment tells of."""
    sources = "SOURCES__STRIPE_REPORTS__"
    return World(
        Path(os.environ[FOLDER]),
        *(os.environ[f"{sources}{name}"] for name in ("API_KEY", "API_BASE_URL", "FILES_BASE_URL")),
    )
