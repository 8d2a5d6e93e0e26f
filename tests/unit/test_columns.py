"""Column names: one per key, for ever, under every naming convention."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from dlt.common.normalizers.naming import NamingConvention
from dlt.common.normalizers.naming.direct import NamingConvention as Direct
from dlt.common.normalizers.naming.snake_case import NamingConvention as SnakeCase
from dlt.common.normalizers.naming.sql_ci_v1 import NamingConvention as SqlCi
from hypothesis import given
from hypothesis import strategies as st

from stripe_reports_source.catalog import load_catalog
from stripe_reports_source.columns import SYSTEM_COLUMNS, column_name, parse_type, split_metadata, table_columns
from stripe_reports_source.errors import ConfigurationError

CONVENTIONS: Sequence[NamingConvention] = [SnakeCase(63), SqlCi(63), Direct(63)]

keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
tame = st.text("abAB01_.- ", min_size=1, max_size=12)
headers = st.tuples(
    st.sampled_from(["payment_metadata", "refund_metadata", "transfer_metadata", "tax_transaction_metadata"]),
    keys | tame,
).map(lambda parts: f"{parts[0]}[{parts[1]}]")


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("net", "net"),
        ("payment_metadata[order_id]", "payment_metadata_order_id"),
        ("refund_metadata[x1]", "refund_metadata_x1"),
    ],
)
def test_plain_names(header: str, name: str) -> None:
    assert column_name(header) == name


@pytest.mark.parametrize(
    "key",
    ["orderId", "Order-ID", "ORDER_ID", "order id", "order__id", "_order", "order_", "日本", "order.id", "a" * 50],
)
def test_other_keys_get_a_hash(key: str) -> None:
    name = column_name(f"payment_metadata[{key}]")
    assert name.startswith("payment_metadata_")
    assert name != column_name("payment_metadata[order_id]")
    assert len(name.rpartition("_")[2]) == 8
    assert len(name) <= 63


@given(st.lists(headers, unique=True, max_size=12))
def test_no_two_keys_share_a_column(found: list[str]) -> None:
    assert len({column_name(one) for one in found}) == len(found)


@given(headers)
def test_a_name_that_looks_hashed_is_hashed(header: str) -> None:
    name = column_name(header)
    prefix = header.partition("[")[0]
    lookalike = f"{prefix}[{name.removeprefix(prefix + '_')}]"
    if lookalike != header and split_metadata(lookalike):
        assert column_name(lookalike) != name
    assert column_name(name) != name  # a plain header spelt like a metadata column is another column


@given(headers | st.text(min_size=1, max_size=80))
def test_names_are_fixed_points_of_every_naming_convention(header: str) -> None:
    name = column_name(header)
    assert name not in SYSTEM_COLUMNS
    for convention in CONVENTIONS:
        assert convention.normalize_identifier(name) == name
        assert convention.normalize_path(name) == name


@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda one: type(one).__module__.rpartition(".")[2])
def test_catalogue_and_system_columns_keep_their_names(convention: NamingConvention) -> None:
    for report_type in load_catalog():
        for column in report_type.columns:
            assert column_name(column.name, known=True) == column.name
            assert convention.normalize_identifier(column.name) == column.name
    for name in SYSTEM_COLUMNS:
        assert convention.normalize_identifier(name) == name


def test_table_columns_follow_file_order_and_types() -> None:
    known = load_catalog().get("payout_reconciliation.itemized.5")
    found = table_columns(
        ["net", "brand_new", "payment_metadata[seats]", "created"],
        known,
        names={"payment_metadata[seats]": "seats"},
        types={"payment_metadata[seats]": "bigint"},
    )
    assert [(one.name, one.type) for one in found] == [
        ("net", "decimal(38,9)"),
        ("brand_new", "text"),
        ("seats", "bigint"),
        ("created", "timestamp"),
    ]


@pytest.mark.parametrize("name", ["net", "_account"])
def test_a_name_that_is_taken_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        table_columns(["net", "payment_metadata[a]"], None, names={"payment_metadata[a]": name}, types={})


def test_types() -> None:
    assert parse_type("decimal", "x") == "decimal(38,9)"
    assert parse_type("decimal(20, 4)", "x") == "decimal(20,4)"
    for bad in ("float", "double", "decimal(39,2)", "decimal(4,5)", "decimal(0,0)", ""):
        with pytest.raises(ConfigurationError, match="no type"):
            parse_type(bad, "x")
