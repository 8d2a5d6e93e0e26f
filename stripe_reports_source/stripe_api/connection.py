"""Requests to Stripe for one key: retries, errors in Stripe's words, and where the key goes.

In: a key and the origins that may have it. Out: JSON objects, or answers whose body is still to be read. The key goes
into the Authorization header of requests to these origins and nowhere else; nothing that Stripe writes brings it back.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from typing import Any

import requests
import urllib3

from ..errors import AccountGone, AuthenticationError, PermissionDenied, StripeError, StripeUnreachable, chain
from ..plan.addresses import Address
from ..plan.settings import RetryPolicy
from ..plan.stripe_objects import is_id
from ..plan.texts import printable
from .back_pressure import BackPressure

STRIPE_VERSION = "2025-03-31.basil"
"""Pinned, so that a change of the account's default version cannot change the shape of answers."""
PERMISSIONS = (
    "The key needs the permissions 'Report runs and report types' (read; write too, if Stripe refuses to create runs) "
    "and 'Files' (read)."
)
CHUNK = 1 << 20

_TOO_MANY = 429
_GONE = "account_invalid"
"""https://docs.stripe.com/error-codes#account-invalid"""
_RETRY_STATUS = (409, _TOO_MANY)


class Connection:
    """See the module. Safe to use from several threads: each has connections of its own.

    Args:
        api_key: the key.
        origins: the addresses that the key may be sent to.
        account_header: the header that says which account a request is about.
        retry: how often and how long to try.
        sleep, chance, clock: waiting, jitter from 0 to 1, and seconds that pass.
    """

    def __init__(
        self,
        api_key: str,
        origins: tuple[Address, ...],
        *,
        account_header: str,
        retry: RetryPolicy,
        sleep: Callable[[float], None],
        chance: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._api_key = api_key
        self._key_in_text = _key_pattern(api_key)
        self._origins = {address.origin for address in origins}
        self._account_header = account_header
        self.retry = retry
        self._sleep = sleep
        self._chance = chance
        self.clock = clock
        # no proxy of the environment for this machine's own addresses
        self._use_environment = not any(address.loopback for address in origins)
        self._threads = threading.local()
        self._back_pressure = BackPressure(clock)
        self.go_on: Callable[[], None] = lambda: None
        """Called before each request, and between the parts of a file; may raise to end the asking."""

    def sleeping(self, sleep: Callable[[float], None]) -> Connection:
        """The same for others, who wait with `sleep`: what it raises also ends what they ask without waiting."""
        other = copy(self)
        other._sleep = sleep
        other.go_on = lambda: sleep(0)
        return other

    def pause(self, attempt: int, retry_after: float | None = None, *, of_all: bool = False) -> None:
        """Wait before the next attempt; `attempt` counts from 0. With `of_all`, new requests of the key wait too."""
        seconds = self.retry.delay(attempt, retry_after, self._chance())
        self._sleep(self._back_pressure.told(seconds) if of_all else seconds)

    def pages(self, address: Address, query: Mapping[str, str], account: str | None) -> Iterator[Any]:
        """The items of a list of Stripe's, page by page. What an item is, is not looked at.

        Raises:
            StripeUnreachable: it is not a list, or one that does not end.
        """
        params = dict(query)
        cursors: set[str] = set()
        for _ in range(self.retry.pages):
            page = self.json("GET", address, account, params=params)
            items = page.get("data")
            if not isinstance(items, list):
                raise StripeUnreachable(f"Stripe answered GET {address.path} with JSON that is not a list.")
            yield from items
            if page.get("has_more") is not True or not items:
                return
            ids = (item["id"] for item in reversed(items) if isinstance(item, Mapping) and is_id(item.get("id")))
            cursor = next(ids, None)
            if cursor is None or cursor in cursors:
                raise StripeUnreachable(f"Stripe's list GET {address.path} does not end: a page brings nothing new.")
            cursors.add(cursor)
            params["starting_after"] = cursor
        raise StripeUnreachable(f"Stripe's list GET {address.path} does not end: it has over {self.retry.pages} pages.")

    def json(self, method: str, address: Address, account: str | None, **options: Any) -> dict[str, Any]:
        """The JSON object of an answer that is not an error."""
        for attempt in range(self.retry.attempts):
            with self.send(method, address, account, **options) as response:
                self.raise_for_error(response)
                body = self._body(response)
            if body is not None:
                return body
            # a proxy's page or a cut body: asking again is safe, POSTs carry an idempotency key
            if attempt + 1 < self.retry.attempts:
                self.pause(attempt)
        raise StripeUnreachable(
            f"{method} {_shown(address)} gave {self.retry.attempts} times no whole JSON object; "
            "check api_base_url and proxies."
        )

    def send(self, method: str, address: Address, account: str | None, **options: Any) -> requests.Response:
        """An answer that need not be asked for again, with its body unread. `headers` go along.

        Raises:
            StripeUnreachable: there is none.
            StripeError: Stripe keeps an error under the request's idempotency key (`replayed`), or still refuses the
                last attempt.
        """
        if address.origin not in self._origins:
            raise ValueError(f"the key is not for {address.origin}")
        headers = {"Stripe-Version": STRIPE_VERSION, **options.pop("headers", {})}
        if account:
            headers[self._account_header] = account
        problem = ""
        if held := self._back_pressure.turn():
            self._sleep(held)
        for attempt in range(self.retry.attempts):
            retry_after, told = None, False
            self.go_on()
            try:
                response = self._session().request(
                    method,
                    address.url,
                    headers=headers,
                    auth=(self._api_key, ""),
                    timeout=(self.retry.connect_timeout, self.retry.read_timeout),
                    allow_redirects=False,  # a redirect would carry the key to another host
                    stream=True,
                    **options,
                )
            except (requests.RequestException, urllib3.exceptions.HTTPError) as failure:
                problem = _network_trouble(failure)
            else:
                if not self._is_passing(response):
                    return response
                problem = f"HTTP {response.status_code}"
                retry_after, told = _retry_after(response), response.status_code == _TOO_MANY
                with response:
                    if attempt + 1 == self.retry.attempts and (error := self._error_body(response)):
                        raise self._stripe_error(response, error)
            if attempt + 1 < self.retry.attempts:
                self.pause(attempt, retry_after, of_all=told)
        raise StripeUnreachable(
            f"{method} {_shown(address)} failed {self.retry.attempts} times, the last with {problem}; "
            "nothing is lost, sync again later."
        ) from None

    def raise_for_error(self, response: requests.Response) -> None:
        """Raise what an answer says, unless it is a success."""
        if response.status_code < 300:
            return
        error = self._error_body(response)
        if error is None and not _is_replayed(response):
            raise StripeUnreachable(
                f"{response.request.method} {printable(response.url.split('?')[0], 200)} answered "
                f"HTTP {response.status_code} without an error that Stripe writes; check the address and proxies."
            )
        raise self._stripe_error(response, error or {})

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._threads, "session", None)
        if session is None:
            session = requests.Session()
            session.trust_env = self._use_environment
            self._threads.session = session
        return session

    def _is_passing(self, response: requests.Response) -> bool:
        """True for trouble that may be over when the same is asked again."""
        if _is_replayed(response):
            return False  # the same key gets the same error
        advice = response.headers.get("Stripe-Should-Retry", "").strip().lower()
        if advice in ("true", "false"):
            return advice == "true"
        return response.status_code in _RETRY_STATUS or response.status_code >= 500

    def _body(self, response: requests.Response) -> dict[str, Any] | None:
        """The JSON object of an answer; None for anything else, and for what is endless, cut or badly compressed."""
        late = self.clock() + self.retry.body_timeout
        content = bytearray()
        try:
            for chunk in response.iter_content(CHUNK):
                content += chunk
                if len(content) > self.retry.answer_bytes or self.clock() > late:
                    return None
            body = json.loads(self._key_in_text.sub(b"(key)", content))
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError, RecursionError):
            return None
        return body if isinstance(body, dict) else None

    def _error_body(self, response: requests.Response) -> dict[str, Any] | None:
        error = (self._body(response) or {}).get("error")
        return error if isinstance(error, dict) else None

    def _stripe_error(self, response: requests.Response, error: Mapping[str, Any]) -> StripeError:
        status = response.status_code
        message = _text(error.get("message")) or "no message"
        code = _text(error.get("code"))
        gone = status in (403, 404) and code == _GONE
        if status in (401, 403) and not gone:
            message = f"{message} {PERMISSIONS}"
        kinds = {401: AuthenticationError, 403: PermissionDenied}
        request_id = response.headers.get("Request-Id")
        return (AccountGone if gone else kinds.get(status, StripeError))(
            message,
            http_status=status,
            type=_text(error.get("type")),
            code=code,
            param=_text(error.get("param")),
            request_id=request_id if is_id(request_id) and request_id != self._api_key else None,
            replayed=_is_replayed(response),
        )


_TROUBLE: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    (
        (requests.exceptions.ProxyError, urllib3.exceptions.ProxyError),
        "the proxy that HTTPS_PROXY names does not answer",
    ),
    ((ssl.SSLCertVerificationError,), "the host's certificate is not trusted; check proxies and REQUESTS_CA_BUNDLE"),
    (
        (requests.exceptions.SSLError, ssl.SSLError),
        "the host does not answer with TLS as https needs it; check the address and proxies",
    ),
    ((socket.gaierror,), "the host's name was not found; check it, and the network"),
    ((ConnectionRefusedError,), "the host refuses the connection"),
    ((requests.exceptions.ConnectTimeout,), "the host did not answer in time"),
    ((requests.exceptions.ReadTimeout,), "the answer did not come in time"),
)
"""What the network's errors mean, the first that is found in a chain."""


def _network_trouble(failure: Exception) -> str:
    """Why there was no answer: the name of the error, and what it means. Its own text may hold a proxy's password."""
    causes = list(chain(failure))
    meaning = next((text for kinds, text in _TROUBLE if any(isinstance(cause, kinds) for cause in causes)), "")
    return f"{type(failure).__name__}{f' ({meaning})' if meaning else ''}"


def _key_pattern(api_key: str) -> re.Pattern[bytes]:
    """Finds the key in a body: as it is, escaped as in addresses, JSON or HTML, or in Base64."""
    plain = "".join(
        rf"(?:{re.escape(letter)}|%{ord(letter):02x}|\\u{ord(letter):04x}|&\#(?:{ord(letter)}|x{ord(letter):x});)"
        for letter in api_key
    )
    # whole groups of three letters, which are the same whatever follows them
    encoded = base64.b64encode(api_key[: len(api_key) // 3 * 3].encode()).decode()
    patterns = [plain, rf"{re.escape(encoded)}[A-Za-z0-9+/=_-]*"] if encoded else [plain]
    return re.compile("|".join(patterns).encode(), re.IGNORECASE)


def _is_replayed(response: requests.Response) -> bool:
    """True for an error that Stripe keeps under an idempotency key (https://docs.stripe.com/api/idempotent_requests)."""
    said = response.headers.get("Idempotent-Replayed", "").strip().lower()
    return response.status_code >= 400 and said == "true"


def _retry_after(response: requests.Response) -> float | None:
    value = response.headers.get("Retry-After", "").strip()
    return float(value) if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value) else None


def _text(value: Any) -> str | None:
    return printable(value) if isinstance(value, str) and value else None


def _shown(address: Address) -> str:
    return f"{address.origin}{address.path}"
