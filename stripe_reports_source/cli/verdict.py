"""The verdict line that ends a load: what ties, and what is open.

In: what was loaded. Out: one line.
"""

from __future__ import annotations

from dlt import Pipeline

from ..load import Loaded
from ..reconcile.kept import kept_verdict

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
    line = found.verdict()
    if kept is not None and sum(kept.open_counts.values()) > len(found.open):
        line += f"; in all: {kept.open}"
    if not found.ok or (kept is not None and kept.open_counts.get("variance")):
        line += "; see: stripe-reports reconcile"
    return line
