"""The page of questions: each heading with its SQL. Pure."""

from __future__ import annotations

import re

from .names import PACKAGE

PAGE = PACKAGE / "QUESTIONS.md"
_QUESTION = re.compile(r"^### (?P<question>[^\n]+)\n(?:(?!^#).)*?^```sql\n(?P<sql>.*?)^```$", re.MULTILINE | re.DOTALL)


def questions() -> dict[str, str]:
    """The SQL of each question."""
    return {found["question"]: found["sql"] for found in _QUESTION.finditer(PAGE.read_text(encoding="utf-8"))}
