"""The columns that a table has before a sync, whoever has made them: the source, a clone of it, another pipeline.

In: a pipeline that is extracting. Out: the columns of a table by name. dlt's schema of the source has its own. The
others are in other schemas and in the dataset's list, which is read at most once in a sync: when a column is looked for
that is not the source's own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache, partial
from typing import Any

import dlt
from dlt import Pipeline
from dlt.common.schema.typing import TTableSchemaColumns

from ..plan.columns import StoredColumn
from .hints import STRIPE_COLUMN, schema_columns, stored_types
from .query import Reader, reading
from .stored_schemas import listed_by_table


class StoredColumns:
    """See the module; of one sync.

    Args:
        pipeline: that is extracting.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.of_others = cache(self._of_others)
        """The columns of a table that others have made. Call it before threads look for columns."""
        self._listed: Mapping[str, Mapping[str, StoredColumn]] | None = None

    def of(self, table: str, *, begun: bool) -> Mapping[str, StoredColumn]:
        """The columns of a table.

        Args:
            table: a report's.
            begun: the load package has rows of it, so that all that the schema has of it will be made.
        """
        own = _columns(schema_columns(dlt.current.source_schema(), table, made=None if begun else True))
        return _Columns(own, partial(self.of_others, table))

    def _of_others(self, table: str) -> Mapping[str, StoredColumn]:
        schema, schemas = dlt.current.source_schema(), self._pipeline.schemas
        own = schema_columns(schema, table, made=True)
        found: dict[str, StoredColumn] = {}
        for name in schemas:
            if name != schema.name:
                found |= _columns(schema_columns(schemas[name], table), by_another=True)
        if self._listed is None or self._listed.get(table, {}).keys() - own.keys() - found.keys():
            with reading(self._pipeline) as reader:
                listed = self._in_list(reader, table, {*own, *found})
            found = {**listed, **found}
        return found

    def _in_list(self, reader: Reader, table: str, known: Collection[str]) -> Mapping[str, StoredColumn]:
        """The columns that are not known, and that the dataset's list has, and the table: it may be another since."""
        if self._listed is None:
            self._listed = listed_by_table(reader)
        listed = {name: column for name, column in self._listed.get(table, {}).items() if name not in known}
        there = reader.columns(table) if listed else frozenset()
        return {name: column for name, column in listed.items() if name in there}


def _columns(columns: TTableSchemaColumns, *, by_another: bool = False) -> dict[str, StoredColumn]:
    hints: Mapping[str, Mapping[str, Any]] = columns
    return {
        name: StoredColumn(type_, hints[name].get(STRIPE_COLUMN), by_another)
        for name, type_ in stored_types(columns).items()
    }


class _Columns(Mapping[str, StoredColumn]):
    """The source's own columns, and those of others, which are asked for where a column is not its own."""

    def __init__(self, own: Mapping[str, StoredColumn], others: Callable[[], Mapping[str, StoredColumn]]) -> None:
        self._own = own
        self._others = others

    def __getitem__(self, name: str) -> StoredColumn:
        return self._own[name] if name in self._own else self._others()[name]

    def __iter__(self) -> Iterator[str]:
        yield from {**self._others(), **self._own}

    def __len__(self) -> int:
        return len({**self._others(), **self._own})
