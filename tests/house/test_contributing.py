"""CONTRIBUTING.md is true: its paths, names, verbs and walls are those of the repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house import walls

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "stripe_reports_source"
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
VERBS = (
    "lint",
    "types",
    "test",
    "test-one",
    "demo",
    "faults",
    "bench",
    "docs",
    "dbt",
    "engine-constraints",
    "constraints",
    "newest",
)
WORDS = ("report type", "report run", "interval", "cell", "lane", "cursor", "availability", "load package")
PATH = r"[\w.-]+(?:/[\w.-]+)*/?"
FILE = re.compile(rf"(?<![\w/.])((?:{PATH}/)?(?:[\w-]+\.(?:py|json|md|toml|yaml)|justfile|\.ci/run))(?![\w/])")
FOLDER = re.compile(rf"`({PATH}/)`")


def where_is(name: str) -> Path | None:
    """A path of the text: from the repository, or from the package."""
    return next((place / name for place in (ROOT, PACKAGE) if (place / name).exists()), None)


def section(title: str) -> str:
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows_of(part: str) -> list[list[str]]:
    """The cells of a table's rows, without its head."""
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("name", sorted({*FILE.findall(TEXT), *FOLDER.findall(TEXT)}))
def test_every_path_is_there(name: str) -> None:
    assert where_is(name), f"CONTRIBUTING.md names {name}, which is not there."


NAMED = re.compile(r"`(\w+)`(?: and `(\w+)`)?,?(?: both)? in\s`([\w./]+)`")


@pytest.mark.parametrize(
    ("name", "path"),
    [(name, path) for *names, path in NAMED.findall(TEXT) for name in names if name],
)
def test_every_name_is_in_the_file_that_is_said_to_have_it(name: str, path: str) -> None:
    place = where_is(path)
    assert place is not None
    assert re.search(rf"\b{name}\b", place.read_text(encoding="utf-8")), f"{path} does not have {name}."


def test_the_verbs_are_those_of_the_task_runner() -> None:
    recipes = (ROOT / "justfile").read_text("utf-8")
    runner = set(re.findall(r"^([a-z][\w-]*)(?: [+*]?\w+)*:(?!=)", recipes, re.MULTILINE))
    assert runner == set(VERBS)
    named = set(re.findall(r"\bjust ([a-z][\w-]*)", TEXT))
    assert named == set(VERBS)


def test_ci_calls_verbs_of_the_task_runner() -> None:
    called = set(re.findall(r"/just\"? ([a-z-]+)", (ROOT / ".ci/run").read_text("utf-8")))
    assert called
    assert called <= set(VERBS)


def test_the_glossary_has_the_eight_words() -> None:
    assert tuple(word for word, _ in rows_of(section("Eight words"))) == WORDS


def test_the_table_of_the_rooms_is_the_one_that_is_checked() -> None:
    told = {}
    for room, *_, imports in rows_of(section("The rooms")):
        rooms = {walls.room_of("" if name == "__init__" else name) for name in re.findall(r"`([\w.]+)`", room)}
        assert len(rooms) == 1, room
        told[rooms.pop()] = set(re.findall(r"`([\w.]+)`", imports)) if "every room" not in imports else None
    house = walls.read_house(PACKAGE)
    there = {walls.room_of(module) for module in house.files}
    checked = {
        room: None if room == "faces" else {name for name in allowed if walls.room_of(name) in there}
        for room, allowed in walls.MAY_IMPORT.items()
        if room in there
    }
    assert told == checked
