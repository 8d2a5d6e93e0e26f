"""Stripe's three objects as this package uses them: report type, report run, result file. Pure.

In: decoded JSON of the Reporting API (https://docs.stripe.com/api/reporting/report_run). Out: frozen values
with UTC instants. A missing field is an error here, so that nothing later works on half an object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal, cast

from ..errors import StripeUnreachable
from .intervals import Span

RunStatus = Literal["pending", "succeeded", "failed"]
Parameters = dict[str, Any]


@dataclass(frozen=True)
class OfferedType:
    """A report type as the account may run it now."""

    id: str
    name: str
    version: int
    available: Span
    default_columns: tuple[str, ...] | None
    updated: datetime
    livemode: bool

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> OfferedType:
        with _reading(data, "report type"):
            columns = data.get("default_columns")
            return OfferedType(
                id=str(data["id"]),
                name=str(data["name"]),
                version=int(data["version"]),
                available=Span(_instant(data["data_available_start"]), _instant(data["data_available_end"])),
                default_columns=None if columns is None else tuple(map(str, columns)),
                updated=_instant(data["updated"]),
                livemode=bool(data.get("livemode")),
            )


@dataclass(frozen=True)
class ResultFile:
    """The CSV file of a succeeded run. `size` is in bytes."""

    id: str
    url: str
    size: int


@dataclass(frozen=True)
class ReportRun:
    """A report run in one of its three states; `result` is set exactly when it succeeded."""

    id: str
    report_type: str
    status: RunStatus
    parameters: Parameters
    created: datetime
    succeeded_at: datetime | None
    error: str | None
    result: ResultFile | None

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ReportRun:
        with _reading(data, "report run"):
            status = data["status"]
            if status not in ("pending", "succeeded", "failed"):
                raise ValueError(f"status {status!r}")
            file = data.get("result")
            result = ResultFile(str(file["id"]), str(file["url"]), int(file["size"])) if file else None
            if status == "succeeded" and result is None:
                raise ValueError("succeeded without a result")
            return ReportRun(
                id=str(data["id"]),
                report_type=str(data["report_type"]),
                status=cast(RunStatus, status),
                parameters=dict(data.get("parameters") or {}),
                created=_instant(data["created"]),
                succeeded_at=_instant(data["succeeded_at"]) if data.get("succeeded_at") else None,
                error=data.get("error"),
                result=result,
            )


def unix(instant: datetime) -> int:
    """An instant as the API wants it: whole seconds since 1970."""
    return int(instant.timestamp())


def _instant(seconds: Any) -> datetime:
    return datetime.fromtimestamp(int(seconds), timezone.utc)


class _reading:
    """Turns a missing or odd field into an error that names the object."""

    def __init__(self, data: Mapping[str, Any], what: str) -> None:
        self._data = data
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (KeyError, ValueError, TypeError)):
            identity = self._data.get("id") if isinstance(self._data, Mapping) else None
            raise StripeUnreachable(
                f"Stripe sent a {self._what} ({identity}) that cannot be read: {type(error).__name__} {error}."
            ) from None
