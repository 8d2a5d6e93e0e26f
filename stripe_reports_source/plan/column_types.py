"""The type of a column, as one value. Pure.

In: a type's name, as a user, the catalogue or a table has it. Out: a `ColumnType`, or a refusal. What it is in Arrow is
said in `rows.values`, what it is to dlt in `warehouse.hints`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ..errors import ConfigurationError

Kind = Literal["text", "bigint", "bool", "date", "timestamp", "timestamptz", "decimal"]
_DECIMAL = re.compile(r"decimal\((\d{1,2}), ?(\d{1,2})\)")


@dataclass(frozen=True)
class ColumnType:
    """A column's type. `timestamp` is naive, in the report's zone; `timestamptz` is a UTC instant.

    `precision` and `scale` are a decimal's, 0 for all else. Its text is its name: `bigint`, `decimal(38,9)`.
    """

    kind: Kind
    precision: int = 0
    scale: int = 0

    def __str__(self) -> str:
        return f"decimal({self.precision},{self.scale})" if self.kind == "decimal" else self.kind

    @staticmethod
    def parse(name: str, setting: str = "type") -> ColumnType:
        """The type of a name.

        Args:
            name: text, bigint, bool, date, timestamp (report zone, without offset), timestamptz (UTC), decimal (an
                amount's) or decimal(precision, scale) with a precision of up to 38.
            setting: what is refused if it is another, in words.

        Raises:
            ConfigurationError: not one of these.
        """
        if name in _NAMED:
            return _NAMED[name]
        match = _DECIMAL.fullmatch(name)
        if match and 0 < int(match[1]) <= 38 and int(match[2]) <= int(match[1]):
            return ColumnType("decimal", int(match[1]), int(match[2]))
        raise ConfigurationError(f"{setting} {name!r} is not a type; use one of {', '.join(_NAMED)}, decimal(38,18).")


TEXT = ColumnType("text")
BIGINT = ColumnType("bigint")
BOOL = ColumnType("bool")
DATE = ColumnType("date")
TIMESTAMP = ColumnType("timestamp")
TIMESTAMPTZ = ColumnType("timestamptz")
AMOUNT = ColumnType("decimal", 38, 9)
"""Money in major units: nine decimal places hold every amount that is paid or charged."""
_NAMED = {type_.kind: type_ for type_ in (TEXT, BIGINT, BOOL, DATE, TIMESTAMP, TIMESTAMPTZ, AMOUNT)}
