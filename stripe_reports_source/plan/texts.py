"""Texts of others, fit for messages, logs and terminals. Pure.

In: what Stripe or a user wrote. Out: one line without control characters, of bounded length.
"""

from __future__ import annotations

import unicodedata

_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Unicode categories of what moves cursors, turns the direction of writing, or cannot be encoded."""


def text_literal(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"


def printable(text: object, longest: int = 1000) -> str:
    """A text, or any value's, in one line: each hidden character as `?`, and cut at `longest` characters."""
    line = " ".join(str(text)[: 4 * longest].split())
    shown = "".join("?" if unicodedata.category(character) in _HIDDEN else character for character in line)
    return shown if len(shown) <= longest else f"{shown[: longest - 3]}..."
