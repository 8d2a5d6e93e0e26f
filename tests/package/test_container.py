"""pipelines/Dockerfile, read as text, since an engine is not everywhere: user, base, secrets and what is copied."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fnmatch import fnmatch

import pytest

from stripe_reports_source.cli import cli
from tests.package.project import ROOT, python_versions

SECRET = re.compile(r"(?i)(api_?key|secret|token|password|credentials)\w*\s*=|[rs]k_(live|test)_|whsec_")


@dataclass(frozen=True)
class Stage:
    """A `FROM` and the instructions below it: name and rest of each."""

    name: str
    base: str
    steps: list[tuple[str, str]]

    def of(self, instruction: str) -> list[str]:
        return [rest for name, rest in self.steps if name == instruction]


def read_stages() -> dict[str, Stage]:
    text = (ROOT / "pipelines/Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    stages: dict[str, Stage] = {}
    for line in filter(None, lines):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            stages[name] = Stage(name, base, [])
        else:
            list(stages.values())[-1].steps.append((instruction, rest.strip()))
    return stages


STAGES = read_stages()
IMAGES = ("sync", "webhook")


def with_bases(name: str) -> list[Stage]:
    """A stage and those it builds upon, the stage itself first."""
    stages = [STAGES[name]]
    while stages[-1].base in STAGES:
        stages.append(STAGES[stages[-1].base])
    return stages


def last(name: str, instruction: str) -> str:
    """The instruction that counts: the last of its kind in the stage, else in its base."""
    return next(found[-1] for stage in with_bases(name) if (found := stage.of(instruction)))


def test_the_image_that_is_built_without_a_target_syncs() -> None:
    assert list(STAGES)[-1] == "sync"
    assert json.loads(last("sync", "CMD")) == ["sync"]


@pytest.mark.parametrize("image", IMAGES)
def test_the_user_is_a_number_and_not_root(image: str) -> None:
    user = last(image, "USER")
    assert user.isdecimal()
    assert int(user) > 0
    assert f"--uid {user} " in " ".join(step for stage in with_bases(image) for step in stage.of("RUN"))


@pytest.mark.parametrize("image", IMAGES)
def test_signals_reach_a_command_that_there_is(image: str) -> None:
    assert json.loads(last(image, "ENTRYPOINT")) == ["stripe-reports"]
    assert json.loads(last(image, "CMD"))[0] in cli.commands
    assert last(image, "STOPSIGNAL") == "SIGTERM"


@pytest.mark.parametrize("image", IMAGES)
def test_the_base_is_slim_and_of_a_tested_python(image: str) -> None:
    found = re.fullmatch(r"python:(3\.\d+)-slim", with_bases(image)[-1].base)
    assert found
    assert found[1] in python_versions()
    assert with_bases(image)[-1].base == STAGES["build"].base


def test_nothing_is_written_outside_the_volume() -> None:
    base = STAGES["base"]
    settings = dict(setting.split("=", 1) for setting in base.of("ENV")[0].split())
    assert base.of("WORKDIR") == base.of("VOLUME") == [settings["HOME"]] == ["/data"]
    assert settings["DLT_DATA_DIR"].startswith("/data/")
    assert settings["PYTHONDONTWRITEBYTECODE"] == "1"


def test_no_secret_is_in_a_layer() -> None:
    steps = [f"{name} {rest}" for stage in STAGES.values() for name, rest in stage.steps]
    assert [step for step in steps if SECRET.search(step)] == []
    assert not any(stage.of("ARG") or stage.of("ADD") for stage in STAGES.values())


def test_the_context_is_what_is_copied() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and line[0] != "#"]
    assert rules[0] == "*"
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = [name for step in STAGES["build"].of("COPY") for name in step.split()[:-1]]
    assert set(copied) == let_in
    assert all((ROOT / name).exists() for name in copied)
    assert any(fnmatch("stripe_reports_source/plan/__pycache__", rule.replace("**", "*")) for rule in rules[1:])


def test_the_releases_are_those_that_were_tested() -> None:
    [install] = STAGES["build"].of("RUN")
    assert "-c /src/constraints.txt" in install
