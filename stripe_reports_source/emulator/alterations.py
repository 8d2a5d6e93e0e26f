"""Report types and runs that look odd, are gone or were never heard of, on order.

In: ids with what is to be different about them. Out: API objects as they are then sent. Thread-safe.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

REPORT_TYPE = "reporting.report_type"


@dataclass(frozen=True)
class _Alteration:
    fields: Mapping[str, Any]
    absent: Collection[str]
    hidden: bool


class Alterations:
    """The alterations in force, by the id of the object."""

    def __init__(self) -> None:
        self._by_id: Mapping[str, _Alteration] = {}

    def alter(
        self,
        identity: str,
        fields: Mapping[str, Any] | None = None,
        *,
        absent: Collection[str] = (),
        hidden: bool = False,
    ) -> None:
        """Send a report type or a run other than it is. An id that is not known adds a report type.

        Args:
            identity: the object's id.
            fields: fields with other values; None is sent as null.
            absent: fields that are not sent.
            hidden: True if it is in no list and answers 404, as a report type that is no longer offered.
        """
        kind = {} if identity.startswith("frr_") else {"object": REPORT_TYPE}
        self._by_id = {**self._by_id, identity: _Alteration({**kind, **(fields or {})}, absent, hidden)}

    def restore(self, identity: str | None = None) -> None:
        """Send an object, or all, as they are again."""
        self._by_id = {name: alteration for name, alteration in self._by_id.items() if identity not in (None, name)}

    def hides(self, identity: str) -> bool:
        """True for an object that is not to be seen."""
        alteration = self._by_id.get(identity)
        return alteration is not None and alteration.hidden

    def shown(self, data: dict[str, Any]) -> dict[str, Any]:
        """An object as it is sent."""
        alteration = self._by_id.get(data["id"])
        if alteration is None:
            return data
        return {name: value for name, value in {**data, **alteration.fields}.items() if name not in alteration.absent}

    def added_types(self, known: Collection[str]) -> list[dict[str, Any]]:
        """The report types that exist by their alteration alone."""
        return [
            self.shown({"id": identity})
            for identity, alteration in self._by_id.items()
            if identity not in known and not alteration.hidden and alteration.fields.get("object") == REPORT_TYPE
        ]
