"""What an archive says of a result file: all that a replay and an auditor need. Pure.

In: a cell that was fetched. Out: a `Manifest`, and its form as JSON, which is never changed once it is written. It
holds neither a key nor an address.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import Any, overload

from ..errors import ArchiveError
from .catalog import load_catalog
from .cells import CellRequest, Obtained
from .column_types import ColumnType
from .columns import TableColumn
from .intervals import Cell, Span, parse_zone
from .report import Report
from .resolve import ResolvedReport
from .stripe_objects import OfferedType, ReportRun, ResultFile, is_id

FORMAT = 1
FILES = "files"
MANIFESTS = "manifests"
"""The archive's two folders."""


@dataclass(frozen=True)
class Manifest:
    """A result file in an archive, and the cell it was loaded for.

    Args:
        request, span, obtained, columns: as in `FetchedCell`; the run's file has no address.
        lane: key of the cell's lane.
        backfill: the cell was loaded without a cursor.
        headers: all of the file's, in its order.
        path: of the file, from the archive's root.
        bytes, sha256: of the file.
        archived_at: when this was written.
        package_version: of this package, which has written it.
    """

    request: CellRequest
    span: Span
    obtained: Obtained
    columns: tuple[TableColumn, ...]
    lane: str
    backfill: bool
    headers: tuple[str, ...]
    path: str
    bytes: int
    sha256: str
    archived_at: datetime
    package_version: str

    @property
    def run(self) -> ReportRun:
        """The report run that has made the file."""
        return self.obtained.run

    @property
    def table(self) -> str:
        """The table that the rows went to."""
        return self.request.report.report.table

    @property
    def identity(self) -> str:
        """What the file was loaded as, in a few digits: the same run may be loaded for several tables or columns."""
        columns = [[column.header, column.name, str(column.type)] for column in self.columns]
        told = [self.table, self.lane, self.request.key, self.backfill, columns]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]

    def to_json(self) -> dict[str, Any]:
        """The manifest as a JSON object."""
        request, run = self.request, self.run
        report, cell = request.report, request.cell
        return {
            "format": FORMAT,
            "package_version": self.package_version,
            "archived_at": text_of(self.archived_at),
            "run_id": run.id,
            "report_type": run.report_type,
            "account": request.label,
            "stripe_account": request.account,
            "livemode": report.offered.livemode,
            "parameters": run.parameters,
            "interval_start": text_of(self.span.start),
            "interval_end": text_of(self.span.end),
            "status": run.status,
            "created": text_of(run.created),
            "succeeded_at": text_of(run.succeeded_at),
            "attempt": self.obtained.attempt,
            "adopted": self.obtained.adopted,
            "data_available_end": text_of(report.offered.available.end),
            "file": {
                "id": run.result.id if run.result else None,
                "created": text_of(run.result.created) if run.result else None,
                "path": self.path,
                "bytes": self.bytes,
                "sha256": self.sha256,
                "headers": list(self.headers),
            },
            "cell": {
                "table": self.table,
                "lane": self.lane,
                "key": request.key,
                "grid": report.grid,
                "timezone": report.zone.key,
                "first_day": cell.first_day.isoformat(),
                "whole_start": text_of(cell.whole.start),
                "whole_end": text_of(cell.whole.end),
                "parameters": report.parameters,
                "backfill": self.backfill,
                "columns": [
                    {"header": each.header, "name": each.name, "type": str(each.type), "description": each.description}
                    for each in self.columns
                ],
            },
            "offered": _offered_json(report.offered),
        }


def read_manifest(text: str | bytes, name: str) -> Manifest:
    """A manifest as an archive has it.

    Args:
        text: its JSON.
        name: its file, for messages.

    Raises:
        ArchiveError: it cannot be read, or a later version of this package has written it.
    """
    try:
        data = json.loads(text)
        if data["format"] != FORMAT:
            raise ArchiveError(f"the archive's {name} has the format {data['format']!r}, which is not known.")
        manifest = _manifest(data)
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as problem:
        raise ArchiveError(f"the archive's {name} cannot be read ({type(problem).__name__}).") from None
    ids = (manifest.run.id, manifest.run.report_type)
    if not all(map(is_id, ids)) or manifest.path != file_path(manifest.sha256):
        raise ArchiveError(f"the archive's {name} does not name a run, a report type and a file.")
    if manifest.request.key != data["cell"]["key"]:
        raise ArchiveError(f"the archive's {name} contradicts itself: it is not of the cell that it names.")
    return manifest


def file_path(sha256: str) -> str:
    """Where an archive keeps a file, from its root.

    Raises:
        ArchiveError: it is not a hash.
    """
    if not isinstance(sha256, str) or not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ArchiveError("a file of the archive is named by something that is not a SHA-256.")
    return f"{FILES}/{sha256}.csv"


def _manifest(data: Mapping[str, Any]) -> Manifest:
    file, cell = data["file"], data["cell"]
    span = Span(instant_of(data["interval_start"]), instant_of(data["interval_end"]))
    result = ResultFile(file["id"], "", file["bytes"], _maybe(file["created"]))
    run = ReportRun(
        id=data["run_id"],
        report_type=data["report_type"],
        status=data["status"],
        parameters=data["parameters"],
        created=instant_of(data["created"]),
        succeeded_at=_maybe(data["succeeded_at"]),
        error=None,
        result=result,
        livemode=data["livemode"],
    )
    whole = Span(instant_of(cell["whole_start"]), instant_of(cell["whole_end"]))
    request = CellRequest(
        report=_report(cell, _offered(data["offered"])),
        label=data["account"],
        account=data["stripe_account"],
        cell=Cell(date.fromisoformat(cell["first_day"]), whole, span),
    )
    return Manifest(
        request=request,
        span=span,
        obtained=Obtained(run, data["attempt"], data["adopted"]),
        columns=tuple(
            TableColumn(each["header"], each["name"], ColumnType.parse(each["type"]), each["description"])
            for each in cell["columns"]
        ),
        lane=cell["lane"],
        backfill=cell["backfill"],
        headers=tuple(file["headers"]),
        path=file["path"],
        bytes=file["bytes"],
        sha256=file["sha256"],
        archived_at=instant_of(data["archived_at"]),
        package_version=data["package_version"],
    )


def _report(cell: Mapping[str, Any], offered: OfferedType) -> ResolvedReport:
    return ResolvedReport(
        report=Report(offered.id, table_name=cell["table"]),
        offered=offered,
        known=load_catalog().get(offered.id),
        requested=None,
        parameters=cell["parameters"],
        grid=cell["grid"],
        lookback_days=0,
        zone=parse_zone(cell["timezone"]),
    )


def _offered_json(offered: OfferedType) -> dict[str, Any]:
    return {
        "id": offered.id,
        "name": offered.name,
        "version": offered.version,
        "data_available_start": text_of(offered.available.start),
        "data_available_end": text_of(offered.available.end),
        "default_columns": None if offered.default_columns is None else list(offered.default_columns),
        "updated": text_of(offered.updated),
        "livemode": offered.livemode,
    }


def _offered(data: Mapping[str, Any]) -> OfferedType:
    columns = data["default_columns"]
    return OfferedType(
        id=data["id"],
        name=data["name"],
        version=data["version"],
        available=Span(instant_of(data["data_available_start"]), instant_of(data["data_available_end"])),
        default_columns=None if columns is None else tuple(columns),
        updated=instant_of(data["updated"]),
        livemode=data["livemode"],
    )


@overload
def text_of(instant: datetime) -> str: ...
@overload
def text_of(instant: datetime | None) -> str | None: ...
def text_of(instant: datetime | None) -> str | None:
    """An instant as JSON has it, in UTC."""
    return None if instant is None else instant.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def instant_of(text: str) -> datetime:
    """The instant of such a text."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _maybe(text: str | None) -> datetime | None:
    return None if text is None else instant_of(text)
