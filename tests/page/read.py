"""A page as a reader has it: sections, tables and texts. Only the standard library.

In: the text of an HTML file. Out: `ReadPage`, in which markup is undone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path


@dataclass
class ReadTable:
    """A table: its caption, and its rows as texts, the head first; the section that it is in."""

    section: str
    caption: str = ""
    rows: list[list[str]] = field(default_factory=list)

    def column(self, name: str) -> list[str]:
        """The texts of a column, without the head."""
        at = self.rows[0].index(name)
        return [row[at] for row in self.rows[1:]]

    def row(self, name: str) -> dict[str, str]:
        """A row by its first text."""
        return next(dict(zip(self.rows[0], row, strict=True)) for row in self.rows[1:] if row[0] == name)


class ReadPage(HTMLParser):
    """See the module."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.tables: list[ReadTable] = []
        self.off: list[str] = []
        """Texts that are red."""
        self.queries: list[str] = []
        self.copied = ""
        self._section = ""
        self._open: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.policy = ""
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        self.attributes |= set(values)
        if tag == "meta" and values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"]
        if tag == "section":
            self._section = values["id"]
        if tag == "table":
            self.tables.append(ReadTable(self._section))
        if tag == "tr":
            self.tables[-1].rows.append([])
        if tag in ("td", "th"):
            self.tables[-1].rows[-1].append("")
        if tag == "code" and self._open and self._open[-1][0] == "pre":
            self.queries.append("")
        if tag not in ("meta", "br", "wbr", "rect", "line", "path"):
            self._open.append((tag, values.get("class", "")))

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1][0] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        names = [name for name, _ in self._open]
        if "style" in names:
            return
        self.words.append(data)
        if "small" not in names and ("td" in names or "th" in names):
            self.tables[-1].rows[-1][-1] += data
        if names and names[-1] == "caption":
            self.tables[-1].caption += data
        if names[-2:] == ["pre", "code"]:
            self.queries[-1] += data
        if self._open and self._open[-1] == ("pre", "copy"):
            self.copied += data
        if self._open and "off" in self._open[-1][1].split():
            self.off.append(data)

    def of(self, section: str, caption: str = "") -> list[ReadTable]:
        """The tables of a section; those with a caption, if one is given."""
        return [table for table in self.tables if table.section == section and caption in ("", table.caption)]


def read_page(file: Path) -> ReadPage:
    """The page of a file."""
    return ReadPage(file.read_text(encoding="utf-8"))
