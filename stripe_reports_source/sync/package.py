"""The load package that is being extracted.

In: dlt's present context. Out: its id, which tables it empties, and which cells it has: a plain run puts several
sources into one package, and a cell that two of them load would stand in it twice.
"""

from __future__ import annotations

from typing import Any, cast

import dlt
from dlt.common.storages.exceptions import CurrentLoadPackageStateNotAvailable

_CELLS = "stripe_reports_cells"
"""In dlt's state of the package."""


def current_load_id() -> str | None:
    """The load package being extracted; None when the source is iterated outside a pipeline."""
    try:
        return dlt.current.load_package_state()["load_id"]
    except CurrentLoadPackageStateNotAvailable:
        return None


def dropped_tables() -> frozenset[str]:
    """The tables that the package drops before it loads, because of `refresh`."""
    return _listed("dropped_tables")


def emptied_tables() -> frozenset[str]:
    """The tables that the package drops or empties before it loads, because of `refresh`."""
    return _listed("dropped_tables") | _listed("truncated_tables")


def cells_in_package(table: str) -> dict[str, dict[str, str]]:
    """The runs of a table's cells that are in the package, by account label and interval key."""
    found: dict[str, dict[str, str]] = _state().get(_CELLS, {}).get(table, {})
    return found


def note_in_package(table: str, label: str, key: str, run: str) -> None:
    """Note a cell whose rows are in the package, for the sources that are extracted into it after this one."""
    _state().setdefault(_CELLS, {}).setdefault(table, {}).setdefault(label, {})[key] = run


def _listed(name: str) -> frozenset[str]:
    return frozenset(str(table["name"]) for table in _state().get(name, ()))


def _state() -> dict[str, Any]:
    """dlt's, of the package; empty outside a pipeline."""
    try:
        state: Any = dlt.current.load_package_state()["state"]
    except CurrentLoadPackageStateNotAvailable:
        return {}
    return cast("dict[str, Any]", state)
