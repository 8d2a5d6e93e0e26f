"""The queries of the pages, on the demonstration's database, give what stands below them; the demonstration prints
what README shows.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.terminal.captures import plain

from . import picture
from .pages import README, Block, blocks, blocks_of
from .results import open_demo, result_of

pytestmark = pytest.mark.timeout(600)
"""The demonstration takes half a minute on an idle machine."""


@pytest.mark.parametrize("block", [block for block in blocks("sql") if block.run], ids=str)
def test_a_query_gives_what_stands_below_it(block: Block, demo: Path) -> None:
    with open_demo(demo / "stripe_demo.duckdb") as connection:
        result = result_of(connection, block.text)
    if block.table is not None:
        assert result == block.table, "the result has changed: just docs --demo"


def test_the_alerts_are_silent_where_all_is_well(demo: Path) -> None:
    alerts = [block for block in blocks("sql") if block.page.name == "operations.md" and block.table is None]
    assert len(alerts) == 3
    with open_demo(demo / "stripe_demo.duckdb") as connection:
        assert [connection.execute(block.text).fetchall() for block in alerts] == [[], [], []]


def test_the_demonstration_prints_what_is_kept_of_it(demo: Path) -> None:
    printed = (demo / "demo.ansi").read_text(encoding="utf-8")
    kept = picture.CAPTURE.read_text(encoding="utf-8")
    assert plain(printed) == plain(kept), "the demonstration has changed: just docs --demo"


def test_the_picture_shows_what_is_kept() -> None:
    drawn = picture.draw(picture.CAPTURE.read_text(encoding="utf-8"))
    assert picture.texts(picture.PICTURE.read_text(encoding="utf-8")) == picture.texts(drawn)


def test_readme_quotes_the_demonstration() -> None:
    [quoted] = [block.text for block in blocks_of(README) if block.language == "text"]
    printed = iter(plain(picture.CAPTURE.read_text(encoding="utf-8")).splitlines())
    for line in quoted.splitlines():
        if line != picture.LEFT_OUT:
            assert line in printed, f"not printed, or not in this order: {line}"
