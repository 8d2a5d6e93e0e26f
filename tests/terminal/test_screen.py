"""The terminal of these tests shows what a terminal shows."""

from __future__ import annotations

import pytest

from .screen import Screen


def test_lines_and_what_is_written_over() -> None:
    screen = Screen(20)
    screen.write("starting ...\r            \rone\r\ntwo\r\n")
    assert screen.text == "one\ntwo\n"


def test_a_redraw_takes_back_the_lines_above() -> None:
    screen = Screen(20)
    screen.write("kept\r\nold 1\r\nold 2")
    screen.write("\r\x1b[2K\x1b[1A\x1b[2Knew")
    assert screen.text == "kept\nnew\n"


def test_what_is_too_long_goes_on_in_the_next_line_and_is_noted() -> None:
    screen = Screen(5)
    screen.write("12345\r\n123456\r\n")
    assert screen.text == "12345\n12345\n6\n"
    assert screen.broken == ["12345"]


def test_colours_stay_with_their_text() -> None:
    screen = Screen(20)
    screen.write("\x1b[?25l\x1b[1m\x1b[31mred\x1b[0m plain\x1b[?25h\r\n")
    assert screen.text == "red plain\n"
    assert screen.coloured == "\x1b[1m\x1b[31mred\x1b[0m plain\n"


def test_what_it_does_not_know_it_says() -> None:
    with pytest.raises(ValueError, match="not known to this terminal"):
        Screen(20).write("\x1b[3J")
