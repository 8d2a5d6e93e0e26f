"""The public doors: what they offer, and what it costs to open them."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest
from packaging.version import Version

import stripe_reports_source
import stripe_reports_source.emulator
import stripe_reports_source.webhook
from stripe_reports_source import errors

DOORS = [stripe_reports_source, stripe_reports_source.webhook, stripe_reports_source.emulator]
PACKAGE = stripe_reports_source.__name__
HEAVY = ("duckdb", "numpy", "pandas", "psycopg2", "pyarrow", "requests", "starlette", "stripe", "urllib3", "uvicorn")
TOOLS = ("Any", "TYPE_CHECKING", "import_module")
"""Of the standard library; what a door needs for itself."""


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_all_is_what_is_there(door: ModuleType) -> None:
    def is_offered(name: str, value: object) -> bool:
        own_room = isinstance(value, ModuleType) and value.__name__.startswith(PACKAGE)
        return (
            not name.startswith("_") and not own_room and type(value).__module__ != "__future__" and name not in TOOLS
        )

    offered = {name: getattr(door, name) for name in dir(door)}
    there = {name for name, value in offered.items() if is_offered(name, value)}
    assert {name for name in door.__all__ if name != "__version__"} == there
    assert list(door.__all__) == sorted(set(door.__all__))


def test_every_error_has_a_door() -> None:
    tree = [value for value in vars(errors).values() if isinstance(value, type)]
    named = {value.__name__ for value in tree if issubclass(value, errors.StripeReportsError)}
    assert named <= {name for door in DOORS for name in door.__all__}


def test_the_version_is_one() -> None:
    assert "__version__" in stripe_reports_source.__all__
    assert str(Version(stripe_reports_source.__version__)) == stripe_reports_source.__version__


def loaded_by(script: str) -> set[str]:
    """The modules that a script loads."""
    told = subprocess.run(
        [sys.executable, "-c", f"import sys\n{script}\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(told.stdout.split())


@pytest.mark.parametrize("door", [PACKAGE, f"{PACKAGE}.cli"])
def test_the_front_doors_open_at_once(door: str) -> None:
    """The import of dlt takes a second or more; it waits until something is asked for that needs it."""
    assert not loaded_by(f"import {door}") & {"dlt", "sqlglot", "rich", *HEAVY}


@pytest.mark.parametrize("wanted", [f"from {PACKAGE} import *", f"from {PACKAGE}.cli import cli"])
def test_what_is_behind_the_front_doors_is_light(wanted: str) -> None:
    """dlt cannot be avoided; what dlt does not load by itself waits until it is used."""
    loaded = loaded_by(wanted)
    assert "dlt" in loaded
    assert not loaded & set(HEAVY)


@pytest.mark.first(1)
@pytest.mark.parametrize("first", ["reconcile.checks", "load", "proof", "cli"])
def test_a_name_of_the_front_door_is_the_same_whatever_was_imported_before(first: str) -> None:
    """`reconcile` is a function, though a folder has the same name."""
    script = (
        f"import {PACKAGE}.{first}\nfrom {PACKAGE} import reconcile\nassert reconcile.__module__ == '{PACKAGE}.proof'"
    )
    assert f"{PACKAGE}.proof" in loaded_by(script)


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'stripe_reports_source' has no attribute 'reports'"):
        getattr(stripe_reports_source, "reports")  # noqa: B009
