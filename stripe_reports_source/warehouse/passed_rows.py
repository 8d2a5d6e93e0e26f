"""The last step of a report's resource: rows as the user's own steps have left them, in the form that its table takes.

In: items of dlt's pipe. Out: the same, with what the table wants of every row; which cells have rows, and in what form;
or a refusal, where rows lack what tells whose they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dlt
from dlt.common.configuration import resolve_configuration
from dlt.common.libs import is_pandas_frame, is_polars_frame
from dlt.common.normalizers.utils import generate_dlt_ids
from dlt.extract.items import SupportsPipe
from dlt.extract.items_transform import BaseItemTransform, ItemTransform
from dlt.extract.state import get_current_pipe
from dlt.normalize.configuration import ItemsNormalizerConfiguration

from ..errors import ConfigurationError
from .dispositions import CELL_KEY

if TYPE_CHECKING:
    import pyarrow as pa

KEPT = (CELL_KEY, "_account", "_report_run_id")
"""By these columns a cell is replaced, counted and compared."""
ROW_ID = "_dlt_id"
EXACT_FLOATS = 1 << 53
"""From here on, floating point numbers miss whole ones."""


class Passed(ItemTransform[Any, dict[str, Any]]):
    """See the module."""

    placement_affinity = 0.9  # behind all steps of the user's, before dlt's cursor and limit

    def __init__(self) -> None:
        BaseItemTransform.__init__(self)
        self.table = ""
        self.watching = False
        """True where there are steps of the user's."""
        self.adds_ids = False
        """True where the table wants dlt's id of each row, which Arrow has none of."""
        self.keys: set[str] = set()
        self.as_dicts = False
        self._types: dict[str, pa.DataType] = {}

    def bind(self, pipe: SupportsPipe) -> Passed:
        """Another one for each extraction."""
        return Passed()

    def __call__(self, item: Any, meta: Any = None) -> Any:
        if item is None or not (self.watching or self.adds_ids):
            return item
        return [self._taken(part) for part in item] if isinstance(item, list) else self._taken(item)

    def watched(self) -> Passed:
        """Watch what the user's steps give."""
        self.watching = True
        return self

    def note_types(self, given: pa.Table) -> pa.Table:
        """Note the types of the columns that the user's steps are given: frames lose them."""
        self._types.update(zip(given.schema.names, given.schema.types, strict=True))
        return given

    def with_ids(self, rows: pa.Table) -> pa.Table:
        """Rows with dlt's ids, where the table wants them."""
        if not self.adds_ids or ROW_ID in rows.column_names:
            return rows
        import pyarrow as pa  # which importing us does not need

        ids = pa.array(generate_dlt_ids(rows.num_rows), pa.string())
        return rows.append_column(pa.field(ROW_ID, pa.string(), nullable=False), ids)

    def _taken(self, part: Any) -> Any:
        if isinstance(part, Mapping):
            if not self.watching:
                return part
            self._refuse_lacking([name for name in KEPT if part.get(name) is None])
            self.as_dicts = True
            self.keys.add(str(part[CELL_KEY]))
            return part
        rows = self._as_arrow(part)
        if self.watching:
            self._refuse_lacking(
                [name for name in KEPT if name not in rows.column_names or rows.column(name).null_count]
            )
            self.keys.update(str(key) for key in rows.column(CELL_KEY).unique().to_pylist())
        return self.with_ids(rows)

    def _refuse_lacking(self, lacking: list[str]) -> None:
        if lacking:
            raise ConfigurationError(
                f"a step of your own gives table {self.table!r} rows without {lacking[0]!r}; let it keep the columns "
                f"{', '.join(KEPT)}, by which an interval is replaced, counted and compared."
            )

    def _as_arrow(self, part: Any) -> pa.Table:
        import pyarrow as pa  # which importing us does not need

        if is_pandas_frame(part):
            from dlt.common.libs.pandas import pandas_to_arrow

            return self._retyped(pandas_to_arrow(part))
        if is_polars_frame(part):
            from dlt.common.libs.polars import polars_to_arrow

            return self._retyped(polars_to_arrow(part))
        return pa.Table.from_batches([part]) if isinstance(part, pa.RecordBatch) else part

    def _retyped(self, rows: pa.Table) -> pa.Table:
        """A frame's columns in the report's types; those of the user's own as they are.

        Raises:
            ConfigurationError: a value would not be kept as it is.
        """
        import pyarrow as pa  # which importing us does not need

        for number, (name, column) in enumerate(zip(rows.column_names, rows.columns, strict=True)):
            type_ = self._types.get(name, column.type)
            if column.type != type_:
                rows = rows.set_column(number, pa.field(name, type_), self._exactly(name, column, type_))
        return rows

    def _exactly(self, name: str, column: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray:
        import pyarrow as pa  # which importing us does not need
        import pyarrow.compute as pc

        if column.null_count == len(column):
            return pa.chunked_array([pa.nulls(len(column), type_)])
        if pa.types.is_floating(column.type):
            most = pc.max(pc.abs(column)).as_py() or 0.0
            exact = pa.types.is_integer(type_) and most < EXACT_FLOATS
        else:
            exact = True
        try:
            if exact:
                return column.cast(type_)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            pass
        raise ConfigurationError(
            f"a step of your own gives table {self.table!r} the column {name!r} as {column.type}, which is not exactly "
            f"{type_}; give Arrow or dicts, or the column another name."
        )


def last_step(table: str) -> Passed:
    """The last step of the report that is extracting into a table."""
    pipe: Any = get_current_pipe()
    passed = next(step for step in pipe.steps if isinstance(step, Passed))
    passed.table, passed.adds_ids = table, _wants_ids(table)
    return passed


def _wants_ids(table: str) -> bool:
    """True for a table whose rows were dicts before, and to which dlt itself does not add ids now."""
    column: Any = dlt.current.source_schema().tables.get(table, {}).get("columns", {}).get(ROW_ID, {})
    if column.get("nullable", True):
        return False
    config = resolve_configuration(ItemsNormalizerConfiguration(), sections=("normalize", "parquet_normalizer"))
    return not config.add_dlt_id
