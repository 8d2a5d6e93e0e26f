"""What a command found, as data: JSON, or CSV with a header. Pure.

In: a document, rows, a `Reconciliation`. Out: text. Amounts are exact decimals, as text in JSON; times are UTC.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from ..plan.system_tables import Statement
from ..reconcile.reconciliation import Reconciliation
from ..reconcile.roll_forward import RollForward
from .columns import plain


def as_json(found: Reconciliation, deep: Sequence[Mapping[str, Any]] | None = None) -> str:
    """An object with `verdict`, `ok`, `statements` and `roll_forward`; and `deep`, where files were read again."""
    whole: dict[str, Any] = {
        "verdict": found.verdict(),
        "ok": found.ok,
        "statements": [asdict(statement) for statement in found.statements],
        "roll_forward": [_roll_forward(forward) for forward in found.roll_forward],
    }
    if deep is not None:
        whole["deep"] = list(deep)
    return json_text(whole)


def as_csv(found: Reconciliation) -> str:
    """The statements, with the columns of `tie_out`."""
    names = [column.name for column in fields(Statement)]
    return csv_text(names, ([getattr(statement, name) for name in names] for statement in found.statements))


def json_text(document: Mapping[str, Any]) -> str:
    """A JSON document."""
    return json.dumps(data(document), indent=2, ensure_ascii=False) + "\n"


def csv_text(names: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """CSV with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(map(_field, row) for row in rows)
    return text.getvalue()


def _field(value: Any) -> Any:
    """A field of CSV: lists have a line for each item."""
    plain_value = data(value)
    return "\n".join(map(str, plain_value)) if isinstance(plain_value, list) else plain_value


def _roll_forward(forward: RollForward) -> dict[str, Any]:
    window = forward.window
    return {
        "account": forward.account,
        "connected_accounts": forward.connected,
        "parameters": json.loads(window.filters or "{}"),
        "currency": forward.currency,
        "first_day": window.first_day,
        "last_day": window.last_day,
        "timezone": window.zone,
        "interval_start": window.start,
        "interval_end": window.end,
        "complete": window.complete,
        "lines": [asdict(line) for line in forward.lines],
        "payouts": None if forward.paid_out is None else asdict(forward.paid_out),
        "returned": [asdict(payout) for payout in forward.returned],
    }


def data(value: Any) -> Any:
    """A value as JSON and CSV have it: instants in UTC, durations in whole seconds, exact amounts as text."""
    if isinstance(value, Mapping):
        return {name: data(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [data(item) for item in value]
    if isinstance(value, timedelta):
        return int(value.total_seconds())
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat()
    return value.isoformat() if isinstance(value, date) else value
