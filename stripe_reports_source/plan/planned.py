"""Cells as jobs: a cell that is to be fetched, and the file that it was fetched into, as values for any engine. Pure.

In: planned lanes, fetched cells. Out: frozen values of plain texts, numbers and flags, which go through JSON and hold
neither a key nor a password; and the way back to what they were made from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import date
from typing import Any, TypeVar

from ..errors import ArchiveError, ConfigurationError
from .catalog import load_catalog, split_id
from .cells import CellRequest, FetchedCell, Obtained
from .intervals import Cell, Grid, Span, next_on_grid, start_of_day
from .lanes import Lane
from .manifest import file_path, instant_of, text_of
from .report import Report
from .resolve import ResolvedReport, resolve
from .settings import Settings
from .stripe_objects import OfferedType, OfferedTypes, ReportRun, ResultFile, is_id

V = TypeVar("V", "PlannedCell", "FetchedFile")


@dataclass(frozen=True)
class PlannedCell:
    """A cell that a sync would load now: what a worker needs to fetch it, beside the source.

    Instants are texts in UTC, such as `2025-01-31T00:00:00Z`.

    Args:
        table: that it will be loaded into.
        report_type: exact id.
        account: the `_account` value of its rows.
        lane: the account, or `account/acct_...` where a report is run per connected account.
        interval_key: the `_interval_key` of its rows.
        interval_day: first calendar day of the cell, in the report's zone.
        interval_start, interval_end: what is asked for; of a report of an instant only the end counts.
        keys: the parameters that a report per payout is run for, as JSON.
        parameters_digest: of all parameters, which tells whether a source would ask for the same.
        data_available_start, data_available_end, data_updated: what Stripe has, and when it was last refreshed.
        default_columns: Stripe's own set, as JSON, where the catalogue does not know it.
        livemode: whether it is live or test data.
        again: the cell is loaded, and is to be loaded again without moving a cursor.
    """

    table: str
    report_type: str
    account: str
    lane: str
    interval_key: str
    interval_day: str
    interval_start: str
    interval_end: str
    keys: str
    parameters_digest: str
    data_available_start: str
    data_available_end: str
    data_updated: str
    default_columns: str | None
    livemode: bool
    again: bool = False

    def as_json(self) -> dict[str, Any]:
        """The cell as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PlannedCell:
        """The cell of such an object.

        Raises:
            ConfigurationError: it is not one.
        """
        return _checked(cls, data)

    @property
    def title(self) -> str:
        """What is asked for, in words."""
        return f"{self.report_type} [{self.lane}] [{self.interval_start}, {self.interval_end})"

    @property
    def span(self) -> Span:
        """The interval that is asked for."""
        return Span(instant_of(self.interval_start), instant_of(self.interval_end))

    @property
    def offered(self) -> OfferedType:
        """The report type, as it was offered when the cell was planned."""
        return OfferedType(
            id=self.report_type,
            name=self.report_type,
            version=split_id(self.report_type)[1] or 0,
            available=Span(instant_of(self.data_available_start), instant_of(self.data_available_end)),
            default_columns=None if self.default_columns is None else tuple(json.loads(self.default_columns)),
            updated=instant_of(self.data_updated),
            livemode=self.livemode,
        )


@dataclass(frozen=True)
class FetchedFile:
    """The result file of a cell, whole, and the report run that made it.

    Where Stripe has no report of a payout, `refused` says so in its words, and there is neither run nor file.

    Args:
        cell: what was asked for.
        url: the folder or address below which the file lies, see `path`.
        refused: why there is no report; None where there is one.
        sha256, bytes: of the file.
        run_id, run_created, run_succeeded, run_parameters: of the run; the parameters as JSON.
        attempt, adopted: how the run was got.
        file_id, file_created: Stripe's id of the file, and when it was made.
        interval_start, interval_end: the interval that was really asked for.
    """

    cell: PlannedCell
    url: str
    refused: str | None
    sha256: str = ""
    bytes: int = 0
    run_id: str = ""
    run_created: str = ""
    run_succeeded: str | None = None
    run_parameters: str = "{}"
    attempt: int = 0
    adopted: bool = False
    file_id: str = ""
    file_created: str | None = None
    interval_start: str = ""
    interval_end: str = ""

    def as_json(self) -> dict[str, Any]:
        """The file as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FetchedFile:
        """The file of such an object.

        Raises:
            ConfigurationError: it is not one.
        """
        return _checked(cls, {**data, "cell": PlannedCell.from_json(_object(data.get("cell")))})

    @property
    def path(self) -> str | None:
        """Where the file lies below `url`; None where there is none."""
        return None if self.refused is not None else file_path(self.sha256)

    @property
    def span(self) -> Span:
        """The interval that was really asked for."""
        return Span(instant_of(self.interval_start), instant_of(self.interval_end))

    @property
    def obtained(self) -> Obtained:
        """The run, as it was when it was fetched; its file has no address."""
        created = None if self.file_created is None else instant_of(self.file_created)
        run = ReportRun(
            id=self.run_id,
            report_type=self.cell.report_type,
            status="succeeded",
            parameters=json.loads(self.run_parameters),
            created=instant_of(self.run_created),
            succeeded_at=None if self.run_succeeded is None else instant_of(self.run_succeeded),
            error=None,
            result=ResultFile(self.file_id, "", self.bytes, created),
            livemode=self.cell.livemode,
        )
        return Obtained(run, self.attempt, self.adopted)


def planned_cell(request: CellRequest, lane: Lane, *, again: bool) -> PlannedCell:
    """A cell of a lane as a job; `again` for one that is loaded already."""
    report, cell, offered = request.report, request.cell, request.report.offered
    known = report.known is not None and report.known.default_columns
    return PlannedCell(
        table=report.report.table,
        report_type=offered.id,
        account=request.label,
        lane=lane.key,
        interval_key=request.key,
        interval_day=cell.first_day.isoformat(),
        interval_start=text_of(cell.span.start),
        interval_end=text_of(cell.span.end),
        keys=json.dumps({name: report.parameters[name] for name in report.keys}, sort_keys=True),
        parameters_digest=parameters_digest(report),
        data_available_start=text_of(offered.available.start),
        data_available_end=text_of(offered.available.end),
        data_updated=text_of(offered.updated),
        default_columns=None if known or offered.default_columns is None else json.dumps(offered.default_columns),
        livemode=offered.livemode,
        again=again,
    )


def parameters_digest(report: ResolvedReport) -> str:
    """What tells the parameters of a report's runs, but for the interval, from others; they can be long."""
    return hashlib.sha256(json.dumps(report.parameters, sort_keys=True, default=str).encode()).hexdigest()[:16]


def request_of(cell: PlannedCell, settings: Settings) -> CellRequest:
    """A planned cell, as a source with the settings that it was planned with would ask for it.

    Raises:
        ConfigurationError: it was planned with other settings.
    """
    base = split_id(cell.report_type)[0]
    reports = [report for report in settings.reports if report.report in (base, cell.report_type)]
    reports.sort(key=lambda report: report.table != cell.table)
    if settings.label != cell.account or not reports:
        raise ConfigurationError(
            f"{cell.title} was planned with another source: this one is of the account {settings.label!r}, with "
            f"{', '.join(report.report for report in settings.reports)}. Build the source of every job with the same "
            "settings."
        )
    resolved = _resolved(cell, reports[0], settings)
    request = CellRequest(resolved, settings.label, settings.acts_on, _cell(cell, resolved))
    if request.key != cell.interval_key or parameters_digest(resolved) != cell.parameters_digest:
        raise ConfigurationError(
            f"{cell.title} was planned with another grid, zone, columns or parameters than this source has. Build the "
            "source of every job with the same settings and the same version of this package, or plan again."
        )
    return request


def fetched_file(cell: PlannedCell, url: str, fetched: FetchedCell) -> FetchedFile:
    """What a worker gives back of a cell whose file lies below `url`."""
    run, file = fetched.obtained.run, fetched.file
    return FetchedFile(
        cell=cell,
        url=url,
        refused=None,
        sha256=file.sha256,
        bytes=file.bytes,
        run_id=run.id,
        run_created=text_of(run.created),
        run_succeeded=text_of(run.succeeded_at),
        run_parameters=json.dumps(run.parameters, sort_keys=True),
        attempt=fetched.obtained.attempt,
        adopted=fetched.obtained.adopted,
        file_id=run.result.id if run.result else "",
        file_created=text_of(run.result.created) if run.result else None,
        interval_start=text_of(fetched.span.start),
        interval_end=text_of(fetched.span.end),
    )


def _resolved(cell: PlannedCell, report: Report, settings: Settings) -> ResolvedReport:
    connected = cell.lane.removeprefix(cell.account).removeprefix("/") or None
    resolved = resolve(
        report if report.table == cell.table else replace(report, table_name=cell.table),
        OfferedTypes((cell.offered,)),
        load_catalog(),
        settings.defaults,
        connected,
        personal_data=settings.personal_data,
    )
    if not resolved.keys:
        return resolved
    return resolved.for_key({name: str(value) for name, value in json.loads(cell.keys).items()})


def _cell(cell: PlannedCell, resolved: ResolvedReport) -> Cell:
    first_day = date.fromisoformat(cell.interval_day)
    if resolved.keys:
        return Cell(first_day, resolved.offered.available, cell.span)
    grid: Grid = resolved.grid
    zone = resolved.zone
    whole = Span(start_of_day(first_day, zone), start_of_day(next_on_grid(first_day, grid), zone))
    return Cell(first_day, whole, cell.span)


def _object(data: Any) -> Mapping[str, Any]:
    return data if isinstance(data, Mapping) else {}


def _checked(kind: type[V], data: Mapping[str, Any]) -> V:
    """A value of its fields, each of its type; what it tells can be read, and is safe as a part of a path."""
    types: dict[str, tuple[type, ...]] = {
        "str": (str,),
        "int": (int,),
        "bool": (bool,),
        "str | None": (str, type(None)),
        "PlannedCell": (PlannedCell,),
    }
    try:
        value = kind(**data)
        for field in fields(kind):
            if type(getattr(value, field.name)) not in types[str(field.type)]:
                raise TypeError(field.name)
        if isinstance(value, PlannedCell):
            _ = value.span, value.offered, date.fromisoformat(value.interval_day), json.loads(value.keys).items()
        elif value.refused is None:
            _ = value.span, value.path, value.obtained.run.parameters.keys()
            if not is_id(value.run_id):
                raise ValueError("run_id")
    except (ArchiveError, ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as problem:
        raise ConfigurationError(
            f"what was given is not a {kind.__name__} of this version of the package ({type(problem).__name__}); plan "
            "and fetch again."
        ) from None
    return value
