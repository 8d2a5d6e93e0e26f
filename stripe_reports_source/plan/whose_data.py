"""Whether what a table holds is of the account, mode, grid, zone and filter that a sync asks for. Pure.

In: what the table and its ledger say, and a report that is to be run. Out: nothing, or a refusal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigurationError
from .resolve import ResolvedReport

CONNECTED = "connected_account"


@dataclass(frozen=True)
class Holding:
    """Cells of one kind that a table holds.

    Args:
        table: its name.
        account: the `_account` value.
        identity: what the cells are cut by, `base|filters|grid|zone`; None where it cannot be told.
        livemode: whether the rows are live data; None where nothing says so.
    """

    table: str
    account: str
    identity: str | None
    livemode: bool | None


def refuse_other_data(resolved: ResolvedReport, label: str, holdings: Iterable[Holding]) -> None:
    """Refuse to put cells beside rows of the same account that they would mix with or double.

    Args:
        resolved: what is to be run.
        label: the `_account` value.
        holdings: what the dataset's tables hold.

    Raises:
        ConfigurationError: with what to do instead.
    """
    for holding in holdings:
        if (holding.table, holding.account) != (resolved.report.table, label):
            continue
        refuse_other_mode(resolved, label, holding.livemode)
        if holding.identity is None or resolved.keys or alike(holding.identity, resolved.grid_identity):
            continue
        refuse_cells(resolved, holding.identity)


def refuse_other_mode(resolved: ResolvedReport, label: str, livemode: bool | None) -> None:
    """Refuse live data beside test data, and the reverse.

    Raises:
        ConfigurationError: with what to do instead.
    """
    asked = resolved.offered.livemode
    if livemode is None or livemode == asked:
        return
    have, want = ("live", "test") if livemode else ("test", "live")
    raise ConfigurationError(
        f"report {resolved.offered.id!r}: table {resolved.report.table!r} holds {have} data of account {label!r}, and "
        f"api_key is a {want} key. Set a {have} key, load into another dataset, or load the report anew with "
        "refresh='drop_resources'."
    )


def refuse_cells(resolved: ResolvedReport, held: str) -> None:
    """Refuse cells of another grid, zone or filter.

    Raises:
        ConfigurationError: with what to do instead.
    """
    raise ConfigurationError(
        f"report {resolved.offered.id!r}: table {resolved.report.table!r} holds cells of {held!r}, and "
        f"cells of {resolved.grid_identity!r} would overlap them. Keep interval, timezone and parameters as they "
        "were, set another table_name, or load the report anew with refresh='drop_resources'."
    )


def alike(held: str, asked: str) -> bool:
    """True for cells that lie beside one another: of the same grid, zone and filter, whichever connected account."""
    (held_rest, held_accounts), (asked_rest, asked_accounts) = _parts(held), _parts(asked)
    return held_rest == asked_rest and held_accounts == asked_accounts


def _parts(identity: str) -> tuple[Any, bool]:
    """An identity without its connected account, and whether it has one."""
    rest, grid, zone = identity.rsplit("|", 2)
    base, _, text = rest.partition("|")
    filters = json.loads(text) if text else {}
    connected = filters.pop(CONNECTED, None)
    return (base, filters, grid, zone), connected is not None
