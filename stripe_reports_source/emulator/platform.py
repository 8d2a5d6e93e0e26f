"""The platform's connected accounts: which of them have left it, so that runs for them are refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from .validation import ApiError


class Platform:
    """See the module. `gone`: accounts that have left from the beginning."""

    def __init__(self, gone: Collection[str]) -> None:
        self._leaves_at = dict.fromkeys(gone, 0)

    def leave(self, account: str, at_run: int) -> None:
        """Let an account leave once so many runs were made in all."""
        self._leaves_at[account] = at_run

    def come_back(self, account: str) -> None:
        """Let an account be connected again."""
        self._leaves_at.pop(account, None)

    def refuse_gone(self, parameters: Mapping[str, Any], runs: int) -> None:
        """Refuse a run for an account that has left.

        Args:
            parameters: the run's.
            runs: how many were made before.

        Raises:
            ApiError: it has left.
        """
        account = parameters.get("connected_account")
        if account in self._leaves_at and runs >= self._leaves_at[account]:
            raise ApiError(  # unverified text
                403,
                f"The account '{account}' is not connected to your platform or access to it has been revoked.",
                code="account_invalid",
            )
