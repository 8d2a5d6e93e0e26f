"""The HTTP edge: four endpoints of the Reporting API and the file download.

In: a key, two base addresses, parameters. Out: `plan.stripe_objects`, or a file on disk of exactly the announced
size. Retries, clock, sleep and chance come from the outside, so tests and shutdown control the waiting.
The key goes into the Authorization header of requests to the two configured hosts and nowhere else.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from ..errors import (
    AuthenticationError,
    DownloadError,
    PermissionDenied,
    StripeError,
    StripeUnreachable,
)
from ..plan.cells import Downloaded
from ..plan.settings import RetryPolicy, Settings, checked_base_url, is_loopback
from ..plan.stripe_objects import OfferedType, Parameters, ReportRun, ResultFile, unix
from .api import StripeApi

STRIPE_VERSION = "2025-03-31.basil"
"""Pinned, so that a change of the account's default version cannot change the shape of answers."""

Sleep = Callable[[float], None]

_CHUNK = 1 << 20
_RETRY_STATUS = (409, 429)


def stripe_client(settings: Settings, sleep: Sleep) -> StripeClient:
    """The client of a source. `sleep(seconds)` waits between attempts, and may raise to end the waiting."""
    return StripeClient(
        settings.api_key,
        api_base_url=settings.api_base_url,
        files_base_url=settings.files_base_url,
        retry=settings.retry_policy,
        sleep=sleep,
    )


class StripeClient(StripeApi):
    """Answers the questions of `StripeApi` over HTTP, for one key. Each thread has connections of its own."""

    def __init__(
        self,
        api_key: str,
        *,
        api_base_url: str,
        files_base_url: str,
        retry: RetryPolicy,
        sleep: Sleep,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api_key = api_key
        self._api = checked_base_url(api_base_url, "api_base_url")
        self._files = checked_base_url(files_base_url, "files_base_url")
        self._retry = retry
        self._sleep = sleep
        self._chance = chance
        self._clock = clock
        self._threads = threading.local()

    def __repr__(self) -> str:
        return f"StripeClient({self._api!r}, {self._files!r})"

    def report_types(self, account: str | None = None) -> Sequence[OfferedType]:
        """All report types offered, in one request (Stripe does not page this list)."""
        pages = self._pages("/v1/reporting/report_types", {}, account)
        return [OfferedType.from_json(item) for item in pages]

    def create_run(
        self, report_type: str, parameters: Parameters, *, idempotency_key: str, account: str | None = None
    ) -> ReportRun:
        """Create a report run, or get the one that the same idempotency key created before."""
        form: list[tuple[str, str]] = [("report_type", report_type)]
        for name, value in parameters.items():
            if isinstance(value, (list, tuple)):
                form += [(f"parameters[{name}][]", str(item)) for item in value]
            else:
                form.append((f"parameters[{name}]", str(value)))
        headers = {"Idempotency-Key": idempotency_key}
        body = self._json("POST", "/v1/reporting/report_runs", account, data=form, headers=headers)
        return ReportRun.from_json(body)

    def run(self, run_id: str, account: str | None = None) -> ReportRun:
        """The present state of a run."""
        return ReportRun.from_json(self._json("GET", f"/v1/reporting/report_runs/{run_id}", account))

    def knows_run(self, run_id: str, account: str | None = None) -> bool:
        """True if the account has made a run. Stripe answers 404 for one of another account."""
        try:
            self._json("GET", f"/v1/reporting/report_runs/{run_id}", account)
        except StripeError as error:
            if error.http_status == 404:
                return False
            raise
        return True

    def runs_since(self, created: datetime, account: str | None = None) -> Iterator[ReportRun]:
        """Runs created at or after an instant, newest first, page by page."""
        query = {"created[gte]": str(unix(created)), "limit": "100"}
        for item in self._pages("/v1/reporting/report_runs", query, account):
            yield ReportRun.from_json(item)

    def download(self, file: ResultFile, target: Path, account: str | None = None) -> Downloaded:
        """Stream a result file to `target`, going on where a broken connection stopped.

        Raises:
            DownloadError: the address is not on the configured file host, the file is gone, or its bytes are
                not as many as Stripe announced. `target` is removed then.
        """
        if _origin(file.url) != _origin(self._files):
            raise DownloadError(
                f"result file {file.id} lies at {_origin(file.url)}, not at files_base_url {self._files}; "
                "the key is not sent there. Set files_base_url if that host is yours."
            )
        try:
            return self._download(file, target, account)
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    def _download(self, file: ResultFile, target: Path, account: str | None) -> Downloaded:
        digest = hashlib.sha256()
        done = 0
        # hashing takes as long as all the rest, so it is done beside it, one chunk behind
        with target.open("wb") as out, ThreadPoolExecutor(1, thread_name_prefix="stripe-reports-hash") as hashing:
            hashed = hashing.submit(digest.update, b"")
            for attempt in range(self._retry.attempts):
                # identity: the announced size counts the bytes of the file, not of a compressed transfer
                headers = {"Accept-Encoding": "identity"}
                if done:
                    headers["Range"] = f"bytes={done}-"
                response = self._send("GET", file.url, account, stream=True, headers=headers)
                with response:
                    if done and response.status_code == 416:
                        break  # Stripe has no byte after those that arrived
                    if response.status_code in (404, 410):
                        raise DownloadError(f"result file {file.id} is gone (HTTP {response.status_code}).")
                    self._raise_for_error(response)
                    if response.headers.get("Content-Encoding", "identity") != "identity":
                        raise DownloadError(f"result file {file.id} came compressed, which was not asked for.")
                    if done and response.status_code != 206:
                        digest, done = hashlib.sha256(), 0
                        out.seek(0)
                        out.truncate()
                    try:
                        # read1 gives what has arrived; read would lose it when the connection breaks
                        while chunk := response.raw.read1(_CHUNK):
                            out.write(chunk)
                            hashed.result()
                            hashed = hashing.submit(digest.update, chunk)
                            done += len(chunk)
                            if done > file.size:
                                break
                    except urllib3.exceptions.HTTPError:
                        pass  # the size tells whether anything is missing
                if done >= file.size:
                    break
                if attempt + 1 < self._retry.attempts:
                    self._sleep(self._retry.delay(attempt, None, self._chance()))
        if done != file.size:
            raise DownloadError(f"result file {file.id} has {file.size} bytes at Stripe, {done} arrived.")
        return Downloaded(target, done, digest.hexdigest())

    def _pages(self, path: str, query: Mapping[str, str], account: str | None) -> Iterator[dict[str, Any]]:
        params = dict(query)
        while True:
            page = self._json("GET", path, account, params=params)
            items = page.get("data")
            if not isinstance(items, list):
                raise StripeUnreachable(f"Stripe answered GET {path} with JSON that is not a list.")
            yield from items
            if not page.get("has_more") or not items:
                return
            params["starting_after"] = str(items[-1].get("id"))

    def _json(self, method: str, path: str, account: str | None, **options: Any) -> dict[str, Any]:
        for attempt in range(self._retry.attempts):
            with self._send(method, self._api + path, account, stream=True, **options) as response:
                self._raise_for_error(response)
                body = self._body(response)
            if body is not None:
                return body
            # a proxy's page or a cut body: asking again is safe, POSTs carry an idempotency key
            if attempt + 1 < self._retry.attempts:
                self._sleep(self._retry.delay(attempt, None, self._chance()))
        raise StripeUnreachable(
            f"{method} {self._api + path} gave {self._retry.attempts} times no whole JSON object; "
            "check api_base_url and proxies."
        )

    def _body(self, response: requests.Response) -> dict[str, Any] | None:
        """The JSON object of an answer; None for anything else, and for what is endless, cut or badly compressed."""
        late = self._clock() + self._retry.body_timeout
        content = bytearray()
        try:
            for chunk in response.iter_content(_CHUNK):
                content += chunk
                if len(content) > self._retry.answer_bytes or self._clock() > late:
                    return None
            body = json.loads(content)
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError):
            return None
        return body if isinstance(body, dict) else None

    def _error_body(self, response: requests.Response) -> dict[str, Any] | None:
        error = (self._body(response) or {}).get("error")
        return error if isinstance(error, dict) else None

    def _send(self, method: str, url: str, account: str | None, **options: Any) -> requests.Response:
        headers = {"Stripe-Version": STRIPE_VERSION, **options.pop("headers", {})}
        if account:
            headers["Stripe-Account"] = account
        timeout = (self._retry.connect_timeout, self._retry.read_timeout)
        problem = ""
        for attempt in range(self._retry.attempts):
            retry_after = None
            try:
                response = self._session().request(
                    method,
                    url,
                    headers=headers,
                    auth=(self._api_key, ""),
                    timeout=timeout,
                    allow_redirects=False,  # a redirect would carry the key to another host
                    **options,
                )
            except (requests.ConnectionError, requests.Timeout) as failure:
                problem = type(failure).__name__
            else:
                if not _worth_retrying(response):
                    return response
                problem = f"HTTP {response.status_code}"
                retry_after = _retry_after(response)
                with response:
                    if attempt + 1 == self._retry.attempts and (error := self._error_body(response)):
                        raise self._stripe_error(response, error)
            if attempt + 1 < self._retry.attempts:
                self._sleep(self._retry.delay(attempt, retry_after, self._chance()))
        raise StripeUnreachable(
            f"{method} {url} failed {self._retry.attempts} times, the last with {problem}; "
            "nothing is lost, sync again later."
        ) from None

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._threads, "session", None)
        if session is None:
            session = requests.Session()
            session.trust_env = not is_loopback(urlsplit(self._api).hostname)  # no proxy to this machine
            self._threads.session = session
        return session

    def _raise_for_error(self, response: requests.Response) -> None:
        if response.status_code < 300:
            return
        error = self._error_body(response)
        if error is None:
            raise StripeUnreachable(
                f"{response.request.method} {response.url.split('?')[0]} answered HTTP {response.status_code} without "
                "an error that Stripe writes; check the address and proxies."
            )
        raise self._stripe_error(response, error)

    def _stripe_error(self, response: requests.Response, error: Mapping[str, Any]) -> StripeError:
        message = str(error.get("message", "no message")).replace(self._api_key, "(key)")
        kinds = {401: AuthenticationError, 403: PermissionDenied}
        return kinds.get(response.status_code, StripeError)(
            message,
            http_status=response.status_code,
            type=error.get("type"),
            code=error.get("code"),
            param=error.get("param"),
            request_id=response.headers.get("Request-Id"),
        )


def _worth_retrying(response: requests.Response) -> bool:
    advice = response.headers.get("Stripe-Should-Retry")
    if advice in ("true", "false"):
        return advice == "true"
    return response.status_code in _RETRY_STATUS or response.status_code >= 500


def _retry_after(response: requests.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", value) else None


def _origin(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname}:{port}"
