"""Charts as SVG: bars and steps over days or months, with axes, labels and a text instead of the picture. Pure.

In: points in order of time, amounts of one currency. Out: markup. A picture is as wide as a phone; a wider page shows
several side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from .html import Html, join, tag

WIDTH, HEIGHT = 360, 190
WIDEST = 36
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 8, 10, 24
_TICKS = 4
_SHORT = ((Decimal(10**12), "T"), (Decimal(10**9), "bn"), (Decimal(10**6), "m"), (Decimal(10**4), "k"))
MOST_POINTS = 400
"""More of them would be closer than a screen can show."""


@dataclass(frozen=True)
class Point:
    """An amount of a day or a month; `bad` is drawn in red."""

    day: date
    amount: Decimal
    bad: bool = False


@dataclass(frozen=True)
class _Scale:
    """Where an amount lies in the picture."""

    low: Decimal
    high: Decimal
    step: Decimal

    def y(self, amount: Decimal) -> float:
        share = (amount - self.low) / (self.high - self.low)
        return round(float(HEIGHT - _BOTTOM - share * (HEIGHT - _BOTTOM - _TOP)), 1)


def bars(title: str, points: Sequence[Point], *, months: bool = False) -> Html:
    """A bar for each point. Points of one day stand one upon the other, what is bad on top."""
    stacks = _stacks(points)
    days = sorted(stacks)
    scale = _scale([top for stack in stacks.values() for _, top, _ in stack])
    slot = (WIDTH - _LEFT - _RIGHT) / max(len(days), 1)
    width = min(max(round(slot * 0.7, 1), 0.6), WIDEST)
    drawn = []
    for at, day in enumerate(days):
        x = round(_LEFT + slot * at + (slot - width) / 2, 1)
        for base, top, bad in stacks[day]:
            y, bottom = sorted((scale.y(base), scale.y(top)))
            height = max(round(bottom - y, 1), 0.8)
            drawn.append(tag("rect", x=x, y=y, width=width, height=height, class_="bad" if bad else "bar"))
    return _picture(title, scale, days, len(points), join(drawn), months=months, slots=True)


def _stacks(points: Sequence[Point]) -> dict[date, list[tuple[Decimal, Decimal, bool]]]:
    """For each day the parts of its bar: from where, to where, bad or not; what is below 0 goes downwards."""
    sums: dict[date, dict[tuple[bool, bool], Decimal]] = {}
    for point in points:
        of_day = sums.setdefault(point.day, {})
        key = (point.amount < 0, point.bad)
        of_day[key] = of_day.get(key, Decimal(0)) + point.amount
    stacks: dict[date, list[tuple[Decimal, Decimal, bool]]] = {}
    for day, of_day in sums.items():
        ends = {False: Decimal(0), True: Decimal(0)}
        for (below, bad), amount in sorted(of_day.items()):
            stacks.setdefault(day, []).append((ends[below], ends[below] + amount, bad))
            ends[below] += amount
    return stacks


def steps(title: str, points: Sequence[Point], *, months: bool = False) -> Html:
    """A line that stays where it is until the next point."""
    scale, days = _scale([point.amount for point in points]), [point.day for point in points]
    room = WIDTH - _LEFT - _RIGHT
    places = [round(_LEFT + room * at / max(len(days) - 1, 1), 1) for at in range(len(days))]
    way: list[str] = []
    for point, x in zip(points, places, strict=True):
        way.append(f"H{x}V{scale.y(point.amount)}" if way else f"M{x} {scale.y(point.amount)}")
    drawn = tag("path", d="".join(way), class_="line")
    return _picture(title, scale, days, len(points), drawn, months=months, slots=False)


def _scale(amounts: Sequence[Decimal]) -> _Scale:
    """From 0, or a round number below all amounts, to one above them."""
    low, high = min([*amounts, Decimal(0)]), max([*amounts, Decimal(0)])
    step = _round_step((high - low) / _TICKS)
    return _Scale((low / step).to_integral_value("ROUND_FLOOR") * step, max(_ceiling(high, step), step), step)


def _ceiling(amount: Decimal, step: Decimal) -> Decimal:
    return (amount / step).to_integral_value("ROUND_CEILING") * step


def _round_step(least: Decimal) -> Decimal:
    """The smallest of 1, 2, 5, 10, ... times a power of ten that is not below."""
    if least <= 0:
        return Decimal(1)
    power = Decimal(10) ** least.adjusted()
    return next(
        factor * power for factor in (Decimal(1), Decimal(2), Decimal(5), Decimal(10)) if factor * power >= least
    )


def short(amount: Decimal, most: Decimal) -> str:
    """An amount on an axis that goes so far, in few characters."""
    for unit, name in _SHORT:
        if amount and abs(most) >= unit:
            divided = amount / (unit if name != "k" else Decimal(1000))
            return f"{_plain(divided)}{name}"
    return _plain(amount)


def _plain(amount: Decimal) -> str:
    text = f"{amount:,f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) if amount else "0"


def _picture(
    title: str, scale: _Scale, days: Sequence[date], number: int, drawn: Html, *, months: bool, slots: bool
) -> Html:
    about = (
        f"{title}: {number:,} amounts from {_label(days[0], months)} to {_label(days[-1], months)}; "
        "the table below has them."
        if days
        else f"{title}: nothing."
    )
    return tag(
        "svg",
        tag("title", about),
        _amount_axis(scale),
        drawn,
        tag("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=scale.y(Decimal(0)), y2=scale.y(Decimal(0)), class_="axis"),
        _time_axis(days, months=months, slots=slots),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=about,
    )


def _amount_axis(scale: _Scale) -> Html:
    ticks = []
    amount, most = scale.low, max(-scale.low, scale.high)
    while amount <= scale.high:
        y = scale.y(amount)
        ticks.append(tag("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, class_="grid"))
        ticks.append(tag("text", short(amount, most), x=_LEFT - 6, y=y + 4, text_anchor="end"))
        amount += scale.step
    return join(ticks)


def _time_axis(days: Sequence[date], *, months: bool, slots: bool) -> Html:
    """The first and the last day, and some between them, where there is room."""
    if not days:
        return Html()
    most = 4
    chosen = sorted({round(at * (len(days) - 1) / (most - 1)) for at in range(most)}) if len(days) > 1 else [0]
    room = WIDTH - _LEFT - _RIGHT
    labels = []
    for at in chosen:
        share = (at + 0.5) / len(days) if slots else at / max(len(days) - 1, 1)
        anchor = "middle"
        if not slots or len(days) > most:
            anchor = "start" if at == 0 and not slots else "end" if at == len(days) - 1 else "middle"
        x = round(_LEFT + room * share, 1) if anchor != "end" else WIDTH - _RIGHT
        labels.append(tag("text", _label(days[at], months), x=x, y=HEIGHT - 6, text_anchor=anchor))
    return join(labels)


def _label(day: date, months: bool) -> str:
    return f"{day:%b %y}" if months else f"{day.day} {day:%b %y}"
