"""Worlds for the tests of the marts."""

from __future__ import annotations

import os

import pytest

from tests.reconcile.worlds import Worlds


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Worlds:
    """Worlds that all processes of the session share."""
    own = tmp_path_factory.getbasetemp()
    return Worlds(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)
