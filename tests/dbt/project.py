"""A user's dbt project that has the package installed, and what its commands say.

In: a folder, databases. Out: results of dbt's commands, each a process of its own, as users run it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from .names import NAME, PACKAGE, SCHEMA

_WELL = re.compile(r" START | OK | PASS |found in sys.modules")
"""Lines of what went well."""
needs_dbt = pytest.mark.skipif(find_spec("dbt") is None, reason="dbt is not installed: .ci/run has an environment")


@dataclass(frozen=True)
class Outcome:
    """What a command came to: its exit code, what it printed but for what went well, and each status."""

    code: int
    text: str
    statuses: Mapping[str, str]

    def of(self, *statuses: str) -> set[str]:
        """The nodes with one of these statuses."""
        return {name for name, status in self.statuses.items() if status in statuses}


@dataclass(frozen=True)
class Project:
    """See the module.

    Args:
        folder: of the project.
        outputs: dbt's targets, by name.
    """

    folder: Path
    outputs: Mapping[str, Mapping[str, Any]]

    def make(self, packages: Mapping[str, Any]) -> Outcome:
        """Write it, and install the package that it names."""
        self.folder.mkdir(parents=True)
        own = {"name": "books", "version": "1.0.0", "config-version": 2, "profile": "books"}
        self.write_profile()
        for name, content in (("dbt_project", own), ("packages", {"packages": [packages]})):
            (self.folder / f"{name}.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
        return self.dbt("deps")

    def with_duckdb(self, target: str, file: Path) -> Project:
        """The same project with one more target."""
        of_target = {"type": "duckdb", "path": str(file), "schema": SCHEMA, "threads": 2}
        made = Project(self.folder, {**self.outputs, target: of_target})
        made.write_profile()
        return made

    def write_profile(self) -> None:
        """Write the targets down."""
        profile = {"books": {"target": next(iter(self.outputs)), "outputs": dict(self.outputs)}}
        (self.folder / "profiles.yml").write_text(yaml.safe_dump(profile), encoding="utf-8")

    def dbt_in_each(self, targets: Sequence[str], *command: str) -> dict[str, Outcome]:
        """Run a command in several targets side by side."""
        with ThreadPoolExecutor() as pool:
            outcomes = pool.map(lambda target: self.dbt(*command, target=target), targets)
            return dict(zip(targets, outcomes, strict=True))

    def dbt(self, *command: str, target: str | None = None) -> Outcome:
        """Run a command of dbt; each target keeps what dbt has parsed of the project."""
        made = self._made(target or "")
        results = made / "run_results.json"
        results.unlink(missing_ok=True)
        where = ("--target", target, "--target-path", str(made)) if target else ()
        environment = {**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DBT_USE_COLORS": "false"}
        done = subprocess.run(
            [sys.executable, "-m", "dbt.cli.main", *command, *where],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=550,
        )
        told = [line for line in (done.stdout + done.stderr).splitlines() if not _WELL.search(line)]
        return Outcome(done.returncode, "\n".join(told), _statuses(results))

    def freshness(self, target: str) -> Mapping[str, str]:
        """What `dbt source freshness` says of each source table."""
        self.dbt("source", "freshness", target=target)
        found = json.loads((self._made(target) / "sources.json").read_text(encoding="utf-8"))
        return {result["unique_id"].rpartition(".")[2]: result["status"] for result in found["results"]}

    def compiled(self, target: str) -> dict[str, str]:
        """The SQL of each model as it was compiled for a target."""
        folder = self._made(target) / "compiled" / NAME / "models"
        return {path.stem: path.read_text(encoding="utf-8") for path in folder.rglob("*.sql")}

    def _made(self, target: str) -> Path:
        return self.folder / "target" / target


def _statuses(results: Path) -> dict[str, str]:
    if not results.exists():
        return {}
    found = json.loads(results.read_text(encoding="utf-8"))["results"]
    return {_short(result["unique_id"]): result["status"] for result in found}


def _short(unique_id: str) -> str:
    """The third part, or of a unit test its last two."""
    kind, _, *name = unique_id.split(".")
    return ".".join(name) if kind == "unit_test" else name[0]


def as_git_repository(folder: Path) -> str:
    """The address of a git repository that has the package where this one has it."""
    shutil.copytree(
        PACKAGE, folder / "pipelines" / "dbt", ignore=shutil.ignore_patterns("target", "logs", "dbt_packages")
    )
    identity = ["-c", "user.name=tests", "-c", "user.email=tests@example.com"]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], [*identity, "commit", "-q", "-m", "the package"]):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)
    return folder.as_uri()
