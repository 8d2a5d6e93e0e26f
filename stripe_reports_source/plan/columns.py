"""Names and types of table columns, from the header names that Stripe writes. Pure.

A column's name depends on its header alone: not on other columns, stored state, machine or order of arrival.
Names are in a normal form (lower snake case, at most 63 bytes) that dlt's naming conventions `snake_case`,
`sql_ci_v1` and `direct` all leave as it is. A header that is not in that form already gets the form plus a
hash of itself, so two headers never share a column.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import ConfigurationError
from .catalog import ReportType
from .column_types import BOOL, DATE, TEXT, TIMESTAMPTZ, ColumnType

MAX_NAME_BYTES = 63  # PostgreSQL's limit, the shortest of the common warehouses
TOMBSTONE = "_cell_dropped"
"""The hard-delete marker of dlt's merge. The word "drop" in it is not chance: dlt 1.31 runs a merge in a transaction
on DuckDB only if its SQL looks like DDL, which it tells by the words create, alter and drop anywhere in the text. With
this name DELETE and INSERT of a cell are one transaction, whoever replays the package (tests/pipeline/test_atomic.py).
"""
SYSTEM_COLUMNS: dict[str, tuple[ColumnType, str]] = {
    "_account": (TEXT, "Account the report was run on: the Stripe-Account value, else the source's label"),
    "_report_type": (TEXT, "Exact report type id with its version"),
    "_report_run_id": (TEXT, "Report run that produced the row; joins report_runs"),
    "_interval_start": (TIMESTAMPTZ, "Start of the loaded interval (inclusive); NULL for snapshot reports"),
    "_interval_end": (TIMESTAMPTZ, "End of the loaded interval (exclusive), as it was asked for"),
    "_interval_key": (TEXT, "Identity of the grid cell: what loading it again replaces"),
    "_interval_day": (DATE, "First calendar day of the grid cell, in the report's zone; NULL for reports per payout"),
    "_dlt_load_id": (TEXT, "Load package that wrote the row; joins _dlt_loads"),
    TOMBSTONE: (BOOL, "Always NULL in stored rows: marks, while loading, a cell whose rows are replaced"),
}

_NORMAL = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_HASHED = re.compile(r".*_[0-9a-f]{8}")
_METADATA = re.compile(r"([a-z][a-z_]*_metadata)\[(.{1,40})\]", re.DOTALL)
_METADATA_LIKE = re.compile(r"[a-z_]*_metadata_.*")


@dataclass(frozen=True)
class TableColumn:
    """A column of a report table: Stripe's header, our name, its type and what it holds."""

    header: str
    name: str
    type: ColumnType
    description: str


@dataclass(frozen=True)
class StoredColumn:
    """A column that a table has already.

    Args:
        type: that it was made with.
        header: Stripe's, which it holds; None where nothing says so.
        by_another: another source or pipeline has made it.
    """

    type: ColumnType
    header: str | None = None
    by_another: bool = False


def split_metadata(header: str) -> tuple[str, str] | None:
    """`payment_metadata[order_id]` as ("payment_metadata", "order_id"); None for any other header."""
    match = _METADATA.fullmatch(header)
    return (match[1], match[2]) if match else None


def is_normal(name: str) -> bool:
    """True for a name that every supported naming convention keeps as it is."""
    return _NORMAL.fullmatch(name) is not None and len(name) <= MAX_NAME_BYTES


def column_name(header: str, *, known: bool = False) -> str:
    """The table column of a header.

    Args:
        header: a header of a report file, such as `net` or `payment_metadata[orderId]`.
        known: the catalogue lists this header, which makes it a name of its own right.

    Returns:
        The plain name where it is unambiguous: a known column, a metadata key in normal form, another header
        in normal form. Everything else, and every plain name that could be mistaken for a hashed or a
        metadata one, gets the normal form and eight hex digits of the header's SHA-256.
    """
    metadata = split_metadata(header)
    plain = f"{metadata[0]}_{metadata[1]}" if metadata else header
    ambiguous = _HASHED.fullmatch(plain) or (not metadata and _METADATA_LIKE.fullmatch(plain))
    if is_normal(plain) and (known or not ambiguous):
        return plain
    digest = hashlib.sha256(header.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    stem = _snake(metadata[1] if metadata else header)
    prefix = metadata[0] if metadata else ""
    readable = "_".join(part for part in (prefix, stem) if part) or "column"
    if not readable[0].isalpha():
        readable = f"column_{readable}"
    return f"{readable[: MAX_NAME_BYTES - 9].rstrip('_')}_{digest}"


def _snake(text: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


def table_columns(
    headers: Sequence[str],
    report_type: ReportType | None,
    *,
    names: Mapping[str, str],
    types: Mapping[str, ColumnType],
) -> tuple[TableColumn, ...]:
    """The table columns of a file's headers, in the file's order.

    Args:
        headers: distinct header names.
        report_type: the catalogue's entry, None for a type it does not know.
        names: the user's names for metadata headers.
        types: the user's types by header.

    Returns:
        One column per header. Headers that the catalogue does not know are text, unless the user typed them.

    Raises:
        ConfigurationError: two headers end in the same column, which only the user's names can cause.
    """
    columns = []
    taken = dict.fromkeys(SYSTEM_COLUMNS, "a column that this package adds")
    for header in headers:
        known = report_type.column(header) if report_type else None
        name = names.get(header) or column_name(header, known=known is not None)
        if name in taken:
            raise ConfigurationError(
                f"metadata name {name!r} for {header!r} is also the name of {taken[name]}; choose another name."
            )
        taken[name] = f"the column {header!r}"
        type_ = types.get(header) or (known.type if known else TEXT)
        description = known.description if known else f"Stripe's column {header}"
        columns.append(TableColumn(header, name, type_, description))
    return tuple(columns)


def fit_to_table(
    columns: Sequence[TableColumn],
    stored: Mapping[str, StoredColumn],
    *,
    typed: Collection[str] = (),
    documented: Collection[str] = (),
) -> tuple[TableColumn, ...]:
    """The columns as a table that has some of them already takes them: a stored type never changes.

    Versions of a report disagree on some columns (`automatic_payout_effective_at` is UTC in one, in the report's zone
    in another), and a newer release of this package may know the type of a column that was loaded as text.

    Args:
        columns: of a file.
        stored: the table's, by name.
        typed: headers whose type the user has set.
        documented: headers whose type the catalogue knows.

    Returns:
        The columns. One that is stored as text stays text; an undocumented one keeps the type it is stored with; any
        other whose type differs gets a column of its own beside the stored one, named after its type.

    Raises:
        ConfigurationError: the user's type is not the one that is stored, or a column holds another header.
    """
    fitted: list[TableColumn] = []
    taken = {column.name for column in columns}
    for column in columns:
        kept = stored.get(column.name) or StoredColumn(column.type)
        if _is_anothers(kept, column):
            raise ConfigurationError(
                f"the column {column.name!r} of {column.header!r} holds {kept.header!r} already; name another column "
                f"through metadata, leave {column.header!r} out, or load the report anew with refresh='drop_resources'."
            )
        if kept.type == column.type:
            fitted.append(column)
        elif column.header in typed or (kept.by_another and split_metadata(column.header)):
            raise ConfigurationError(_of_another_type(column, kept))
        elif kept.type == TEXT or column.header not in documented:
            fitted.append(replace(column, type=kept.type))
        else:
            name = _beside(column, taken, stored)
            taken.add(name)
            fitted.append(replace(column, name=name))
    return tuple(fitted)


def _is_anothers(kept: StoredColumn, column: TableColumn) -> bool:
    """True for a column that holds another header, and one of them has its name from the user.

    Two headers of Stripe's own share a column only where versions call one thing by two names.
    """
    if kept.header in (None, column.header):
        return False
    return any(split_metadata(header) for header in (str(kept.header), column.header))


def _of_another_type(column: TableColumn, kept: StoredColumn) -> str:
    whose, remedy = "", "name another column through metadata, or load the report anew with refresh='drop_resources'"
    if kept.by_another:
        whose, remedy = " of another source or pipeline", "set that type, or name another column through metadata"
    return (
        f"types: {column.header!r} is to be {column.type}, but its column {column.name!r} holds {kept.type}{whose}; "
        f"{remedy}."
    )


def _beside(column: TableColumn, taken: Collection[str], stored: Mapping[str, StoredColumn]) -> str:
    suffix = {"timestamp": "local", "timestamptz": "utc"}.get(column.type.kind) or _snake(str(column.type))
    name = f"{column.name[: MAX_NAME_BYTES - len(suffix) - 1]}_{suffix}"
    kept = stored.get(name) or StoredColumn(column.type)
    is_free = name not in taken and kept.type == column.type and not _is_anothers(kept, column)
    return name if is_free else column_name(f"{column.header} {suffix}")
