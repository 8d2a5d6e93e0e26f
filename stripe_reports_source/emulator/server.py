"""One process with three loopback addresses: API, files, control.

In: settings. Out: `Emulator`, a context manager with the servers in a background thread, and `run_forever`.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any

import uvicorn
from starlette.applications import Starlette

from ..errors import ConfigurationError
from .api import EmulatorApi, LoggedRequest
from .control import control_app
from .events import Delivery, Endpoint, EventSender
from .faults import Fault, FaultBoard
from .itemized import Value
from .keys import business_of, owner_of
from .ledger import Ledger
from .runs import Run
from .service import StripeService
from .settings import EmulatorSettings
from .transactions import Transaction


class Emulator:
    """An offline Stripe Reporting API.

    As a context manager it serves in a background thread. The attributes `api_url`, `files_url` and `control_url`
    are set once it serves; an address that cannot be had is a `ConfigurationError`.
    """

    def __init__(self, settings: EmulatorSettings | None = None) -> None:
        self.settings = settings or EmulatorSettings()
        self.service = StripeService(self.settings)
        self.faults = FaultBoard()
        self.events = EventSender(self.settings.seed, self.service.identity, self.service.end_runs)
        self.service.on_event = self.events.emit
        self._api = EmulatorApi(self.service, self.faults)
        self.api_url = self.files_url = self.control_url = ""
        self._servers: list[uvicorn.Server] = []
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Emulator:
        settings = self.settings
        with contextlib.ExitStack() as opened:
            listeners = [
                opened.enter_context(_listening(settings.host, port))
                for port in (settings.api_port, settings.files_port, settings.control_port)
            ]
            opened.pop_all()  # the servers close them
        started = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self.serve(listeners, started)), daemon=True, name="emulator"
        )
        self._thread.start()
        started.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.events.close()
        self.stop()
        if self._thread is not None:
            self._thread.join(5)

    @property
    def requests(self) -> Sequence[LoggedRequest]:
        """All requests so far, in order."""
        return self._api.requests

    @property
    def runs(self) -> Sequence[Run]:
        """All runs so far, in order of creation."""
        return self.service.runs

    @property
    def ledger(self) -> Ledger:
        """The synthetic business."""
        return self.service.ledger

    def advance(self, to: datetime) -> None:
        """Move clock and availability on."""
        self.service.advance(to)

    def add_transaction(self, transaction: Transaction) -> None:
        """Record a late transaction."""
        self.service.add_transaction(transaction)

    def withdraw_transaction(self, transaction_id: str) -> None:
        """Take a transaction out again."""
        self.service.withdraw_transaction(transaction_id)

    def restate_transaction(self, transaction_id: str, **changes: Any) -> None:
        """Change a transaction, also one that is paid out already; `changes` are the arguments of `Ledger.restate`."""
        self.service.change(lambda ledger: ledger.restate(transaction_id, **changes))

    def move_payout(self, payout_id: str, effective: datetime, known_from: datetime | None = None) -> None:
        """Change when a payout is expected to arrive, and so leaves the balance; see `Ledger.move_payout`."""
        self.service.change(lambda ledger: ledger.move_payout(payout_id, effective, known_from))

    def fail_payout(self, payout_id: str, at: datetime) -> None:
        """Let the bank send a payout back; see `Ledger.fail_payout`."""
        self.service.change(lambda ledger: ledger.fail_payout(payout_id, at))

    def set_availability(self, report_type: str, *, start: datetime | None = None, end: datetime | None = None) -> None:
        """Set from when and up to when there is data of a report type, also back in time."""
        self.service.set_availability(report_type, start=start, end=end)

    def alter(
        self,
        identity: str,
        fields: Mapping[str, Any] | None = None,
        *,
        absent: Collection[str] = (),
        hidden: bool = False,
    ) -> None:
        """Send a report type or a run other than it is, or not at all; see `Alterations.alter`."""
        self.service.alterations.alter(identity, fields, absent=absent, hidden=hidden)

    def restore(self, identity: str | None = None) -> None:
        """Send an object, or all, as they are again."""
        self.service.alterations.restore(identity)

    def revoke(self, account: str, *, after_runs: int = 0) -> None:
        """Let a connected account leave the platform, now or amid what is going on: after so many runs more."""
        self.service.platform.leave(account, len(self.runs) + after_runs)

    def reconnect(self, account: str) -> None:
        """Let an account that has left be connected again."""
        self.service.platform.come_back(account)

    def add_fault(self, fault: Fault) -> None:
        """Put a fault in force."""
        self.faults.add(fault)

    def clear_faults(self) -> None:
        """Lift all faults and let stuck runs go on."""
        self.faults.clear()
        self.service.release_stuck()

    def send_events(self, endpoint: Endpoint) -> None:
        """Send signed events to an address from now on; runs then end by themselves instead of when they are polled."""
        self.events.register(endpoint)

    @property
    def deliveries(self) -> Sequence[Delivery]:
        """All attempts to deliver events, in the order in which they ended."""
        return self.events.deliveries

    def truth(
        self, report_type: str, start: datetime | None, end: datetime | None, **parameters: Any
    ) -> list[tuple[Value, ...]]:
        """What a report says now, as values, without HTTP or CSV.

        Args:
            report_type: exact id.
            start: None for snapshot reports.
            end: exclusive; None for reports that take no interval.
            parameters: `timezone`, `currency`, `reporting_category`, `columns`, `payout`, ...; `stripe_account`, the
                account on whose behalf it is run.
        """
        return self.truth_for(self.settings.live_keys[0], report_type, start, end, **parameters)

    def truth_for(
        self,
        key: str,
        report_type: str,
        start: datetime | None,
        end: datetime | None,
        *,
        stripe_account: str | None = None,
        **parameters: Any,
    ) -> list[tuple[Value, ...]]:
        """What a report says now to an API key, see `truth`."""
        interval = {} if end is None else {"interval_end": int(end.timestamp())}
        if start is not None:
            interval["interval_start"] = int(start.timestamp())
        query = self.service.query(report_type, {**interval, **parameters})
        business = business_of(*owner_of(key, self.settings))
        return list(self.service.rows(business + (f"/{stripe_account}" if stripe_account else ""), query))

    async def serve(self, listeners: Sequence[socket.socket], started: threading.Event) -> None:
        """Serve on three sockets until `stop`; sets `started` when that has begun."""
        apps: list[Starlette] = [
            self._api.api_app(),
            self._api.files_app(),
            control_app(self.service, self.faults, self._api, self.events),
        ]
        # "critical": a fault that cuts a connection is an exception by design, and needs no line in the log
        self._servers = [
            _Server(uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1))
            for app in apps
        ]
        self.api_url, self.files_url, self.control_url = map(_url, listeners)
        self.service.files_url = self.files_url
        try:
            tasks = [
                asyncio.ensure_future(server.serve(sockets=[listener]))
                for server, listener in zip(self._servers, listeners, strict=True)
            ]
            while not all(server.started for server in self._servers) and not any(task.done() for task in tasks):
                await asyncio.sleep(0.005)
            started.set()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            started.set()
            self.service.close()

    def stop(self) -> None:
        """Make `serve` end."""
        for server in self._servers:
            server.should_exit = True


class _Server(uvicorn.Server):
    """A server that leaves signals to whoever runs the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=2048)
    except OSError as error:
        why = (error.strerror or str(error)).partition(" (while")[0]  # Python repeats the address
        raise ConfigurationError(
            f"the emulator cannot listen on {host}:{port} ({why}); set another port, or 0 for a free one."
        ) from None


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


def run_forever(settings: EmulatorSettings) -> None:
    """Serve in the foreground until SIGINT or SIGTERM.

    Raises:
        ConfigurationError: an address cannot be had.
    """
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    with Emulator(settings) as emulator:
        print("An offline Stripe Reporting API:")
        print(f"  API      {emulator.api_url}")
        print(f"  files    {emulator.files_url}")
        print(f'  control  {emulator.control_url}  (POST /advance {{"days": 1}}, /transactions, /faults, /webhooks)')
        print("To sync from it, in another terminal:")
        print(f"  export SOURCES__STRIPE_REPORTS__API_KEY={settings.live_keys[0]}")
        print(f"  export SOURCES__STRIPE_REPORTS__API_BASE_URL={emulator.api_url}")
        print(f"  export SOURCES__STRIPE_REPORTS__FILES_BASE_URL={emulator.files_url}")
        print("  stripe-reports sync", flush=True)
        done.wait()
