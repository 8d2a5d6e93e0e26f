"""What the user asks for against what Stripe offers: choices and refusals, before anything is run."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from stripe_reports_source import ConfigurationError, Report
from stripe_reports_source.errors import StripeUnreachable
from stripe_reports_source.plan.catalog import load_catalog
from stripe_reports_source.plan.intervals import Span
from stripe_reports_source.plan.report import Defaults
from stripe_reports_source.plan.resolve import ResolvedReport, resolve
from stripe_reports_source.plan.stripe_objects import OfferedType, OfferedTypes

NOW = datetime(2025, 1, 1, tzinfo=timezone.utc)
OFFERED = OfferedTypes(
    tuple(
        OfferedType(name, name, int(name[-1]), Span(NOW, NOW), ("category", "net_amount"), NOW, True)
        for name in (
            "balance.summary.1",
            "payout_reconciliation.itemized.2",
            "payout_reconciliation.itemized.5",
            "payout_reconciliation.itemized.7",
            "balance_change_from_activity.itemized.1",
            "ending_balance_reconciliation.itemized.4",
            "payout_reconciliation.by_id.itemized.4",
            "added.by_stripe.1",
        )
    )
)


def resolved(report: Report, zone: str = "UTC", *, personal_data: bool = True) -> ResolvedReport:
    defaults = Defaults("month", 3, ZoneInfo(zone))
    return resolve(report, OFFERED, load_catalog(), defaults, personal_data=personal_data)


def test_a_base_id_takes_the_newest_version_that_is_known_whole() -> None:
    found = resolved(Report("payout_reconciliation.itemized"))
    assert found.offered.id == "payout_reconciliation.itemized.5"
    known = load_catalog().get("payout_reconciliation.itemized.5")
    assert known is not None
    assert found.requested == tuple(column.name for column in known.columns)
    assert found.parameters == {"columns": list(found.requested)}


def test_an_exact_id_is_taken_as_it_is() -> None:
    assert resolved(Report("payout_reconciliation.itemized.2")).offered.version == 2


def test_a_type_that_is_not_known_runs_with_stripes_default_columns() -> None:
    found = resolved(Report("added.by_stripe"))
    assert (found.known, found.requested, found.parameters, found.snapshot) == (None, None, {}, False)


def test_snapshots_are_told_by_the_catalogue() -> None:
    assert resolved(Report("ending_balance_reconciliation.itemized")).snapshot


def test_metadata_comes_after_the_columns() -> None:
    metadata = ["payment_metadata[order_id]", "refund_metadata[x]"]
    found = resolved(Report("payout_reconciliation.itemized.5", columns=["net", "currency"], metadata=metadata))
    assert found.requested == ("net", "currency", *metadata)
    assert resolved(Report("balance.summary", columns="default")).requested is None


def test_the_zone_is_a_parameter_only_where_it_can_be() -> None:
    assert resolved(Report("payout_reconciliation.itemized.5"), "Asia/Kolkata").parameters["timezone"] == "Asia/Kolkata"
    assert "timezone" not in resolved(Report("payout_reconciliation.itemized.2"), "Asia/Kolkata").parameters
    assert "timezone" not in resolved(Report("payout_reconciliation.itemized.5"), "Etc/UTC").parameters


def test_cell_keys_tell_accounts_grids_zones_and_filters_apart() -> None:
    reports = [
        Report("balance.summary"),
        Report("balance.summary", interval="day"),
        Report("balance.summary", timezone="Asia/Kolkata"),
        Report("balance.summary", parameters={"currency": "eur"}),
    ]
    keys = {resolved(report).cell_key(account, NOW.date()) for report in reports for account in ("us", "eu")}
    assert len(keys) == 8
    assert resolved(reports[0]).cell_key("us", NOW.date()) == "us|balance.summary|month|UTC|2025-01-01"


@pytest.mark.parametrize(
    ("report", "message"),
    [
        (
            Report("payouts.itemised"),
            "'payouts.itemised' is unknown to Stripe and the catalogue; did you mean 'payouts.itemized'",
        ),
        (Report("payouts.itemized"), "not offered to this account or key; `stripe-reports types`"),
        (Report("payout_reconciliation.itemized.4"), "it has payout_reconciliation.itemized.2, payout_rec"),
        (Report("balance.summary", columns=["net_amout"]), "no column 'net_amout'; did you mean 'net_amount'"),
        (Report("balance.summary", metadata=["payment_metadata[a]"]), "no metadata 'payment_metadata'"),
        (Report("balance.summary", parameters={"payout": "po_1"}), "no parameter 'payout'; it takes currency"),
        (Report("balance.summary", columns=["currency"], types={"net": "text"}), "types names 'net'"),
        (Report("payout_reconciliation.by_id.itemized", parameters={"invoice": "in_1"}), "no parameter 'invoice'"),
        (
            Report("payout_reconciliation.itemized", metadata={"payment_metadata[a]": "net"}),
            "'net' for 'payment_metadata\\[a\\]' is also the name of the column 'net'",
        ),
    ],
    ids=lambda value: value.report if isinstance(value, Report) else "",
)
def test_refused_against_what_is_offered(report: Report, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        resolved(report)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"report": ""}, "report ''"),
        ({"columns": "all"}, "columns 'all'"),
        ({"columns": []}, "columns is empty"),
        ({"columns": ["a", "a"]}, "columns names 'a' twice"),
        ({"metadata": ["payment_metadata[a]"] * 2}, r"metadata names 'payment_metadata\[a\]' twice"),
        ({"parameters": {"payout": ["po_1", "po_2", "po_1"]}}, "parameter 'payout' names 'po_1' twice"),
        ({"metadata": "payment_metadata[a]"}, "must be a list or a mapping"),
        ({"metadata": ["payment_metadata"]}, "must look like"),
        ({"metadata": [5]}, "metadata 5 must look like"),
        ({"metadata": ["payment_metadata[a\0]"]}, "must look like"),
        ({"metadata": {"payment_metadata[a]": None}}, "metadata name None for"),
        ({"metadata": ["payment_metadata[" + "a" * 41 + "]"]}, "up to 40 characters"),
        ({"metadata": {"payment_metadata[a]": "Not Snake"}}, "lower snake case"),
        ({"metadata": {"payment_metadata[a]": "_account"}}, "lower snake case"),
        ({"interval": "hour"}, "one of day, week, month"),
        ({"lookback_days": -1}, "lookback_days -1"),
        ({"timezone": "Nowhere"}, "timezone 'Nowhere'"),
        ({"parameters": {"interval_end": 1}}, "set through 'end_date'"),
        ({"parameters": "x"}, "parameters 'x' must be a mapping"),
        ({"types": ["net"]}, "types .* must be a mapping"),
        ({"types": {"net": "float"}}, "'float' is not a type"),
        ({"table_name": "Payouts!"}, "table_name 'Payouts!'"),
        ({"table_name": "a" * 64}, "up to 63 characters"),
    ],
)
def test_refused_whatever_is_offered(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Report(**{"report": "balance.summary", **settings})


@pytest.mark.parametrize("asked", ["payout_reconciliation.itemized", "payout_reconciliation.itemized.5"])
def test_a_report_that_stripe_describes_wrongly_is_named_if_it_is_asked_for(asked: str) -> None:
    spoiled = "payout_reconciliation.itemized.5"
    offered = OfferedTypes(
        tuple(offer for offer in OFFERED if offer.id != spoiled), {spoiled: "version 'two' is odd.", "x.y.1": "odd"}
    )
    said = r"report 'payout_reconciliation\.itemized\.5' is offered, but .*version 'two' is odd"
    with pytest.raises(StripeUnreachable, match=said):
        resolve(Report(asked), offered, load_catalog(), Defaults("month", 3, ZoneInfo("UTC")))
    for other in ("balance.summary.1", "payout_reconciliation.itemized.2"):
        assert (
            resolve(Report(other), offered, load_catalog(), Defaults("month", 3, ZoneInfo("UTC"))).offered.id == other
        )


def test_stripes_default_columns_instead_of_the_catalogues() -> None:
    net = Report("payout_reconciliation.itemized.5", parameters={"currency": "eur"})
    found = resolved(net).with_default_columns()
    assert found is not None
    assert (found.requested, found.parameters) == (None, {"currency": "eur"})
    assert found.with_default_columns() is None
    assert resolved(replace(net, columns=["net"])).with_default_columns() is None
    with_metadata = resolved(replace(net, metadata=["payment_metadata[a]"])).with_default_columns()
    assert with_metadata is not None
    assert with_metadata.requested == ("category", "net_amount", "payment_metadata[a]")
    assert with_metadata.parameters == {"currency": "eur", "columns": list(with_metadata.requested)}
    assert with_metadata.with_default_columns() == with_metadata


def test_what_is_only_known_in_part_is_said() -> None:
    assert resolved(Report("payout_reconciliation.itemized.5")).only_known_in_part is None
    assert resolved(Report("payout_reconciliation.itemized")).only_known_in_part == (
        "payout_reconciliation.itemized.7 is offered, and the catalogue does not know all its columns: "
        "payout_reconciliation.itemized.5 is loaded; ask for the newer one by its exact id"
    )
    assert resolved(Report("added.by_stripe")).only_known_in_part == (
        "added.by_stripe.1 is not in the catalogue: Stripe's default columns are loaded, as text where types sets none"
    )
    in_part = Report("payout_reconciliation.itemized.7")
    assert "does not know all columns of payout_reconciliation.itemized.7: the 73 it" in (
        resolved(in_part).only_known_in_part or ""
    )
    assert "those it does not know are loaded as text" in (
        resolved(replace(in_part, columns="default")).only_known_in_part or ""
    )


def test_without_personal_data() -> None:
    name = "payout_reconciliation.itemized.5"
    all_of_it, found = resolved(Report(name)), resolved(Report(name), personal_data=False)
    assert set(all_of_it.requested or ()) - set(found.requested or ()) > {"customer_name", "customer_email"}
    assert "net" in (found.requested or ())
    metadata = ["payment_metadata[e-mail]"]  # asked for by name
    assert (resolved(Report(name, metadata=metadata), personal_data=False).requested or ())[-1:] == tuple(metadata)
    with pytest.raises(ConfigurationError, match="column 'customer_name' is personal data; leave it out or"):
        resolved(Report(name, columns=["net", "customer_name"]), personal_data=False)
    lines = resolved(Report("balance.summary"), personal_data=False)
    assert "description" in [column.header for column in lines.table_columns(lines.requested or ())]


def test_personal_columns_that_come_unasked_are_left_out() -> None:
    for name in ("payout_reconciliation.itemized.5", "added.by_stripe"):
        found = resolved(Report(name, columns="default"), personal_data=False)
        assert found.requested is None
        columns = found.table_columns(["net", "customer_email", "payment_metadata[name]"])
        assert [column.header for column in columns] == ["net", "payment_metadata[name]"]
