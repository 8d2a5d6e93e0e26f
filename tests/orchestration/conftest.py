"""Fixtures: a business on loopback, and what its Dagster code location needs in the environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stripe_reports_source.emulator import Emulator
from tests.orchestration.world import World

if TYPE_CHECKING:
    from dagster import DagsterInstance


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Two reports of a small business, from 1 January to 10 March 2025, into a DuckDB file."""
    made = World(tmp_path, emulator.settings.live_keys[0], emulator.api_url, emulator.files_url)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "dagster").mkdir()
    return made


@pytest.fixture
def instance() -> DagsterInstance:
    """A Dagster that keeps nothing."""
    from dagster import DagsterInstance  # which need not be installed

    return DagsterInstance.ephemeral()
