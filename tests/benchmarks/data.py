"""Writes a large report file, the same bytes for the same arguments, some hundred thousand rows a second.

Every value and header is quoted, NULL is bare, some text is "", line feeds only: as Stripe writes it. Descriptions
hold commas, doubled quotes, letters beyond ASCII and, rarely, a line feed; postal codes begin with zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .table import COLUMNS, metadata_headers

CHUNK = 100_000
MONTH_SECONDS = 31 * 86_400
SEED = 20_250_301

_ALPHABET = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz01", dtype=np.uint8)
_CATEGORIES = ("charge", "charge", "charge", "charge", "charge", "refund", "fee", "dispute")
_METHODS = ("card", "card", "card", "sepa_debit", "link", "ideal")
_CURRENCIES = ("usd", "usd", "eur", "gbp")
_BEFORE = (
    "Subscription update, order ",
    'Invoice ""Team plan"", no. ',
    "Café Müller, Zürich: sale ",
    "Charge for order ",
    'Refund (""damaged in transit""), case ',
    "Payment for booking ",
)
_AFTER = ("", ", 3 seats", " - thank you!", ", 100 % cotton - blue", ' ""gift""', ", net 30 days")


@dataclass(frozen=True)
class Written:
    """A file and what it holds, counted while it was written."""

    path: Path
    rows: int
    bytes: int
    gross: Decimal
    fee: Decimal
    nulls: int
    empties: int
    metadata: int = 0
    """Columns of metadata after the others."""


def write_report(path: Path, rows: int, version: int = 1, metadata: int = 0) -> Written:
    """Write a report of one month.

    Args:
        path: the file to write.
        rows: how many.
        version: another one has the same transactions with other amounts and descriptions, as restated by Stripe.
        metadata: so many columns more: a third are empty, a third hold ids, a third one of 20 words.
    """
    names = [*COLUMNS, *metadata_headers(metadata)]
    gross = fee = nulls = empties = 0
    with path.open("wb") as out:
        out.write((",".join(f'"{name}"' for name in names) + "\n").encode())
        for first in range(0, rows, CHUNK):
            chunk = _Chunk(first, min(CHUNK, rows - first), rows, version)
            out.write(chunk.csv(metadata))
            gross, fee = gross + int(chunk.gross.sum()), fee + int(chunk.fee.sum())
            nulls, empties = nulls + int((chunk.postal == 0).sum()), empties + int((chunk.postal == 1).sum())
    cents = Decimal("0.01")
    return Written(path, rows, path.stat().st_size, gross * cents, fee * cents, nulls, empties, metadata)


class _Chunk:
    """Some rows, column by column; each value already in its quotes."""

    def __init__(self, first: int, count: int, rows: int, version: int) -> None:
        self.first = first
        self.count = count
        self.rows = rows
        self.version = version
        self.random = np.random.default_rng([SEED, first])
        amounts = np.random.default_rng([SEED, first, version])
        self.category = self.random.integers(0, len(_CATEGORIES), count)
        size = amounts.integers(100, 50_000, count) ** 2 // 1000
        self.gross = np.where(self.category >= 5, -size, size)
        self.fee = np.where(self.category == 0, 0, size * 29 // 1000 + 30)
        self.postal = self.random.integers(0, 10, count)

    def csv(self, metadata: int = 0) -> memoryview:
        """The rows as they stand in the file."""
        columns = self._columns()
        values = [*(columns[name] for name in COLUMNS), *map(self._metadata, range(metadata))]
        lines = pc.binary_join_element_wise(*values, ",", null_handling="replace", null_replacement="")
        whole = pc.binary_join_element_wise(lines, "\n", "")
        # the values of an array lie one after the other in its last buffer
        return memoryview(whole.buffers()[2])[: pc.sum(pc.binary_length(whole)).as_py()]

    def _columns(self) -> dict[str, pa.Array]:
        moments = (np.arange(self.first, self.first + self.count) * MONTH_SECONDS) // self.rows
        created = self._time(moments)
        available = self._time((moments // 86_400 + 2) * 86_400)
        paid = self._null(self._time((moments // 86_400 + 3) * 86_400), moments > MONTH_SECONDS - 3 * 86_400)
        currency = self._choice(_CURRENCIES, self.random.integers(0, len(_CURRENCIES), self.count))
        gross = _amount(self.gross)
        foreign = self.random.random(self.count) < 0.1
        return {
            "balance_transaction_id": self._ids("txn_1", 23),
            "created_utc": created,
            "created": created,
            "available_on_utc": available,
            "available_on": available,
            "currency": currency,
            "gross": gross,
            "fee": _amount(self.fee),
            "net": _amount(self.gross - self.fee),
            "reporting_category": self._choice(_CATEGORIES, self.category),
            "source_id": self._ids("ch_3", 23),
            "description": self._descriptions(),
            "customer_facing_amount": self._null(gross, foreign),
            "customer_facing_currency": self._null(currency, foreign),
            "automatic_payout_id": self._null(self._ids("po_1", 23), moments > MONTH_SECONDS - 3 * 86_400),
            "automatic_payout_effective_at_utc": paid,
            "customer_id": self._ids("cus_", 14),
            "customer_email": self._null(self._ids("", 9, "@example.com"), self.random.random(self.count) < 0.2),
            "card_address_postal_code": self._postal_codes(),
            "payment_method_type": self._choice(_METHODS, self.random.integers(0, len(_METHODS), self.count)),
            "is_link": self._choice(("true", "false"), self.random.integers(0, 2, self.count)),
        }

    def _metadata(self, number: int) -> pa.Array:
        if number % 3 == 0:
            return pa.nulls(self.count, pa.string())
        words = self._choice(tuple(f"word {word}" for word in range(20)), self.random.integers(0, 20, self.count))
        return self._null(words if number % 3 == 1 else self._ids("m_", 10), self.random.random(self.count) < 0.3)

    def _descriptions(self) -> pa.Array:
        before = pa.array([f'"{text}' for text in _BEFORE])
        # one in 500 has a line feed inside its quotes
        after = [f'{text}"' for text in _AFTER] * 83 + ['\nGate code 4711"', '"']
        texts = pc.binary_join_element_wise(
            before.take(pa.array(self.random.integers(0, len(_BEFORE), self.count))),
            pc.utf8_lpad(
                pa.array(np.arange(self.first, self.first + self.count) + self.version).cast(pa.string()), 8, "0"
            ),
            pa.array(after).take(pa.array(self.random.integers(0, len(after), self.count))),
            "",
        )
        return self._null(texts, self.category == 6)

    def _postal_codes(self) -> pa.Array:
        digits = pc.utf8_lpad(pa.array(self.random.integers(0, 100_000, self.count)).cast(pa.string()), 5, "0")
        codes = pc.binary_join_element_wise('"', digits, '"', "")
        codes = pc.if_else(pa.array(self.postal == 1), '""', codes)
        return self._null(codes, self.postal == 0)

    def _time(self, seconds: Any) -> pa.Array:
        """Seconds since the month began."""
        days, times = _clock()
        return pc.binary_join_element_wise(
            days.take(pa.array(seconds // 86_400)), times.take(pa.array(seconds % 86_400)), " "
        )

    def _ids(self, prefix: str, length: int, suffix: str = "") -> pa.Array:
        start, end = f'"{prefix}'.encode(), f'{suffix}"'.encode()
        width = len(start) + length + len(end)
        letters = np.empty((self.count, width), dtype=np.uint8)
        letters[:, : len(start)] = np.frombuffer(start, dtype=np.uint8)
        letters[:, width - len(end) :] = np.frombuffer(end, dtype=np.uint8)
        drawn = np.frombuffer(self.random.bytes(self.count * length), dtype=np.uint8).reshape(self.count, length)
        letters[:, len(start) : len(start) + length] = _ALPHABET[drawn & 63]
        offsets = np.arange(self.count + 1, dtype=np.int32) * width
        return pa.StringArray.from_buffers(self.count, pa.py_buffer(offsets), pa.py_buffer(letters))

    def _choice(self, values: tuple[str, ...], chosen: Any) -> pa.Array:
        return pa.array([f'"{value}"' for value in values]).take(pa.array(chosen))

    def _null(self, values: pa.Array, where: Any) -> pa.Array:
        return pc.if_else(pa.array(where), None, values)


@cache
def _clock() -> tuple[pa.Array, pa.Array]:
    """The days from the month's first on, and the seconds of a day."""
    days = [f'"2025-{3 + day // 31:02d}-{day % 31 + 1:02d}' for day in range(40)]
    times = [f'{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"' for second in range(86_400)]
    return pa.array(days), pa.array(times)


def _amount(cents: Any) -> pa.Array:
    signs = pa.array(['"', '"-']).take(pa.array((cents < 0).astype(np.int8)))
    size = np.abs(cents)
    places = pa.array([f'{number:02d}"' for number in range(100)]).take(pa.array(size % 100))
    whole = pa.array(size // 100).cast(pa.string())
    return pc.binary_join_element_wise(pc.binary_join_element_wise(signs, whole, ""), places, ".")
