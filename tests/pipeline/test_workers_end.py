"""Workers end with their load, also those that were asking Stripe just then: no run is made or polled for nobody."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from dlt import Pipeline
from dlt.extract import DltSource

from stripe_reports_source import Report, SyncFailed, fetch_cell, load_reports, plan_cells
from stripe_reports_source.emulator import Emulator, Fault
from tests.conftest import source_of, until
from tests.pipeline.held_files import Reply, file_host
from tests.pipeline.relayed import accepted

RUNS = b"GET /v1/reporting/report_runs"


def workers() -> set[threading.Thread]:
    """The workers of this process that are at work."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("stripe-reports-")}


class Door:
    """Relays connections to a server; holds requests that begin as `wanted`, until it is told to go on."""

    def __init__(self, server: tuple[str, int], wanted: bytes) -> None:
        self._server = server
        self._wanted = wanted
        self.holds, self.go_on = threading.Event(), threading.Event()

    def serve(self, listener: socket.socket) -> None:
        """Relay until the listener is closed."""
        for client in accepted(listener):
            upstream = socket.create_connection(self._server)
            for ends in ((client, upstream), (upstream, client)):
                threading.Thread(target=self._relay, args=ends, daemon=True).start()

    def _relay(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if data.startswith(self._wanted):  # also one that is tried again
                    self.holds.set()
                    self.go_on.wait(120)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@contextmanager
def door(url: str, wanted: bytes) -> Iterator[tuple[str, Door]]:
    """An address that leads to a server through a door."""
    server = urlsplit(url)
    relay = Door((str(server.hostname), int(server.port or 0)), wanted)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=relay.serve, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", relay
        relay.go_on.set()
        listener.shutdown(socket.SHUT_RDWR)


def load_until(pipeline: Pipeline, source: DltSource, when: Callable[[], bool]) -> threading.Thread:
    """Load, and stop it when something has happened. Gives the worker that it leaves."""
    stop, before = threading.Event(), workers()
    load = threading.Thread(target=load_reports, args=(pipeline, source), kwargs={"stop": stop}, daemon=True)
    load.start()
    until(when)
    stop.set()
    load.join(120)
    assert not load.is_alive()
    [worker] = workers() - before
    return worker


def test_a_worker_that_looks_for_a_run_as_the_load_ends(emulator: Emulator, pipeline: Pipeline) -> None:
    """It would go on to make one."""
    with door(emulator.api_url, RUNS + b"?") as (url, held):
        source = source_of(emulator, ["balance.summary"], api_base_url=url, max_concurrent_runs=1)
        worker = load_until(pipeline, source, held.holds.is_set)
        held.go_on.set()
        worker.join(20)
        assert not worker.is_alive()
    assert list(emulator.runs) == []


def test_a_worker_that_polls_as_the_load_ends(emulator: Emulator, pipeline: Pipeline, tmp_path: Path) -> None:
    """The first month fails, and with it the report; Stripe does not end the runs of the others."""
    reports = [Report("payouts.itemized", types={"payout_id": "bigint"})]
    first = plan_cells(pipeline, source_of(emulator, reports))[0]
    fetch_cell(source_of(emulator, reports), first, str(tmp_path / "fetched"))  # makes its run
    emulator.add_fault(Fault("run_stuck", method="POST", times=None))
    before = workers()
    with (
        door(emulator.api_url, RUNS + b"/frr") as (url, held),
        file_host(emulator, others=lambda file: Reply([lambda: held.holds.wait(120), file], len(file))) as host,
    ):
        source = source_of(emulator, reports, api_base_url=url, files_base_url=host.url, max_concurrent_runs=2)
        with pytest.raises(SyncFailed, match="2025-01-01"):
            load_reports(pipeline, source)
        left = workers() - before
        assert left
        held.go_on.set()
        for worker in left:
            worker.join(20)
            assert not worker.is_alive()


def test_a_worker_that_downloads_as_the_load_ends(emulator: Emulator, pipeline: Pipeline) -> None:
    """The rest of a large file is of no use."""
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def slow(content: bytes) -> Reply:
        steps: Sequence[bytes | Callable[[], object]] = [
            begun.set,
            lambda: go_on.wait(120),
            content[:1],
            lambda: ended.wait(120),
            content[1:],
        ]
        return Reply(steps, len(content))

    with file_host(emulator, others=slow) as host:
        source = source_of(emulator, ["balance.summary"], files_base_url=host.url, max_concurrent_runs=1)
        worker = load_until(pipeline, source, begun.is_set)
        go_on.set()
        worker.join(20)
        assert not worker.is_alive()
        ended.set()
