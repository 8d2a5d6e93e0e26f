"""What the user asks for of one report, as far as it can be checked without Stripe. Pure.

In: the user's words. Out: a `Report`, or a refusal that names the setting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from zoneinfo import ZoneInfo

from ..errors import ConfigurationError
from .catalog import split_id
from .column_types import ColumnType
from .columns import SYSTEM_COLUMNS, is_normal, split_metadata
from .intervals import GRIDS, Grid, parse_zone

MANAGED = {
    "interval_start": "start_date",
    "interval_end": "end_date",
    "timezone": "timezone",
    "columns": "columns",
}
"""Run parameters that settings decide, each with its setting."""


@dataclass(frozen=True)
class Report:
    """One report to load.

    Args:
        report: a base id such as `payout_reconciliation.itemized` (the newest version that the account offers
            and the catalogue knows whole) or an exact id such as `payout_reconciliation.itemized.5`.
        columns: None for all columns the catalogue knows for the version, `"default"` for Stripe's default
            set, or a list of column names.
        metadata: custom columns such as `payment_metadata[order_id]`; as a mapping, each with its column name.
        interval: the grid, `day`, `week` (from Monday) or `month`; None takes the source's.
        lookback_days: days before the cursor to read again; None takes the source's.
        timezone: IANA zone of days and of report-zone times; None takes the source's.
        parameters: further run parameters, such as `{"currency": "eur"}`.
        types: column types by Stripe's header, such as `{"payment_metadata[seats]": "bigint"}`.
        table_name: the table; None is the base id with underscores for dots.

    Raises:
        ConfigurationError: a value that cannot be right whatever Stripe offers.
    """

    report: str
    columns: Sequence[str] | Literal["default"] | None = None
    metadata: Sequence[str] | Mapping[str, str] = ()
    interval: Grid | None = None
    lookback_days: int | None = None
    timezone: str | None = None
    parameters: Mapping[str, Any] | None = None
    types: Mapping[str, str] | None = None
    table_name: str | None = None

    def __post_init__(self) -> None:
        where = f"report {self.report!r}:"
        if not isinstance(self.report, str) or not self.base:
            raise ConfigurationError(f"report {self.report!r} must be a report type id such as 'balance.summary'.")
        if isinstance(self.columns, str) and self.columns != "default":
            raise ConfigurationError(f"{where} columns {self.columns!r} must be a list, 'default' or None.")
        if self.columns is not None and not len(self.columns):
            raise ConfigurationError(f"{where} columns is empty; use None for all columns the catalogue knows.")
        if isinstance(self.metadata, str):
            raise ConfigurationError(f"{where} metadata must be a list or a mapping, not text.")
        listed = [] if isinstance(self.columns, str) else list(self.columns or ())
        refuse_repeats(listed, f"{where} columns")
        refuse_repeats(self.metadata, f"{where} metadata")
        for name, value in (("parameters", self.parameters), ("types", self.types)):
            if value is not None and not isinstance(value, Mapping):
                raise ConfigurationError(f"{where} {name} {value!r} must be a mapping, such as {{'currency': 'eur'}}.")
        for name, value in (self.parameters or {}).items():
            refuse_repeats(value if isinstance(value, (list, tuple)) else (), f"{where} parameter {name!r}")
        check_grid(self.interval, where)
        check_lookback(self.lookback_days, where)
        if self.timezone is not None:
            parse_zone(self.timezone, f"{where} timezone")
        for header in self.metadata:
            if not isinstance(header, str) or "\0" in header or split_metadata(header) is None:
                raise ConfigurationError(
                    f"{where} metadata {header!r} must look like 'payment_metadata[order_id]', "
                    "with a key of up to 40 characters."
                )
        for header, name in self.column_names.items():
            if not isinstance(name, str) or not is_normal(name) or name in SYSTEM_COLUMNS:
                raise ConfigurationError(
                    f"{where} metadata name {name!r} for {header!r} must be lower snake case, up to 63 characters."
                )
        for header, type_ in (self.types or {}).items():
            ColumnType.parse(type_, f"{where} type of {header!r}:")
        for name in self.parameters or {}:
            if name in MANAGED:
                raise ConfigurationError(f"{where} parameter {name!r} is set through {MANAGED[name]!r}.")
        if self.table_name is not None and not is_normal(self.table_name):
            raise ConfigurationError(
                f"{where} table_name {self.table_name!r} must be lower snake case, up to 63 characters."
            )

    @property
    def base(self) -> str:
        """The id without its version."""
        return split_id(self.report)[0]

    @property
    def table(self) -> str:
        """The table this report is loaded into."""
        return self.table_name or self.base.replace(".", "_")

    @property
    def column_names(self) -> Mapping[str, str]:
        """The column names that the user has chosen, by Stripe's header."""
        return self.metadata if isinstance(self.metadata, Mapping) else {}


@dataclass(frozen=True)
class Defaults:
    """The source's settings that a `Report` may override."""

    grid: Grid
    lookback_days: int
    zone: ZoneInfo

    def zone_of(self, report: Report) -> ZoneInfo:
        """The zone whose days a report's intervals are made of."""
        return parse_zone(report.timezone) if report.timezone else self.zone


def refuse_repeats(values: Iterable[Any], setting: str) -> None:
    """Refuse a list that holds a value twice: what it stands for would be loaded twice.

    Raises:
        ConfigurationError: names the setting and the value.
    """
    for value, times in Counter(map(str, values)).items():
        if times > 1:
            raise ConfigurationError(f"{setting} names {value!r} twice.")


def check_grid(grid: str | None, where: str) -> None:
    """Refuse a grid that is none."""
    if grid is not None and grid not in GRIDS:
        raise ConfigurationError(f"{where} interval {grid!r} must be one of {', '.join(GRIDS)}.")


def check_lookback(days: int | None, where: str) -> None:
    """Refuse a lookback that is not a count of days."""
    if days is not None and (isinstance(days, bool) or not isinstance(days, int) or days < 0):
        raise ConfigurationError(f"{where} lookback_days {days!r} must be a whole number of days, 0 or more.")
