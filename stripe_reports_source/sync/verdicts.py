"""Statements into the table `tie_out`: straight into DuckDB and PostgreSQL, elsewhere as small load packages.

In: statements of a look at a dataset. Out: rows. All that was said before of the same equation and cell is replaced, so
that a sum which no longer ties does not go on to say that it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import dlt
from dlt import Pipeline
from dlt.extract import DltResource

from ..plan.system_tables import TIE_OUT, Statement
from ..plan.table_texts import SYSTEM_TEXTS
from ..rows.system_rows import system_table
from ..warehouse.comments import write_comments
from ..warehouse.hints import system_hints
from ..warehouse.inventory import make_table
from ..warehouse.own_jobs import replace_rows, writes_straight
from ..warehouse.straight import merged
from .package import current_load_id

REPLACED_BY = ("equation", "interval_key")
MOST_STATEMENTS = 20_000
"""Of a load package."""
MOST_STRAIGHT = 5_000
"""At once without a package: more parts cost little then, and DuckDB is in this process's memory."""


def write_statements(
    pipeline: Pipeline, source_name: str, statements: Iterable[Statement], most: int | None = None
) -> None:
    """Write statements, in as many parts as keep them small: a platform may have very many.

    Args:
        pipeline: where to.
        source_name: the source, in whose schema the table is.
        statements: all there are of each equation and cell among them; those of one stand together.
        most: at once, or a few more; None is as many as the destination takes well.
    """
    usual = MOST_STRAIGHT if writes_straight(pipeline) else MOST_STATEMENTS
    for part in _parts(statements, most or usual):
        _write(pipeline, source_name, part)


def _parts(statements: Iterable[Statement], most: int) -> Iterator[Sequence[Statement]]:
    """The statements in parts of some `most`, none of which ends within the statements of an equation and cell."""
    part: list[Statement] = []
    for statement in statements:
        if len(part) >= most and _replaced(statement) != _replaced(part[-1]):
            yield part
            part = []
        part.append(statement)
    if part:
        yield part


def _replaced(statement: Statement) -> tuple[str, ...]:
    """What a statement replaces is all that was said before of the same."""
    return tuple(getattr(statement, name) for name in REPLACED_BY)


def _write(pipeline: Pipeline, source_name: str, statements: Sequence[Statement]) -> None:
    known = pipeline.schemas[source_name].tables.get(TIE_OUT.name, {}).get("columns", {})
    whole = TIE_OUT.columns.keys() <= known.keys()
    if not writes_straight(pipeline) or not _written_straight(pipeline, source_name, statements, is_made=whole):
        pipeline.extract(_resource(pipeline, source_name, statements), schema=pipeline.schemas[source_name])
        pipeline.normalize()
        pipeline.load()
    if not known:  # what is loaded before has its comments; the next sync would be the first to write these
        write_comments(pipeline, source_name, {TIE_OUT.name: SYSTEM_TEXTS[TIE_OUT.name]})


def _written_straight(pipeline: Pipeline, source_name: str, statements: Sequence[Statement], *, is_made: bool) -> bool:
    """False where no load has ended, so that there is none to name."""
    rows = partial(system_table, TIE_OUT, statements)
    if is_made and replace_rows(pipeline, source_name, TIE_OUT.name, REPLACED_BY, rows):
        return True
    make_table(pipeline, source_name, _resource(pipeline, source_name, statements).compute_table_schema())
    return replace_rows(pipeline, source_name, TIE_OUT.name, REPLACED_BY, rows)


def _resource(pipeline: Pipeline, source_name: str, statements: Sequence[Statement]) -> DltResource:
    """dlt's own merge, which drops what the table has of a merge key: the job of our own goes by one key alone."""
    hints = system_hints(TIE_OUT)
    for name in REPLACED_BY:
        hints[name]["merge_key"] = True

    def rows() -> Iterator[Any]:
        yield system_table(TIE_OUT, statements, current_load_id())

    tables = pipeline.schemas[source_name].tables
    table_format = next((table["table_format"] for table in tables.values() if table.get("table_format")), None)
    resource: DltResource = dlt.resource(rows, name=TIE_OUT.name, columns=hints, **merged(table_format))
    return resource
