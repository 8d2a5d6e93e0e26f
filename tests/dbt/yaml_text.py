"""YAML as it is read in a review: what is short stands on one line. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH = 118
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_. -]*[A-Za-z0-9_]|[A-Za-z]")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def yaml_text(value: Any, depth: int = 0) -> str:
    """A value of mappings, sequences, texts, numbers and truths as YAML, in the order in which it is given."""
    lines = _lines(value, depth)
    return "\n".join(lines) + "\n"


def _lines(value: Any, depth: int) -> list[str]:
    space = "  " * depth
    if isinstance(value, Mapping):
        made = []
        for key, of in value.items():
            if _short(of, depth, len(str(key))):
                made.append(f"{space}{key}: {_inline(of)}")
            else:
                made += [f"{space}{key}:", *_lines(of, depth + 1)]
        return made
    made = []
    for of in value:
        if _short(of, depth, 0):
            made.append(f"{space}- {_inline(of)}")
        else:
            first, *others = _lines(of, depth + 1)
            made += [f"{space}- {first.strip()}", *others]
    return made


def _short(value: Any, depth: int, taken: int) -> bool:
    """True for what is written on one line: a column with its text, however long that is."""
    if not isinstance(value, Mapping | Sequence) or isinstance(value, str) or not value:
        return True
    if isinstance(value, Mapping) and set(value) <= {"name", "description", "meta", "config"} and "name" in value:
        return True
    return len(_inline(value)) + 2 * depth + taken + 2 <= WIDTH and not _deep(value)


def _deep(value: Any) -> bool:
    parts = value.values() if isinstance(value, Mapping) else value
    return any(isinstance(part, Mapping) for part in parts) and len(value) > 1


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_inline(of)}" for key, of in value.items()) + "}"
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        return value if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value)
