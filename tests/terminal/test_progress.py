"""Progress at any width: mark, bar, count and clock have their place, and the name gives way."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import dlt
import pytest
from dlt import Pipeline
from rich.console import Console

from stripe_reports_source import Event, Loaded, SyncFailed
from stripe_reports_source.cli.console import say
from stripe_reports_source.cli.progress import SyncProgress
from stripe_reports_source.load import TableLoaded
from stripe_reports_source.plan.intervals import Span

from .run import REDRAWN
from .screen import Screen

LONG = "connected_account_financial_account_balance_change_from_activity_itemized"
APRIL = Span(datetime(2025, 4, 1, tzinfo=timezone.utc), datetime(2025, 5, 1, tzinfo=timezone.utc))
EVENTS = (
    Event("planned", "balance_summary", "balance.summary.2", "default", count=120),
    Event("planned", LONG, "", "acct_1a2b3c", count=1),
    Event("planned", "payouts_itemized", "payouts.itemized.3", "default", count=3),
    Event("up_to_date", "payouts_summary", "payouts.summary.1", "default", count=0),
    *(Event("loaded", "balance_summary", "balance.summary.2", "default", APRIL, count=1234) for _ in range(119)),
    Event("running", "balance_summary", "balance.summary.2", "default", APRIL),
    Event("loaded", LONG, "", "acct_1a2b3c", APRIL, count=5),
    Event("failed", "payouts_itemized", "payouts.itemized.3", "default", APRIL),
)
AT_60 = """\
⠋ writing 146,851 rows into the database 0:00:00
⠋ balance_summary                     ━━━━━╸ 119/120 0:00:00
✓ connected_account_financial_accoun… ━━━━━━ 1/1     0:00:00
✗ payouts_itemized                    ━━━━━━ 0/3     0:00:00
✓ payouts_summary                     ━━━━━━ 1/1     0:00:00
"""


@pytest.fixture
def pipeline() -> Pipeline:
    return dlt.pipeline("progress")


def shown(pipeline: Pipeline, columns: int, events: Iterable[Event], encoding: str = "utf-8") -> tuple[str, str]:
    """What a terminal shows when rows are written, after some events, and in the end."""
    written = io.BytesIO()
    file = io.TextIOWrapper(written, encoding=encoding, errors="replace")
    console = Console(file=file, force_terminal=True, width=columns, legacy_windows=False, _environ={"TERM": "xterm"})
    with SyncProgress(console, pipeline) as progress:
        for event in events:
            progress(event)
        progress.begin_step("Extract nothing that is shown")
        progress.begin_step("Load stripe_reports in 1")
    file.flush()
    screen, frames = Screen(columns), []
    for part in REDRAWN.split(written.getvalue().decode(encoding).replace("\n", "\r\n")):
        screen.write(part)
        frames.append(re.sub(r"\d:\d\d:\d\d", "0:00:00", re.sub("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]", "⠋", screen.text)).lstrip())
    assert screen.broken == []
    return [frame for frame in frames if "writing" in frame][-1], frames[-1]


def test_whatever_the_name_bar_count_and_clock_stay_at_60_columns(pipeline: Pipeline) -> None:
    now, end = shown(pipeline, 60, EVENTS)
    assert now == AT_60
    assert end == AT_60.partition("\n")[2]


@pytest.mark.parametrize("columns", [40, 60, 76, 80, 119, 120, 200])
def test_no_line_is_too_long_and_none_lacks_its_bar(pipeline: Pipeline, columns: int) -> None:
    now, _ = shown(pipeline, columns, EVENTS)
    lines = [line for line in now.splitlines() if re.search("[━╸╺]", line)]
    assert len(lines) == 4
    assert not [line for line in lines if not re.search(r"[━╸╺]{6,} +\d+/\d+ .*\d:\d\d:\d\d", line)]


def test_where_there_is_room_rows_and_words_are_shown(pipeline: Pipeline) -> None:
    now, _ = shown(pipeline, 200, EVENTS)
    assert re.search(r"119/120 +146,846 rows 0:00:00 Stripe works on 2025-04-01\n", now)
    assert re.search(r"0/3 +0 rows 0:00:00 failed at 2025-04-01\n", now)
    assert re.search(r"1/1 +0 rows 0:00:00 nothing new\n", now)


def test_a_terminal_without_unicode_gets_ascii(pipeline: Pipeline) -> None:
    now, _ = shown(pipeline, 60, EVENTS, "ascii")
    assert now.isascii()
    assert re.search(r"^\* connected_account\w+ -+ +1/1", now, re.MULTILINE)
    assert re.search(r"^x payouts_itemized ", now, re.MULTILINE)


def test_what_comes_after_the_last_file_is_said_from_the_steps_of_the_pipeline(pipeline: Pipeline) -> None:
    usual = pipeline.collector
    with SyncProgress(Console(file=io.StringIO(), force_terminal=True), pipeline):
        assert pipeline.collector is not usual
    assert pipeline.collector is usual


def loads_of_which_one_fails(pipeline: Pipeline, error: Exception, columns: int | None = None) -> str:
    """What is said where a package is loaded, and another one is not."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=columns is not None, width=columns, _environ={"TERM": "xterm"})
    with suppress(type(error)), SyncProgress(console, pipeline) as progress:
        for event in (*EVENTS[:4], EVENTS[4], EVENTS[4]):
            progress(event)
        with pipeline.collector("Load stripe_reports in 1"):
            pass
        for event in (EVENTS[4], EVENTS[-2]):
            progress(event)
        with pipeline.collector("Load stripe_reports in 2"):
            raise error
    return file.getvalue()


def test_rows_that_were_not_stored_are_not_told_of(pipeline: Pipeline) -> None:
    assert loads_of_which_one_fails(pipeline, OSError()) == "balance_summary [default]: 2468 rows\n"
    loaded = Loaded((), 1, 7, (TableLoaded("payouts_itemized", "default", 1, 7),))
    told = loads_of_which_one_fails(pipeline, SyncFailed([], loaded)).splitlines()
    assert [line.rpartition("]: ")[2] for line in told] == ["0 rows", "0 rows", "7 rows", "0 rows"]


def test_a_bar_whose_rows_were_not_stored_is_marked(pipeline: Pipeline) -> None:
    screen = Screen(200)
    for part in REDRAWN.split(loads_of_which_one_fails(pipeline, OSError(), 200).replace("\n", "\r\n")):
        screen.write(part)
    assert re.search(r"^✗ balance_summary .* 2,468 rows .* not stored$", screen.text, re.MULTILINE)
    assert re.search(rf"^✗ {LONG} .* 0 rows .* not stored$", screen.text, re.MULTILINE)


SENTENCE = "not loaded: payouts_itemized frr_1a2b3c4d5e6f708192a3b4c5 is from data up to 2025-07-02 00:00 UTC, and more"


def said(columns: int, *, terminal: bool) -> list[str]:
    file = io.StringIO()
    say(Console(file=file, force_terminal=terminal, width=columns, _environ={}), SENTENCE, indent="  ")
    return file.getvalue().splitlines()


def test_on_a_terminal_a_sentence_is_broken_between_words_and_not_in_a_time() -> None:
    for columns in range(30, 100):
        lines = said(columns, terminal=True)
        assert max(map(len, lines)) <= columns
        assert " ".join(line.strip() for line in lines) == SENTENCE
        assert all(line.startswith("  ") for line in lines[1:])
        assert any("2025-07-02 00:00 UTC" in line for line in lines)


def test_elsewhere_a_sentence_is_a_line() -> None:
    assert said(40, terminal=False) == [SENTENCE]


INTERRUPTED = """
import sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == "dlt":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupts())
sys.argv = ["stripe-reports", "types"]
from stripe_reports_source.cli import main
main()
"""


def test_ctrl_c_before_the_command_has_begun(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
