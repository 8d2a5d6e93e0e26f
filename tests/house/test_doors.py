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


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_all_is_what_is_there(door: ModuleType) -> None:
    def is_offered(name: str, value: object) -> bool:
        own_room = isinstance(value, ModuleType) and value.__name__.startswith(PACKAGE)
        return not name.startswith("_") and not own_room and type(value).__module__ != "__future__"

    there = {name for name, value in vars(door).items() if is_offered(name, value)}
    assert {name for name in door.__all__ if name != "__version__"} == there
    assert list(door.__all__) == sorted(set(door.__all__))


def test_every_error_has_a_door() -> None:
    tree = [value for value in vars(errors).values() if isinstance(value, type)]
    named = {value.__name__ for value in tree if issubclass(value, errors.StripeReportsError)}
    assert named <= {name for door in DOORS for name in door.__all__}


def test_the_version_is_one() -> None:
    assert "__version__" in stripe_reports_source.__all__
    assert str(Version(stripe_reports_source.__version__)) == stripe_reports_source.__version__


@pytest.mark.parametrize("door", [PACKAGE, f"{PACKAGE}.cli"])
def test_the_front_doors_are_light(door: str) -> None:
    """dlt cannot be avoided; what dlt does not load by itself waits until it is used."""
    script = f"import sys, {door}\nprint(*sorted(set({HEAVY!r}) & sys.modules.keys()))"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.split() == []
