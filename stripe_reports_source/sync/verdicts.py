"""Statements into the table `tie_out`, as a small load package of their own.

In: statements of a look at a dataset. Out: a load package. All that was said before of the same equation and cell is
replaced, so that a sum which no longer ties does not go on to say that it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import dlt
from dlt import Pipeline
from dlt.common.pipeline import LoadInfo

from ..plan.system_tables import TIE_OUT, Statement
from ..plan.table_texts import SYSTEM_TEXTS
from ..rows.system_rows import system_table
from ..warehouse.comments import write_comments
from ..warehouse.hints import system_hints
from ..warehouse.straight import merged
from .package import current_load_id

REPLACED_BY = ("equation", "interval_key")


def write_statements(pipeline: Pipeline, source_name: str, statements: Sequence[Statement]) -> LoadInfo:
    """Load statements.

    Args:
        pipeline: where to.
        source_name: the source, in whose schema the table is.
        statements: all there are of each equation and cell among them.
    """
    hints = system_hints(TIE_OUT)
    for name in REPLACED_BY:
        hints[name]["merge_key"] = True

    def rows() -> Iterator[Any]:
        yield system_table(TIE_OUT, statements, current_load_id())

    # dlt's own merge, which drops what the table has of a merge key: the job of our own goes by one key alone
    tables = pipeline.schemas[source_name].tables
    table_format = next((table["table_format"] for table in tables.values() if table.get("table_format")), None)
    resource = dlt.resource(
        rows,
        name=TIE_OUT.name,
        columns=hints,
        **merged(table_format),
    )
    is_new = TIE_OUT.name not in tables
    pipeline.extract(resource, schema=pipeline.schemas[source_name])
    pipeline.normalize()
    info = pipeline.load()
    if is_new:  # what is loaded before has its comments; the next sync would be the first to write these
        write_comments(pipeline, source_name, {TIE_OUT.name: SYSTEM_TEXTS[TIE_OUT.name]})
    return info
