"""What `stripe-reports reconcile` shows: the balance rolled forward, what is open, and payouts in words. Pure.

In: a `Reconciliation` and a width. Out: lines of text, each with its style.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import groupby

from ..plan.system_tables import Statement
from ..reconcile.reconciliation import OPEN, Reconciliation
from ..reconcile.roll_forward import Line, PaidOut, Returned, RollForward
from ..reconcile.windows import Window
from .columns import money, paragraph, table, width_of

ShownLine = tuple[str, str]
"""A line and its style."""
DRIFT_ALARM = "opening_equals_closing_before"
MOST_OPEN = 40
MOST_ALIKE = 3
MOST_RETURNED = 20
HEAD = ("", "rows", "gross", "fee", "net", "Stripe", "off by")
WHOLE = (0, 1, 2, 3, 4, 5, 6)
WITHOUT_DIFFERENCES = (((0, 1, 2, 3, 4, 6),), ((0, 1, 2, 3), (0, 4, 6)))
WITH_DIFFERENCES = (((0, 1, 2, 3, 4), (0, 4, 5, 6)), ((0, 1, 2, 3), (0, 4, 5, 6)), ((0, 1, 2), (0, 3, 4), (0, 5, 6)))
"""Columns by their places in `HEAD`, of the tables one below the other that a terminal may have room for."""
_PLAIN, _HEAD, _TOTAL, _WRONG, _QUIET = "", "bold", "bold", "bold red", "dim"
_NAMES = {
    "opening": "opening",
    "activity_total": "activity",
    "payouts_total": "payouts",
    "closing": "closing",
    "unsettled": "of it not yet paid",
}
STATUSES = ("tied", "explained", "not_comparable", "pending", "stale", "variance")
_STYLES = {"variance": "bold red", "stale": "red", "pending": "yellow"}


def view(found: Reconciliation, width: int) -> Iterator[ShownLine]:
    """All of it, for a terminal of so many columns; the verdict comes last."""
    accounts = [list(forwards) for _, forwards in groupby(found.roll_forward, key=_whose)]
    for forwards in accounts:
        for forward in forwards:
            yield from roll_forward_lines(forward, width)
    yield from open_lines(found, width)
    yield from not_compared_lines(found, width)
    for forwards in accounts:
        yield from payout_lines(forwards, width)
    yield from months_lines(found, width)
    yield from verdict_line(found, width)


def verdict_line(found: Reconciliation, width: int) -> Iterator[ShownLine]:
    """The verdict."""
    yield from _blank([(found.verdict(), "bold green" if found.ok and found.statements else _WRONG)])


def roll_forward_lines(forward: RollForward, width: int) -> Iterator[ShownLine]:
    """The balance of an account in a currency, as a table."""
    title = f"Balance, {period(forward.window)}, {_whose(forward)}, {forward.currency or 'no currency'}"
    yield from _blank([(title, _HEAD)])
    yield from _table(forward, width)


def _table(forward: RollForward, width: int) -> Iterator[ShownLine]:
    rows = [_row(line, forward.currency) for line in forward.lines]
    styles = [_HEAD, *(_style(line) for line in forward.lines)]
    differ = any(line.difference for line in forward.lines)
    layouts = ((WHOLE,), *(WITH_DIFFERENCES if differ else WITHOUT_DIFFERENCES))
    for layout in layouts:
        tables = [_columns(rows, columns, width) for columns in layout]
        if layout is layouts[-1] or max(map(width_of, tables)) <= width:
            break
    for table_ in tables:
        yield from zip(table_, styles, strict=True)
    if not differ and layout != (WHOLE,):
        for text in paragraph("Stripe's own figures are the same as net; a wider terminal shows them.", width):
            yield text, _QUIET


def _columns(rows: Sequence[Sequence[str]], columns: Sequence[int], width: int) -> list[str]:
    """A table of some columns, with one space between them where two are too many."""
    head, *rest = ([row[column] for column in columns] for row in (HEAD, *rows))
    wide = table(head, rest)
    return wide if width_of(wide) <= width else table(head, rest, gap=1)


def _row(line: Line, currency: str) -> list[str]:
    name = _NAMES.get(line.line) or f"  {line.category or '(no category)'}"
    rows = "" if line.rows is None else f"{line.rows:,}"
    amounts = [money(amount, currency) for amount in (line.gross, line.fee, line.net, line.stripe_net)]
    return [name, rows, *amounts, "-" if line.difference is None else money(line.difference, currency)]


def _style(line: Line) -> str:
    if line.difference:
        return _WRONG
    return _PLAIN if line.line in ("activity", "payouts") else _TOTAL


def open_lines(found: Reconciliation, width: int) -> Iterator[ShownLine]:
    """What is open, worst first, each with its reason; first of all that the past has moved, which explains others."""
    alarms = [statement for statement in found.variances if statement.equation == DRIFT_ALARM]
    by_cause = [*alarms, *(statement for statement in found.open if statement not in alarms)]
    lines: list[ShownLine] = []
    shown = 0
    for _, group in groupby(by_cause, key=_kind):
        listed = list(group)
        if shown >= MOST_OPEN:
            break
        for statement in listed[:MOST_ALIKE]:
            style = _STYLES.get(statement.status, _PLAIN)
            lines += [(text, style) for text in paragraph(where(statement), width, "        ", "")]
            lines += [(text, _PLAIN) for text in paragraph(statement.reason, width, "    ")]
        alike = len(listed) - MOST_ALIKE
        if alike > 0:
            lines.append((f"    and {alike:,} more of the same interval", _QUIET))
        shown += len(listed)
    if shown < len(found.open):
        lines.append((f"and {len(found.open) - shown:,} more: see the table tie_out, or --format csv.", _PLAIN))
    if not lines:
        lines.append(("Nothing is open.", _PLAIN))
    yield from _blank([("Open", _HEAD), *lines])


def _kind(statement: Statement) -> tuple[str, ...]:
    """What open items have in common."""
    return statement.status, statement.equation, statement.account, statement.interval_key


def not_compared_lines(found: Reconciliation, width: int) -> Iterator[ShownLine]:
    """What could not be compared, and why."""
    not_compared = Counter(statement.reason for statement in found.statements if statement.status == "not_comparable")
    if not_compared:
        yield from _blank([("Not compared", _HEAD)])
        for reason, count in not_compared.most_common():
            for text in paragraph(f"{_counted(count, 'statement')}: {reason}", width, "    ", ""):
                yield text, _QUIET


def where(statement: Statement) -> str:
    """A statement's place and difference in a line."""
    parts = [statement.status, statement.equation, f"[{statement.account}]", str(statement.interval_day or "")]
    parts += [part for part in (statement.currency, statement.item) if part]
    return " ".join(part for part in parts if part) + _by(statement)


def _by(statement: Statement) -> str:
    differences = [
        (word, getattr(statement, name))
        for word, name in (("", "difference"), ("gross ", "gross_difference"), ("fee ", "fee_difference"))
    ]
    parts = [f"{word}{money(amount, statement.currency)}" for word, amount in differences if amount]
    if statement.count_difference:
        parts.append(f"rows {statement.count_difference:+,}")
    return f": {', '.join(parts)}" if parts else ""


def months_lines(found: Reconciliation, width: int) -> Iterator[ShownLine]:
    """Month by month, whether all ties; months that follow one another and tie are one line."""
    months: dict[date, Counter[str]] = {}
    for statement in found.statements:
        if statement.interval_day is not None:
            months.setdefault(statement.interval_day.replace(day=1), Counter())[statement.status] += 1
    if not months:
        return
    yield from _blank([("Months", _HEAD)])
    for is_open, group in groupby(sorted(months), key=lambda month: any(months[month][word] for word in OPEN)):
        listed = list(group)
        parts = [[month] for month in listed] if is_open else [listed]
        for part in parts:
            counts = sum((months[month] for month in part), Counter())
            style = next((_STYLES[word] for word in OPEN if counts[word]), _PLAIN)
            words = [f"{counts[word]:,} {word.replace('_', ' ')}" for word in STATUSES if counts[word]]
            yield f"{_span(part[0], part[-1])}: {', '.join(words)}", style


def payout_lines(forwards: Sequence[RollForward], width: int) -> Iterator[ShownLine]:
    """The payouts of an account in words."""
    texts = [(forward, text) for forward in forwards for text in payout_words(forward)]
    if not texts:
        return
    yield from _blank([(f"Payouts, {period(forwards[0].window)}, {_whose(forwards[0])}", _HEAD)])
    for forward, text in texts:
        for line in paragraph(text, width, "     ", f"{forward.currency}  "):
            yield line, _PLAIN


def payout_words(forward: RollForward) -> Iterator[str]:
    """Sentences about the payouts of a currency."""
    if forward.paid_out is not None:
        yield _paid(forward.paid_out, forward.currency)
    for payout in forward.returned[:MOST_RETURNED]:
        yield _came_back(payout, forward)
    more = len(forward.returned) - MOST_RETURNED
    if more > 0:
        yield f"and {more:,} more whose money came back; --format json has them all."


def _paid(paid: PaidOut, currency: str) -> str:
    sum_ = f"{_counted(paid.payouts, 'payout')} of {money(paid.amount, currency)}"
    if paid.equal is None or paid.without_rows is None:
        return f"{sum_}; not compared with rows: load activity and payout_reconciliation.itemized as well."
    if paid.equal == paid.payouts:
        each = "equal to the transactions that it settles" if paid.payouts == 1 else "each equal to its transactions"
        return f"{sum_}, {each}."
    parts = [f"{paid.equal:,} equal to their transactions"]
    if paid.without_rows:
        parts.append(f"{paid.without_rows:,} without transactions (manual, instant, or not reconciled yet)")
    differing = paid.payouts - paid.equal - paid.without_rows
    if differing:
        parts.append(f"{differing:,} not equal")
    return f"{sum_}: {', '.join(parts)}."


def _came_back(payout: Returned, forward: RollForward) -> str:
    day = "" if payout.returned_at is None else f" on {payout.returned_at:%Y-%m-%d}"
    again = "it is not paid again yet"
    if not payout.again_known:
        report = f"{'connected_account_' if forward.connected else ''}payout_reconciliation.itemized"
        again = f"whether it was paid again is not known: load {report} as well, with all columns"
    if payout.paid_again_by:
        on = "" if payout.paid_again_at is None else f" on {payout.paid_again_at:%Y-%m-%d}"
        again = f"{payout.paid_again_by} has paid it again{on}"
    amount = money(payout.amount, forward.currency)
    return f"{payout.payout} of {amount} failed: the money came back{day}, and {again}."


def period(window: Window) -> str:
    """The days of a window in words: months by name, where they are whole."""
    first, last = window.first_day, window.last_day
    whole = first.day == 1 and (last + timedelta(days=1)).day == 1
    text = _span(first, last) if whole else f"{first} to {last}"
    zone = "" if window.zone in ("UTC", "Etc/UTC") else f" ({window.zone})"
    return f"{text}{zone}{'' if window.complete else ' so far'}"


def _span(first: date, last: date) -> str:
    """Months by name."""
    if (first.year, first.month) == (last.year, last.month):
        return f"{first:%B %Y}"
    return f"{first:%B}{'' if first.year == last.year else f' {first.year}'} to {last:%B %Y}"


def _whose(forward: RollForward) -> str:
    chosen: dict[str, object] = json.loads(forward.window.filters or "{}")
    connected = chosen.pop("connected_account", None)
    whose = f"{'connected accounts of' if forward.connected else 'account'} {forward.account}"
    if connected is not None:
        whose = f"connected account {connected} of {forward.account}"
    return ", ".join([whose, *(f"{name}={value}" for name, value in sorted(chosen.items()))])


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _blank(lines: Sequence[ShownLine]) -> Iterator[ShownLine]:
    """Lines after an empty one."""
    yield "", _PLAIN
    yield from lines
