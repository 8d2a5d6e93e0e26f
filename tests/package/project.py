"""What pyproject.toml, constraints.txt and `.ci/run` say, read for the tests of the package."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import tomlkit  # comes with dlt; Python 3.10 has no reader of its own
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "stripe_reports_source"
PROJECT: dict[str, Any] = tomlkit.parse((ROOT / "pyproject.toml").read_text(encoding="utf-8")).unwrap()["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def requirements(*, test: bool) -> list[Requirement]:
    """What the package and its extras depend on, the package itself left out; with or without the extra `test`."""
    lists = [PROJECT["dependencies"], *(listed for extra, listed in EXTRAS.items() if test or extra != "test")]
    found = [Requirement(line) for listed in lists for line in listed]
    return [requirement for requirement in found if requirement.name != PROJECT["name"]]


def pins() -> list[Requirement]:
    """The lines of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


def python_versions() -> list[str]:
    """The releases of Python that `.ci/run` looks for."""
    [versions] = re.findall(r"^pythons=\(([\d. ]+)\)", (ROOT / ".ci/run").read_text(encoding="utf-8"), re.MULTILINE)
    return str(versions).split()
