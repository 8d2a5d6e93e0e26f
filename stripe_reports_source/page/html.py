"""HTML as values: whatever is not markup made here is escaped. Pure.

In: texts and other markup. Out: `Html`. Texts of Stripe, file names and errors are someone else's, and stay text.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from html import escape

_VOID = ("br", "meta", "wbr", "circle", "line", "path", "rect")


class Html(str):
    """Markup that is finished."""

    __slots__ = ()


def tag(name: str, /, *children: str | None, **attributes: object) -> Html:
    """An element.

    Args:
        name: of the element.
        children: markup, or texts, which are escaped; None is nothing.
        attributes: `class_` is class, `aria_label` is aria-label; None and False leave one out, True is one without a
            value.
    """
    opened = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    if name in _VOID:
        return Html(opened if name in ("br", "meta", "wbr") else f"{opened[:-1]}/>")
    return Html(f"{opened}{join(children)}</{name}>")


def join(children: Iterable[str | None], between: str = "") -> Html:
    """Markup and texts one after the other."""
    return Html(between.join(markup(child) for child in children if child is not None))


def markup(child: str) -> Html:
    """A text escaped; markup as it is."""
    return child if isinstance(child, Html) else Html(escape(child, quote=False))


def table(
    caption: str | None,
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    texts: int = 1,
    sums: Collection[int] = (),
    class_: str | None = None,
) -> Html:
    """A table that can be scrolled sideways where there is no room.

    Args:
        caption: what it shows; None where the heading above says it.
        head: a name for each column.
        rows: texts or markup; a row's first cell is its head.
        texts: so many columns hold texts and stand to the left; the others hold numbers.
        sums: the places of rows that are sums.
        class_: of the table.
    """
    columns = ["t" if at < texts else None for at in range(len(head))]
    header = tag("tr", *(tag("th", text, scope="col", class_=side) for text, side in zip(head, columns, strict=True)))
    body = (
        tag(
            "tr",
            tag("th", row[0], scope="row"),
            *(tag("td", text, class_=side) for text, side in zip(row[1:], columns[1:], strict=True)),
            class_="sum" if at in sums else None,
        )
        for at, row in enumerate(rows)
    )
    made = tag(
        "table",
        tag("caption", caption) if caption else None,
        tag("thead", header),
        tag("tbody", *body),
        class_=class_,
    )
    return tag("div", made, class_="scroll", tabindex="0", role="region", aria_label=caption or head[0])


def folded(summary: str, *children: str | None, class_: str | None = None) -> Html:
    """What a click opens."""
    return tag("details", tag("summary", summary), *children, class_=class_)


def listed(items: Iterable[str]) -> Html:
    """A list."""
    return tag("ul", *(tag("li", item) for item in items))


def _attribute(key: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
