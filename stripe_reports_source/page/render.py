"""The page of a dataset. Pure.

In: `Gathered`. Out: the text of an HTML file.
"""

from __future__ import annotations

from .calendar import calendar
from .coverage_view import coverage_section, freshness_section
from .document import Section, document
from .gather import Gathered
from .proof_view import proof_section
from .runs_view import runs_section
from .texts import instant
from .verdict import verdict_of_page


def page_of(gathered: Gathered) -> str:
    """The page."""
    rows = calendar(gathered.cells, gathered.reach, gathered.failed, gathered.months)
    sections = [
        Section("coverage", "Coverage", coverage_section(rows, gathered)),
        Section("freshness", "Freshness", freshness_section(gathered)),
        Section("tie-outs", "Tie-outs", proof_section(gathered.found)),
        Section("runs", "Last runs and failures", runs_section(gathered.latest, gathered.runs, gathered.reports)),
    ]
    notes = [f"{gathered.place}. Stripe was asked last at {instant(gathered.as_of)}."]
    return document(
        "Stripe reports: what is loaded, and whether it ties",
        notes,
        verdict_of_page(gathered.found, gathered.problems),
        sections,
    )
