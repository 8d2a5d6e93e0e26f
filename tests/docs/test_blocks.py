"""Every code block of the pages works: commands and scripts are run with the emulator, the rest is read by its parser.

SQL is in `test_results.py`.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import tomlkit
import yaml
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

from stripe_reports_source import stripe_reports
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.plan.settings import Settings
from stripe_reports_source.source import settings_of

from .made import EXAMPLES
from .pages import PAGES, Block, blocks, blocks_of

RUN = ("bash", "python", "sql")
PROSE = ("text",)
NEEDS = {"dagster.md": ("dagster",), "other-engines.md": ("ray", "prefect")}
"""Pages whose scripts are run where something is installed that the other tests do without."""


def pages_with(language: str) -> list[Path]:
    """The pages that have blocks of a language to run."""
    return sorted({block.page for block in blocks(language) if block.run})


@pytest.fixture
def offline(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """Settings in the environment that make every source talk to the emulator, and engines to nobody."""
    for name, value in (
        ("API_KEY", emulator.settings.live_keys[0]),
        ("API_BASE_URL", emulator.api_url),
        ("FILES_BASE_URL", emulator.files_url),
    ):
        monkeypatch.setenv(f"SOURCES__STRIPE_REPORTS__{name}", value)
        monkeypatch.setenv(f"SOURCES__STRIPE_REPORTS__EU__{name}", value)
    for name, value in (
        ("PREFECT_HOME", str(tmp_path / "prefect")),
        ("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "200"),
        ("DO_NOT_TRACK", "1"),
        ("RAY_USAGE_STATS_ENABLED", "0"),
        ("RAY_AUTH_MODE", "disabled"),
    ):
        monkeypatch.setenv(name, value)
    return emulator


@pytest.mark.first(1)
@pytest.mark.parametrize("page", pages_with("bash"), ids=lambda page: page.name)
def test_the_commands_of_a_page_work_one_after_the_other(page: Path, reader: Path, offline: Emulator) -> None:
    script = "\n".join(block.text for block in blocks_of(page) if block.language == "bash" and block.run)
    environment = {**os.environ, "PATH": f"{reader / '.venv' / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=reader, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{page.name}: {done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", pages_with("python"), ids=lambda page: page.name)
def test_the_scripts_of_a_page_work_one_after_the_other(page: Path, offline: Emulator) -> None:
    for needed in NEEDS.get(page.name, ()):
        if find_spec(needed) is None:
            pytest.skip(f"{page.name} needs {needed}")
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks_of(page):
        if block.language == "python" and block.run:
            exec(compile("\n" * block.line + block.text, str(page), "exec"), names)


@pytest.mark.parametrize("block", blocks("bash"), ids=str)
def test_commands_can_be_read_by_bash(block: Block) -> None:
    assert shutil.which("bash")
    subprocess.run(["bash", "-n", "-c", block.text], check=True)


def read_toml(text: str) -> None:
    """TOML, whose settings of the source are those that there are."""
    settings = tomlkit.parse(text).unwrap().get("sources", {}).get("stripe_reports", {})
    settings = settings.get("eu", settings)
    assert set(settings) <= {*EXAMPLES, "webhook_secrets"}


def read_unit(text: str) -> None:
    """A unit of systemd."""
    unit = configparser.RawConfigParser(strict=False)
    unit.read_string(text)
    assert unit.has_section("Unit")


def read_yaml(text: str) -> None:
    """Manifests of Kubernetes, or dbt's sources."""
    for document in yaml.safe_load_all(text):
        assert {"apiVersion", "kind", "metadata", "spec"} <= set(document) or {"version", "sources"} == set(document)


def read_crontab(text: str) -> None:
    """Lines of a crontab: settings, or five fields and a command."""
    for line in text.splitlines():
        if not re.fullmatch(r"\w+=\S+", line):
            fields = line.split(maxsplit=5)
            assert len(fields) == 6
            assert all(re.fullmatch(r"[\d*,/-]+", field) for field in fields[:5])
            assert shlex.split(fields[5])


READERS: dict[str, Callable[[str], object]] = {
    "toml": read_toml,
    "ini": read_unit,
    "yaml": read_yaml,
    "cron": read_crontab,
    "json": json.loads,
}


@pytest.mark.parametrize("block", blocks(*READERS), ids=str)
def test_what_is_not_run_can_be_read(block: Block) -> None:
    READERS[block.language](block.text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_has_a_language_that_is_tested(page: Path) -> None:
    unknown = [str(block) for block in blocks_of(page) if block.language not in (*RUN, *PROSE, *READERS)]
    assert not unknown


EXAMPLE_VALUES: dict[str, Any] = {
    name: tomlkit.parse(f"value = {example.replace('...', 'a1B2c3D4')}").unwrap()["value"]
    for name, example in EXAMPLES.items()
}
"""The examples of the page on configuration, with whole keys and ids."""


def by_arguments(name: str) -> Settings:
    """The settings of a source, one of which is given as an argument."""
    return settings_of(stripe_reports(**{"api_key": "rk_live_demo", name: EXAMPLE_VALUES[name]}))


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_setting_is_taken_from_toml(name: str, tmp_path: Path) -> None:
    (tmp_path / ".dlt").mkdir()
    written = {"sources": {"stripe_reports": {"api_key": "rk_live_demo", name: EXAMPLE_VALUES[name]}}}
    (tmp_path / ".dlt" / "secrets.toml").write_text(tomlkit.dumps(written))
    with Container().injectable_context(PluggableRunContext()):
        assert settings_of(stripe_reports()) == by_arguments(name)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_setting_is_taken_from_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__STRIPE_REPORTS__API_KEY", "rk_live_demo")
    value = EXAMPLE_VALUES[name]
    written = value if isinstance(value, str) else json.dumps(value)
    monkeypatch.setenv(f"SOURCES__STRIPE_REPORTS__{name.upper()}", written)
    assert settings_of(stripe_reports()) == by_arguments(name)
