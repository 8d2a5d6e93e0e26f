"""The whole page: head, style, the verdict, sections in order. Pure.

In: a title, the verdict, sections as markup. Out: the text of an HTML file. Its policy allows its own style sheet, by
its hash, and nothing else: no script, no picture, no request.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from .html import Html, join, tag
from .verdict import Verdict


@dataclass(frozen=True)
class Section:
    """A part of the page: its anchor, heading and content."""

    name: str
    heading: str
    content: Html


def style_sheet() -> str:
    """The page's style."""
    return files(__package__).joinpath("style.css").read_text(encoding="utf-8")


def document(title: str, notes: Sequence[str], verdict: Verdict, sections: Sequence[Section]) -> str:
    """The page.

    Args:
        title: of the page.
        notes: where the data is, and as of when.
        verdict: said first.
        sections: in order.
    """
    style = style_sheet()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Html(style)),
    )
    links = join((tag("a", section.heading, href=f"#{section.name}") for section in sections), " ")
    said = tag("p", tag("strong", verdict.word), " ", verdict.sentence, class_=f"verdict {verdict.tone}")
    body = tag(
        "body",
        tag("header", tag("h1", title), said, *(tag("p", note, class_="hint") for note in notes)),
        tag("nav", links, aria_label="Sections"),
        tag("main", *(_section(section) for section in sections)),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _section(section: Section) -> Html:
    heading = tag("h2", section.heading, id=f"{section.name}-head")
    return Html(
        "\n" + tag("section", heading, section.content, id=section.name, aria_labelledby=f"{section.name}-head")
    )
