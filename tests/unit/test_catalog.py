"""The catalogue: well-formed, complete where it says so, and right about columns that change meaning."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import pytest
from stripe.params.reporting._report_run_create_params import ReportRunCreateParamsParameters

from stripe_reports_source.plan.catalog import Catalog, ReportType, load_catalog, split_id
from stripe_reports_source.plan.column_types import TIMESTAMP, TIMESTAMPTZ, ColumnType
from stripe_reports_source.plan.columns import is_normal

CATALOG = load_catalog()
# parameters of POST /v1/reporting/report_runs in Stripe's OpenAPI description, then those only its report pages list
PARAMETERS = {
    *("columns", "connected_account", "currency", "interval_end", "interval_start", "payout", "reporting_category"),
    *("timezone", "connected_accounts", "customer", "decimal_format", "decimal_separator", "invoice"),
    *("invoice_line_item", "country", "states", "taxable", "is_eu_vat_moss", "tax_type", "jurisdiction_key", "type"),
}


@pytest.mark.parametrize("known", list(CATALOG), ids=lambda known: known.id)
def test_entries_are_well_formed(known: ReportType) -> None:
    # a report that only the dashboard shows has no version
    assert split_id(known.id) == (known.base, known.version or None)
    assert known.version >= 1 or known.status == "dashboard_only"
    assert set(known.required) <= PARAMETERS
    assert set(known.optional) <= PARAMETERS
    assert not set(known.required) & set(known.optional)
    assert "interval_end" in known.required or known.shape == "per_payout" or known.status == "dashboard_only"
    names = [column.name for column in known.columns]
    assert len(names) == len(set(names))
    assert set(known.key) <= set(names) or not names or not known.columns_complete
    assert set(known.default_columns or ()) <= set(names) or not known.columns_complete
    assert known.columns or not known.columns_complete
    assert all(prefix.endswith("_metadata") for prefix in known.metadata_prefixes)
    for column in known.columns:
        assert is_normal(column.name)
        assert column.type == ColumnType.parse(str(column.type))
        assert 5 < len(column.description) <= 120
        if column.name.endswith("_utc"):
            assert column.type == TIMESTAMPTZ


@pytest.mark.parametrize("known", [known for known in CATALOG if known.columns_complete], ids=lambda known: known.id)
def test_report_zone_times_exist_only_where_there_is_a_zone(known: ReportType) -> None:
    for column in known.columns:
        if column.name in ("automatic_payout_effective_at", "payout_reversed_at", "created", "available_on"):
            assert column.type == (TIMESTAMP if known.accepts("timezone") else TIMESTAMPTZ), column
            assert ("UTC" in column.description) is (column.type == TIMESTAMPTZ)


def test_parameters_are_those_of_stripes_openapi_description() -> None:
    """Stripe's SDK is made from it."""
    assert set(ReportRunCreateParamsParameters.__annotations__) <= PARAMETERS
    used = {name for known in CATALOG for name in (*known.required, *known.optional)}
    assert used == PARAMETERS


def test_versions_and_shapes() -> None:
    assert [known.version for known in CATALOG.versions("payout_reconciliation.itemized")] == [1, 2, 3, 4, 5, 6, 7]
    assert CATALOG.versions("no.such") == ()
    shapes = {name: known.shape for name in ("balance.summary.1", "ending_balance_reconciliation.itemized.4",
              "payout_reconciliation.by_id.itemized.4") if (known := CATALOG.get(name))}  # fmt: skip
    assert list(shapes.values()) == ["interval", "snapshot", "per_payout"]
    assert len(CATALOG.bases()) == len(set(CATALOG.bases())) == len({known.base for known in CATALOG})


def test_amounts_and_what_has_more_digits() -> None:
    def type_of(report: str, column: str) -> str | None:
        known = CATALOG.get(report)
        found = known.column(column) if known else None
        return str(found.type) if found else None

    assert type_of("balance_change_from_activity.itemized.3", "gross") == "decimal(38,9)"
    assert type_of("all_fees.balance_transaction_created.summary.2", "amount") == "decimal(38,18)"
    assert type_of("tax.transactions.itemized.2", "filing_exchange_rate") == "decimal(38,28)"
    assert type_of("tax.itemized_export.1", "tax_rate") == "decimal(38,28)"
    assert type_of("tax.transactions.itemized.2", "tax_amount") == "decimal(38,9)"


def test_personal_columns() -> None:
    person = re.compile(r"name$|email|address|descri|tax_id|phone|(^|_)ip($|_)|^bin$")
    impersonal = {
        *("plan_name", "tax_name", "feature_name", "jurisdiction_name", "fee_description", "feature_description"),
        *("origin_resolved_address_city", "origin_resolved_address_state", "origin_resolved_address_country"),
        *("destination_resolved_address_state", "destination_resolved_address_country"),
    }
    columns = {column.name: column for known in CATALOG for column in known.columns}
    assert {name for name in columns if person.search(name)} - impersonal <= CATALOG.personal
    assert not impersonal & CATALOG.personal
    assert {"customer_id", "charge_id", "net", "card_brand"} <= set(columns) - CATALOG.personal
    lines = CATALOG.get("balance.summary.1")
    assert lines is not None
    assert not any(column.personal for column in lines.columns)  # its descriptions name lines of the balance


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("payout_reconciliation.itemized.5", ("payout_reconciliation.itemized", 5)),
        ("payout_reconciliation.itemized", ("payout_reconciliation.itemized", None)),
        ("x", ("x", None)),
        ("5", ("5", None)),
        ("a.12", ("a", 12)),
        ("a.", ("a.", None)),
    ],
)
def test_split_id(name: str, parts: tuple[str, int | None]) -> None:
    assert split_id(name) == parts


def test_the_file_holds_each_thing_once() -> None:
    text = files("stripe_reports_source.plan.catalog").joinpath("report_types.json").read_text(encoding="utf-8")

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names))
        return dict(pairs)

    data = json.loads(text, object_pairs_hook=unique)
    ids = [entry["id"] for entry in data["report_types"]]
    assert len(ids) == len(set(ids)) == len(list(CATALOG))
    used = {column.name for known in CATALOG for column in known.columns}
    assert used == set(data["columns"])
    assert isinstance(CATALOG, Catalog)
