"""Control totals of a file, taken from its typed rows while they are parsed.

In: the Arrow tables of a file, one after the other. Out: its `ControlTotal`s, as JSON.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from decimal import Context, Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..plan.columns import TableColumn
from ..plan.control_totals import ControlColumns, ControlTotal, control_totals_json

_EXACT = Context(prec=80)
"""Python's default context would round a sum to 28 digits."""
_Group = tuple[str | None, str | None]


class ControlSums:
    """Adds up the tables of one file, whose table columns are `columns`."""

    def __init__(self, columns: Sequence[TableColumn]) -> None:
        self._of = ControlColumns.of(columns)
        self._rows: Counter[_Group] = Counter()
        self._amounts: dict[_Group, dict[str, Decimal]] = defaultdict(
            lambda: dict.fromkeys(self._of.amounts, Decimal(0))
        )

    def add(self, rows: pa.Table) -> None:
        """Add rows of the file, without marks of ours among them."""
        keys = [name for name in (self._of.currency, self._of.category) if name]
        sums = [(name, "sum") for name in self._of.amounts]
        added = rows.select([*keys, *self._of.amounts])
        for name in self._of.amounts:
            added = _without_wrapping(added, name)
        # one batch is no work for several threads, which cost more than the sums of a small file
        found = added.group_by(keys, use_threads=False).aggregate([*sums, ([], "count_all")])
        for row in found.to_pylist():
            self._add_group(row)

    def json(self) -> str:
        """The totals of all rows so far, as `report_runs.control_totals` holds them."""
        totals = [ControlTotal(*group, rows, self._amounts[group]) for group, rows in self._rows.items()]
        return control_totals_json(totals, by_category=self._of.category is not None)

    def _add_group(self, row: dict[str, Any]) -> None:
        group = (self._text(row, self._of.currency), self._text(row, self._of.category))
        self._rows[group] += row["count_all"]
        sums = self._amounts[group]
        for name in self._of.amounts:
            sums[name] = _EXACT.add(sums[name], row[f"{name}_sum"] or Decimal(0))

    def _text(self, row: dict[str, Any], column: str | None) -> str | None:
        return (row[column] or None) if column else None


def _without_wrapping(rows: pa.Table, name: str) -> pa.Table:
    """The rows, with a wider type for amounts whose sum would have more digits than theirs: Arrow would wrap around."""
    column = rows.column(name)
    ends = [end.as_py() for end in pc.min_max(column).values()]
    largest = max((abs(end.scaleb(column.type.scale, _EXACT)) for end in ends if end is not None), default=0)
    if largest * len(rows) < 10**column.type.precision:
        return rows
    wider = column.cast(pa.decimal256(76, column.type.scale))
    return rows.set_column(rows.schema.get_field_index(name), name, wider)
