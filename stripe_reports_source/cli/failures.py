"""What a command says of an error, and its exit code: one table for all commands.

In: an error, wrapped as dlt, DuckDB and PostgreSQL wrap theirs. Out: a sentence and a code. Errors of other packages
are known by name, so that none of these packages is imported for it.
"""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import signature
from typing import Any

from ..errors import (
    AuthenticationError,
    CellError,
    ConfigurationError,
    DestinationBusy,
    DownloadError,
    LoadInterrupted,
    PermissionDenied,
    StripeError,
    StripeReportsError,
    StripeUnreachable,
    SyncFailed,
    TieOutFailed,
    UnusableFile,
    WebhookRefused,
    WorkingFolderError,
    chain,
    own_error,
)
from ..source import stripe_reports

UNFORESEEN, NOT_ALL_THERE, NOT_SET_UP, NOT_TIED, TRY_LATER, STOPPED = 1, 3, 4, 5, 75, 130
NO_KEY = (
    "No Stripe API key. Set the environment variable SOURCES__STRIPE_REPORTS__API_KEY, or api_key under "
    "[sources.stripe_reports] in .dlt/secrets.toml."
)
OWN: tuple[tuple[type[StripeReportsError], int], ...] = (
    # the first that an error is one of counts
    (UnusableFile, NOT_ALL_THERE),
    (DownloadError, TRY_LATER),
    (CellError, NOT_ALL_THERE),
    (SyncFailed, NOT_ALL_THERE),
    (TieOutFailed, NOT_TIED),
    (StripeUnreachable, TRY_LATER),
    (DestinationBusy, TRY_LATER),
    (LoadInterrupted, TRY_LATER),
    (ConfigurationError, NOT_SET_UP),
    (AuthenticationError, NOT_SET_UP),
    (PermissionDenied, NOT_SET_UP),
    (StripeError, NOT_SET_UP),
    (WorkingFolderError, NOT_SET_UP),
    (WebhookRefused, NOT_SET_UP),
)
"""The exit code of each kind of this package's own errors."""
EXTRAS = {
    "starlette": "emulator",
    "uvicorn": "emulator",
    "pandas": "demo",
    "stripe": "webhook",
    "psycopg2": "postgres",
    "adbc_driver_manager": "postgres",
    "adbc_driver_postgresql": "postgres",
}
"""The extra that brings a package."""
DESTINATIONS = ("duckdb", "postgres", "snowflake", "bigquery", "redshift", "databricks", "mssql", "motherduck")
"""Destinations that are named to those who mistype one; dlt has more."""
_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
_SETTINGS = "SOURCES__STRIPE_REPORTS__"
_DUCKDB = r"_?duckdb\.(?:\w+Exception|Error)"
_POSTGRES = r"psycopg2\.(?:\w+\.)*(?:OperationalError|InsufficientPrivilege|InvalidCatalogName|ReadOnlySqlTransaction)"
_CHECK = "check the destination's credentials"
_READ_ONLY = "it is a standby, or set to be read only: connect to the primary server, or try again when it takes writes"
_GRANTS = {
    "": "load with the role that owns it",
    "database": "grant the role CREATE on the database, or USAGE and CREATE on the dataset's schema if that is there",
    "schema": "grant the role USAGE on the schema, and CREATE to load into it",
    "table": "grant the role SELECT on it, and INSERT, UPDATE and DELETE to load into it",
}
"""What helps in PostgreSQL, by what a role has no right to; it must own what it would change the form of."""


@dataclass(frozen=True)
class Outcome:
    """How a command ends: its exit code, and the sentence that it says."""

    code: int
    sentence: str


@dataclass(frozen=True)
class Foreseen:
    """An error of another package that can happen to anyone.

    Args:
        kind: a pattern for the error's class or one that it is derived from, with its module.
        says: a pattern for something in its message; "" is any message.
        code: the exit code.
        sentence: what to say, with `{groups}` of `says`; or a function that makes it of the error.
    """

    kind: str
    says: str
    code: int
    sentence: str | Callable[[Any], str]

    def outcome(self, error: BaseException) -> Outcome | None:
        """How a command ends with this error; None if the error is not this one."""
        if not any(re.fullmatch(self.kind, f"{each.__module__}.{each.__qualname__}") for each in type(error).__mro__):
            return None
        found = re.search(self.says, str(error), re.DOTALL)
        if found is None:
            return None
        made = self.sentence(error) if callable(self.sentence) else self.sentence.format(**found.groupdict())
        return Outcome(self.code, made)


def outcome(error: BaseException) -> Outcome:
    """How a command ends with an error."""
    own = own_error(error)
    if own is not None:
        return Outcome(exit_code(own), str(own))
    causes = list(chain(error))
    for foreseen in FORESEEN:
        for cause in causes:
            found = foreseen.outcome(cause)
            if found is not None:
                return found
    text = next(iter(str(causes[-1]).strip().splitlines()), "")
    return Outcome(
        UNFORESEEN, f"not foreseen: {type(causes[-1]).__name__}: {text} Run it again with --debug to see where."
    )


def exit_code(error: StripeReportsError) -> int:
    """The exit code of an error of this package: what a script can do about it.

    3: not all is there; 4: configuration, key or permission; 5: reports do not agree; 75: try again later; 1: else.
    """
    if isinstance(error, StripeError) and (error.http_status == 429 or error.http_status >= 500):
        return TRY_LATER
    return next((code for kind, code in OWN if isinstance(error, kind)), UNFORESEEN)


def _missing_setting(error: Any) -> str:
    """`error` is dlt's ConfigFieldMissingException."""
    if "api_key" in error.fields:
        return NO_KEY
    name = getattr(error.config, "destination_name", None) or getattr(error.config, "destination_type", None)
    if not name:
        return f"not configured: {', '.join(error.fields)}; set it in the environment or in .dlt/secrets.toml."
    name = str(name).rpartition(".")[2]
    lacking = ", ".join(dict.fromkeys(_lacking(error.traces)))
    if "credentials" not in error.traces and not _are_credentials(error.config):
        settings = " and ".join(f"DESTINATION__{name.upper()}__{field.upper()}" for field in error.traces)
        return (
            f"destination {name!r} is not configured; it lacks: {lacking}. "
            f"Set {settings}, or {lacking} under [destination.{name}] in .dlt/config.toml."
        )
    return (
        f"destination {name!r} is not configured; it lacks: {lacking}. "
        f"Set DESTINATION__{name.upper()}__CREDENTIALS, or [destination.{name}.credentials] in .dlt/secrets.toml."
    )


def _are_credentials(config: Any) -> bool:
    return any(each.__name__ == "CredentialsConfiguration" for each in type(config).__mro__)


def _lacking(traces: Any) -> Iterator[str]:
    """The innermost fields that dlt has not found; of several ways to log in, those of the first."""
    for field, tried in traces.items():
        inner = next((trace.traces for trace in tried if hasattr(trace, "traces")), None)
        if inner:
            yield from _lacking(inner)
        else:
            yield field


def _wrong_type(error: Any) -> str:
    """`error` is dlt's ConfigValueCannotBeCoercedException. The value may be a secret and is not shown."""
    kind = _KINDS.get(getattr(error.hint, "__name__", ""), "a list or table, as JSON in the environment")
    name = str(error.field_name)
    own = name in signature(stripe_reports).parameters
    where = f" (environment {_SETTINGS}{name.upper()}, or {name} in .dlt/config.toml)" if own else ""
    return f"setting {name} has a value of the wrong type: it must be {kind}{where}."


def _unknown_destination(error: Any) -> str:
    """`error` is dlt's UnknownDestinationModule."""
    near = difflib.get_close_matches(str(error.ref), DESTINATIONS, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"dlt has {', '.join(DESTINATIONS)} and others."
    return f"destination {error.ref!r} is not known; {hint}"


def _missing_package(error: Any) -> str:
    """`error` is an ImportError."""
    name = str(error.name or "").partition(".")[0]
    if name in EXTRAS:
        return f"the package {name} is not installed; run: pip install 'stripe-reports-source[{EXTRAS[name]}]'"
    return f"the package {name or 'that is needed'} is not installed ({str(error).strip().splitlines()[0]})."


def _missing_dependency(error: Any) -> str:
    """`error` is dlt's MissingDependencyException."""
    needed = [str(each) for each in error.dependencies]
    if any("postgres" in each or "psycopg2" in each for each in needed):
        needed = ["stripe-reports-source[postgres]"]
    return f"packages that {error.caller} needs are not installed; run: pip install '{' '.join(needed)}'"


def _no_right(error: Any) -> str:
    """`error` is psycopg2's InsufficientPrivilege: doctor asks for the same rights before a sync."""
    why = str(error).strip().splitlines()[0]
    found = re.search(r"permission denied for (?P<kind>\w+)", why)
    return f"PostgreSQL: {why}; {_GRANTS.get(found['kind'] if found else '', 'grant the role what it needs')}."


def _file_error(error: Any) -> str:
    """`error` is an OSError."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" for {error.filename}" if error.filename else ""
        return (
            f"there is no room{where} ({error.strerror}); make room on the disk of the database, of dlt's own files "
            "(DLT_DATA_DIR), of temporary files (TMPDIR), and of where the output goes."
        )
    return (
        f"{error.filename or 'a file'} cannot be written or read: {error.strerror}; "
        "give permission there, or choose another place (DLT_DATA_DIR for dlt's own files)."
    )


FORESEEN: tuple[Foreseen, ...] = (
    Foreseen(r"dlt\..*\.UnknownDestinationModule", "", NOT_SET_UP, _unknown_destination),
    Foreseen(r"dlt\..*\.ConfigFieldMissingException", "", NOT_SET_UP, _missing_setting),
    Foreseen(r"dlt\..*\.ConfigValueCannotBeCoercedException", "", NOT_SET_UP, _wrong_type),
    Foreseen(
        r"dlt\..*\.InvalidNativeValue",
        r"^`(?P<spec>\w+?)(?:Credentials)?`",
        NOT_SET_UP,
        "the destination's credentials have a form that {spec} does not take; set an address such as "
        "postgresql://user:password@host:5432/database.",
    ),
    Foreseen(r"dlt\..*\.MissingDependencyException", "", NOT_SET_UP, _missing_dependency),
    Foreseen(
        _DUCKDB,
        r"No space left on device|Disk quota exceeded",
        NOT_SET_UP,
        "there is no room for the DuckDB file, or for what DuckDB puts aside beside it; make room on its disk.",
    ),
    Foreseen(
        r"tomlkit\.exceptions\.\w+",
        r"^(?P<why>[^\n]+)",
        NOT_SET_UP,
        ".dlt/config.toml or .dlt/secrets.toml is not valid TOML: {why}.",
    ),
    Foreseen(
        _DUCKDB,
        r'"(?P<file>[^"]+)".*not a valid DuckDB database file',
        NOT_SET_UP,
        "{file} is not a DuckDB database; set --database to another file.",
    ),
    Foreseen(
        _DUCKDB,
        r"read a database file with (?:storage )?version number (?P<form>\d+), but we can only read",
        NOT_SET_UP,
        "the DuckDB file was written by a newer DuckDB than the one here (its form is {form}); "
        "`pip install -U duckdb`, or set --database to another file.",
    ),
    Foreseen(
        _DUCKDB,
        r"Corrupt database file|Could not read enough bytes from file",
        NOT_SET_UP,
        "the DuckDB file is damaged; restore it from a backup, or set --database to another file and load it anew.",
    ),
    Foreseen(
        _DUCKDB,
        r'Could not set lock on file "(?P<file>[^"]+)": Conflicting lock is held in (?P<holder>.*?)\.(?: |$)',
        TRY_LATER,
        "the DuckDB file {file} is open in {holder}; close it there and try again, nothing is lost.",
    ),
    Foreseen(_DUCKDB, r"Could not set lock on file", TRY_LATER, "the DuckDB file is open elsewhere; try again later."),
    Foreseen(
        _DUCKDB,
        r'Referenced column "(?P<column>[^"]+)" not found',
        NOT_SET_UP,
        "the column {column} was loaded and is not in its table any more; give it its name back, or drop the table and "
        "load its report again.",
    ),
    Foreseen(
        _DUCKDB,
        r'(?:Cannot open|Could not create|Failed to create) (?:file|directory) "(?P<file>[^"]+)": (?P<why>[^\n]+)',
        NOT_SET_UP,
        "the DuckDB file {file} cannot be opened ({why}); set --database, or give permission to write there.",
    ),
    Foreseen(
        _POSTGRES,
        "(?P<why>password authentication failed for user [^\n]+)",
        NOT_SET_UP,
        f"PostgreSQL: {{why}}; {_CHECK}.",
    ),
    Foreseen(
        _POSTGRES,
        r'FATAL: +(?P<why>(?:database|role) "[^\n"]+" does not exist)',
        NOT_SET_UP,
        f"PostgreSQL: {{why}}; {_CHECK}.",
    ),
    Foreseen(
        _POSTGRES,
        r'server at (?P<where>"[^\n]+?) failed: (?P<why>[^\n]+)',
        TRY_LATER,
        "PostgreSQL at {where} cannot be reached: {why}. Start it, or set another host and port.",
    ),
    Foreseen(
        _POSTGRES,
        r"could not translate host name (?P<host>\S+)",
        TRY_LATER,
        "PostgreSQL's host {host} was not found; check its name and the network.",
    ),
    Foreseen(r"psycopg2\.(?:\w+\.)*InsufficientPrivilege", "", NOT_SET_UP, _no_right),
    Foreseen(
        _POSTGRES, r"(?P<why>permission denied [^\n]+)", NOT_SET_UP, "PostgreSQL: {why}; grant the role what it needs."
    ),
    Foreseen(
        _POSTGRES,
        r"(?P<why>cannot execute [^\n]+ (?:in a read-only transaction|during recovery))",
        TRY_LATER,
        f"PostgreSQL: {{why}}; {_READ_ONLY}.",
    ),
    Foreseen(
        r"pymysql\.err\.\w+",
        r"^\((?:1290|1792|1836), .*?(?P<why>(?i:read[- _]only))",
        TRY_LATER,
        f"the database server takes no writes ({{why}}); {_READ_ONLY}.",
    ),
    Foreseen(_POSTGRES, r"(?P<why>[^\n]+)", TRY_LATER, "PostgreSQL: {why}; try again later."),
    Foreseen(r"builtins\.ImportError", "", NOT_SET_UP, _missing_package),
    Foreseen(
        r"builtins\.(?:PermissionError|FileNotFoundError|NotADirectoryError|IsADirectoryError)",
        "",
        NOT_SET_UP,
        _file_error,
    ),
    Foreseen(r"builtins\.OSError", r"No space left|Read-only file system|Disk quota", NOT_SET_UP, _file_error),
)
"""Errors of other packages; the first line that fits counts."""
