"""The page's first sentence. Pure.

In: what a look has found and what is not there, in the words of `reconcile` and `status`, which decide; and how many of
the page's own figures differ from Stripe's. Out: a word, a tone and the sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..reconcile.left_behind import left_behind
from ..reconcile.reconciliation import Reconciliation


@dataclass(frozen=True)
class Verdict:
    """How all of it stands; `tone` is good, unsure or bad."""

    word: str
    tone: str
    sentence: str


def verdict_of_page(found: Reconciliation, problems: Sequence[str], differing: int = 0) -> Verdict:
    """The verdict.

    Args:
        found: in a look at what is shown.
        problems: why not all is there.
        differing: figures of the page that are not Stripe's own.
    """
    figures = "1 figure below differs" if differing == 1 else f"{differing:,} figures below differ"
    own = [f"{figures} from Stripe's own"] if differing else []
    if left_behind(found.statements):
        problems = [*problems, "some balances are from before the past has moved: reconcile --refresh loads them again"]
    sentence = "; ".join([found.verdict().removesuffix("."), *own, *problems]) + "."
    if not found.ok or differing:
        return Verdict("Something differs", "bad", sentence)
    if problems:
        return Verdict("Not all is there", "unsure", sentence)
    if not found.statements:
        return Verdict("Nothing was compared", "unsure", sentence)
    return Verdict("All that was compared agrees", "good", sentence)
