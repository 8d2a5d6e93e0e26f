"""Syncs driven by Stripe's webhooks: an ASGI app that takes events, a worker that turns them into syncs.

Needs the extra `webhook`: starlette, uvicorn and Stripe's own library. Functions that bring their own HTTP need only
the last of these. In a program::

    receiver = WebhookReceiver(pipeline, lambda: stripe_reports([...]), secrets=["whsec_..."])
    app.mount("/stripe", receiver.app)   # and receiver.start(), receiver.stop() in the outer app's lifespan

In a function, which puts events on a queue of its own::

    event = verify_event(body, headers["Stripe-Signature"], secrets)   # None: signed, but not about reports
    ...
    handle_event(event, pipeline, stripe_reports([...]))
"""

from ..errors import WebhookRefused
from .affected import affected_tables, concerned_tables
from .endpoint_secrets import configured_secrets
from .events import ReportEvent, verify_event
from .handle import handle_event
from .inbox import Inbox
from .limits import Limits, RetryDelays
from .receiver import WebhookReceiver

__all__ = [
    "Inbox",
    "Limits",
    "ReportEvent",
    "RetryDelays",
    "WebhookReceiver",
    "WebhookRefused",
    "affected_tables",
    "concerned_tables",
    "configured_secrets",
    "handle_event",
    "verify_event",
]
