"""The pages are up to date and whole: made parts, links, error texts, words, length."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import stripe_reports_source
from stripe_reports_source.cli import cli
from stripe_reports_source.reconcile.equations import EQUATIONS

from . import made
from .pages import DOCS, PAGES, README, ROOT

OF_DBT = sorted((ROOT / "pipelines" / "dbt").glob("*.md"))
LINKED = [*PAGES, *OF_DBT, ROOT / "llms.txt", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"]


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_what_is_made_from_the_code_is_up_to_date(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == made.made(text), f"{page.name} is out of date: just docs"


def test_every_made_part_is_in_a_page() -> None:
    texts = "".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    assert set(re.findall(r"<!-- made from the code: ([\w-]+) -->", texts)) == set(made.PARTS)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are made on the web."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\((?!https?://)([^)\s]*)\)", text):
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(linked), f"{page.name}: {target}"


def test_readme_is_the_first_five_minutes() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 130


def test_readme_leads_to_every_page() -> None:
    text = README.read_text(encoding="utf-8")
    assert not [page.name for page in DOCS.glob("*.md") if f"(docs/{page.name}" not in text]


def test_every_idiom_is_tested_by_what_its_row_names() -> None:
    rows = [line.split("|") for line in (DOCS / "dlt-idioms.md").read_text(encoding="utf-8").splitlines()]
    named = {name for row in rows if len(row) > 4 for name in re.findall(r"`(test_\w+)`", row[-2])}
    defined = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) > 25
    assert not [name for name in named if f"def {name}(" not in defined]


def test_llms_txt_leads_to_every_page() -> None:
    text = (ROOT / "llms.txt").read_text(encoding="utf-8")
    assert text.startswith("# stripe_reports_source\n\n> ")
    assert not [page.name for page in DOCS.glob("*.md") if f"(docs/{page.name})" not in text]


def test_every_error_text_of_the_page_is_said_by_the_code() -> None:
    said = "\n".join(
        node.value
        for file in (ROOT / "stripe_reports_source").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8").split("\n## By error text\n")[1].split("\n### ")[0]
    told = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert told
    assert not [text for text in told if text not in said]


def test_the_glossary_has_the_words_of_the_map() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Eight words")[1].split("\n## ")[0]
    words = re.findall(r"^\| ([a-z ]+) \| ", text, re.MULTILINE)[1:]
    glossary = (DOCS / "glossary.md").read_text(encoding="utf-8")
    assert len(words) == 8
    assert not [word for word in words if f"| {word} | " not in glossary]


def test_the_first_two_commands_of_readme_are_what_ci_runs() -> None:
    text = README.read_text(encoding="utf-8")
    first, second, *_ = re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert first.rstrip().endswith("/stripe-reports demo")
    assert second.rstrip().endswith("/pytest")


def test_llms_txt_names_what_there_is() -> None:
    text = (ROOT / "llms.txt").read_text(encoding="utf-8")
    called = set(re.findall(r"^- `(\w+)\(", text, re.MULTILINE))
    assert called - {"Emulator"} <= set(stripe_reports_source.__all__)
    [listed] = re.findall(r"`stripe-reports ([\w |]+)`", text)
    assert set(listed.split(" | ")) == set(cli.commands)


def test_readme_counts_the_equations() -> None:
    [told] = re.findall(r"(\d+) equations", README.read_text(encoding="utf-8"))
    ledger = {"rows_stored_equal_file", "cells_join"}
    assert int(told) == len({equation.name for equation in EQUATIONS} | ledger)
