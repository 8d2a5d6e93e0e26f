"""The days that a call asks for, beside those that its source asks for. Pure.

In: first day and the day after the last. Out: the same, checked; the settings and instants that follow.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

from ..errors import ConfigurationError
from .intervals import Span, parse_day, start_of_day
from .settings import Settings

Days = tuple[date, date]
"""The first day, and the day after the last, in each report's zone."""


def checked_days(days: tuple[date | str, date | str] | None) -> Days | None:
    """Two days in order.

    Raises:
        ConfigurationError: they are not.
    """
    if days is None:
        return None
    if not isinstance(days, (tuple, list)) or len(days) != 2:
        raise ConfigurationError(f"days {days!r} must be two: a first day, and the day after the last.")
    first, end = (parse_day(day, "days") for day in days)
    if first is None or end is None or first >= end:
        raise ConfigurationError(f"days {first} to {end} must be a first day, and a later day after the last.")
    return first, end


def with_days(settings: Settings, days: Days | None) -> Settings:
    """The settings of a source, for a call that asks for some days as far as Stripe has them."""
    return settings if days is None else replace(settings, allow_partial=True)


def window_of(days: Days, settings: Settings, zone: ZoneInfo) -> Span:
    """The instants of some days, within those that the source asks for."""
    first, end = days
    if settings.start_date is not None:
        first = max(first, settings.start_date)
    if settings.end_date is not None:
        end = min(end, settings.end_date)
    return Span(start_of_day(first, zone), start_of_day(end, zone))
