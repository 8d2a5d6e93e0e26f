"""The ASGI app of a receiver: bounds what a request may cost, and answers whatever the load is doing.

In: HTTP requests, and what to call with them. Out: answers with the statuses of `outcome.STATUS`. No event is read
before it is verified, and no body is kept in memory beyond the limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from .limits import Limits
from .outcome import STATUS, Outcome


@dataclass(frozen=True)
class Calls:
    """What the app calls; all but `refused` and `lifespan` may wait for the disk, and are called in a thread.

    Args:
        receive: verifies a body with its `Stripe-Signature` and keeps its event.
        refused: told of a delivery that was refused before it was received.
        ready: what must be true for events to become rows, and whether it is.
        metrics_text: all metrics, in Prometheus' text format.
        lifespan: what is started and stopped with the app.
    """

    receive: Callable[[bytes, str | None], Outcome]
    refused: Callable[[Outcome], None]
    ready: Callable[[], Mapping[str, bool]]
    metrics_text: Callable[[], str]
    lifespan: Callable[[object], AbstractAsyncContextManager[None]]


def webhook_app(calls: Calls, limits: Limits, threads: int = 2) -> Starlette:
    """The app.

    Args:
        calls: what it calls.
        limits: what one request may cost.
        threads: how many of them verify and keep events: apart from the load, and from other work of an app that
            mounts this one.
    """
    answers = _Answers(calls, limits, ThreadPoolExecutor(threads, thread_name_prefix="stripe-reports-verify"))
    app = Starlette(
        routes=[
            Route("/", answers.deliver, methods=["POST"]),
            Route("/webhook", answers.deliver, methods=["POST"]),
            Route("/webhook/", answers.deliver, methods=["POST"]),
            Route("/healthz", answers.alive),
            Route("/readyz", answers.ready),
            Route("/metrics", answers.measured),
        ],
        lifespan=calls.lifespan,
    )
    # Stripe takes a redirect for a failure, and the address in it would be the one behind the proxy
    app.router.redirect_slashes = False
    return app


class _TooLarge(Exception):
    """A body is longer than the limit."""


@dataclass
class _Answers:
    """The handlers of the app's paths."""

    calls: Calls
    limits: Limits
    threads: ThreadPoolExecutor
    at_work: int = field(default=0)

    async def deliver(self, request: Request) -> Response:
        if self.at_work >= self.limits.at_once:
            return self._refuse("busy")
        self.at_work += 1
        try:
            return await self._take(request)
        finally:
            self.at_work -= 1

    async def alive(self, request: Request) -> Response:
        return PlainTextResponse("ok")

    async def ready(self, request: Request) -> Response:
        found = await asyncio.get_running_loop().run_in_executor(self.threads, self.calls.ready)
        return JSONResponse(dict(found), 200 if all(found.values()) else 503)

    async def measured(self, request: Request) -> Response:
        text = await asyncio.get_running_loop().run_in_executor(self.threads, self.calls.metrics_text)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def _take(self, request: Request) -> Response:
        try:
            body = await asyncio.wait_for(_body(request, self.limits.body_bytes), self.limits.body_seconds)
        except _TooLarge:
            return self._refuse("too_large")
        except asyncio.TimeoutError:
            return self._refuse("too_slow")
        except ClientDisconnect:
            return Response(status_code=400)  # the sender has left and does not read it
        signature = request.headers.get("stripe-signature")
        kept = asyncio.get_running_loop().run_in_executor(self.threads, self.calls.receive, body, signature)
        try:
            return _answer(await asyncio.wait_for(asyncio.shield(kept), self.limits.keep_seconds))
        except asyncio.TimeoutError:
            # if the inbox is written after all, the event comes again and is a duplicate then
            return self._refuse("not_kept")

    def _refuse(self, outcome: Outcome) -> Response:
        self.calls.refused(outcome)
        return _answer(outcome)


async def _body(request: Request, most: int) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most:
        raise _TooLarge
    body = bytearray()
    async for chunk in request.stream():
        if len(body) + len(chunk) > most:
            raise _TooLarge
        body += chunk
    return bytes(body)


def _answer(outcome: Outcome) -> Response:
    headers = {}
    if outcome in ("too_large", "too_slow"):
        headers["Connection"] = "close"  # what is left of the body is not read
    if outcome == "busy":
        headers["Retry-After"] = "5"
    return JSONResponse({"outcome": outcome}, STATUS[outcome], headers)
