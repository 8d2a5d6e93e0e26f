"""What is known of each report type: parameters, columns, types, grain. Data in one file, and its lookup.

In: the packaged `report_types.json`. Out: frozen `ReportType` values. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from ..column_types import ColumnType

Shape = Literal["interval", "snapshot", "per_payout"]


@dataclass(frozen=True)
class Column:
    """A column of a report. `personal`: it may tell of a person: names, addresses, free text, tax ids."""

    name: str
    type: ColumnType
    description: str
    personal: bool = False


@dataclass(frozen=True)
class ReportType:
    """One version of a report, as far as Stripe has documented it.

    `columns` are in documented order, which is the order Stripe writes; `columns_complete` tells whether they are
    all. `row` says what one row is, and `key` which columns tell rows apart.
    """

    id: str
    base: str
    version: int
    family: str
    title: str
    status: str
    shape: Shape
    required: tuple[str, ...]
    optional: tuple[str, ...]
    metadata_prefixes: tuple[str, ...]
    columns: tuple[Column, ...]
    columns_complete: bool
    default_columns: tuple[str, ...] | None
    row: str
    key: tuple[str, ...]

    def column(self, name: str) -> Column | None:
        """The column of that name, None if the report has none."""
        return next((column for column in self.columns if column.name == name), None)

    def accepts(self, parameter: str) -> bool:
        """True for a run parameter that this version takes."""
        return parameter in self.required or parameter in self.optional


class Catalog:
    """All known report types, and the names of personal columns, whichever report they come in."""

    def __init__(self, report_types: Iterable[ReportType], personal: frozenset[str] = frozenset()) -> None:
        self._types = {known.id: known for known in report_types}
        self.personal = personal

    def __iter__(self) -> Iterator[ReportType]:
        return iter(self._types.values())

    def get(self, report_type_id: str) -> ReportType | None:
        """The entry of an exact id, None if it is not known."""
        return self._types.get(report_type_id)

    def versions(self, base: str) -> tuple[ReportType, ...]:
        """All known versions of a base id, oldest first."""
        return tuple(sorted((known for known in self if known.base == base), key=lambda known: known.version))

    def nearest(self, report_type_id: str) -> ReportType | None:
        """The entry of an id; without a known version, the newest of its base. None if its base is not known."""
        return self.get(report_type_id) or next(iter(self.versions(split_id(report_type_id)[0])[-1:]), None)

    def bases(self) -> tuple[str, ...]:
        """All known base ids."""
        return tuple(dict.fromkeys(known.base for known in self))


@cache
def load_catalog() -> Catalog:
    """The packaged catalogue, read once."""
    data = json.loads(files(__package__).joinpath("report_types.json").read_text(encoding="utf-8"))
    columns = {name: _named_column(name, about) for name, about in data["columns"].items()}
    return Catalog(
        (_report_type(entry, columns) for entry in data["report_types"]),
        frozenset(name for name, column in columns.items() if column.personal),
    )


def split_id(report_type_id: str) -> tuple[str, int | None]:
    """`payout_reconciliation.itemized.5` as (base, 5); a base id as (base, None)."""
    base, _, version = report_type_id.rpartition(".")
    if base and version.isascii() and version.isdigit():
        return base, int(version)
    return report_type_id, None


def _report_type(entry: Mapping[str, Any], columns: Mapping[str, Column]) -> ReportType:
    base, version = split_id(entry["id"])
    required = tuple(entry["required"])
    defaults = entry.get("default_columns")
    return ReportType(
        id=entry["id"],
        base=base,
        version=version or 0,
        family=entry["family"],
        title=entry["title"],
        status=entry["status"],
        shape=_shape(required),
        required=required,
        optional=tuple(entry["optional"]),
        metadata_prefixes=tuple(entry["metadata_prefixes"]),
        columns=tuple(_column(column, columns) for column in entry["columns"]),
        columns_complete=entry["columns_complete"],
        default_columns=None if defaults is None else tuple(defaults),
        row=entry["row"],
        key=tuple(entry["key"]),
    )


def _column(entry: str | Mapping[str, Any], columns: Mapping[str, Column]) -> Column:
    """A name, or a name with what is different where a column's meaning differs between versions."""
    if isinstance(entry, str):
        return columns[entry]
    common = columns[entry["name"]]
    about = {"description": common.description, "personal": common.personal, **entry}
    return _named_column(common.name, about)


def _named_column(name: str, about: Mapping[str, Any]) -> Column:
    return Column(name, ColumnType.parse(about["type"]), about["description"], about.get("personal", False))


def _shape(required: tuple[str, ...]) -> Shape:
    if set(required) - {"interval_start", "interval_end"}:
        return "per_payout"
    return "interval" if "interval_start" in required else "snapshot"
