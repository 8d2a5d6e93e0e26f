"""Stripe's side of webhooks: signed events to registered addresses, with the trouble that deliveries have.

In: what happened (an event type and its object), where to tell it and how badly. Out: HTTP requests from background
threads, tried again as Stripe does, and a log of all of them. Signs with the standard library alone, so that a
receiver is checked against another implementation than its own.
"""

from __future__ import annotations

import hashlib
import heapq
import hmac
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any, Literal

import urllib3

Spoiled = Literal["duplicate", "bad_signature", "old_timestamp"]
API_VERSION = "2025-03-31.basil"
SENDERS = 8
ANSWER_SECONDS = 20.0
TICK_SECONDS = 0.05


@dataclass(frozen=True)
class Endpoint:
    """An address that gets events, and what goes wrong on the way.

    Args:
        url: where to send them.
        secret: what they are signed with.
        events: the event types it has selected; empty is all.
        duplicates: share of events that are sent a second time.
        reorder: send what happens at one moment in another order.
        delay: seconds that a delivery takes, between these two.
        bad_signatures: share of events beside which a forgery is sent: another id, signed with another secret.
        old_timestamps: share of events beside which a replay is sent: another id, signed well, an hour ago.
        unsent: share of events that are lost.
        attempts: how often a delivery is tried that is not answered with 2xx.
        backoff: seconds before the second attempt; doubles up to 2 s.
        seed: another seed is other trouble.
    """

    url: str
    secret: str
    events: Collection[str] = ()
    duplicates: float = 0.0
    reorder: bool = False
    delay: Sequence[float] = (0.0, 0.0)
    bad_signatures: float = 0.0
    old_timestamps: float = 0.0
    unsent: float = 0.0
    attempts: int = 40
    backoff: float = 0.1
    seed: int = 7

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Endpoint:
        """An endpoint from the control address.

        Raises:
            ValueError: an unknown field, or one that is missing.
        """
        unknown = set(data) - {field.name for field in fields(Endpoint)}
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        if not str(data["url"]).startswith(("http://", "https://")):
            raise ValueError("url must be an http address")
        return Endpoint(**data)


@dataclass(frozen=True)
class Delivery:
    """One attempt to deliver an event. `status` is 0 without an answer; `seconds` is how long the answer took."""

    event: str
    kind: str
    url: str
    attempt: int
    status: int
    seconds: float
    spoiled: Spoiled | None


@dataclass(frozen=True)
class _Parcel:
    """A body to be delivered."""

    endpoint: Endpoint
    event: str
    kind: str
    body: bytes
    spoiled: Spoiled | None
    attempt: int = 1


def sign(body: bytes, secret: str, timestamp: int | None = None) -> str:
    """The `Stripe-Signature` of a body (docs.stripe.com/webhooks#verify-manually).

    Args:
        body: what is sent.
        secret: the endpoint's, `whsec_...`.
        timestamp: Unix seconds; None is now.
    """
    moment = int(time.time()) if timestamp is None else timestamp
    digest = hmac.new(secret.encode(), b"%d.%b" % (moment, body), hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


def event_body(identity: str, kind: str, about: Mapping[str, Any], account: str | None) -> bytes:
    """An event as Stripe writes it (docs.stripe.com/api/events/object), indented as its deliveries are."""
    event = {
        "id": identity,
        "object": "event",
        **({"account": account} if account else {}),
        "api_version": API_VERSION,
        "created": int(time.time()),
        "data": {"object": about},
        "livemode": about.get("livemode", True),
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }
    return json.dumps(event, indent=2).encode()


class EventSender:
    """See the module. Its threads begin with the first endpoint and end with `close`."""

    def __init__(self, seed: int, identity: str, tick: Callable[[], None]) -> None:
        """See the class.

        Args:
            seed: another seed is other trouble.
            identity: what the ids of events follow from, beside the seed.
            tick: called often while there are endpoints: runs end by themselves then.
        """
        self._seed = seed
        self._origin = identity
        self._tick = tick
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._endpoints: list[tuple[Endpoint, random.Random]] = []
        self._queue: list[tuple[float, int, _Parcel]] = []
        self._order = itertools.count()
        self._under_way = 0
        self._deliveries: list[Delivery] = []
        self._closed = False
        self._thread: threading.Thread | None = None
        self._http = urllib3.PoolManager(maxsize=SENDERS, retries=False)

    @property
    def deliveries(self) -> Sequence[Delivery]:
        """All attempts so far, in the order in which they ended."""
        with self._changed:
            return tuple(self._deliveries)

    @property
    def idle(self) -> bool:
        """True when nothing is to be delivered or tried again."""
        with self._changed:
            return not self._queue and not self._under_way

    def register(self, endpoint: Endpoint) -> None:
        """Send events to an endpoint from now on."""
        with self._changed:
            chance = random.Random(f"{self._seed}|{endpoint.seed}")  # noqa: S311  # trouble, not secrets
            self._endpoints.append((endpoint, chance))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="emulator-events")
                self._thread.start()

    def clear(self) -> None:
        """Forget all endpoints, and what was still to be sent to them."""
        with self._changed:
            self._endpoints.clear()
            self._queue.clear()

    def emit(self, kind: str, about: Mapping[str, Any], account: str | None = None) -> None:
        """Tell all endpoints of something that has happened. Returns at once; may be called under a lock."""
        with self._changed:
            for endpoint, chance in self._endpoints:
                if endpoint.events and kind not in endpoint.events:
                    continue
                identity = self._identity("evt")
                body = event_body(identity, kind, about, account)
                if chance.random() >= endpoint.unsent:
                    self._plan(_Parcel(endpoint, identity, kind, body, None), chance)
                    if chance.random() < endpoint.duplicates:
                        self._plan(_Parcel(endpoint, identity, kind, body, "duplicate"), chance)
                spoils: list[tuple[float, Spoiled]] = [
                    (endpoint.bad_signatures, "bad_signature"),
                    (endpoint.old_timestamps, "old_timestamp"),
                ]
                for share, spoiled in spoils:
                    if chance.random() < share:
                        false = self._identity("evt_false")
                        body = event_body(false, kind, about, account)
                        self._plan(_Parcel(endpoint, false, kind, body, spoiled), chance)

    def close(self) -> None:
        """Stop sending."""
        with self._changed:
            self._closed = True
            self._endpoints.clear()
            self._queue.clear()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(5)
        self._http.clear()

    def _identity(self, prefix: str) -> str:
        digest = hashlib.sha256(f"{self._seed}|{self._origin}|{next(self._numbers)}".encode()).hexdigest()
        return f"{prefix}_{digest[:24]}"

    def _plan(self, parcel: _Parcel, chance: random.Random) -> None:
        wait = chance.uniform(*parcel.endpoint.delay)
        if parcel.endpoint.reorder:
            wait += chance.uniform(0, 0.2)
        self._push(parcel, wait)

    def _push(self, parcel: _Parcel, wait: float) -> None:
        heapq.heappush(self._queue, (time.monotonic() + wait, next(self._order), parcel))
        self._changed.notify_all()

    def _run(self) -> None:
        with ThreadPoolExecutor(SENDERS, thread_name_prefix="emulator-event") as senders:
            while True:
                if self._endpoints:
                    self._tick()
                with self._changed:
                    if self._closed:
                        return
                    now = time.monotonic()
                    while self._queue and self._queue[0][0] <= now:
                        self._under_way += 1
                        senders.submit(self._deliver, heapq.heappop(self._queue)[2])
                    wait = self._queue[0][0] - now if self._queue else TICK_SECONDS
                    self._changed.wait(min(wait, TICK_SECONDS))

    def _deliver(self, parcel: _Parcel) -> None:
        endpoint = parcel.endpoint
        secret = f"{endpoint.secret}x" if parcel.spoiled == "bad_signature" else endpoint.secret
        moment = int(time.time()) - (3600 if parcel.spoiled == "old_timestamp" else 0)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": sign(parcel.body, secret, moment),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        began = time.monotonic()
        try:
            answer = self._http.request(
                "POST", endpoint.url, body=parcel.body, headers=headers, timeout=ANSWER_SECONDS, redirect=False
            )
            status = answer.status
        except urllib3.exceptions.HTTPError:
            status = 0
        delivery = Delivery(
            event=parcel.event,
            kind=parcel.kind,
            url=endpoint.url,
            attempt=parcel.attempt,
            status=status,
            seconds=round(time.monotonic() - began, 4),
            spoiled=parcel.spoiled,
        )
        with self._changed:
            self._under_way -= 1
            self._deliveries.append(delivery)
            again = not 200 <= status < 300 and parcel.spoiled in (None, "duplicate")
            if again and parcel.attempt < endpoint.attempts and not self._closed and self._endpoints:
                wait = min(endpoint.backoff * 2.0 ** (parcel.attempt - 1), 2.0)
                self._push(
                    _Parcel(endpoint, parcel.event, parcel.kind, parcel.body, parcel.spoiled, parcel.attempt + 1), wait
                )
