"""What errors and logs show of a value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stripe_reports_source.plan.value_form import value_form


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("-1,234.50", "'-1,234.50'"),
        ("2025-02-30 24:00:00", "'2025-02-30 24:00:00'"),
        ("1e5", "'9a9'"),
        ("Zoë O'Neill, 12 High St.", '"Aaa A\'Aaaaa, 99 Aaaa Aa."'),
        ("jenny@example.com", "'aaaaa@aaaaaaa.aaa'"),
        ("日本 ٣", "'aa 9'"),
        ("n\u0303", "'aa'"),
        ("2\r\n", r"'2\r\n'"),
        ("\x1b[31m", r"'\x1b[99a'"),
        ("7" * 41, "'" + "7" * 40 + "...'"),
        ("7" * 41 + "x", "'" + "9" * 40 + "...'"),
    ],
)
def test_forms(value: str, form: str) -> None:
    assert value_form(value) == form


@given(st.text("abzAZéß日 019-.,@'", max_size=60))
def test_neither_letters_nor_the_digits_beside_them_are_shown(value: str) -> None:
    shown = value_form(value)
    assert len(shown) <= 45
    assert {character for character in shown if character.isalpha()} <= {"a", "A"}
    if any(character.isalpha() for character in value):
        assert {character for character in shown if character.isdigit()} <= {"9"}
