"""Whose data a sync would put beside whose: looked up in the dataset and at Stripe before any run is made.

In: lanes that are planned. Out: nothing, or a refusal. Costs a query and a request per table, and neither where
there is nothing to run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from dlt import Pipeline

from ..errors import ConfigurationError
from ..plan.lanes import Lane
from ..plan.resolve import prefix_of
from ..plan.whose_data import Holding, refuse_other_data
from ..warehouse.ledger import newest_run, noted_holdings, real_holdings
from .package import cells_in_package, dropped_tables


class WhoseData:
    """See the module; of one sync."""

    def __init__(self, pipeline: Pipeline | None, knows: Callable[[str], bool]) -> None:
        """See the class.

        Args:
            pipeline: whose dataset; None where nothing is loaded.
            knows: tells whether the key's account knows a report run.
        """
        self._pipeline = pipeline
        self._knows = knows

    def check(self, lanes: Sequence[Lane], label: str, account: str | None) -> None:
        """Refuse lanes whose cells would be mixed with rows that are of another account, mode, grid, zone or filter.

        Args:
            lanes: of a report, as planned: what they count as loaded already is looked at too.
            label: the `_account` value.
            account: the Stripe-Account header, which Stripe checks; None without one.

        Raises:
            ConfigurationError: names the table, what it holds and what to do.
        """
        asked = [lane for lane in lanes if lane.cells or lane.already]
        if self._pipeline is None or not asked or asked[0].resolved.report.table in dropped_tables():
            return
        table = asked[0].resolved.report.table
        beside = cells_in_package(table)
        self._compare(asked, label, [*_held(table, beside)])
        holdings = noted_holdings(self._pipeline, table)
        try:
            self._compare(asked, label, holdings)
            sure = bool(holdings)
        except ConfigurationError:
            sure = False  # the ledger may speak of rows that are gone since
        if not sure:
            holdings = real_holdings(self._pipeline, table)
            self._compare(asked, label, holdings)
        if account is None:
            runs = {other: next(iter(cells.values())) for other, cells in beside.items()}
            self._prove_account(table, label, {holding.account for holding in holdings}, runs)

    def _compare(self, lanes: Sequence[Lane], label: str, holdings: Sequence[Holding]) -> None:
        refuse_other_data(lanes[0].resolved, label, holdings)  # lanes of a report differ in the connected account alone

    def _prove_account(self, table: str, label: str, stored: set[str], runs: Mapping[str, str]) -> None:
        """A label of the user's own may not go over to another account, nor an account to another label.

        What was loaded for an account id needs no proof: Stripe has checked it.

        Args:
            table: that is loaded.
            label: the `_account` value.
            stored: the labels of its rows.
            runs: of the labels whose rows are in the package before it is loaded.
        """
        if label in stored or label in runs:
            run = runs.get(label) or newest_run(self._pipeline, table, label)
            if run is not None and not self._knows(run):
                raise ConfigurationError(
                    f"account {label!r}: the rows of table {table!r} are of another Stripe account than api_key's, "
                    f"which does not know the report run {run}. Set that account's key, or another account label."
                )
            return
        for other in sorted(stored | runs.keys()):
            run = None if other.startswith("acct_") else runs.get(other) or newest_run(self._pipeline, table, other)
            if run is not None and self._knows(run):
                raise ConfigurationError(
                    f"account {label!r}: table {table!r} holds the same Stripe account's rows as account {other!r}, "
                    f"and would hold them twice. Keep account = {other!r}, or load the report anew under the new "
                    "label with refresh='drop_resources'."
                )


def _held(table: str, cells: Mapping[str, Mapping[str, str]]) -> Iterator[Holding]:
    """What the package holds of a table, whose cells it has by account label."""
    for label, keys in cells.items():
        for identity in {prefix_of(key).removeprefix(f"{label}|").removesuffix("|") for key in keys}:
            yield Holding(table, label, identity, None)
