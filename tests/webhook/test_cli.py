"""The command `stripe-reports webhook` as a process, and as a part of the package that costs nothing unused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from stripe_reports_source.emulator import Emulator, Endpoint, Fault
from stripe_reports_source.webhook import configured_secrets
from tests.pipeline.test_cli import environment
from tests.webhook.served import PATIENCE, SECRET, get, until

SETTING = "SOURCES__STRIPE_REPORTS__WEBHOOK_SECRETS"
Start = Callable[..., "Running"]


class Running:
    """The command in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def lines(self) -> list[dict[str, object]]:
        """What it has logged so far."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    @property
    def url(self) -> str:
        """Where it listens, once it does."""
        until(lambda: self._log.read_text().count("\n") or self.process.poll() is not None)
        return str(self.lines[0]["url"])


@pytest.fixture
def start(emulator: Emulator, tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, **changes: str) -> Running:
        given = {**os.environ, **environment(emulator, tmp_path), SETTING: SECRET, **changes}
        log = tmp_path / "webhook.log"
        process = subprocess.Popen(
            [sys.executable, "-m", "stripe_reports_source.cli", "webhook", *arguments, "--port", "0"],
            env=given,
            stdout=subprocess.DEVNULL,
            stderr=log.open("w"),
            text=True,
        )
        started.append(process)
        return Running(process, log)

    yield run
    for process in started:
        process.kill()
        process.wait()


def test_it_loads_logs_and_stops_cleanly(start: Start, emulator: Emulator, tmp_path: Path) -> None:
    running = start("balance.summary", "--gather", "0.1")
    emulator.send_events(Endpoint(running.url, SECRET))
    until(lambda: any(line["message"] == "sync" for line in running.lines if "message" in line))
    assert get(running.url, "/readyz")[0] == 200
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(PATIENCE) == 0
    assert running.lines[-1]["message"] == "stopped"
    assert running.lines[0]["into"] == f"{tmp_path / 'w.duckdb'}, dataset stripe"
    [sync] = [line for line in running.lines if line.get("message") == "sync"]
    assert (sync["outcome"], sync["tables"]) == ("ok", ["balance_summary"])
    told = json.dumps(running.lines)
    assert emulator.settings.live_keys[0] not in told
    assert SECRET not in told


@pytest.mark.long
def test_it_stops_cleanly_while_a_run_is_awaited(start: Start, emulator: Emulator) -> None:
    emulator.add_fault(Fault("run_stuck", method="POST", times=None))
    running = start("balance.summary")
    until(lambda: emulator.runs)
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(PATIENCE) == 0


def test_a_second_signal_ends_it_at_once(start: Start, emulator: Emulator) -> None:
    emulator.add_fault(Fault("delay", seconds=PATIENCE, times=None))
    running = start("balance.summary")
    assert running.url
    running.process.send_signal(signal.SIGINT)
    until(lambda: get_refused(running))
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(PATIENCE) == 130


def get_refused(running: Running) -> bool:
    try:
        get(running.url, "/healthz")
    except OSError:
        return True
    return False


@pytest.mark.first(1)
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({SETTING: ""}, "No endpoint secret. Set the environment variable SOURCES__STRIPE_REPORTS__WEBHOOK_SECRETS"),
        ({SETTING: "rk_test_1"}, "webhook_secrets holds an API key"),
        ({"SOURCES__STRIPE_REPORTS__API_KEY": ""}, "api_key is empty"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(start: Start, changes: dict[str, str], said: str) -> None:
    running = start(**changes)
    assert running.process.wait(PATIENCE) == 4
    text = running._log.read_text()
    assert said in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("whsec_a", ("whsec_a",)),
        ("whsec_a, whsec_b", ("whsec_a", "whsec_b")),
        ('["whsec_a", "whsec_b"]', ("whsec_a", "whsec_b")),
    ],
)
def test_secrets_from_the_environment(value: str, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, value)
    assert configured_secrets() == expected
    monkeypatch.delenv(SETTING)
    monkeypatch.setenv("SOURCES__STRIPE_REPORTS__WEBHOOK_SECRET", "whsec_c")
    assert configured_secrets() == ("whsec_c",)


def test_secrets_from_a_file(tmp_path: Path) -> None:
    (tmp_path / ".dlt").mkdir()
    listed = '[sources.stripe_reports]\nwebhook_secrets = ["whsec_a", "whsec_b"]\n'
    (tmp_path / ".dlt" / "secrets.toml").write_text(listed)
    script = "from stripe_reports_source.webhook import configured_secrets; print(*configured_secrets())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["whsec_a", "whsec_b"]


def test_the_rehearsal_of_the_readme(start: Start, tmp_path: Path) -> None:
    """Emulator and receiver as two processes, led by the control address."""
    ports = ["--api-port", "0", "--files-port", "0", "--control-port", "0"]
    with subprocess.Popen(
        [sys.executable, "-m", "stripe_reports_source.cli", "emulator", *ports, "--run-delay", "0.1"],
        stdout=subprocess.PIPE,
        text=True,
    ) as offline:
        assert offline.stdout is not None
        said = [offline.stdout.readline() for _ in range(4)]
        api, files, control = (line.split()[1] for line in said[1:])
        addresses = {
            "SOURCES__STRIPE_REPORTS__API_BASE_URL": api,
            "SOURCES__STRIPE_REPORTS__FILES_BASE_URL": files,
        }
        running = start("balance.summary", "--gather", "0.1", **addresses)
        endpoint = {"url": running.url, "secret": SECRET, "duplicates": 0.1, "reorder": True}
        assert requests.post(f"{control}/webhooks", json=endpoint, timeout=30).ok

        def syncs() -> int:
            return sum(line.get("message") == "sync" and line.get("rows", 0) != 0 for line in running.lines)

        until(lambda: syncs() == 1)
        assert requests.post(f"{control}/advance", json={"days": 1}, timeout=30).ok
        until(lambda: syncs() == 2)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE) == 0
        offline.send_signal(signal.SIGTERM)
    assert offline.returncode == 0


def test_none_of_it_is_imported_unasked() -> None:
    script = (
        "import sys, stripe_reports_source, stripe_reports_source.cli\n"
        "assert not {'stripe_reports_source.webhook', 'starlette', 'uvicorn', 'stripe'} & set(sys.modules)\n"
        "import stripe_reports_source.webhook\n"
        "assert not {'starlette', 'uvicorn', 'stripe'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
