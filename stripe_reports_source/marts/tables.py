"""Which tables the inputs are read from: of what is loaded, each row once. Pure.

In: what `report_cells` says of each table, and the tables' columns. Out: for each input the tables that count, with the
accounts that count of them, and sentences about what is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..plan.catalog import split_id
from ..plan.column_types import ColumnType
from ..plan.whose_data import CONNECTED
from .inputs import REPORT_INPUTS, InputColumn, MartInput

_DAY_LENGTH = len("|2025-01-31")


@dataclass(frozen=True)
class Holding:
    """What a table holds of an account: the lane of its cells.

    Args:
        table: its name.
        account: as in `_account`.
        base: the report, without its version.
        filters: run parameters that choose rows, but the connected account; with any, it is not all of the report.
        per_connected_account: True where each run was for a connected account, which its key names.
        zone: of its days.
    """

    table: str
    account: str
    base: str
    filters: Mapping[str, str]
    per_connected_account: bool
    zone: str

    @staticmethod
    def of(table: str, account: str, report_type: str, key: str, *, on_grid: bool) -> Holding:
        """What a row of `report_cells` says; `on_grid` is False for a report per payout, whose keys have no day."""
        base = split_id(report_type)[0]
        identity = key.removeprefix(f"{account}|{base}").removeprefix("|")
        text, zone = identity, "UTC"
        if on_grid:
            text, _, zone = identity[:-_DAY_LENGTH].rpartition("|")
            text = text.rpartition("|")[0]
        filters = json.loads(text) if text and on_grid else {}
        per_account = filters.pop(CONNECTED, None) is not None
        return Holding(table, account, base, filters, per_account, zone)

    @property
    def rank(self) -> tuple[bool, str]:
        """What counts first: the table that is named after the report."""
        return self.table != self.base.replace(".", "_"), self.table


@dataclass(frozen=True)
class InputTable:
    """A table that an input is read from.

    Args:
        name: its name.
        columns: its columns with their types.
        zones: the zone of the days of each account that counts, by `_account`.
        all_accounts: True where it has no others.
        connected: True for a report over connected accounts, whose rows name theirs.
        per_connected_account: see `Holding`.
        but: connected accounts that are loaded on their own, which do not count here.
        apart: accounts as in `_account` whose days are of another zone than those of their balance: no day of the
            balance is loaded here.
    """

    name: str
    columns: Mapping[str, ColumnType]
    zones: Mapping[str, str]
    all_accounts: bool
    connected: bool
    per_connected_account: bool
    but: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chosen:
    """The tables of each input, and sentences about what is not there or not read, by input."""

    tables: Mapping[str, tuple[InputTable, ...]]
    notes: Mapping[str, tuple[str, ...]]


def choose(holdings: Iterable[Holding], columns: Mapping[str, Mapping[str, ColumnType]]) -> Chosen:
    """The tables that count.

    Where an account's report is loaded into several tables, one counts: that with the report's own name before others.
    Tables with a filter do not count.
    """
    listed = sorted(_once(holdings), key=lambda holding: (*holding.rank, holding.account))
    tables, notes = {}, {}
    for name, input_ in REPORT_INPUTS.items():
        own = [holding for holding in listed if holding.base == input_.base]
        connected = [holding for holding in listed if holding.base == input_.connected_base]
        said: list[str] = []
        found = _tables(input_, own, columns, said, connected=False)
        of_own = tuple(sorted({account for table in found for account in table.zones}))
        found += _tables(input_, connected, columns, said, connected=True, but=of_own)
        if not found and not said and not input_.fills_in:
            said.append(f"{input_.base} is not loaded.")
        tables[name], notes[name] = tuple(found), tuple(said)
    said = list(notes["balance"])
    for name in _MOVES:
        tables[name] = tuple(_in_zone_of_balance(table, tables["balance"], said) for table in tables[name])
    return Chosen(tables, {**notes, "balance": tuple(said)})


_MOVES = ("activity", "payouts")
"""What the balance is rolled forward by."""


def _in_zone_of_balance(table: InputTable, balance: Sequence[InputTable], said: list[str]) -> InputTable:
    """A table with the accounts set apart whose balance is of other days, which is said."""
    zones = {
        account: zone
        for other in balance
        if other.connected == table.connected
        for account, zone in other.zones.items()
    }
    apart = tuple(sorted(account for account, zone in table.zones.items() if zones.get(account, zone) != zone))
    for pair in sorted({(table.zones[account], zones[account]) for account in apart}):
        named = [account for account in apart if (table.zones[account], zones[account]) == pair]
        whose = f"account {named[0]!r}" if len(named) == 1 else f"{len(named):,} accounts, {named[0]!r} among them,"
        said.append(
            f"Table {table.name} of {whose} has days of {pair[0]}, its balance those of {pair[1]}: they are not "
            "compared; load all reports with one timezone."
        )
    return replace(table, apart=apart)


def _once(holdings: Iterable[Holding]) -> Iterable[Holding]:
    """Each table and account once: versions of a report share a table."""
    return {(holding.table, holding.account): holding for holding in holdings}.values()


def columns_of_input(about: InputColumn, columns: Mapping[str, ColumnType]) -> list[str]:
    """The columns that an input's column is read from, of which the first one with a value counts.

    Versions of a report that share a table may have it in different ones. Numbers of any precision are numbers.
    """
    kinds = (about.type.kind, "bigint") if about.type.kind == "decimal" else (about.type.kind,)
    return _of_kinds(about.sources, kinds, columns)


def time_columns(names: Iterable[str], kind: str, columns: Mapping[str, ColumnType]) -> list[str]:
    """Of some columns those that are a time of a kind, in order."""
    return _of_kinds(names, (kind,), columns)


_BESIDE = {"timestamp": "local", "timestamptz": "utc"}
"""What follows the name of a time that was put beside one of the same name and of the other kind."""


def _of_kinds(names: Iterable[str], kinds: Sequence[str], columns: Mapping[str, ColumnType]) -> list[str]:
    named = list(names)
    every = [*named, *(f"{name}_{_BESIDE[kinds[0]]}" for name in named if kinds[0] in _BESIDE)]
    return [name for name in dict.fromkeys(every) if name in columns and columns[name].kind in kinds]


def _tables(
    input_: MartInput,
    holdings: Iterable[Holding],
    columns: Mapping[str, Mapping[str, ColumnType]],
    said: list[str],
    *,
    connected: bool,
    but: tuple[str, ...] = (),
) -> list[InputTable]:
    listed = list(holdings)
    usable = [holding for holding in listed if not _why_not(input_, holding, columns, said, connected=connected)]
    chosen: dict[str, Holding] = {}
    for holding in usable:
        counts = chosen.setdefault(holding.account, holding)
        if counts is not holding:
            said.append(
                f"Table {holding.table} is not read for account {holding.account!r}: {counts.table} has its rows."
            )
    found = []
    # labels of one table may differ in how connected accounts are run: each kind is read in its own way
    for table, per_account in dict.fromkeys((other.table, other.per_connected_account) for other in chosen.values()):
        zones = {
            holding.account: holding.zone
            for holding in chosen.values()
            if (holding.table, holding.per_connected_account) == (table, per_account)
        }
        others = {holding.account for holding in listed if holding.table == table} - set(zones)
        found.append(InputTable(table, columns[table], zones, not others, connected, per_account, but))
    return found


def _why_not(
    input_: MartInput,
    holding: Holding,
    columns: Mapping[str, Mapping[str, ColumnType]],
    said: list[str],
    *,
    connected: bool,
) -> bool:
    """Whether a table cannot be read for an account, which is said then."""
    own = columns.get(holding.table, {})
    if not own:
        said.append(f"Table {holding.table} is not read: it is not in the database.")
        return True
    lacking = [about.sources[0] for about in input_.columns if about.needed and not columns_of_input(about, own)]
    utc, local = input_.times
    if utc and not time_columns(utc, "timestamptz", own) and not time_columns(local, "timestamp", own):
        lacking.append(utc[0])
    if lacking:
        names = ", ".join(dict.fromkeys(lacking))
        said.append(f"Table {holding.table} is not read: it is loaded without the column {names}, or not as its type.")
        return True
    if holding.filters:
        said.append(f"Table {holding.table} is not read: it holds only rows of {dict(holding.filters)}.")
        return True
    if connected and not holding.per_connected_account and CONNECTED not in own:
        said.append(
            f"Table {holding.table} is not read: its rows do not say which connected account they belong to. "
            "With connected_accounts=[...] there is a run for each."
        )
        return True
    return False
