"""What Stripe keeps under idempotency keys: the first answer to a request, errors too.

In: answers with the keys of their requests. Out: the same answers again, for a day
(https://docs.stripe.com/api/idempotent_requests). Not thread-safe.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .validation import ApiError

KEPT_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Answer:
    """An answer to the creation of a run; `replayed` if it is the one that an earlier request got."""

    status: int
    body: dict[str, Any]
    replayed: bool = False


class KeptAnswers:
    """The answers by scope and key."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[str, Answer, int]] = {}

    def find(self, scope: str, key: str | None, request: str, now: int) -> Answer | None:
        """The answer that is kept for a request, if any.

        Args:
            scope: whose key it is.
            key: the `Idempotency-Key`.
            request: what stands for all its parameters.
            now: Unix seconds.

        Raises:
            ApiError: the key was first used with another request.
        """
        if key is None or (scope, key) not in self._kept:
            return None
        first, answer, created = self._kept[scope, key]
        if now - created >= KEPT_SECONDS:
            return None
        if first != request:
            raise ApiError(
                400,
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request.",
                type="idempotency_error",
            )
        return replace(answer, replayed=True)

    def keep(self, scope: str, key: str | None, request: str, answer: Answer, now: int) -> Answer:
        """Keep an answer, if there is a key; returns it."""
        if key is not None:
            self._kept[scope, key] = (request, answer, now)
        return answer

    def forget(self) -> None:
        """Forget all."""
        self._kept.clear()
