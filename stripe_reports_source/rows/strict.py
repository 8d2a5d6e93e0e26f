"""Which bytes of a CSV file are whole rows, and whether they are CSV to the letter of RFC 4180.

In: a chunk of a file that begins where a row begins. Out: how much of it is whole rows, or that it is wrong. Where it
is wrong, and how, `places` finds out.

A quote opens a value after a comma or a line's end, and closes it before one; inside, it is doubled. A carriage return
outside of quotes belongs to a line feed. Arrow takes files that are not so, and guesses: `"a"b` becomes `ab`.

All bytes of a chunk are looked at side by side: as bits, 64 to a word. Whether the quotes up to a byte are odd or even
tells if it is inside; as each bit is to be the XOR of all up to it, six shifts do it for a word (Langdale and Lemire,
"Parsing Gigabytes of JSON per Second", 2019).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_QUOTE, _COMMA, _LF, _CR = b'",\n\r'
_WORD = 64
_ONE, _TOP = np.uint64(1), np.uint64(_WORD - 1)

Bytes = NDArray[np.uint8]
Bits = NDArray[np.uint64]
"""A bit for each byte, lowest first."""


class StrictRows:
    """Looks at chunks of a file. Keeps only room to work in, which is cheaper than new room for each chunk."""

    def __init__(self) -> None:
        self._room = np.empty(0, np.bool_)

    def whole(self, chunk: bytes, *, last: bool) -> int | None:
        """The bytes of a chunk that are whole rows, counted; None if the chunk is not right.

        Args:
            chunk: bytes from the beginning of a row on.
            last: the file ends with them.
        """
        if b"\0" in chunk:
            return None
        if not last:
            chunk = chunk.removesuffix(b"\r")  # its line feed may be the next byte
        padded = chunk.ljust(-(-len(chunk) // _WORD) * _WORD or _WORD, b",")  # a comma is right after anything
        part = np.frombuffer(padded, np.uint8)
        if self._room.size < part.size:
            self._room = np.empty(part.size, np.bool_)
        quotes, line_feeds = self._where(part, _QUOTE), self._where(part, _LF)
        marks = self._where(part, _COMMA) | line_feeds | quotes
        inside = _insides(quotes)
        opening = quotes & inside
        wrong = opening & ~_next_bits(marks, first=True)
        if b"\r" in chunk:
            returns = self._where(part, _CR)
            wrong |= _next_bits(returns & ~inside, first=False) & ~line_feeds
            marks |= returns
        closing = np.bitwise_xor(quotes, opening, out=opening)
        wrong |= _next_bits(closing, first=False) & ~marks
        if wrong.any():
            return None
        if last:
            return None if inside[-1] >> _TOP or chunk.endswith(b"\r") else len(chunk)
        return _after_last_bit(line_feeds & ~inside)

    def _where(self, part: Bytes, byte: int) -> Bits:
        found = np.equal(part, byte, out=self._room[: part.size])
        return np.packbits(found, bitorder="little").view("<u8")


def _insides(quotes: Bits) -> Bits:
    """The bytes from each opening quote on to the one before the closing quote."""
    inside, moved = quotes.copy(), np.empty_like(quotes)
    for shift in (1, 2, 4, 8, 16, 32):
        inside ^= np.left_shift(inside, shift, out=moved)
    odd = inside >> _TOP
    begins_inside = np.bitwise_xor.accumulate(odd) ^ odd
    inside ^= np.uint64(0) - begins_inside  # all bits of such a word are the other way round
    return inside


def _next_bits(bits: Bits, *, first: bool) -> Bits:
    """The bytes after these; `first` for the first of all."""
    moved = bits << _ONE
    moved[1:] |= bits[:-1] >> _TOP
    moved[0] |= np.uint64(first)
    return moved


def _after_last_bit(bits: Bits) -> int:
    words = np.flatnonzero(bits)
    return 0 if not words.size else int(words[-1]) * _WORD + int(bits[words[-1]]).bit_length()
