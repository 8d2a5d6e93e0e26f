"""What Stripe checks of a report run's parameters, and its errors.

In: a report type, parameters and the availability. Out: a `Query`, or an `ApiError` with Stripe's status and error
body. Texts marked "unverified" are not recorded from Stripe.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from ..plan.catalog import ReportType
from ..plan.columns import split_metadata
from ..plan.intervals import ONE_SECOND, Span
from .generic import columns_of
from .query import Query
from .transactions import CURRENCIES

Parameters = dict[str, Any]
_KEYS = ("payout", "connected_account", "connected_accounts", "customer", "invoice", "invoice_line_item")


class ApiError(Exception):
    """An error answer."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        type: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "error": {k: v for k, v in (("code", code), ("message", message), ("param", param), ("type", type)) if v}
        }


def default_columns(known: ReportType) -> Sequence[str]:
    """The columns of a run that names none."""
    return known.default_columns or columns_of(known)


def checked_query(
    known: ReportType, parameters: Parameters, available: Span, *, edges: bool, refused: Collection[str] = ()
) -> Query:
    """What a run of a report type with these parameters asks for.

    Args:
        known: the report type.
        parameters: as they were sent.
        available: Stripe's data of this type.
        edges: whether an interval may reach the ends of `available`.
        refused: columns that are not known any more.

    Raises:
        ApiError: a parameter is missing, unknown or wrong.
    """
    for name in parameters:
        if not known.accepts(name):
            raise ApiError(
                400,
                f"Received unknown parameter: parameters[{name}]",
                param=f"parameters[{name}]",
                code="parameter_unknown",
            )
    for name in known.required:
        if name not in parameters:
            raise ApiError(
                400,
                f"Missing required param: parameters[{name}].",
                param=f"parameters[{name}]",
                code="parameter_missing",
            )
    start = _instant(parameters, "interval_start")
    end = _instant(parameters, "interval_end") or available.end
    if known.accepts("interval_end"):
        _check_interval(known, start, end, available, edges)
    zone = str(parameters.get("timezone", "Etc/UTC"))
    if zone not in _zones():
        raise ApiError(400, f"Invalid timezone: {zone}", param="parameters[timezone]")  # unverified text
    currency = parameters.get("currency")
    if currency is not None and currency not in CURRENCIES:
        raise ApiError(400, f"Invalid currency: {currency}", param="parameters[currency]")  # unverified text
    columns = parameters.get("columns") or [name for name in default_columns(known) if name not in refused]
    for name in columns:
        metadata = split_metadata(name)
        of_metadata = metadata is not None and metadata[0] in known.metadata_prefixes
        if name in refused or (name not in columns_of(known) and not of_metadata):
            # unverified text; that such columns get a 400 is known
            raise ApiError(400, f"Invalid column `{name}` for the report type {known.id}.", param="parameters[columns]")
    return Query(
        known,
        start,
        end,
        ZoneInfo(zone),
        tuple(columns),
        available.end,
        currency,
        parameters.get("reporting_category"),
        {name: value for name, value in parameters.items() if name in _KEYS},
    )


@cache
def _zones() -> Collection[str]:
    return available_timezones()  # reads the machine's folder of zones


def _instant(parameters: Parameters, name: str) -> datetime | None:
    value = parameters.get(name)
    if value is None:
        return None
    if not str(value).isdigit():
        raise ApiError(400, f"Invalid integer: {value}", param=f"parameters[{name}]", code="parameter_invalid_integer")
    return datetime.fromtimestamp(int(value), timezone.utc)


def _check_interval(known: ReportType, start: datetime | None, end: datetime, available: Span, edges: bool) -> None:
    first, last = available.start, available.end
    inside = timedelta(0) if edges else ONE_SECOND
    if start is not None and start < first + inside:
        raise ApiError(
            400,
            f"Data for the report type {known.id} is only available starting at {_say(first)} UTC; you "
            f"requested `interval_start` = {_say(start)} UTC.",
            param="parameters.interval_start",
        )
    if end > last - inside:
        raise ApiError(
            400,
            f"Data for the report type {known.id} is only available through {_say(last)} UTC; you "
            f"requested `interval_end` = {_say(end)} UTC.",
            param="parameters.interval_end",
        )
    if end <= (start or first):
        raise ApiError(400, "`interval_start` must be before `interval_end`.", param="parameters.interval_start")


def _say(instant: datetime) -> str:
    return instant.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
