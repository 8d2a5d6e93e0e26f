"""Copied into a project, as `dlt init` copies verified sources: the checkout is the location."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stripe_reports_source.emulator import Emulator
from tests.package.project import PROJECT, ROOT

AS_SOMEBODY = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com")
PACKAGE, COPIED = ROOT / "stripe_reports_source", ROOT / "sources" / "stripe_reports"


def files_of(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_location_has_every_file_of_the_package() -> None:
    wanted = files_of(PACKAGE)
    assert files_of(COPIED) == wanted | {"requirements.txt"}, "link the files: python -m tests.package.location"
    assert all((COPIED / name).samefile(PACKAGE / name) for name in wanted)
    assert (COPIED / "requirements.txt").read_text(encoding="utf-8").splitlines() == PROJECT["dependencies"]


@pytest.mark.long
def test_dlt_init_copies_a_source_that_works(start_emulator: Callable[..., Emulator], tmp_path: Path) -> None:
    location, project = tmp_path / "location", tmp_path / "project"
    for part in ("sources", "stripe_reports_source"):
        shutil.copytree(ROOT / part, location / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for words in (["init", "-q"], ["add", "."], [*AS_SOMEBODY, "commit", "-q", "-m", "A location"]):
        subprocess.run(["git", *words], cwd=location, check=True, timeout=60)
    project.mkdir()
    init = [sys.executable, "-m", "dlt", "--non-interactive", "init", "stripe_reports", "duckdb"]
    run([*init, "--location", str(location)], project, {})
    assert not any(path.is_symlink() for path in project.rglob("*"))
    assert "archive_url" not in (project / ".dlt" / "config.toml").read_text()
    secrets = project / ".dlt" / "secrets.toml"
    assert secrets.read_text().count("<configure me>") == 1

    emulator = start_emulator()
    unset = run([sys.executable, "stripe_reports_pipeline.py"], project, {}, code=1)
    assert "api_key is empty or holds spaces" in unset
    secrets.write_text(secrets.read_text().replace("<configure me>", emulator.settings.live_keys[0]))
    place = {"API_BASE_URL": emulator.api_url, "FILES_BASE_URL": emulator.files_url}
    settings = {f"SOURCES__STRIPE_REPORTS__{name}": value for name, value in place.items()}
    done = run([sys.executable, "stripe_reports_pipeline.py"], project, settings)
    assert re.search(r"^18 intervals, \d+ rows$", done, re.MULTILINE)
    assert "0 intervals, 0 rows" in run([sys.executable, "stripe_reports_pipeline.py"], project, settings)


def run(command: list[str], folder: Path, settings: dict[str, str], code: int = 0) -> str:
    """What a command prints where the package is not to be had but as the copy."""
    hidden = folder.parent / "hidden" / "stripe_reports_source"
    hidden.mkdir(parents=True, exist_ok=True)
    (hidden / "__init__.py").write_text("raise ImportError('not installed here')")
    env = {**os.environ, **settings, "PYTHONPATH": str(hidden.parent)}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr
