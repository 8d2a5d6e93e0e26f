"""What the user asks for, settled by what Stripe offers and the catalogue knows. Pure.

In: `Report` (the user's words) and the account's offered report types. Out: `ResolvedReport`, in which nothing
is left to decide but the interval. All refusals of bad settings that need no run are made here and in `report`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from ..errors import ConfigurationError, NotOffered, StripeUnreachable
from .catalog import Catalog, ReportType, split_id
from .column_types import ColumnType
from .columns import StoredColumn, TableColumn, fit_to_table, split_metadata, table_columns
from .intervals import UTC_NAMES, Grid
from .report import MANAGED, Defaults, Report
from .run_parameters import INTERVAL
from .stripe_objects import OfferedType, OfferedTypes, Parameters

DAY_LENGTH = len("2025-01-31")
"""Of the day that an interval key ends with, but for those of reports per payout."""
_FORM = ("columns", "timezone", "decimal_separator")
"""Parameters that choose how rows are written, not which."""


def prefix_of(interval_key: str | None) -> str:
    """What the interval keys of all cells of a lane begin with: all but the day; "" where there is no key."""
    return (interval_key or "")[:-DAY_LENGTH]


@dataclass(frozen=True, slots=True)
class ResolvedReport:
    """A report with all decided but the interval.

    `parameters` are the run's parameters without the interval; `requested` are the columns asked for, None
    for Stripe's default set.
    """

    report: Report
    offered: OfferedType
    known: ReportType | None
    requested: tuple[str, ...] | None
    parameters: Parameters
    grid: Grid
    lookback_days: int
    zone: ZoneInfo
    names: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    stored: Mapping[str, StoredColumn] = field(default_factory=dict)
    """The columns that the report's table has already."""
    left_out: frozenset[str] = frozenset()
    """Headers that are not loaded where a file has them: personal ones, if the user wants none."""
    newer: OfferedType | None = None
    """A newer version that is offered, and was not chosen because the catalogue knows less of it."""

    def table_columns(self, headers: Sequence[str]) -> tuple[TableColumn, ...]:
        """The table's columns for a file's headers, in the file's order, without those that are left out.

        Raises:
            ConfigurationError: two headers end in one column, or a type or header is not the one that is stored.
        """
        headers = [header for header in headers if header not in self.left_out]
        columns = table_columns(headers, self.known, names=self.names, types=self.types)
        documented = [header for header in headers if self.known and self.known.column(header)]
        return fit_to_table(columns, self.stored, typed=self.types, documented=documented)

    def without_columns(self, refused: Collection[str]) -> ResolvedReport:
        """The report without some of its columns."""
        if self.requested is None or not refused:
            return self
        kept = tuple(name for name in self.requested if name not in refused)
        return replace(self, requested=kept, parameters={**self.parameters, "columns": list(kept)})

    def with_default_columns(self) -> ResolvedReport | None:
        """The report with Stripe's default set of columns instead of all that the catalogue knows.

        Returns:
            None where that cannot be: the user has named columns, or metadata, which has to stand in a list, and the
            default set is not known.
        """
        if self.requested is None or self.report.columns is not None:
            return None
        parameters = {name: value for name, value in self.parameters.items() if name != "columns"}
        if not self.report.metadata:
            return replace(self, requested=None, parameters=parameters)
        defaults = _default_columns(self.known, self.offered)
        if defaults is None:
            return None
        listed = (*(name for name in defaults if name not in self.left_out), *self.report.metadata)
        return replace(self, requested=listed, parameters={**parameters, "columns": list(listed)})

    @property
    def only_known_in_part(self) -> str | None:
        """What happens where Stripe offers a version that the catalogue does not know whole; None if it knows all."""
        name = self.offered.id
        if self.newer is not None:
            return (
                f"{self.newer.id} is offered, and the catalogue does not know all its columns: {name} is loaded; "
                "ask for the newer one by its exact id"
            )
        if self.known is None:
            return f"{name} is not in the catalogue: Stripe's default columns are loaded, as text where types sets none"
        if self.known.columns_complete:
            return None
        if self.requested is None or self.report.columns is not None:
            return f"the catalogue does not know all columns of {name}: those it does not know are loaded as text"
        return f"the catalogue does not know all columns of {name}: the {len(self.requested)} it knows are asked for"

    @property
    def snapshot(self) -> bool:
        """True for a report that takes only `interval_end`."""
        return self.known is not None and self.known.shape == "snapshot"

    @property
    def keys(self) -> tuple[str, ...]:
        """The parameters that a run is made for instead of an interval, such as `payout`; empty for most reports."""
        if self.known is None or self.known.shape != "per_payout":
            return ()
        return tuple(name for name in self.known.required if name not in MANAGED)

    @property
    def payouts_report(self) -> str | None:
        """The report whose payouts a report per payout is run for; None for others, or if its parameters name them."""
        if not self.keys or "payout" in self.parameters:
            return None
        return "connected_account_payouts.itemized" if "connected_account" in self.keys else "payouts.itemized"

    def for_key(self, key: Mapping[str, str]) -> ResolvedReport:
        """A report per payout, for one of its payouts."""
        return replace(self, parameters={**self.parameters, **key})

    @property
    def decimal_separator(self) -> str:
        """The character that the file writes before decimal places, as the user's parameter says."""
        return self.decimal_separator_in(self.parameters)

    @staticmethod
    def decimal_separator_in(parameters: Mapping[str, Any]) -> str:
        """The same of a run's parameters."""
        return "," if parameters.get("decimal_separator") in (",", "comma") else "."

    @property
    def filters(self) -> str:
        """The parameters that choose rows, as stable text; empty when there are none."""
        return self.filters_in(self.parameters)

    @staticmethod
    def filters_in(parameters: Mapping[str, Any]) -> str:
        """The parameters of a run that choose rows, without its interval, in the same form."""
        chosen = {name: value for name, value in parameters.items() if name not in (*_FORM, *INTERVAL)}
        return json.dumps(chosen, sort_keys=True, separators=(",", ":")) if chosen else ""

    @property
    def grid_identity(self) -> str:
        """What makes cells comparable: cells of different grids, zones or filters overlap."""
        if self.keys:
            return self.report.base
        return "|".join(part for part in (self.report.base, self.filters, self.grid, self.zone.key) if part)

    def key_prefix(self, account: str) -> str:
        """What the identities of all its cells begin with, whatever their day or payout."""
        return f"{account}|{self.grid_identity}|"

    def cell_key(self, account: str, first_day: date) -> str:
        """Identity of a cell in its table: what loading it again replaces."""
        if self.keys:
            return f"{account}|{self.report.base}|{self.filters}"
        return f"{account}|{self.grid_identity}|{first_day.isoformat()}"


def resolve(
    report: Report,
    offered: OfferedTypes,
    catalog: Catalog,
    defaults: Defaults,
    connected_account: str | None = None,
    stored: Mapping[str, StoredColumn] | None = None,
    personal_data: bool = True,
) -> ResolvedReport:
    """Settle version, columns and parameters of a report.

    Args:
        report: the user's words.
        offered: what Stripe offers to the account.
        catalog: what is known of report types.
        defaults: the source's settings.
        connected_account: to run the report for, of all that are connected.
        stored: the columns that the report's table has.
        personal_data: False leaves the catalogued personal columns out. Metadata is the user's own choice.

    Raises:
        ConfigurationError: the account does not offer the report, or a column, metadata key, type or parameter
            is not one the version takes. No run has been created then.
        StripeUnreachable: Stripe's description of the report cannot be read.
    """
    chosen = _choose_version(report, offered, catalog)
    known = catalog.get(chosen.id)
    where = f"report {chosen.id!r}:"
    zone = defaults.zone_of(report)
    left_out = frozenset() if personal_data else _personal_columns(known, catalog)
    requested = _choose_columns(report, chosen, known, left_out, where)
    parameters = _chosen_parameters(report, known, connected_account, where)
    resolved = ResolvedReport(
        report=report,
        offered=chosen,
        known=known,
        requested=requested,
        parameters={**parameters, **_managed_parameters(zone, known, requested)},
        grid=report.interval or defaults.grid,
        lookback_days=defaults.lookback_days if report.lookback_days is None else report.lookback_days,
        zone=zone,
        names=report.column_names,
        types={header: ColumnType.parse(type_, where) for header, type_ in (report.types or {}).items()},
        stored={} if stored is None else stored,
        left_out=left_out,
        newer=_newer(report, chosen, offered),
    )
    _check_columns(resolved, where)
    return resolved


def _chosen_parameters(
    report: Report, known: ReportType | None, connected_account: str | None, where: str
) -> Parameters:
    """The parameters that the user has chosen."""
    parameters: Parameters = dict(report.parameters or {})
    if connected_account is not None:
        parameters["connected_account"] = connected_account
    _check_parameters(parameters, known, where)
    return parameters


def _managed_parameters(zone: ZoneInfo, known: ReportType | None, requested: Sequence[str] | None) -> Parameters:
    """The parameters that follow from settings."""
    parameters: Parameters = {}
    if zone.key not in UTC_NAMES and (known is None or known.accepts("timezone")):
        parameters["timezone"] = zone.key
    if requested is not None:
        parameters["columns"] = list(requested)
    return parameters


def _choose_version(report: Report, offered: OfferedTypes, catalog: Catalog) -> OfferedType:
    base, version = split_id(report.report)
    same_base = {offer.id: offer for offer in offered if split_id(offer.id)[0] == base}
    unreadable = {name: problem for name, problem in offered.unreadable.items() if split_id(name)[0] == base}
    chosen = report.report
    if version is None and (same_base or unreadable):
        # an unreadable one counts: to go on with an older version would change the table's columns in silence
        chosen = max(
            (*same_base, *unreadable), key=lambda name: (_knowledge(catalog.get(name)), split_id(name)[1] or 0)
        )
    if chosen in same_base:
        return same_base[chosen]
    if chosen in unreadable:
        raise StripeUnreachable(f"report {chosen!r} is offered, but cannot be used: {unreadable[chosen]}")
    if same_base:
        have = ", ".join(sorted(same_base))
        raise NotOffered(f"report {report.report!r} is not offered to this account; of {base} it has {have}.")
    known = bool(catalog.versions(base))
    near = _nearest(base, {split_id(offer.id)[0] for offer in offered} | set(catalog.bases() if not known else ()))
    if known:
        raise NotOffered(
            f"report {report.report!r} is not offered to this account or key; "
            "`stripe-reports types` lists what is (some types need a live key or a Stripe product)."
        )
    raise ConfigurationError(f"report {report.report!r} is unknown to Stripe and the catalogue{near}")


def _newer(report: Report, chosen: OfferedType, offered: Iterable[OfferedType]) -> OfferedType | None:
    newest = max((offer for offer in offered if split_id(offer.id)[0] == report.base), key=lambda offer: offer.version)
    return newest if report.report == report.base and newest.version > chosen.version else None


def _knowledge(known: ReportType | None) -> int:
    """2: every column is known; 1: some are; 0: the catalogue does not know the version."""
    if known is None or not known.columns:
        return 0
    return 2 if known.columns_complete else 1


def _personal_columns(known: ReportType | None, catalog: Catalog) -> frozenset[str]:
    """The headers that are personal in this version's file, which may have some that it is not known to have."""
    own = known.columns if known else ()
    harmless = {column.name for column in own if not column.personal}
    return (catalog.personal | {column.name for column in own if column.personal}) - harmless


def _default_columns(known: ReportType | None, offered: OfferedType) -> tuple[str, ...] | None:
    return known.default_columns if known and known.default_columns else offered.default_columns


def _choose_columns(
    report: Report, offered: OfferedType, known: ReportType | None, left_out: frozenset[str], where: str
) -> tuple[str, ...] | None:
    metadata = tuple(report.metadata)
    if known is not None and (metadata or report.columns is not None) and not known.accepts("columns"):
        raise ConfigurationError(f"{where} takes no choice of columns; leave columns and metadata out.")
    for header in metadata:
        prefix = (split_metadata(header) or ("", ""))[0]
        if known is not None and prefix not in known.metadata_prefixes:
            have = ", ".join(known.metadata_prefixes) or "none"
            raise ConfigurationError(f"{where} has no metadata {prefix!r} (it has: {have}); leave {header!r} out.")
    defaults = _default_columns(known, offered)
    selectable = known is not None and bool(known.columns) and known.accepts("columns")
    if report.columns == "default" or (report.columns is None and not selectable):
        if not metadata:
            return None
        if defaults is None:
            raise ConfigurationError(f"{where} metadata needs a list of columns, its default columns are not known.")
        return (*(name for name in defaults if name not in left_out), *metadata)
    if report.columns is None:
        names = [column.name for column in (known.columns if known else ())]
        return (*(name for name in names if name not in left_out), *metadata)
    for name in report.columns:
        if name in left_out:
            raise ConfigurationError(f"{where} column {name!r} is personal data; leave it out or set personal_data.")
        bare = split_metadata(name)
        if known is not None and known.columns_complete and bare is None and known.column(name) is None:
            near = _nearest(name, {column.name for column in known.columns})
            raise ConfigurationError(f"{where} has no column {name!r}{near}")
        if known is not None and bare is not None and bare[0] not in known.metadata_prefixes:
            raise ConfigurationError(f"{where} has no metadata {bare[0]!r}; leave {name!r} out.")
    return (*report.columns, *(header for header in metadata if header not in report.columns))


def _check_parameters(parameters: Parameters, known: ReportType | None, where: str) -> None:
    if known is None:
        return
    for name in parameters:
        if not known.accepts(name):
            takes = sorted({*known.required, *known.optional} - set(MANAGED))
            raise ConfigurationError(f"{where} takes no parameter {name!r}; it takes {', '.join(takes) or 'none'}.")


def _check_columns(resolved: ResolvedReport, where: str) -> None:
    if resolved.requested is None:
        return
    for header in resolved.types:
        if header not in resolved.requested:
            raise ConfigurationError(f"{where} types names {header!r}, which is not among the requested columns.")
    resolved.table_columns(resolved.requested)  # refuses a clash of names or types


def _nearest(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(names), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
