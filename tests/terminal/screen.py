"""What a terminal shows of what a program writes to it: lines, with their colours. Pure.

In: text with control sequences, as far as this package's commands write such. Out: the lines at any moment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import groupby

_PIECE = re.compile(r"\x1b\[(?P<numbers>[\d;?]*)(?P<what>[A-Za-z])|(?P<break>[\r\n])|(?P<text>[^\x1b\r\n]+)")
RESET = "\x1b[0m"
Cell = tuple[str, str]
"""A character, and the control sequences of its colours."""


@dataclass
class Screen:
    """A terminal that is as high as need be, so that nothing scrolls away.

    Args:
        columns: how wide it is. What is written beyond the last column goes on in the next line, as on a terminal.
    """

    columns: int
    lines: list[list[Cell]] = field(default_factory=lambda: [[]])
    broken: list[str] = field(default_factory=list)
    """Lines that were too long, as far as they fitted."""
    _row: int = 0
    _column: int = 0
    _style: str = ""

    def write(self, text: str) -> None:
        """Take what a program has written; a control sequence must not be cut in two.

        Raises:
            ValueError: a control sequence that no command of ours writes.
        """
        at = 0
        while at < len(text):
            piece = _PIECE.match(text, at)
            if piece is None:
                raise ValueError(f"not known to this terminal: {text[at : at + 12]!r}")
            at = piece.end()
            if piece["text"]:
                for character in piece["text"]:
                    self._put(character)
            elif piece["break"]:
                self._column = 0
                self._row += piece["break"] == "\n"
                self._make_lines()
            else:
                self._control(piece["numbers"], piece["what"])

    @property
    def text(self) -> str:
        """The lines without colours; without spaces at their ends."""
        lines = ["".join(character for character, _ in line).rstrip() for line in self.lines]
        return "\n".join(lines).rstrip("\n") + "\n"

    @property
    def coloured(self) -> str:
        """The lines with their colours."""
        lines = []
        for line in self.lines:
            parts = [
                (style, "".join(cell[0] for cell in cells)) for style, cells in groupby(line, lambda cell: cell[1])
            ]
            lines.append("".join(f"{style}{text}{RESET}" if style else text for style, text in parts).rstrip())
        return "\n".join(lines).rstrip("\n") + "\n"

    def _put(self, character: str) -> None:
        if self._column == self.columns:
            self.broken.append("".join(cell[0] for cell in self.lines[self._row]))
            self._column, self._row = 0, self._row + 1
            self._make_lines()
        line = self.lines[self._row]
        line += [(" ", "")] * (self._column + 1 - len(line))
        line[self._column] = (character, self._style)
        self._column += 1

    def _control(self, numbers: str, what: str) -> None:
        if what == "m":
            self._style = "" if numbers in ("", "0") else self._style + f"\x1b[{numbers}m"
        elif what == "A":
            self._row = max(0, self._row - int(numbers or 1))
        elif what == "K" and numbers == "2":
            self.lines[self._row] = []
        elif what not in "hl":  # the cursor shown or hidden
            raise ValueError(f"not known to this terminal: ESC [ {numbers} {what}")

    def _make_lines(self) -> None:
        while len(self.lines) <= self._row:
            self.lines.append([])
