"""What the commands print at 60, 80 and 200 columns and piped, and what of it is kept as expected text.

In: commands that are run on a real terminal, with an emulator. Out: texts, and `expected/NAME.FORM.txt`; the
demonstration at 80 columns, of which README's picture is made, keeps its colours. `python -m tests.docs --demo` writes
them.

What differs from run to run has the same length each time, so that lines are broken at the same places, and is then
replaced, see `masked`. The business lies in a century to come: it is never behind, whatever the day.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path

from rich.text import Text

from stripe_reports_source.emulator import Emulator, EmulatorSettings

from .run import Ran, on_terminal, piped

EXPECTED = Path(__file__).with_name("expected")
FORMS: dict[str, int | None] = {"60": 60, "80": 80, "200": 200, "piped": None}
"""Columns by the name of a form; None is no terminal."""
DAY = ("doctor", "types", "sync", "status", "reconcile")
"""The commands of an operator's first day, in this order, on one database."""
DATABASE = "stripe_demo.duckdb"
HOME = "/home/ada/reports"


@dataclass(frozen=True)
class Captured:
    """What a command printed.

    Args:
        text: without colours and without spaces at the ends of lines, masked.
        coloured: with colours, masked.
        exit_code: of the command.
        ran: more about it, on a terminal.
    """

    text: str
    coloured: str
    exit_code: int
    ran: Ran | None = None


def masked(text: str, folder: Path) -> str:
    """A text, in which what differs from run to run is replaced by something as long.

    The folder, ports on this machine, clocks of seconds, free disk space, ids of report runs, and times of the present
    year or later, which the business does not have.
    """
    text = text.replace(str(folder), HOME)
    text = re.sub(r"127\.0\.0\.1:\d{5}", "127.0.0.1:40000", text)
    text = re.sub(r"(?<!\d)\d:\d\d:\d\d", "0:00:03", text)
    text = re.sub(r"[\d,]+\.\d GiB free", "60.0 GiB free", text)
    text = re.sub(r"frr_\w{24}", "frr_1a2b3c4d5e6f708192a3b4c5", text)
    return re.sub(r"(?<!\d)20(?:2[6-9]|[3-9]\d)-\d\d-\d\d \d\d:\d\d", "2026-11-30 09:00", text)


@contextmanager
def folder_of_fixed_length() -> Iterator[Path]:
    """An empty folder whose path is as long as `HOME`, wherever tests put their files."""
    folder = tempfile.mkdtemp(prefix="ada-", dir="/tmp")
    try:
        yield Path(folder).resolve()
    finally:
        shutil.rmtree(folder)


def capture(command: str, form: str, folder: Path, settings: Mapping[str, str]) -> Captured:
    """Run a command in a folder, in a form."""
    columns = FORMS[form]
    settings = {**settings, "DLT_DATA_DIR": str(folder / "dlt")}
    if columns is None:
        text, exit_code = piped([command], folder, settings)
        told = masked(re.sub(r" +$", "", text, flags=re.MULTILINE), folder)
        return Captured(told, told, exit_code)
    ran = on_terminal([command], folder, settings, columns)
    text, coloured = masked(ran.screen.text, folder), masked(ran.screen.coloured, folder)
    return Captured(text, coloured, ran.exit_code, ran)


def demonstration(form: str, keep: Path | None = None) -> Captured:
    """Run the demonstration; `keep` is where its database goes then."""
    with folder_of_fixed_length() as folder:
        captured = capture("demo", form, folder, {})
        if keep is not None:
            shutil.move(folder / DATABASE, keep / DATABASE)
    return captured


def day(form: str) -> dict[str, Captured]:
    """Run the commands of a day, on a database of their own."""
    business = EmulatorSettings(
        scale=0.15,
        business_start=date(2125, 1, 1),
        available_end=datetime(2125, 3, 10, 12, tzinfo=timezone.utc),
        run_delay=0.05,
    )
    with folder_of_fixed_length() as folder, Emulator(business) as emulator:
        settings = {
            "SOURCES__STRIPE_REPORTS__API_KEY": emulator.settings.live_keys[0],
            "SOURCES__STRIPE_REPORTS__API_BASE_URL": emulator.api_url,
            "SOURCES__STRIPE_REPORTS__FILES_BASE_URL": emulator.files_url,
        }
        return {command: capture(command, form, folder, settings) for command in DAY}


def file_of(name: str, form: str) -> Path:
    """Where the expected text of a command is kept."""
    return EXPECTED / f"{name}.{form}.{'ansi' if (name, form) == ('demo', '80') else 'txt'}"


def expected(name: str, form: str) -> str:
    """What a command prints, without colours."""
    return plain(file_of(name, form).read_text(encoding="utf-8"))


def plain(text: str) -> str:
    """A text without its colours."""
    return "".join(f"{Text.from_ansi(line).plain}\n" for line in text.splitlines())


def write(keep: Path) -> None:
    """Run all commands in all forms and keep what they print; `keep` is where the demonstration's database goes."""
    for form in FORMS:
        captured = day(form) | {"demo": demonstration(form, keep if form == "80" else None)}
        for name, found in captured.items():
            assert found.exit_code == 0, f"{name} at {form}: {found.text}"
            file = file_of(name, form)
            file.write_text(found.coloured if file.suffix == ".ansi" else found.text, encoding="utf-8")
