"""The part of the control address that changes the business: late rows, restatements, payouts. JSON over HTTP.

In: requests. Out: routes for `control`, and what all its handlers share.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .payouts import Payout
from .service import StripeService
from .transactions import CURRENCIES, late_charge


def business_routes(service: StripeService) -> list[Route]:
    """These routes, with amounts in minor units and instants with an offset:

    - `POST /transactions` `{"created": ..., "currency": "usd", "gross": 1999, "fee": 88, "description": ...,
      "metadata": {}}`: a transaction that comes late.
    - `PATCH /transactions/txn_...` `{"gross": ..., "fee": ..., "category": ..., "created": ..., "payout_stays": true}`:
      change a transaction, also one that is paid out; see `Ledger.restate`.
    - `DELETE /transactions/txn_...`: take a transaction out again, so that an interval can lose all its rows.
    - `GET /payouts`: all of them.
    - `PATCH /payouts/po_...` `{"effective": ..., "known_from": ...}` or `{"fails_at": ...}`: move a payout, or let it
      fail; see `Ledger.move_payout` and `Ledger.fail_payout`.
    """

    async def add(request: Request) -> Response:
        return JSONResponse({"id": _add_late(service, await json_of(request, *_OF_A_CHARGE))})

    async def restate(request: Request) -> Response:
        body = await json_of(request)
        if "created" in body:
            body["created"] = instant_of(body["created"])
        service.change(lambda ledger: ledger.restate(request.path_params["id"], **body))
        return JSONResponse({"restated": True})

    async def withdraw(request: Request) -> Response:
        service.withdraw_transaction(request.path_params["id"])
        return JSONResponse({"withdrawn": True})

    async def payouts(request: Request) -> Response:
        return JSONResponse([_shown(payout) for payout in service.ledger.payouts])

    async def change(request: Request) -> Response:
        instants = {name: instant_of(text) for name, text in (await json_of(request, *_OF_A_PAYOUT)).items()}
        fails_at, payout = instants.pop("fails_at", None), request.path_params["id"]
        if instants:
            service.change(lambda ledger: ledger.move_payout(payout, **instants))
        if fails_at is not None:
            service.change(lambda ledger: ledger.fail_payout(payout, fails_at))
        return JSONResponse({"changed": True})

    return [
        Route("/transactions", checked(add), methods=["POST"]),
        Route("/transactions/{id}", checked(restate), methods=["PATCH"]),
        Route("/transactions/{id}", checked(withdraw), methods=["DELETE"]),
        Route("/payouts", checked(payouts)),
        Route("/payouts/{id}", checked(change), methods=["PATCH"]),
    ]


_OF_A_PAYOUT = ("effective", "known_from", "fails_at")
_OF_A_CHARGE = ("created", "currency", "gross", "fee", "description", "metadata")


def _add_late(service: StripeService, body: dict[str, Any]) -> str:
    if body["currency"] not in CURRENCIES:
        raise ValueError(f"currency must be one of {', '.join(CURRENCIES)}")
    identity = f"late{len(service.ledger.transactions):016d}"
    service.add_transaction(
        late_charge(
            identity,
            instant_of(body["created"]),
            service.now,
            body["currency"],
            int(body["gross"]),
            int(body.get("fee", 0)),
            str(body.get("description", "Late charge")),
            dict(body.get("metadata", {})),
        )
    )
    return f"txn_{identity}"


def _shown(payout: Payout) -> dict[str, Any]:
    return {
        "id": payout.id,
        "currency": payout.currency,
        "amount": payout.amount,
        "automatic": payout.automatic,
        "initiated": payout.initiated.isoformat(),
        "effective": payout.effective.isoformat(),
        "reversed_at": payout.reversed_at.isoformat() if payout.reversed_at else None,
        "transactions": [transaction.id for transaction in payout.settles],
    }


Handler = Callable[[Request], Awaitable[Response]]


def checked(handler: Handler) -> Handler:
    """The handler, whose errors are answered with 400 and a sentence."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)

    return answer


async def json_of(request: Request, *names: str) -> dict[str, Any]:
    """The body, which must be a JSON object, with no other keys than `names` where some are given.

    Raises:
        ValueError: it is not.
    """
    body = await request.json()
    if not isinstance(body, dict):
        raise ValueError("a JSON object is needed")
    unknown = sorted(set(body) - set(names)) if names else []
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}; there are {', '.join(names)}")
    return body


def instant_of(text: Any) -> datetime:
    """An instant from a text with an offset.

    Raises:
        ValueError: it is not such a text.
    """
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is not an instant, such as '2025-07-02T00:00:00+00:00'")
    instant = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} needs an offset, such as +00:00")
    return instant
