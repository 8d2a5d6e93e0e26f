"""A look at a dataset: every equation, over what is loaded.

In: a pipeline and a scope. Out: statements. Each equation is one query; what is not loaded is not asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from dlt import Pipeline

from ..plan.column_types import AMOUNT, ColumnType
from ..plan.system_tables import Statement
from ..warehouse.hints import stored_types
from ..warehouse.query import Reader, reading_frugally
from ..warehouse.repeatable import is_cell_table
from ..warehouse.stored_schemas import listed_columns
from .coverage import Coverage, read_coverage
from .equations import BEFORE, EQUATIONS, Equation
from .glance import COPIES, OF_ROWS, Glances
from .groups import Group, groups_of, tables_of
from .inputs import INPUTS, Input, first_day_of, glance_query, lacking
from .judge import Judge, Sides
from .ledger_checks import CELLS_JOIN, LEDGER_CHECKS, cells_join, in_window, rows_stored_equal_file
from .left_behind import with_cells_left_behind
from .open_items import Looked, said_before, settled_since
from .queries import Figure, Spans, copies_query, equation_query, figure_of, in_dialect
from .reach import widened, with_counterparts
from .roll_forward import RollForward, roll_forwards
from .scope import Scope
from .statements import Statements, joined

FAMILIES: tuple[Mapping[str, Input], ...] = (
    INPUTS,
    {name: input_.of_connected_accounts() for name, input_ in INPUTS.items()},
)
"""The account's own reports, and those of connected accounts: equations hold within either."""
_WORSE = ("tied", "explained", "not_comparable", "pending", "stale", "variance")
_AMOUNTS = ("figure", "against", "difference", "gross_difference", "fee_difference")


@dataclass(frozen=True)
class Dataset:
    """An open dataset: its tables' columns, and which of them are reports', as dlt's schemas say; its SQL's dialect."""

    reader: Reader
    columns: Mapping[str, Mapping[str, ColumnType]]
    dialect: str | None
    of_reports: frozenset[str] = frozenset()

    def answer(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query of ours."""
        client = self.reader.client
        sql = in_dialect(query, self.dialect, client.make_qualified_table_name, client.escape_column_name)
        return self.reader.execute(sql)


def look(pipeline: Pipeline, now: datetime, scope: Scope | None = None) -> Statements:
    """Whether the reports of a dataset agree.

    Args:
        pipeline: whose dataset.
        now: the present, for `checked_at`.
        scope: what to look at; all if it is None.

    Returns:
        Statements in order of days; where an item of `tie_out` was open and is not any more, one with its new status.
    """
    with opened(pipeline) as dataset:
        return _look(dataset, now, scope or Scope())


def roll_forward(pipeline: Pipeline, scope: Scope) -> list[RollForward]:
    """The balance rolled forward, for each account and currency: over the last complete month, or since a day."""
    found = []
    with opened(pipeline) as opened_dataset:
        coverage = read_coverage(opened_dataset.reader, scope.accounts)
        dataset = _with_listed(opened_dataset, coverage)
        for inputs in FAMILIES:
            tables = {
                group.filters: group.sums
                for group in groups_of(coverage, inputs, dataset.columns)
                if group.beside is None
            }
            if tables:
                found += roll_forwards(dataset.answer, coverage, inputs, tables, scope.since)
    return found


@contextmanager
def opened(pipeline: Pipeline) -> Iterator[Dataset]:
    """A pipeline's dataset, open for several queries."""
    columns = _stored_columns(pipeline)
    dialect = pipeline.destination_client().capabilities.sqlglot_dialect
    with reading_frugally(pipeline) as reader:
        yield Dataset(reader, columns, dialect, _of_reports(pipeline))


def _look(dataset: Dataset, now: datetime, scope: Scope) -> Statements:
    coverage = read_coverage(dataset.reader, scope.accounts)
    loaded = coverage.names()
    if not loaded:
        return Statements()  # without a ledger there is nothing to go by
    dataset = _with_listed(dataset, coverage)
    before: dict[str, list[Statement]] = defaultdict(list)
    for statement in said_before(dataset.reader, scope):
        before[statement.equation].append(statement)
    scope = widened(scope, coverage, [statement for said in before.values() for statement in said])
    look = _Look(dataset, coverage, scope, now)
    names = {*LEDGER_CHECKS, *(equation.name for equation in EQUATIONS), *before}
    of_days: dict[date, Statements] = defaultdict(Statements)
    # a statement is about its equation alone, so that no more of them are held at once than one equation has
    for name in sorted(names):
        compared, found = look.at(name)
        said = before.pop(name, [])
        found = with_cells_left_behind(found, said, coverage, compared)
        worst_first = sorted(found, key=_weight, reverse=True)
        unique = {_key(statement): statement for statement in reversed(worst_first)}
        looked = Looked(compared, loaded, scope.since, whole=scope.touched is None)
        unique |= settled_since(said, unique, looked, now)
        for key in sorted(unique):
            statement = _storable(unique[key])
            of_days[statement.interval_day or date.max].extend([statement])
    return joined(of_days[day] for day in sorted(of_days))


class _Look:
    """A look at what is loaded, equation by equation.

    Args:
        dataset: where.
        coverage: what is loaded.
        scope: what to look at.
        now: the present.
    """

    def __init__(self, dataset: Dataset, coverage: Coverage, scope: Scope, now: datetime) -> None:
        self._dataset = dataset
        self._coverage = coverage
        self._scope = scope
        self._now = now
        self._families: list[tuple[_Family, Mapping[str, Scope]]] = []
        for inputs in FAMILIES:
            tables = {name: tables_of(coverage, input_, dataset.columns) for name, input_ in inputs.items()}
            if any(tables.values()):
                reaching = with_counterparts(scope, coverage, inputs, tables, dataset.answer)
                for group in groups_of(coverage, inputs, dataset.columns):
                    self._families.append((_Family(dataset, coverage, inputs, group, scope.since, now), reaching))

    def at(self, name: str) -> tuple[dict[tuple[str, str], bool], list[Statement]]:
        """What is found of the equations of a name.

        Returns:
            The name with the interval keys of the cells that were looked at; False where they cannot be compared. And
            the statements.
        """
        if name in LEDGER_CHECKS:
            cells = in_window(self._coverage, self._scope)
            return {(name, cell.key): True for cell in cells}, [*self._of_ledger(name)]
        compared: dict[tuple[str, str], bool] = {}
        found: list[Statement] = []
        for family, reaching in self._families:
            for equation in EQUATIONS:
                if equation.name == name:
                    # what is said of rows by themselves needs no other cells
                    own = reaching.get(equation.figure[0], self._scope) if equation.against else self._scope
                    found += family.at(equation, own, compared)
        return compared, found

    def _of_ledger(self, name: str) -> Iterator[Statement]:
        reader, coverage = self._dataset.reader, self._coverage
        if name == CELLS_JOIN:
            return cells_join(reader, coverage, self._scope, self._now)
        columns, of_reports = self._dataset.columns, self._dataset.of_reports
        return rows_stored_equal_file(reader, coverage, self._scope, columns, self._now, of_reports=of_reports)


class _Family:
    """Equations of one family of reports, between the tables of a group."""

    def __init__(
        self,
        dataset: Dataset,
        coverage: Coverage,
        inputs: Mapping[str, Input],
        group: Group,
        since: date | None,
        now: datetime,
    ) -> None:
        self._dataset = dataset
        self._coverage = coverage
        self._inputs = inputs
        self._group = group
        # a cell more, for what is compared with the one before
        self._first_day = None if since is None else coverage.day_before(since)
        self._now = now
        self._hashed = dataset.dialect == "duckdb"  # whose memory is this process's
        self._glances: dict[tuple[str, Scope], Glances] = {}

    def at(self, equation: Equation, scope: Scope, compared: dict[tuple[str, str], bool]) -> Iterator[Statement]:
        """The statements of an equation about what a scope has.

        `compared` gets its name and the interval keys of the cells that are looked at; False where they cannot be
        compared.
        """
        judge = Judge(equation, self._inputs, self._coverage, self._now)
        bases = [self._inputs[name].base for name in equation.inputs]
        of_group = self._group.cells(equation, bases, self._coverage)
        cells = sorted(cell for cell in of_group if _in_scope(equation, cell, scope))
        if not cells or ("settled_by_id" in equation.inputs and not self._group.rows["settled_by_id"]):
            return
        comparable = set()
        lacks = self._lacks(equation)
        for cell in cells:
            sides = judge.sides(cell)
            reason = self._not_comparable(equation, judge, cell, sides)
            reason = lacks if reason is None else reason
            compared[equation.name, judge.key(cell, sides)] = reason is None
            if reason is None:
                comparable.add(cell)
            elif reason:
                yield judge.not_comparable(cell, sides, reason)
        if comparable:
            yield from (judge.judge(figure) for figure in self._figures(equation, scope) if figure.cell in comparable)

    def _not_comparable(self, equation: Equation, judge: Judge, cell: str, sides: Sides) -> str | None:
        """Why a cell cannot be compared: None if it can be, "" if there is nothing to say of it."""
        if "settled_by_id" in equation.inputs:
            return None  # run per payout, for which there are no cells
        missing = [name for name in sides.missing if not self._is_loaded_elsewhere(equation, name)]
        before = [name for name in missing if name.endswith(BEFORE)]
        if before:
            return ""  # the first cell, or one after a gap, which cells_join names
        if missing == list(equation.inputs):
            return ""
        if missing:
            bases = [judge.base(name) for name in missing]
            return self._in_another_zone(bases, sides) or (
                f"{' and '.join(bases)} is not loaded for this interval: load it as well to compare."
            )
        if equation.name == "clearing_rolls_forward":
            previous = self._coverage.before(judge.base("balance"), cell)
            if previous is not None and self._coverage.get(judge.base("unsettled"), previous.cell) is None:
                return f"{judge.base('unsettled')} is not loaded for the interval before: load it as well to compare."
        return None

    def _in_another_zone(self, missing: Sequence[str], sides: Sides) -> str | None:
        """What to do where reports are loaded for the days of a cell, with the same rows, by another zone alone."""
        own = next(cell for _, cell in sides.all if cell is not None)
        zones = [self._coverage.zones_of(base, own) for base in missing]
        if not all(zones) or any(own.zone in of_base for of_base in zones):
            return None
        found = sorted({zone for of_base in zones for zone in of_base})
        names, are = " and ".join(missing), "is" if len(missing) == 1 else "are"
        return f"{names} {are} loaded in the zone {' and '.join(found)}, not {own.zone}: give all reports one timezone."

    def _is_loaded_elsewhere(self, equation: Equation, name: str) -> bool:
        """Rows have their counterparts in any cell: it is enough that the other report is loaded at all."""
        return equation.per_row and name != equation.figure[0] and bool(self._group.rows[name.removesuffix(BEFORE)])

    def _lacks(self, equation: Equation) -> str | None:
        tables = self._group.tables(equation)
        for name, fields in equation.needs.items():
            lacking_fields = lacking(self._inputs[name], tables[name], fields)
            if lacking_fields:
                column = self._inputs[name].fields[lacking_fields[0]].columns[0]
                base = self._inputs[name].base
                types = [table.columns[column] for table in tables[name] if column in table.columns]
                if types:
                    as_what, with_what = f"with the column {column} as {types[0]}", "its own type"
                else:
                    as_what, with_what = f"without the column {column}", "all columns"
                return f"{base} is loaded {as_what}: load it with {with_what} to compare."
        return None

    def _figures(self, equation: Equation, scope: Scope) -> Iterator[Figure]:
        at_once = self._at_a_glance(equation, scope) if equation.name in OF_ROWS else None
        if at_once is not None:
            yield from at_once
            return
        rows = self._dataset.answer(self._query(equation, scope))
        rows.reverse()
        while rows:  # of thousands of accounts: none is needed any more once its statement is made
            yield figure_of(rows.pop())

    def _at_a_glance(self, equation: Equation, scope: Scope) -> Iterator[Figure] | None:
        """What there is to say where no row differs; None where one does."""
        name = equation.figure[0]
        if (name, scope) not in self._glances:
            rows = glance_query(
                self._inputs[name],
                self._group.rows[name],
                since=None if scope.touched is not None else scope.since,
                accounts=scope.accounts,
                only=scope.touched,
            )
            self._glances[name, scope] = Glances(self._inputs[name].base, self._dataset.answer(rows))
        glances = self._glances[name, scope]
        if glances.differ(equation.name):
            return None
        if equation.name == COPIES and self._dataset.answer(
            copies_query(equation, self._inputs, self._group.rows, scope, hashed=self._hashed)
        ):
            return None
        return glances.figures(equation.name)

    def _query(self, equation: Equation, scope: Scope) -> str:
        spans: Spans = {}
        if equation.counterpart is not None:
            spans = self._coverage.spans(self._inputs[equation.counterpart].base, self._inputs[equation.figure[0]].base)
        tables = self._group.tables(equation)
        return equation_query(equation, self._inputs, tables, scope, self._first_day, spans, hashed=self._hashed)


def _in_scope(equation: Equation, cell: str, scope: Scope) -> bool:
    if equation.per_row and scope.touched is not None:
        return cell in scope.touched  # also what is older, whose counterparts were loaded
    return scope.since is None or first_day_of(cell) >= scope.since


def _storable(statement: Statement) -> Statement:
    """The statement; without figures that a column of amounts cannot hold, which are not compared."""
    most = 10 ** (AMOUNT.precision - AMOUNT.scale)
    values = [getattr(statement, name) for name in _AMOUNTS]
    if all(value is None or abs(value) < most for value in values):
        return statement
    reason = f"The figures have more digits than {AMOUNT} holds: they are not compared."
    unknown: dict[str, Any] = dict.fromkeys(_AMOUNTS)
    return replace(statement, status="not_comparable", reason=reason, **unknown)


def _stored_columns(pipeline: Pipeline) -> dict[str, dict[str, ColumnType]]:
    """The columns of all tables, as dlt's schemas of the pipeline have them: clones of a source share tables."""
    found: dict[str, dict[str, ColumnType]] = defaultdict(dict)
    for schema in pipeline.schemas.values():
        for name, table in schema.tables.items():
            found[name].update(stored_types(table.get("columns", {})))
    return found


def _of_reports(pipeline: Pipeline) -> frozenset[str]:
    """The tables of reports; those of the user's own steps may have some of their columns."""
    tables = (named for schema in pipeline.schemas.values() for named in schema.tables.items())
    return frozenset(name for name, table in tables if is_cell_table(table))


def _with_listed(dataset: Dataset, coverage: Coverage) -> Dataset:
    """The dataset, with the columns of tables that are loaded and that dlt's schemas do not know."""
    loaded = {lane[0].table for lane in coverage.lanes()} | {table for _, table, _ in coverage.second}
    loaded |= {cell.table for cell in coverage.per_payout}
    listed = listed_columns(dataset.reader, loaded - dataset.columns.keys())
    return replace(dataset, columns={**dataset.columns, **listed}) if listed else dataset


def _weight(statement: Statement) -> int:
    """What is worse counts where two statements have one key, as the rows of a cell that tie and one without a name."""
    return _WORSE.index(statement.status)


def _key(statement: Statement) -> tuple[str, ...]:
    return statement.equation, statement.account, statement.interval_key, statement.currency, statement.item
