"""The report that is measured: 21 columns of an itemized balance report, and the reference that loads it.

Names and types are the catalogue's. Out: the SQL with which DuckDB by itself loads such a file, and the SQL that
compares two tables.
"""

from __future__ import annotations

from pathlib import Path

REPORT = "balance_change_from_activity.itemized.3"
TABLE = "balance_change_from_activity_itemized"
COLUMNS = (
    "balance_transaction_id",
    "created_utc",
    "created",
    "available_on_utc",
    "available_on",
    "currency",
    "gross",
    "fee",
    "net",
    "reporting_category",
    "source_id",
    "description",
    "customer_facing_amount",
    "customer_facing_currency",
    "automatic_payout_id",
    "automatic_payout_effective_at_utc",
    "customer_id",
    "customer_email",
    "card_address_postal_code",
    "payment_method_type",
    "is_link",
)
AMOUNTS = ("gross", "fee", "net", "customer_facing_amount")
EMPTY_AND_NULL = "card_address_postal_code"
"""A text column with leading zeros, NULL and ""."""

_SQL_TYPES = {"text": "VARCHAR", "timestamp": "TIMESTAMP", "timestamptz": "TIMESTAMP WITH TIME ZONE", "bool": "BOOLEAN"}


def metadata_headers(count: int) -> list[str]:
    """The headers of so many metadata columns."""
    return [f"payment_metadata[key_{number:03d}]" for number in range(count)]


def metadata_columns(count: int) -> list[str]:
    """The columns of a table that they become."""
    return [f"payment_metadata_key_{number:03d}" for number in range(count)]


def sql_types(metadata: int = 0) -> dict[str, str]:
    """The DuckDB type of each column, with so many of metadata."""
    from stripe_reports_source.plan.catalog import load_catalog

    known = load_catalog().get(REPORT)
    if known is None:
        raise LookupError(REPORT)
    types = {column.name: str(column.type) for column in known.columns}
    of_report = {name: _SQL_TYPES.get(types[name], types[name].upper()) for name in COLUMNS}
    return of_report | dict.fromkeys(metadata_columns(metadata), "VARCHAR")


def reference_sql(csv: Path, metadata: int = 0) -> str:
    """What DuckDB does by itself with the same file: explicit types, nothing sniffed, NULL and "" kept apart.

    The table has the types of ours. Amounts are read as decimal(18,9) and widened, which is exact for this file:
    DuckDB 1.5 reads decimals of more than 18 digits some ten times slower, and the reference is to be its best.
    """
    read, select = [], []
    for name, type_ in sql_types(metadata).items():
        if type_.startswith("DECIMAL"):
            read.append(f"'{name}': 'DECIMAL(18,9)'")
            select.append(f"{name}::{type_} AS {name}")
        elif type_.endswith("ZONE"):
            read.append(f"'{name}': 'TIMESTAMP'")
            select.append(f"{name} AT TIME ZONE 'UTC' AS {name}")
        else:
            read.append(f"'{name}': '{type_}'")
            select.append(name)
    return (
        f"CREATE TABLE {TABLE} AS SELECT {', '.join(select)} FROM read_csv('{csv}', header = true, "
        "auto_detect = false, delim = ',', quote = '\"', escape = '\"', nullstr = '', allow_quoted_nulls = false, "
        f"columns = {{{', '.join(read)}}})"
    )


def facts_sql(table: str, metadata: int = 0) -> str:
    """One row of what a table holds: rows, exact sums, NULL and "", and all values of all columns as two hashes."""
    sums = ", ".join(f"sum({name})" for name in AMOUNTS)
    row = f"hash({', '.join([*COLUMNS, *metadata_columns(metadata)])})"
    return (
        f"SELECT count(*), {sums}, count(*) FILTER ({EMPTY_AND_NULL} IS NULL), "
        f"count(*) FILTER ({EMPTY_AND_NULL} = ''), sum({row}::HUGEINT), bit_xor({row}) FROM {table}"
    )
