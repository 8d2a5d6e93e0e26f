"""A mart as one query: its inputs, the marts it reads, and its own SQL put together, in the destination's dialect.

In: the tables that hold the reports, a chart of accounts. Out: SQL text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date

from ..errors import ConfigurationError
from ..plan.texts import text_literal
from .catalog import MARTS, Mart
from .chart import Chart
from .input_sql import cells_query, ledger_accounts_query, report_query, tie_out_query
from .inputs import INPUT_NAMES, REPORT_INPUTS
from .tables import InputTable

_NAMED = re.compile(r"\{(\w+)\}")
_WORD = re.compile(r"\w+")
_WITH = re.compile(r"\A\s*WITH\s+", re.IGNORECASE)
_COMMENT = re.compile(r"--[^\n]*\n")
_PLACEHOLDER = re.compile(r'["`\[](table|column):([^"`\]]+)["`\]]')
_AS_WRITTEN = ("duckdb", "postgres")
"""Dialects that take the SQL as it is."""


class MartQuery:
    """Queries over the marts of a dataset, in the dialect that DuckDB and PostgreSQL share.

    Args:
        tables: that hold each input.
        chart: the chart of accounts.
        tie_out: whether there is a table with verdicts.
        before: only what moved before this day; None for all.
    """

    def __init__(
        self, tables: Mapping[str, Sequence[InputTable]], chart: Chart, *, tie_out: bool, before: date | None = None
    ) -> None:
        self._tables = tables
        self._chart = chart
        self._tie_out = tie_out
        self._before = before

    def rows(
        self,
        mart: Mart,
        since: date | None,
        until: date | None,
        accounts: Collection[str] | None,
        or_day: str | None = None,
    ) -> str:
        """A mart's rows in the order of its key; arguments see `Marts.rows`."""
        conditions = _within(mart.day, since, until)
        if or_day is not None and conditions:
            other = _within(or_day, since, until)
            conditions = [f"({' AND '.join(conditions)} OR {' AND '.join(other)})"]
        if accounts is not None:
            conditions.append(f"account IN ({', '.join(map(text_literal, sorted(accounts))) or 'NULL'})")
        where = f"\nWHERE {' AND '.join(conditions)}" if conditions else ""
        return self.of(f"{self.all_of(mart)}{where}\nORDER BY {', '.join(mart.key)}")

    @staticmethod
    def all_of(mart: Mart) -> str:
        """All rows of a mart, with its name in braces."""
        return f"SELECT {', '.join(column.name for column in mart.columns)}\nFROM {{{mart.name}}}"

    def of(self, query: str) -> str:
        """A query over at least one mart or input, whose names stand in braces; it may begin with `WITH`.

        Raises:
            ConfigurationError: it names none, or one that is not there.
        """
        asked = _NAMED.findall(_COMMENT.sub("", query))
        unknown = sorted(set(asked) - {*MARTS, *INPUT_NAMES})
        if unknown or not asked:
            wrong = f"the query names {{{unknown[0]}}}" if unknown else "the query names no mart in braces"
            raise ConfigurationError(f"{wrong}; there are {', '.join((*MARTS, *INPUT_NAMES))}.")
        marts = _marts_in(query)
        texts = [_COMMENT.sub("", text) for text in (*(mart.sql for mart in marts), query)]
        named = {name for text in texts for name in _NAMED.findall(text)}
        words = {word for text in texts for word in _WORD.findall(text)}
        # the user's own query may ask an input for any column, by `*` or in any case
        whole = {name: input_.names for name, input_ in REPORT_INPUTS.items() if name in asked}
        parts = {name: self._input(name, named, whole.get(name, words)) for name in self._inputs(named)}
        parts |= {mart.name: _NAMED.sub(r"\1", mart.sql.rstrip()) for mart in marts}
        common = ",\n".join(f"{name} AS (\n{sql}\n)" for name, sql in parts.items())
        own = _WITH.sub("", query)
        return f"WITH {common}{'' if own == query else ','}\n{_NAMED.sub(_name, own)}"

    def inputs_of(self, mart: Mart) -> list[str]:
        """The reports that a mart reads, by itself or through other marts."""
        named = {name for other in _marts_in(f"{{{mart.name}}}") for name in other.reads}
        return [name for name in REPORT_INPUTS if name in named]

    def _inputs(self, named: Collection[str]) -> list[str]:
        return [name for name in (*REPORT_INPUTS, "cells", "tie_out", "ledger_accounts") if name in named]

    def _input(self, name: str, named: Collection[str], words: Collection[str]) -> str:
        if name in REPORT_INPUTS:
            return report_query(REPORT_INPUTS[name], self._tables[name], words, self._before)
        if name == "cells":
            return cells_query({other: self._tables[other] for other in REPORT_INPUTS if other in named})
        if name == "tie_out":
            return tie_out_query(there=self._tie_out)
        return ledger_accounts_query(self._chart)


def in_dialect(
    query: str, dialect: str | None, quote_table: Callable[[str], str], quote_column: Callable[[str], str]
) -> str:
    """A query of ours as a destination takes it.

    Args:
        query: in the dialect that DuckDB and PostgreSQL share.
        dialect: sqlglot's name of the destination's.
        quote_table, quote_column: the destination's way to write a name.
    """
    if dialect not in _AS_WRITTEN:
        import sqlglot  # takes its time, and most need it not

        query = sqlglot.parse_one(query, read="duckdb").sql(dialect=dialect, pretty=True)
    quote = {"table": quote_table, "column": quote_column}
    return _PLACEHOLDER.sub(lambda found: quote[found[1]](found[2]), query)


def _within(day: str, since: date | None, until: date | None) -> list[str]:
    """Conditions for a day that lies from one day on, and before another."""
    return [
        f"{day} {comparison} DATE '{bound.isoformat()}'"
        for comparison, bound in ((">=", since), ("<", until))
        if bound is not None
    ]


def _marts_in(query: str) -> list[Mart]:
    """The marts that a query reads, those first that others read."""
    found: dict[str, Mart] = {}

    def visit(names: Iterable[str]) -> None:
        for name in names:
            if name in MARTS and name not in found:
                visit(MARTS[name].reads)
                found[name] = MARTS[name]

    visit(_NAMED.findall(query))
    return list(found.values())


def _name(found: re.Match[str]) -> str:
    return found[1]
