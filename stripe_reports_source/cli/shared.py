"""What commands share: options, errors as one sentence with an exit code, and what was loaded in words."""

from __future__ import annotations

import functools
import math
import traceback
from collections.abc import Callable
from typing import Any

import click
from rich.console import Console

from ..errors import was_stopped
from ..load import Loaded
from .console import say, standard_error
from .failures import STOPPED, outcome


def plain_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Errors as one sentence and an exit code, see `failures`. The option --debug shows where they come from."""

    @click.option("--debug", is_flag=True, help="Show where an error comes from.")
    @functools.wraps(command)
    def wrapped(*args: Any, debug: bool, **kwargs: Any) -> None:
        error_console = standard_error()
        _refuse_what_is_no_value(click.get_current_context())
        try:
            command(*args, **kwargs)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except KeyboardInterrupt:
            _stopped(error_console)
        except Exception as error:
            if was_stopped(error):
                _stopped(error_console)
            if debug:
                click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
            end = outcome(error)
            say(error_console, f"error: {end.sentence}", "red")
            raise SystemExit(end.code) from None

    return wrapped


def _stopped(console: Console) -> None:
    say(console, "Stopped. What was loaded stays; Stripe keeps the runs, and the next sync goes on from there.")
    raise SystemExit(STOPPED) from None


def options(*parts: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Options that several commands share, in the order of their help."""
    return lambda command: functools.reduce(lambda made, option: option(made), reversed(parts), command)


def _refuse_what_is_no_value(context: click.Context) -> None:
    """Refuse an empty text, as where a variable of a script is not set, and a number that is not one."""
    for parameter in context.command.params:
        given = context.params.get(parameter.name or "")
        for value in given if isinstance(given, tuple) else (given,):
            if isinstance(value, str) and not value.strip():
                raise click.BadParameter("it must not be empty.", context, parameter)
            if isinstance(value, float) and not math.isfinite(value):
                raise click.BadParameter(f"{value} is not a number of use here.", context, parameter)


class NamedPath(click.Path):
    """A path that is not empty: Python takes an empty one for the present folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, or wrong usage."""
        if not str(value).strip():
            self.fail("it must not be empty.", param, ctx)
        return super().convert(value, param, ctx)


def loaded_summary(loaded: Loaded) -> str:
    """What was loaded, in a sentence."""
    if not loaded.cells:
        return "Nothing new at Stripe."
    return f"Loaded {loaded.cells:,} intervals with {loaded.rows:,} rows in {len(loaded.load_infos)} load package(s)."
