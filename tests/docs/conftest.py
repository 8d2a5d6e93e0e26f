"""Fixtures for the pages: the demonstration, run once for all tests, and a folder as a reader has it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from filelock import FileLock

from tests.terminal import captures

from . import results


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder in which the demonstration was run once: its database, and what it printed, in `demo.ansi`."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "demo"
    folder.mkdir(exist_ok=True)
    with FileLock(f"{folder}.lock"):
        printed = folder / "demo.ansi"
        if not printed.exists():
            captured = captures.demonstration("80", keep=folder)
            results.make_views(folder / captures.DATABASE)
            printed.write_text(captured.coloured, encoding="utf-8")
    return folder


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    """The folder that a reader works in, with Python and the package's command in `.venv/bin`."""
    commands = tmp_path / ".venv" / "bin"
    commands.mkdir(parents=True)
    for name, module in (("stripe-reports", "-m stripe_reports_source.cli"), ("python", "")):
        command = commands / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        command.chmod(0o700)
    return tmp_path
