"""The control address: moves the emulator's time, adds late transactions and faults. JSON over HTTP."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .api import EmulatorApi
from .control_business import business_routes, checked, instant_of, json_of
from .events import Endpoint, EventSender
from .faults import Fault, FaultBoard
from .service import StripeService


def control_app(service: StripeService, faults: FaultBoard, api: EmulatorApi, events: EventSender) -> Starlette:
    """An app with these routes:

    - `GET /state`: clock, availability, counts.
    - `POST /advance` `{"days": 1}`, `{"hours": 12}` or `{"to": "2025-07-02T00:00:00+00:00"}`.
    - `POST /availability` `{"report_type": ..., "start": ..., "end": ...}`, also back in time; without a report type
      for all.
    - `POST /objects` `{"id": "payouts.itemized.3", "fields": {"version": null}, "absent": ["updated"]}`: send a report
      type or run other than it is; with `"hidden": true` it is gone, as a report type that is no longer offered.
      `DELETE /objects/payouts.itemized.3` and `DELETE /objects`: as it was.
    - `/transactions` and `/payouts`: see `control_business`.
    - `POST /faults`: see `Fault`; `DELETE /faults` lifts all and lets stuck runs go on.
    - `POST /forget`: forget idempotency keys.
    - `GET /requests`: what was asked so far.
    - `POST /webhooks` `{"url": ..., "secret": "whsec_..."}`: send signed events there; see `Endpoint` for the trouble
      that can be asked for. `GET /webhooks`: what was delivered so far. `DELETE /webhooks`: send no more.
    - `POST /events` `{"report_type": ..., "count": 10}`: tell of new data of a report type, or of all, where there is
      none: so many pairs of events at once.
    """

    def types_of(body: dict[str, Any]) -> list[str]:
        """The report type that is named, or all."""
        named = body.get("report_type")
        if "report_type" in body and named not in service.type_names:
            raise ValueError(f"report_type {named!r} is not offered, such as {service.type_names[0]}")
        return [named] if named is not None else list(service.type_names)

    async def state(request: Request) -> Response:
        return JSONResponse(
            {
                "clock": service.now.isoformat(),
                "available_end": service.available_end.isoformat(),
                "runs": len(service.runs),
                "transactions": len(service.ledger.transactions),
            }
        )

    async def advance(request: Request) -> Response:
        body = await json_of(request, "days", "hours", "to")
        step = timedelta(days=float(body.get("days", 0)), hours=float(body.get("hours", 0)))
        service.advance(instant_of(body["to"]) if "to" in body else service.available_end + step)
        return await state(request)

    async def availability(request: Request) -> Response:
        body = await json_of(request, "report_type", "start", "end")
        edges = {name: instant_of(body[name]) for name in ("start", "end") if name in body}
        for name in types_of(body):
            service.set_availability(name, **edges)
        return await state(request)

    async def alter(request: Request) -> Response:
        body = await json_of(request, "id", "fields", "absent", "hidden")
        hidden = bool(body.get("hidden", False))
        service.alterations.alter(
            str(body["id"]), dict(body.get("fields", {})), absent=list(body.get("absent", ())), hidden=hidden
        )
        return JSONResponse({"altered": True})

    async def restore(request: Request) -> Response:
        service.alterations.restore(request.path_params.get("id"))
        return JSONResponse({"altered": False})

    async def add_fault(request: Request) -> Response:
        faults.add(Fault.from_json(await json_of(request)))
        return JSONResponse({"added": True})

    async def register(request: Request) -> Response:
        events.register(Endpoint.from_json(await json_of(request)))
        return JSONResponse({"registered": True})

    async def unregister(request: Request) -> Response:
        events.clear()
        return JSONResponse({"registered": False})

    async def deliveries(request: Request) -> Response:
        return JSONResponse({"idle": events.idle, "deliveries": [asdict(delivery) for delivery in events.deliveries]})

    async def burst(request: Request) -> Response:
        body = await json_of(request, "report_type", "count")
        names = types_of(body)
        for _ in range(int(body.get("count", 1))):
            for name in names:
                service.announce_type(name)
        return JSONResponse({"events": 2 * len(names) * int(body.get("count", 1))})

    async def clear_faults(request: Request) -> Response:
        faults.clear()
        service.release_stuck()
        return JSONResponse({"cleared": True})

    async def forget(request: Request) -> Response:
        service.forget_idempotency()
        return JSONResponse({"forgotten": True})

    async def requests(request: Request) -> Response:
        shown = [{**asdict(logged), "headers": {}} for logged in api.requests]  # headers hold the key
        return JSONResponse(shown)

    return Starlette(
        routes=[
            Route("/state", checked(state)),
            Route("/advance", checked(advance), methods=["POST"]),
            Route("/availability", checked(availability), methods=["POST"]),
            Route("/objects", checked(alter), methods=["POST"]),
            Route("/objects", checked(restore), methods=["DELETE"]),
            Route("/objects/{id}", checked(restore), methods=["DELETE"]),
            *business_routes(service),
            Route("/faults", checked(add_fault), methods=["POST"]),
            Route("/faults", checked(clear_faults), methods=["DELETE"]),
            Route("/forget", checked(forget), methods=["POST"]),
            Route("/requests", checked(requests)),
            Route("/webhooks", checked(register), methods=["POST"]),
            Route("/webhooks", checked(unregister), methods=["DELETE"]),
            Route("/webhooks", checked(deliveries)),
            Route("/events", checked(burst), methods=["POST"]),
        ]
    )
