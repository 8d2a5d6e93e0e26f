"""The ASGI app of a receiver: bounds what a request may cost, and answers whatever the load is doing.

In: HTTP requests. Out: answers with the statuses of `receiver.STATUS`. No event is read before it is verified, and no
body is kept in memory beyond the limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from . import metrics
from .receiver import STATUS, Outcome, WebhookReceiver

VERIFIERS = 2
"""Threads that verify and keep events: apart from the load, and from other work of an app that mounts this one."""


class _TooLarge(Exception):
    """A body is longer than the limit."""


def webhook_app(receiver: WebhookReceiver) -> Starlette:
    """The app of a receiver, see `WebhookReceiver`."""
    limits = receiver.limits
    verifiers = ThreadPoolExecutor(VERIFIERS, thread_name_prefix="stripe-reports-verify")
    at_work = 0

    async def deliver(request: Request) -> Response:
        nonlocal at_work
        if at_work >= limits.at_once:
            return _refuse(receiver, "busy")
        at_work += 1
        try:
            return await take(request)
        finally:
            at_work -= 1

    async def take(request: Request) -> Response:
        try:
            body = await asyncio.wait_for(_body(request, limits.body_bytes), limits.body_seconds)
        except _TooLarge:
            return _refuse(receiver, "too_large")
        except asyncio.TimeoutError:
            return _refuse(receiver, "too_slow")
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        signature = request.headers.get("stripe-signature")
        kept = asyncio.get_running_loop().run_in_executor(verifiers, receiver.receive, body, signature)
        try:
            return _answer(await asyncio.wait_for(asyncio.shield(kept), limits.keep_seconds))
        except asyncio.TimeoutError:
            # if the inbox is written after all, the event comes again and is a duplicate then
            return _refuse(receiver, "not_kept")

    async def alive(request: Request) -> Response:
        return PlainTextResponse("ok")

    async def ready(request: Request) -> Response:
        found = await asyncio.get_running_loop().run_in_executor(verifiers, receiver.ready)
        return JSONResponse(found, 200 if all(found.values()) else 503)

    async def measured(request: Request) -> Response:
        text = await asyncio.get_running_loop().run_in_executor(verifiers, receiver.metrics_text)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with receiver.lifespan(app):
            yield

    return Starlette(
        routes=[
            Route("/", deliver, methods=["POST"]),
            Route("/webhook", deliver, methods=["POST"]),
            Route("/healthz", alive),
            Route("/readyz", ready),
            Route("/metrics", measured),
        ],
        lifespan=lifespan,
    )


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


def _refuse(receiver: WebhookReceiver, outcome: Outcome) -> Response:
    receiver.metrics.add(metrics.DELIVERIES, 1, outcome)
    return _answer(outcome)


def _answer(outcome: Outcome) -> Response:
    headers = {}
    if outcome in ("too_large", "too_slow"):
        headers["Connection"] = "close"  # what is left of the body is not read
    if outcome == "busy":
        headers["Retry-After"] = "5"
    return JSONResponse({"outcome": outcome}, STATUS[outcome], headers)
