"""The files of the dbt package that follow from the code are up to date, and fit what databases take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from stripe_reports_source import __version__
from stripe_reports_source.plan.catalog import load_catalog
from stripe_reports_source.source import DEFAULT_REPORTS

from . import made
from .answers import ANSWERS
from .names import MADE, MOST_LETTERS, PACKAGE, staging_name
from .questions import PAGE, questions
from .yaml_text import yaml_text

FILES = made.files()


def read_yaml(text: str) -> Any:
    """What YAML says; by the fast reader."""
    return yaml.load(text, Loader=yaml.CSafeLoader)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_made_file_is_up_to_date(name: str) -> None:
    assert (PACKAGE / name).read_text(encoding="utf-8") == FILES[name], "out of date: just dbt"


def test_no_file_is_left_of_what_is_not_made_any_more(tmp_path: Path) -> None:
    assert made.stale(FILES) == []
    made.write(tmp_path)
    left = tmp_path / "models" / "staging" / "stg_stripe__gone.sql"
    left.write_text(f"-- {MADE}\n", encoding="utf-8")
    kept = tmp_path / "models" / "own.sql"
    kept.write_text("select 1", encoding="utf-8")
    made.write(tmp_path)
    assert (left.exists(), kept.exists()) == (False, True)


def test_every_report_has_a_staging_model_whose_name_every_database_takes() -> None:
    tables = [base.replace(".", "_") for base in load_catalog().bases()]
    names = [staging_name(table) for table in tables]
    assert len(set(names)) == len(names)
    assert {f"models/staging/{name}.sql" for name in names} <= set(FILES)
    assert max(map(len, names)) <= MOST_LETTERS


def test_the_names_of_tests_are_no_longer_than_postgres_takes() -> None:
    texts = [read_yaml(path.read_text(encoding="utf-8")) for path in (PACKAGE / "models").rglob("*.yml")]
    models = [model for text in texts for model in text.get("models", [])]
    tests = [about["name"] for model in models for test in model.get("data_tests", []) for about in test.values()]
    units = [test["name"] for text in texts for test in text.get("unit_tests", [])]
    assert (len(tests) > 50, len(units) > 3) == (True, True)
    assert [name for name in (*tests, *units) if len(name) > MOST_LETTERS] == []


def test_every_column_of_every_version_is_staged() -> None:
    for known in load_catalog():
        text = FILES[f"models/staging/{staging_name(known.base.replace('.', '_'))}.sql"]
        assert not [column.name for column in known.columns if f"['{column.name}', '" not in text]


def test_the_project_is_that_of_the_package() -> None:
    project = read_yaml((PACKAGE / "dbt_project.yml").read_text(encoding="utf-8"))
    assert project["version"] == __version__
    assert tuple(project["vars"][project["name"]]["stripe_reports"]) == DEFAULT_REPORTS


def test_yaml_is_read_as_it_was_meant() -> None:
    value = {
        "a": [{"name": "yes", "description": 'No: "it\'s" {{ this }}, ünd #4711'}, {"b": {"c": [1, True, None, ""]}}],
        "long": ["word " * 40, {"deep": [{"x": 1, "y": ["2025-01-01", "a: b", "- c", "0042"]}, [[], {}]]}],
    }
    assert read_yaml(yaml_text(value)) == value
    for name, text in FILES.items():
        if name.endswith(".yml"):
            json.dumps(read_yaml(text))


def test_every_question_has_an_answer() -> None:
    assert list(questions()) == list(ANSWERS)
    assert PAGE.read_text(encoding="utf-8").count("```sql") == len(ANSWERS) >= 20
