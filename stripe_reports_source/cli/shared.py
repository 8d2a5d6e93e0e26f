"""What commands share: options, errors as one sentence with an exit code, and what was loaded in words."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click
from dlt.common.configuration.exceptions import ConfigFieldMissingException
from rich.console import Console

from ..errors import (
    CellError,
    ConfigurationError,
    DestinationBusy,
    DownloadError,
    StripeError,
    StripeReportsError,
    StripeUnreachable,
    SyncFailed,
    TieOutFailed,
    UnusableFile,
    chain,
    find_cause,
    own_error,
)
from ..load import Loaded

STOPPED = 130
NO_KEY = (
    "No Stripe API key. Set the environment variable SOURCES__STRIPE_REPORTS__API_KEY, or api_key under "
    "[sources.stripe_reports] in .dlt/secrets.toml."
)
UNFORESEEN, NOT_ALL_THERE, NOT_SET_UP, NOT_TIED, TRY_LATER = 1, 3, 4, 5, 75


def exit_code(error: StripeReportsError) -> int:
    """The exit code of an error: what a script can do about it.

    3: not all is there; 4: configuration, key or permission; 5: reports do not agree; 75: try again later; 1: else.
    """
    if isinstance(error, UnusableFile):
        return NOT_ALL_THERE
    if isinstance(error, StripeUnreachable | DestinationBusy | DownloadError):
        return TRY_LATER
    if isinstance(error, CellError | SyncFailed):
        return NOT_ALL_THERE
    if isinstance(error, TieOutFailed):
        return NOT_TIED
    return NOT_SET_UP if isinstance(error, ConfigurationError | StripeError) else UNFORESEEN


def plain_errors(
    code_of: Callable[[StripeReportsError], int] = lambda error: UNFORESEEN, no_key: int = UNFORESEEN
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Errors as one sentence and an exit code, without a traceback.

    Args:
        code_of: the exit code of an error.
        no_key: the exit code where no API key is set.
    """
    return lambda command: _with_plain_errors(command, code_of, no_key)


def _with_plain_errors(
    command: Callable[..., None], code_of: Callable[[StripeReportsError], int], no_key: int
) -> Callable[..., None]:
    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        error_console = Console(stderr=True)
        try:
            command(*args, **kwargs)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except KeyboardInterrupt:
            _stopped(error_console)
        except Exception as error:
            if _interrupted(error):
                _stopped(error_console)
            if _missing_key(error):
                text, code = NO_KEY, no_key
            else:
                own = own_error(error)
                if own is None:
                    raise
                text, code = str(own), code_of(own)
            error_console.print(f"error: {text}", style="red", markup=False, highlight=False, soft_wrap=True)
            raise SystemExit(code) from None

    return wrapped


def _interrupted(error: BaseException) -> bool:
    return find_cause(error, KeyboardInterrupt) is not None


def _missing_key(error: BaseException) -> bool:
    return any(isinstance(cause, ConfigFieldMissingException) and "api_key" in str(cause) for cause in chain(error))


def _stopped(console: Console) -> None:
    console.print(
        "Stopped. What was loaded stays; Stripe keeps the runs, and the next sync goes on from there.", soft_wrap=True
    )
    raise SystemExit(STOPPED) from None


def options(*parts: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Options that several commands share, in the order of their help."""
    return lambda command: functools.reduce(lambda made, option: option(made), reversed(parts), command)


def loaded_summary(loaded: Loaded) -> str:
    """What was loaded, in a sentence."""
    if not loaded.cells:
        return "Nothing new at Stripe."
    return f"Loaded {loaded.cells:,} intervals with {loaded.rows:,} rows in {len(loaded.load_infos)} load package(s)."
