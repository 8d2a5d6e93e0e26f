"""How a value is shown in an error, a log or a table of errors: its form, never a customer's words. Pure."""

from __future__ import annotations

import unicodedata

_SHOWN = 40


def value_form(value: str) -> str:
    """A value as it may be shown, quoted and shortened.

    Digits, signs and separators are shown as they are. Where there is a letter, each letter becomes `a` or `A` and each
    digit `9`: `jenny@example.com` is `'aaaaa@aaaaaaa.aaa'`.
    """
    shown = value[:_SHOWN]
    if any(_is_letter(character) for character in value):
        shown = "".join(map(_form, shown))
    return f"{shown!r}" if len(value) <= _SHOWN else f"{shown + '...'!r}"


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM"  # letters, and the marks upon them


def _form(character: str) -> str:
    if _is_letter(character):
        return "A" if character.isupper() else "a"
    return "9" if unicodedata.category(character)[0] == "N" else character
