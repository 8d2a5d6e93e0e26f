"""Statements in little memory: a platform's thousands of accounts have some fifteen each, nearly all of which tie.

In: statements in their order. Out: the same, as a sequence that makes them anew whenever they are read. Pure.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from operator import attrgetter, eq
from typing import Any, overload

from ..plan.system_tables import Statement

STATEMENTS_AT_ONCE = 1000
"""Which are made together; fewer are kept as they are."""
_NAMES = tuple(column.name for column in fields(Statement))
_values = attrgetter(*_NAMES)


@dataclass(frozen=True, slots=True)
class _Packed:
    """Some statements as bytes."""

    count: int
    content: bytes

    @classmethod
    def of(cls, statements: Sequence[Statement]) -> _Packed:
        content = pickle.dumps([_values(statement) for statement in statements], pickle.HIGHEST_PROTOCOL)
        return cls(len(statements), zlib.compress(content, 1))

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Statement]:
        rows: list[tuple[Any, ...]] = pickle.loads(zlib.decompress(self.content))  # noqa: S301  # which we have made
        return (Statement(**dict(zip(_NAMES, row, strict=True))) for row in rows)


class Statements(Sequence[Statement]):
    """See the module."""

    def __init__(self, statements: Iterable[Statement] = (), at_once: int = STATEMENTS_AT_ONCE) -> None:
        self._at_once = at_once
        self._parts: list[_Packed | list[Statement]] = []
        self.extend(statements)

    def extend(self, statements: Iterable[Statement]) -> None:
        """Put statements at the end."""
        for statement in statements:
            last = self._parts[-1] if self._parts else None
            if isinstance(last, list):
                last.append(statement)
                if len(last) >= self._at_once:
                    self._parts[-1] = _Packed.of(last)
            else:
                self._parts.append([statement])

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __iter__(self) -> Iterator[Statement]:
        return (statement for part in self._parts for statement in part)

    @overload
    def __getitem__(self, at: int) -> Statement: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Statement]: ...

    def __getitem__(self, at: int | slice) -> Statement | Sequence[Statement]:
        if isinstance(at, slice):
            return list(self)[at]
        place = at + len(self) if at < 0 else at
        for part in self._parts:
            if 0 <= place < len(part):
                return next(islice(part, place, None))
            place -= len(part)
        raise IndexError(at)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"<{len(self):,} statements>"


def joined(parts: Iterable[Statements]) -> Statements:
    """One sequence of several, which are not needed any more."""
    whole = Statements()
    whole._parts = [part for statements in parts for part in statements._parts]
    return whole
