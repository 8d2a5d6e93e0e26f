"""What is depended on is used, bounded where it is known to break, and pinned to what was tested in constraints.txt."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.package.project import APART, EXTRAS, PACKAGE, pins, python_versions, requirements, requirements_together

NOT_IMPORTED = {
    "adbc-driver-manager",  # dlt's own jobs for PostgreSQL use both
    "adbc-driver-postgresql",
    "pymysql",  # dlt and SQLAlchemy load them by name
    "pandas",  # for README's `.df()`
    "tzdata",  # zoneinfo reads it
}
# a release of each that is known to break this package or dlt
BREAKING = {"dlt": "1.32.0", "sqlglot": "30.22.0"}
LIGHT = {"filelock"}
NAMED_OTHERWISE = {"airflow": "apache-airflow"}


def _imported() -> Iterator[str]:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module


def imported_distributions() -> set[str]:
    """What the package imports from outside, late imports too; most are named like their modules."""
    modules = {name.partition(".")[0] for name in _imported()} - set(sys.stdlib_module_names) - {PACKAGE.name}
    return {canonicalize_name(NAMED_OTHERWISE.get(module, module)) for module in modules}


def test_what_is_imported_is_depended_on_and_the_reverse() -> None:
    published = {canonicalize_name(requirement.name) for requirement in requirements(test=False)}
    assert imported_distributions() == published - NOT_IMPORTED


@pytest.mark.parametrize("name", sorted(BREAKING))
def test_what_is_known_to_break_is_not_allowed(name: str) -> None:
    bounds = [requirement.specifier for requirement in requirements(test=True) if requirement.name == name]
    assert any(not bound.contains(BREAKING[name]) for bound in bounds)


@pytest.mark.parametrize("requirement", requirements_together(), ids=str)
def test_the_tested_releases_are_allowed_ones(requirement: Requirement) -> None:
    tested = [pin for pin in pins() if pin.name == canonicalize_name(requirement.name)]
    assert tested, f"constraints.txt does not have {requirement.name}: run `just constraints`."
    releases = [str(pin.specifier).removeprefix("==") for pin in tested]
    assert all(requirement.specifier.contains(release) for release in releases), (
        f"constraints.txt has {requirement.name} {releases}, not allowed by {requirement}: run `just constraints`."
    )


@pytest.mark.parametrize("python", python_versions())
def test_each_python_has_one_release_of_each(python: str) -> None:
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    names = [pin.name for pin in pins() if pin.marker is None or pin.marker.evaluate(environment)]
    assert len(names) == len(set(names))
    assert {canonicalize_name(requirement.name) for requirement in requirements_together()} <= set(names)


@pytest.mark.parametrize(("extra", "file"), [(extra, file) for extra, files in APART.items() for file in files])
def test_extras_that_are_apart_have_constraints_of_their_own(extra: str, file: str) -> None:
    tested = {pin.name: str(pin.specifier).removeprefix("==") for pin in pins(f".ci/constraints/{file}")}
    for requirement in [*requirements_together(), *map(Requirement, EXTRAS[extra])]:
        if requirement.name != "dagster":
            assert requirement.specifier.contains(tested[requirement.name]), f"{file} does not fit {requirement}."


def test_constraints_are_exact_and_in_order() -> None:
    listed = pins()
    assert all(re.fullmatch(r"==[\w.]+", str(pin.specifier)) and not pin.extras and not pin.url for pin in listed)
    assert [pin.name for pin in listed] == sorted(pin.name for pin in listed)
    assert all(Version(str(pin.specifier).removeprefix("==")) for pin in listed)


def test_the_front_door_costs_little_more_than_dlt() -> None:
    """What all names of `stripe_reports_source` load beyond the standard library and what `import dlt` has loaded."""
    script = (
        "import sys, dlt\nbefore = set(sys.modules)\nfrom stripe_reports_source import *\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert set(told.stdout.split()) == {PACKAGE.name} | LIGHT
