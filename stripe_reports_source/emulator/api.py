"""The HTTP side of the emulator: Stripe's API, its file host, and the control address, as ASGI apps.

In: a `StripeService` and a `FaultBoard`. Out: three starlette applications. Answers look as Stripe's do; faults
strike before or after the real work, as their action says.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from .faults import Address, Fault, FaultBoard
from .files import cut, file_response
from .keys import account_of, business_of, owner_of
from .service import StripeService
from .validation import ApiError, Parameters


@dataclass(frozen=True)
class LoggedRequest:
    """A request that arrived, for tests and for people who watch."""

    address: Address
    method: str
    path: str
    body: str
    headers: Mapping[str, str]
    status: int
    fault: str | None


Handler = Callable[[Request, "Caller", "Fault | None"], Awaitable[Response]]


@dataclass(frozen=True)
class Caller:
    """Who asks: the key's mode and account, and the connected account that it asks for."""

    live: bool
    owner: str
    account: str | None

    @property
    def scope(self) -> str:
        """What separates the runs of an account and mode from all others."""
        return f"{business_of(self.live, self.owner)}:{self.account or ''}"


class EmulatorApi:
    """Builds the apps for the API and the file host and logs what they are asked."""

    def __init__(self, service: StripeService, faults: FaultBoard) -> None:
        self._service = service
        self._faults = faults
        self._numbers = count(1)
        self.requests: list[LoggedRequest] = []

    def api_app(self) -> Starlette:
        """Stripe's API."""
        prefix = "/v1/reporting"
        return Starlette(
            routes=[
                Route(f"{prefix}/report_types", self._handle("api", self._list_types)),
                Route(f"{prefix}/report_types/{{id}}", self._handle("api", self._get_type)),
                Route(f"{prefix}/report_runs", self._handle("api", self._create_run), methods=["POST"]),
                Route(f"{prefix}/report_runs", self._handle("api", self._list_runs)),
                Route(f"{prefix}/report_runs/{{id}}", self._handle("api", self._get_run)),
                Route("/{path:path}", self._handle("api", self._unknown), methods=["GET", "POST", "DELETE"]),
            ]
        )

    def files_app(self) -> Starlette:
        """Stripe's file host."""
        return Starlette(routes=[Route("/v1/files/{id}/contents", self._handle("files", self._file))])

    def _handle(self, address: Address, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            body = (await request.body()).decode("utf-8", "replace")
            fault = self._faults.hit(address, request.method, path)
            status = 0
            try:
                response = await self._answer(request, handler, fault)
                status = response.status_code
            finally:
                logged = LoggedRequest(
                    address, request.method, path, body, dict(request.headers), status, fault.action if fault else None
                )
                self.requests.append(logged)
            response.headers["Request-Id"] = f"req_{next(self._numbers):06d}"
            response.headers["Stripe-Version"] = request.headers.get("stripe-version", "2025-03-31.basil")
            return response

        return handle

    async def _answer(self, request: Request, handler: Handler, fault: Fault | None) -> Response:
        if fault is not None and fault.action == "delay":
            await asyncio.sleep(fault.seconds)
        if fault is not None and fault.action == "reset":
            return StreamingResponse(cut(b""))
        if fault is not None and fault.action == "status":
            return Response(fault.body, fault.status, dict(fault.headers), media_type="application/json")
        try:
            key = _key(request)
            live, owner = owner_of(key, self._service.settings)
            caller = Caller(live, owner, account_of(key, request.headers))
            response = await handler(request, caller, fault)
        except ApiError as error:
            return JSONResponse(error.body, error.status)
        if fault is not None and fault.action == "truncate" and not isinstance(response, StreamingResponse):
            whole = bytes(response.body)
            return StreamingResponse(
                cut(whole[: fault.bytes]), headers={"Content-Length": str(len(whole))}, media_type=response.media_type
            )
        return response

    async def _list_types(self, request: Request, caller: Caller, fault: Fault | None) -> Response:
        data = self._service.list_types(caller.live)
        return _list(data, _endless(fault), "/v1/reporting/report_types")

    async def _get_type(self, request: Request, caller: Caller, fault: Fault | None) -> Response:
        return JSONResponse(self._service.get_type(request.path_params["id"], caller.live))

    async def _create_run(self, request: Request, caller: Caller, fault: Fault | None) -> Response:
        try:
            form = (await request.body()).decode()
        except UnicodeDecodeError:
            raise ApiError(400, "Invalid request: the body is not UTF-8.") from None
        report_type, parameters = parse_run_form(form)
        answer = await run_in_threadpool(
            self._service.create_run,
            report_type,
            parameters,
            scope=caller.scope,
            live=caller.live,
            key=request.headers.get("idempotency-key"),
            fault=fault,
        )
        return JSONResponse(answer.body, answer.status, {"Idempotent-Replayed": "true"} if answer.replayed else {})

    async def _get_run(self, request: Request, caller: Caller, fault: Fault | None) -> Response:
        return JSONResponse(self._service.get_run(request.path_params["id"], caller.scope))

    async def _list_runs(self, request: Request, caller: Caller, fault: Fault | None) -> Response:
        query = request.query_params
        limit = query.get("limit", "10")
        if not limit.isdigit() or not 1 <= int(limit) <= 100:
            raise ApiError(400, "Invalid integer: limit must be between 1 and 100.", param="limit")
        created = {
            name[8:-1]: int(value)
            for name, value in query.items()
            if re.fullmatch(r"created\[(gte|gt|lte|lt)\]", name) and value.isdigit()
        }
        data, more = self._service.list_runs(
            caller.scope,
            limit=int(limit),
            starting_after=None if _endless(fault) else query.get("starting_after"),
            ending_before=query.get("ending_before"),
            created=created,
        )
        return _list(data, more or _endless(fault), "/v1/reporting/report_runs")

    async def _unknown(self, request: Request, caller: Caller, fault: Fault | None) -> Response:
        raise ApiError(404, f"Unrecognized request URL ({request.method}: {request.url.path}).")

    async def _file(self, request: Request, caller: Caller, fault: Fault | None) -> Response:
        content = self._service.file_of(request.path_params["id"], caller.scope)
        return file_response(content, request.headers, fault)


def parse_run_form(body: str) -> tuple[str | None, Parameters]:
    """A form body of report run creation, as Stripe reads it: report type and parameters.

    Raises:
        ApiError: a name that is not a parameter of the endpoint.
    """
    report_type: str | None = None
    parameters: Parameters = {}
    for name, value in parse_qsl(body, keep_blank_values=True, strict_parsing=False):
        match = re.fullmatch(r"parameters\[(\w+)\](\[\d*\])?", name)
        if name == "report_type":
            report_type = value
        elif match and match[2] is not None:
            parameters.setdefault(match[1], []).append(value)
        elif match:
            parameters[match[1]] = int(value) if match[1].startswith("interval_") and value.isdigit() else value
        elif not name.startswith("expand"):
            raise ApiError(400, f"Received unknown parameter: {name}", param=name, code="parameter_unknown")
    return report_type, parameters


def _endless(fault: Fault | None) -> bool:
    return fault is not None and fault.action == "endless"


def _list(data: Iterable[dict[str, Any]], more: bool, url: str) -> Response:
    return JSONResponse({"object": "list", "data": list(data), "has_more": more, "url": url})


def _key(request: Request) -> str | None:
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return value
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[0]
        except (ValueError, json.JSONDecodeError):
            return None
    return None
