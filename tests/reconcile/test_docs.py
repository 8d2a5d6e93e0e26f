"""The table of `docs/proof.md` says what the tests of planted faults say; without arguments of pytest it can be made:
`python -m tests.reconcile.test_docs` writes it.
"""

from __future__ import annotations

import re
from pathlib import Path

from stripe_reports_source.reconcile.equations import EQUATIONS
from stripe_reports_source.reconcile.ledger_checks import LEDGER_CHECKS
from tests.reconcile.plants import PLANTS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "proof.md"
BEGIN, END = "<!-- planted: begin -->\n", "<!-- planted: end -->\n"


def planted_table() -> str:
    """What was planted and what catches it, then what only the files themselves show, as Markdown."""
    lines = []
    for group in dict.fromkeys(plant.group for plant in PLANTS):
        head = "| planted | control totals of the file | equations between the reports |\n|---|---|---|"
        lines.append(f"\n### {group}\n\n{head}")
        for plant in (plant for plant in PLANTS if plant.group == group):
            caught = ", ".join(f"`{name}`" for name in sorted(plant.caught)) or "nothing"
            lines.append(f"| {plant.title} | {'yes' if plant.by_file else 'no'} | {caught} |")
    unseen = [plant.title for plant in PLANTS if not plant.by_file and not plant.caught]
    lines += ["\n### What no check sees\n\nOnly the deep check, which reads the files again, sees these:\n"]
    lines += [f"- {title}" for title in unseen]
    at_source = [plant.title for plant in PLANTS if plant.by_file and not plant.caught]
    lines += ["\nIn the warehouse the control totals show these; wrong in Stripe's own files, nothing shows them:\n"]
    lines += [f"- {title}" for title in at_source]
    return "\n".join(lines).lstrip("\n") + "\n"


def test_the_page_has_the_table_of_the_tests() -> None:
    text = PAGE.read_text("utf-8")
    assert text[text.index(BEGIN) + len(BEGIN) : text.index(END)] == planted_table()


def test_the_page_names_every_equation_and_every_status() -> None:
    text = PAGE.read_text("utf-8")
    named = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert named >= {equation.name for equation in EQUATIONS} | set(LEDGER_CHECKS)
    assert named >= {"tied", "explained", "pending", "stale", "not_comparable", "variance"}


def test_each_equation_catches_something() -> None:
    caught = frozenset[str]().union(*(plant.caught for plant in PLANTS))
    assert {equation.name for equation in EQUATIONS} <= caught
    assert "cells_join" in caught


if __name__ == "__main__":
    page = PAGE.read_text("utf-8")
    PAGE.write_text(page[: page.index(BEGIN) + len(BEGIN)] + planted_table() + page[page.index(END) :], "utf-8")
