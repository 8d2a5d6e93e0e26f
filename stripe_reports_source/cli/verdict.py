"""What ends a load: what was loaded, what ties, and what is open.

In: what was loaded. Out: a line each.
"""

from __future__ import annotations

from dlt import Pipeline
from rich.console import Console

from ..load import Loaded
from ..reconcile.kept import kept_verdict
from .console import say
from .shared import loaded_summary

HINT = "What differs, and what to do: stripe-reports reconcile"
NOT_YET = "not compared yet; `stripe-reports reconcile` does it."


def verdict_of_load(pipeline: Pipeline, loaded: Loaded) -> str:
    """What was found of the loaded intervals and, where the table has more, what is open of others.

    Where nothing was loaded, it is what the table `tie_out` says.
    """
    found, kept = loaded.reconciliation, kept_verdict(pipeline)
    if found is None:
        if loaded.cells:
            return "not compared: the warning above says why."
        if kept is None:
            return NOT_YET
        looked = "" if kept.checked_at is None else f" (looked at {kept.checked_at:%Y-%m-%d %H:%M} UTC)"
        return f"{kept.sentence()}{looked}"
    elsewhere = kept is not None and sum(kept.open_counts.values()) > len(found.open)
    return f"{found.verdict()}; in all: {kept.open}" if kept and elsewhere else found.verdict()


def say_loaded(console: Console, pipeline: Pipeline, loaded: Loaded) -> None:
    """Print what was loaded, whether it ties and, where it does not, what to do."""
    say(console, loaded_summary(loaded))
    say(console, verdict_of_load(pipeline, loaded), "bold")
    if loaded.reconciliation is not None and not loaded.reconciliation.ok:
        say(console, HINT)
