"""What Stripe's Reporting API returns, as values. Pure.

In: decoded JSON of the Reporting API (https://docs.stripe.com/api/reporting/report_run). Out: frozen values with UTC
instants. A field that is missing or absurd is an error here, so that nothing later works on half an object: ids can
be parts of paths and addresses, numbers can be instants and sizes, texts can be shown.
"""

from __future__ import annotations

import re
import reprlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal, TypeVar, cast

from ..errors import StripeUnreachable
from .addresses import parse_address
from .intervals import Span
from .texts import printable

RunStatus = Literal["pending", "succeeded", "failed"]
Parameters = dict[str, Any]
T = TypeVar("T")

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_LATEST = 32_503_680_000
"""The year 3000, in seconds: there is room for zones and intervals before Python's calendar ends."""
_LARGEST_FILE = 1 << 44
_LARGEST_VERSION = 1_000_000
_BRIEF = reprlib.Repr()
_BRIEF.maxstring = 60


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
    def from_json(data: Any) -> OfferedType:
        """A report type of Stripe's list.

        Raises:
            StripeUnreachable: it cannot be read.
        """
        return _read(data, "report type", _offered_type)


@dataclass(frozen=True)
class OfferedTypes:
    """The report types that an account may run now.

    Args:
        types: those that can be read.
        unreadable: the others, by id, and what is wrong with each. They matter only to those who ask for them.
    """

    types: tuple[OfferedType, ...]
    unreadable: Mapping[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[OfferedType]:
        return iter(self.types)


@dataclass(frozen=True, slots=True)
class ResultFile:
    """The CSV file of a succeeded run. `size` is in bytes; `created` tells how old its data is."""

    id: str
    url: str
    size: int
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReportRun:
    """A report run in one of its three states; a run that succeeded has a `result`."""

    id: str
    report_type: str
    status: RunStatus
    parameters: Parameters
    created: datetime
    succeeded_at: datetime | None
    error: str | None
    result: ResultFile | None
    livemode: bool | None = None

    @staticmethod
    def from_json(data: Any) -> ReportRun:
        """A report run as Stripe answers it, alone or in a list.

        Raises:
            StripeUnreachable: it cannot be read.
        """
        return _read(data, "report run", _report_run)


def unix(instant: datetime) -> int:
    """An instant as the API wants it: whole seconds since 1970."""
    return int(instant.timestamp())


def is_id(value: Any) -> bool:
    """True for an id of Stripe's that is safe as a part of a path, an address or a file's name."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def checked_id(value: str) -> str:
    """An id that is to become part of a path.

    Raises:
        StripeUnreachable: it is not one of Stripe's.
    """
    if not is_id(value):
        raise StripeUnreachable(f"Stripe cannot be asked for {_shown(value)}, which is not an id.")
    return value


def _read(data: Any, what: str, read: Callable[[Mapping[str, Any]], T]) -> T:
    if not isinstance(data, Mapping):
        raise StripeUnreachable(f"Stripe sent {_shown(data)} instead of a {what}.")
    try:
        return read(data)
    except ValueError as problem:
        named = data.get("id")
        raise StripeUnreachable(
            f"Stripe sent a {what} ({_shown(named)}) that cannot be read: {printable(problem, 300)}."
        ) from None


def _offered_type(data: Mapping[str, Any]) -> OfferedType:
    columns = data.get("default_columns")
    if columns is not None and not (isinstance(columns, list) and all(isinstance(name, str) for name in columns)):
        raise ValueError(f"default_columns {_shown(columns)} is not a list of names")
    available = Span(_instant(data, "data_available_start"), _instant(data, "data_available_end"))
    if available.start > available.end:
        raise ValueError("data_available_start lies after data_available_end")
    return OfferedType(
        id=_id(data, "id"),
        name=_text(data, "name"),
        version=_whole(data, "version", 1, _LARGEST_VERSION),
        available=available,
        default_columns=None if columns is None else tuple(map(printable, columns)),
        updated=_instant(data, "updated"),
        livemode=_flag(data, "livemode") or False,
    )


def _report_run(data: Mapping[str, Any]) -> ReportRun:
    status = data.get("status")
    if status not in ("pending", "succeeded", "failed"):
        raise ValueError(f"status {_shown(status)} is not pending, succeeded or failed")
    result = None if data.get("result") is None else _result_file(data["result"])
    if status == "succeeded" and result is None:
        raise ValueError("it succeeded without a result")
    return ReportRun(
        id=_id(data, "id"),
        report_type=_id(data, "report_type"),
        status=cast(RunStatus, status),
        parameters=_parameters(data.get("parameters")),
        created=_instant(data, "created"),
        succeeded_at=None if data.get("succeeded_at") is None else _instant(data, "succeeded_at"),
        error=None if data.get("error") is None else _text(data, "error"),
        result=result,
        livemode=_flag(data, "livemode"),
    )


def _result_file(data: Any) -> ResultFile:
    if not isinstance(data, Mapping):
        raise ValueError(f"result {_shown(data)} is not a file")
    url = data.get("url")
    address = parse_address(url) if isinstance(url, str) else None
    if address is None:
        raise ValueError(f"the result's url {_shown(url)} is not a plain address")
    return ResultFile(
        id=_id(data, "id"),
        url=address.url,
        size=_whole(data, "size", 0, _LARGEST_FILE),
        created=None if data.get("created") is None else _instant(data, "created"),
    )


def _parameters(given: Any) -> Parameters:
    """A run's parameters: texts, whole numbers, flags, and lists of texts."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ValueError(f"parameters {_shown(given)} is not an object")
    for name, value in given.items():
        for part in value if isinstance(value, list) else (value,):
            if part is not None and not isinstance(part, (str, int)):
                raise ValueError(f"parameter {_shown(name)} {_shown(value)} is not a text or a whole number")
        try:
            f"{name}{value}".encode()
        except UnicodeEncodeError:
            raise ValueError(f"parameter {_shown(name)} holds half a character") from None
    parameters = {name: _shared(value) if isinstance(value, list) else value for name, value in given.items()}
    for name in ("interval_start", "interval_end"):
        value = given.get(name)
        if isinstance(value, str) and re.fullmatch("[0-9]{1,11}", value):
            parameters[name] = int(value)  # Stripe may repeat a form's value as it was sent
        if value is not None:
            _instant(parameters, name)
    return parameters


def _shared(names: list[Any]) -> list[Any]:
    """The same texts, once in memory: the runs of a platform's accounts are thousands, all with the same columns."""
    return [sys.intern(name) if isinstance(name, str) else name for name in names]


def _id(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not is_id(value):
        raise ValueError(f"{name} {_shown(value)} is not an id")
    return str(value)


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} {_shown(value)} is not a text")
    return printable(value)


def _flag(data: Mapping[str, Any], name: str) -> bool | None:
    value = data.get(name)
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{name} {_shown(value)} is not true or false")
    return value


def _whole(data: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value = data.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} {_shown(value)} is not a whole number from {least} to {most}")
    return value


def _instant(data: Mapping[str, Any], name: str) -> datetime:
    return datetime.fromtimestamp(_whole(data, name, 0, _LATEST), timezone.utc)


def _shown(value: Any) -> str:
    return printable(_BRIEF.repr(value), 80)
