"""The command `doctor`: whether all is set up for a sync, a line for each thing, and what the sync would do."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import dlt
from dlt import Pipeline
from dlt.common.pipeline import get_dlt_pipelines_dir

from ..errors import StripeReportsError, was_stopped
from ..plan.settings import Settings
from ..plan.stripe_objects import OfferedTypes
from ..source import settings_of
from ..sync.forecast import forecast
from ..warehouse.checkup import can_be_made, free_disk, free_of_syncs, reached, working_folder
from ..warehouse.destinations import duckdb_file
from .console import say, standard_output
from .failures import NOT_SET_UP, TRY_LATER, outcome
from .offered import lacks_key
from .places import NoDatabase, pipeline_options, place, read_only_pipeline
from .shared import options, plain_errors
from .sources import report_options, source_of

if TYPE_CHECKING:
    from ..stripe_api.archive import Archive
    from ..stripe_api.checkup import Checkup

T = TypeVar("T")
CLOCK = timedelta(minutes=5)
"""How far a clock may be off: that much Stripe allows a webhook's signature to be old."""


@dataclass
class Findings:
    """The lines of a checkup, printed as they come."""

    console: Any = field(default_factory=standard_output)
    later: int = 0
    wrong: int = 0

    def look(self, name: str, check: Callable[[], T], words: Callable[[T], str] = str) -> T | None:
        """Print what a check finds; None where it fails."""
        try:
            found = check()
        except Exception as error:  # whatever it is, it keeps a sync from working
            if was_stopped(error):
                raise
            self.failed(name, error)
            return None
        self._say("ok", name, words(found))
        return found

    def left_open(self, name: str, why: str) -> None:
        """Print that something cannot be told."""
        self._say("-", name, why)

    def failed(self, name: str, error: Exception) -> None:
        """Print what is wrong, or is to be tried later; as the other commands say it."""
        if click.get_current_context().params.get("debug"):
            click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
        end = outcome(error)
        name = "key" if lacks_key(error) else name
        text = next(iter(end.sentence.splitlines()), type(error).__name__)
        if end.code == TRY_LATER:
            self.later += 1
            self._say("later", name, text, "yellow")
        else:
            self.wrong += 1
            self._say("wrong", name, text, "red")

    def _say(self, mark: str, name: str, text: str, style: str | None = None) -> None:
        say(self.console, f"{mark:<7}{name}: {text}", style, indent=" " * 7)


@click.command()
@report_options
@options(
    click.option("--start-date", help="First day of history, YYYY-MM-DD."),
    click.option("--lookback-days", type=int, help="Days before the cursor to read again."),
)
@pipeline_options
@plain_errors
def doctor(destination: str, dataset: str, pipeline_name: str, database: Path | None, **given: Any) -> None:
    """Look whether all is set up for a sync, and what it would do.

    The sync is one of REPORTS. Nothing is made, here or at Stripe.

    Exit code 0: all is well. 4: something is wrong. 75: only Stripe or the database cannot be had at present.
    """
    from ..stripe_api.checkup import key_kind  # HTTP, which --help does not need

    findings = Findings()
    settings = findings.look(
        "settings", lambda: settings_of(source_of(**given)), lambda settings: f"{len(settings.reports)} reports"
    )
    if settings:
        findings.look("key", lambda: key_kind(settings.api_key))
    offered = _stripe(findings, settings) if settings else None
    archive = _archive(findings, settings.archive_url) if settings and settings.archive_url is not None else None
    with _destination(findings, destination, dataset, pipeline_name, database, archive) as found:
        _webhook(findings)
        if settings is None or offered is None:
            findings.left_open("next sync", "not known while Stripe is not asked")
        elif not found.known:
            findings.left_open("next sync", "not known while the destination cannot be used")
        else:
            _next_sync(findings, settings, offered, found.pipeline)
    if findings.wrong or findings.later:
        raise SystemExit(NOT_SET_UP if findings.wrong else TRY_LATER)


def _stripe(findings: Findings, settings: Settings) -> OfferedTypes | None:
    from ..stripe_api.checkup import Checkup

    checkup = Checkup(settings)
    offered = findings.look(
        f"report types at {settings.api_base_url}",
        checkup.offered,
        lambda offered: f"{len(offered.types)} are offered to the key",
    )
    if offered is not None:
        findings.look(
            "report runs",
            checkup.may_read_runs,
            lambda _: "the key may read them; whether it may make them, the first run tells",
        )
        findings.look("clock", lambda: _clock(checkup))
    findings.look(
        f"files at {settings.files_base_url}", checkup.may_read_files, lambda _: "the key is let in to read files"
    )
    return offered


def _clock(checkup: Checkup) -> str:
    ahead = checkup.clock_difference()
    if abs(ahead) > CLOCK:
        word = "ahead of" if ahead > timedelta(0) else "behind"
        raise StripeReportsError(
            f"this machine's clock is {abs(ahead).total_seconds():,.0f} s {word} Stripe's; set it."
        )
    return "it agrees with Stripe's"


def _archive(findings: Findings, url: str) -> Path | None:
    """Where the archive is, if it can be used and is on this machine."""
    from ..stripe_api.checkup import usable_archive

    archive = findings.look("archive", lambda: usable_archive(url), _archive_in_words)
    return archive.place if archive else None


def _archive_in_words(archive: Archive) -> str:
    if archive.place is None:
        return f"{archive.shown} is an address that can be used; whether it may be written, the first file tells"
    return f"{archive.shown} can be written"


@dataclass(frozen=True)
class Destination:
    """What is known of a destination.

    Args:
        known: what is loaded is known, be it nothing.
        pipeline: None where it cannot be used, or the first sync makes its database.
    """

    known: bool
    pipeline: Pipeline | None = None


@contextmanager
def _destination(
    findings: Findings,
    destination: str,
    dataset: str,
    pipeline_name: str,
    database: Path | None,
    archive: Path | None,
) -> Iterator[Destination]:
    working = Path(get_dlt_pipelines_dir())
    folders = [working] if archive is None else [working, archive]
    with ExitStack() as opened:
        pipeline, found = None, Destination(known=False)
        try:
            pipeline = opened.enter_context(read_only_pipeline(destination, dataset, pipeline_name, database))
        except click.ClickException:
            raise
        except NoDatabase as error:
            file = error.file
            found = Destination(known=findings.look("destination", lambda: can_be_made(file)) is not None)
            folders.append(file.parent)
        except Exception as error:  # a lacking extra, credentials, a file that is open elsewhere
            if was_stopped(error):
                raise
            findings.failed("destination", error)
        if pipeline is not None:
            known = pipeline
            own = duckdb_file(known)
            folders += [own.parent] if own else []
            if findings.look("destination", lambda: reached(known), lambda text: f"{place(known)}: {text}"):
                findings.look("locks", lambda: free_of_syncs(known, working))
                found = Destination(known=True, pipeline=known)
        findings.look("working folder", lambda: working_folder(working))
        findings.look("disk", lambda: free_disk(*folders))
        yield found


def _webhook(findings: Findings) -> None:
    try:
        from ..webhook.endpoint_secrets import SETTINGS, configured_secrets  # an extra
    except ImportError:
        findings.left_open("webhook secret", "the extra webhook is not installed; sync does not need it")
        return
    if not any(dlt.secrets.get(setting) for setting in SETTINGS):
        findings.left_open("webhook secret", "there is none; only the command webhook needs it")
        return
    findings.look("webhook secret", configured_secrets, lambda secrets: f"{len(secrets)} set")


def _next_sync(findings: Findings, settings: Settings, offered: OfferedTypes, pipeline: Pipeline | None) -> None:
    if pipeline is not None:
        pipeline.sync_destination()  # the state that the destination keeps, for a working folder that is new
    expected = forecast(settings, offered, pipeline)
    for error in expected.problems.values():
        findings.failed("report", error)
    if expected.problems and not expected.runs:
        findings.left_open("next sync", "not known, see above")
        return
    if not expected.runs:
        findings.look("next sync", lambda: "nothing new at Stripe")
        return
    how_long = (
        "how long that takes at Stripe is not known before the first run"
        if expected.seconds is None
        else f"about {max(1, round(expected.seconds / 60)):,} min at Stripe, as earlier runs took"
    )
    of_each = ", ".join(f"{table} {cells:,}" for table, cells in expected.cells.items() if cells)
    findings.look(
        "next sync", lambda: f"{expected.runs:,} intervals ({of_each}), a report run each at most; {how_long}"
    )
