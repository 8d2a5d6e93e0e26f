"""What ends a load: what was loaded, what ties, and what is open.

In: what was loaded. Out: a line each, or the same as JSON or CSV.
"""

from __future__ import annotations

from collections.abc import Sequence

from dlt import Pipeline
from rich.console import Console

from ..errors import Failure
from ..load import Loaded
from ..reconcile.kept import kept_verdict
from .console import say
from .listing import show_rows
from .places import place
from .shared import loaded_summary

HINT = "What differs, and what to do: stripe-reports reconcile"
NOT_COMPARED = "not compared; `stripe-reports reconcile` does it, or says what is in the way."
NOT_YET = "not compared yet; `stripe-reports reconcile` does it."


def verdict_of_load(pipeline: Pipeline, loaded: Loaded) -> str:
    """What was found of the loaded intervals and, where the table has more, what is open of others.

    Where nothing was loaded, it is what the table `tie_out` says.
    """
    found, kept = loaded.reconciliation, kept_verdict(pipeline)
    if found is None:
        if loaded.not_compared is not None:
            return "not compared: the warning above says why."
        if loaded.cells:
            return NOT_COMPARED
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


def not_whole(loaded: Loaded) -> list[str]:
    """Of what reports not all is loaded, a line each; after a sync in which nothing has failed."""
    return [
        f"{table} [{account}] is loaded whole up to {end} alone; the log says what to do."
        for (table, account), end in sorted(loaded.lost_from.items())
    ]


_LOADED = {name: name for name in ("report", "account", "intervals", "rows")}


def show_loaded(form: str, pipeline: Pipeline, loaded: Loaded | None, failures: Sequence[Failure] = ()) -> None:
    """Print what was loaded as data: a row for each table and account of which something was loaded.

    Args:
        form: json or csv; CSV has the rows alone.
        pipeline: that was loaded.
        loaded: what was; None where nothing could be.
        failures: what was not.
    """
    rows = [
        {"report": table.table, "account": table.account, "intervals": table.cells, "rows": table.rows}
        for table in (loaded.tables if loaded else ())
    ]
    about = {
        "place": place(pipeline),
        "intervals_loaded": loaded.cells if loaded else 0,
        "rows_loaded": loaded.rows if loaded else 0,
        "load_packages": len(loaded.load_infos) if loaded else 0,
        "verdict": verdict_of_load(pipeline, loaded) if loaded else None,
        "ties": loaded.reconciliation.ok if loaded and loaded.reconciliation else None,
        "failures": [str(failure) for failure in failures],
    }
    show_rows(form, "Loaded", _LOADED, rows, about)
