"""Whose data a sync would put beside whose: looked up in the dataset and at Stripe before any run is made.

In: lanes that are planned. Out: nothing, or a refusal. Costs a query and a request per table, and neither where
there is nothing to run.
"""

from __future__ import annotations

from collections.abc import Sequence

from dlt import Pipeline

from ..errors import ConfigurationError
from ..plan.lanes import Lane
from ..plan.whose_data import Holding, refuse_other_data
from ..stripe_api.api import StripeApi
from ..warehouse.ledger import newest_run, noted_holdings, real_holdings
from .package import dropped_tables


class WhoseData:
    """See the module; of one sync."""

    def __init__(self, pipeline: Pipeline | None, api: StripeApi) -> None:
        self._pipeline = pipeline
        self._api = api
        self._known: dict[str, bool] = {}

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
            self._prove_account(table, label, holdings)

    def _compare(self, lanes: Sequence[Lane], label: str, holdings: Sequence[Holding]) -> None:
        for lane in lanes:
            refuse_other_data(lane.resolved, label, holdings)

    def _prove_account(self, table: str, label: str, holdings: Sequence[Holding]) -> None:
        """A label of the user's own may not go over to another account, nor an account to another label.

        What was loaded for an account id needs no proof: Stripe has checked it.
        """
        labels = {holding.account for holding in holdings}
        if label in labels:
            run = newest_run(self._pipeline, table, label)
            if run is not None and not self._knows(run):
                raise ConfigurationError(
                    f"account {label!r}: the rows of table {table!r} are of another Stripe account than api_key's, "
                    f"which does not know the report run {run}. Set that account's key, or another account label."
                )
            return
        for other in sorted(labels):
            run = None if other.startswith("acct_") else newest_run(self._pipeline, table, other)
            if run is not None and self._knows(run):
                raise ConfigurationError(
                    f"account {label!r}: table {table!r} holds the same Stripe account's rows as account {other!r}, "
                    f"and would hold them twice. Keep account = {other!r}, or load the report anew under the new "
                    "label with refresh='drop_resources'."
                )

    def _knows(self, run: str) -> bool:
        if run not in self._known:
            self._known[run] = self._api.knows_run(run)
        return self._known[run]
