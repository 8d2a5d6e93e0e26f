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
APART = {
    "airflow": ("airflow-2.txt", "airflow-3.txt"),
    "mariadb": ("warehouses.txt",),
    "deltalake": ("warehouses.txt",),
    "iceberg": ("warehouses.txt",),
}
"""Extras that are tested in environments of their own, with the releases of these files of `.ci/constraints`."""
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def requirements(*, test: bool) -> list[Requirement]:
    """What the package and its extras depend on, the package itself left out; with or without the extra `test`."""
    lists = [PROJECT["dependencies"], *(listed for extra, listed in EXTRAS.items() if test or extra != "test")]
    return _of(lists)


def requirements_together() -> list[Requirement]:
    """What can be installed in one environment: all but the extras that are apart."""
    return _of([PROJECT["dependencies"], *(listed for extra, listed in EXTRAS.items() if extra not in APART)])


def _of(lists: list[list[str]]) -> list[Requirement]:
    found = [Requirement(line) for listed in lists for line in listed]
    return [requirement for requirement in found if requirement.name != PROJECT["name"]]


def pins(file: str = "constraints.txt") -> list[Requirement]:
    """The lines of constraints.txt, or of another such file."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


def python_versions() -> list[str]:
    """The releases of Python that `.ci/run` looks for."""
    [versions] = re.findall(r"^pythons=\(([\d. ]+)\)", (ROOT / ".ci/run").read_text(encoding="utf-8"), re.MULTILINE)
    return str(versions).split()
