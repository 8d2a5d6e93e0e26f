"""What the commands print on a terminal of 60, 80 and 200 columns, and piped, is what is kept as expected text."""

from __future__ import annotations

import re

import pytest

from stripe_reports_source.cli import STARTING
from stripe_reports_source.cli.progress import COMPARING, LOOKING, READING

from .captures import DAY, FORMS, Captured, day, demonstration, expected, file_of

pytestmark = pytest.mark.timeout(600)
"""Commands are processes, each of which imports dlt."""
OUT_OF_DATE = "what the commands print has changed: just docs --demo, and look at what has changed"
TERMINALS = [form for form, columns in FORMS.items() if columns]
NAMES = ("demo", *DAY)
WHOLE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(?: UTC)?|\S*\w[_.]\w\S*")
"""Times, and ids, names, paths and amounts: what is copied from a terminal."""
BAR = re.compile(r"^\S \S+ +[━╸╺]+ +(\d+)/(\d+) (?: *[\d,]+ rows )?\d+:\d\d:\d\d( .*)?$")
DOING = re.compile(r"^[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] (?P<what>[^━╸╺]*?)…? \d:\d\d:\d\d$", re.MULTILINE)


def check_terminal(name: str, captured: Captured, columns: int) -> None:
    """Lines are broken between words only; the first text is that the command starts, and it goes away."""
    assert captured.ran is not None
    assert not [line for line in captured.ran.screen.broken if " " in line.strip()], f"{name}: too long for {columns}"
    assert captured.ran.frames[0].startswith(STARTING) or STARTING not in captured.text
    assert "\x1b[" in captured.coloured or name in ("doctor", "types")


def check_progress(frames: tuple[str, ...], columns: int) -> None:
    """At each moment bar, count and clock are there, and what is being done, until the rows are stored."""
    moving = [frame for frame in frames if DOING.search(frame)]
    told = [line for frame in moving for line in frame.splitlines() if re.search("[━╸╺]", line)]
    assert told
    assert not [line for line in told if not BAR.match(line) or len(line) > columns]
    doing = [DOING.findall(frame)[0] for frame in moving]
    steps = [what for before, what in zip(["", *doing], doing, strict=False) if what != before]
    rows = ("preparing 1,141 rows for the database", "writing 1,141 rows into the database")
    whole = (LOOKING, READING, *rows, COMPARING)
    assert len(steps) == len(whole)
    assert [text for step, text in zip(steps, whole, strict=True) if not text.startswith(step)] == []
    begun = next(index for index, frame in enumerate(frames) if DOING.search(frame))
    assert frames[begun : begun + len(moving)] == tuple(moving)
    assert "Loaded 18 intervals" not in moving[-1]


@pytest.mark.first(1)
@pytest.mark.parametrize(
    "form", [pytest.param(form, marks=[pytest.mark.long] * (form in ("60", "200"))) for form in FORMS]
)
def test_the_commands_of_a_day_print_what_is_kept_of_them(form: str) -> None:
    columns = FORMS[form]
    for name, captured in day(form).items():
        assert (captured.text, captured.exit_code) == (expected(name, form), 0), OUT_OF_DATE
        if columns is not None:
            check_terminal(name, captured, columns)
        if columns is not None and name == "sync":
            assert captured.ran is not None
            check_progress(captured.ran.frames, columns)


@pytest.mark.long
@pytest.mark.parametrize("form", [form for form in FORMS if form != "80"])
def test_the_demonstration_prints_what_is_kept_of_it(form: str) -> None:
    """At 80 columns it is run for the picture in README as well, and tested there."""
    captured = demonstration(form)
    assert (captured.text, captured.exit_code) == (expected("demo", form), 0), OUT_OF_DATE
    columns = FORMS[form]
    if columns is not None:
        check_terminal("demo", captured, columns)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_coloured_or_cut_where_it_is_piped(name: str) -> None:
    text = file_of(name, "piped").read_text(encoding="utf-8")
    assert not re.search(r"[\x00-\x09\x0b-\x1f…]", text)


@pytest.mark.parametrize("form", TERMINALS)
@pytest.mark.parametrize("name", NAMES)
def test_ids_names_and_times_are_whole_on_every_terminal(name: str, form: str) -> None:
    columns = FORMS[form] or 0
    text = expected(name, form)
    assert not [line for line in text.splitlines() if len(line) > columns]
    whole = {found for found in WHOLE.findall(expected(name, "piped")) if len(found) <= columns}
    assert whole
    assert {found for found in whole if found not in text} == set()
