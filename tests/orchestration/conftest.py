"""Fixtures: a business on loopback, and what its Dagster code location needs in the environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stripe_reports_source.emulator import Emulator
from tests.orchestration.world import World

if TYPE_CHECKING:
    from dagster import DagsterInstance


@pytest.fixture
def make_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Emulator], World]:
    """A world of any business."""

    def make(emulator: Emulator) -> World:
        made = World(tmp_path, emulator.settings.live_keys[0], emulator.api_url, emulator.files_url)
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        (tmp_path / "dagster").mkdir()
        return made

    return make


@pytest.fixture
def world(make_world: Callable[[Emulator], World], emulator: Emulator) -> World:
    """Two reports of a small business, from 1 January to 10 March 2025, into a DuckDB file."""
    return make_world(emulator)


@pytest.fixture
def instance() -> DagsterInstance:
    """A Dagster that keeps nothing."""
    from dagster import DagsterInstance  # which need not be installed

    return DagsterInstance.ephemeral()
