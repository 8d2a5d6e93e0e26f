"""The load package that is being extracted. In: dlt's present context. Out: its id, and which tables it empties."""

from __future__ import annotations

from typing import Any

import dlt
from dlt.common.storages.exceptions import CurrentLoadPackageStateNotAvailable


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


def _listed(name: str) -> frozenset[str]:
    try:
        state: Any = dlt.current.load_package_state()["state"]
    except CurrentLoadPackageStateNotAvailable:
        return frozenset()
    return frozenset(str(table["name"]) for table in state.get(name, ()))
