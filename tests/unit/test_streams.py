"""A command in a process whose streams are closed, or that knows no letters but ASCII."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stripe_reports_source.cli.letters import untold_letters

OPENS_A_FILE = """
import subprocess, sys
from stripe_reports_source.cli.streams import prepare_streams
prepare_streams()
print("nowhere")
print("nowhere", file=sys.stderr)
with open(sys.argv[1], "w") as file:
    file.write(f"{file.fileno() > 2} {sys.stdin.read()!r} ")
    file.flush()
    subprocess.run([sys.executable, "-c", "print('nowhere')"], check=True)
"""


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_a_closed_stream_leads_nowhere_and_no_file_gets_its_number(closed: str, tmp_path: Path) -> None:
    file = tmp_path / "written"
    command = ["sh", "-c", f'exec "$0" -c "$1" "$2" {closed}', sys.executable, OPENS_A_FILE, str(file)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    assert file.read_text() == "True '' "


def test_a_command_works_though_its_standard_error_is_closed() -> None:
    script = "from stripe_reports_source.cli import main; main()"
    command = ["sh", "-c", 'exec "$0" -c "$1" --version 2>&-', sys.executable, script]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "version" in done.stdout


@pytest.mark.parametrize(
    ("encoding", "given", "told"),
    [
        ("ascii", "Z\udcc3\udcbcrich", False),
        ("US-ASCII", "gr\udcc3\udcb6\udcc3\udc9fe.duckdb", False),
        ("ascii", "Zurich", True),
        ("utf-8", "Zürich", True),
        ("utf-8", "Z\udcfcrich", True),  # of another encoding, which another locale would not tell either
    ],
)
def test_letters_that_a_machine_cannot_tell_are_one_sentence(encoding: str, given: str, told: bool) -> None:
    assert bool(untold_letters(encoding, ["sync", given])) != told


def test_a_machine_that_knows_ascii_alone_says_what_to_set() -> None:
    script = "from stripe_reports_source.cli import main; main()"
    locale = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", script, "sync", "--account", "Zürich"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=locale)
    assert (done.returncode, done.stderr) == (4, f"error: {untold_letters('ascii', ['Z' + chr(0xDCFC)])}\n")
