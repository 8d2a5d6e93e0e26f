"""Column names: one per key, for ever, under every naming convention."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from dlt.common.normalizers.naming import NamingConvention
from dlt.common.normalizers.naming.direct import NamingConvention as Direct
from dlt.common.normalizers.naming.snake_case import NamingConvention as SnakeCase
from dlt.common.normalizers.naming.sql_ci_v1 import NamingConvention as SqlCi
from hypothesis import given
from hypothesis import strategies as st

from stripe_reports_source.errors import ConfigurationError
from stripe_reports_source.plan.catalog import load_catalog
from stripe_reports_source.plan.column_types import AMOUNT, BIGINT, TEXT, TIMESTAMP, TIMESTAMPTZ, ColumnType
from stripe_reports_source.plan.columns import (
    SYSTEM_COLUMNS,
    StoredColumn,
    TableColumn,
    column_name,
    fit_to_table,
    is_normal,
    split_metadata,
    table_columns,
)

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
    assert len({column_name(header) for header in found}) == len(found)


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


@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda naming: type(naming).__module__.rpartition(".")[2])
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
        types={"payment_metadata[seats]": BIGINT},
    )
    assert [(column.name, str(column.type)) for column in found] == [
        ("net", "decimal(38,9)"),
        ("brand_new", "text"),
        ("seats", "bigint"),
        ("created", "timestamp"),
    ]


@pytest.mark.parametrize("name", ["net", "_account"])
def test_a_name_that_is_taken_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        table_columns(["net", "payment_metadata[a]"], None, names={"payment_metadata[a]": name}, types={})


def column(name: str, type_: str, header: str | None = None) -> TableColumn:
    return TableColumn(header or name, name, ColumnType.parse(type_), "what it holds")


def stored(**types: ColumnType) -> dict[str, StoredColumn]:
    return {name: StoredColumn(type_) for name, type_ in types.items()}


def test_a_new_column_is_taken_as_it_is() -> None:
    columns = (column("net", "decimal(38,9)"), column("note", "text"))
    assert fit_to_table(columns, {}) == columns
    assert fit_to_table(columns, stored(net=AMOUNT, other=BIGINT)) == columns


def test_what_is_stored_as_text_stays_text() -> None:
    [found] = fit_to_table([column("net", "decimal(38,9)")], stored(net=TEXT), documented=["net"])
    assert found == column("net", "text")


def test_an_undocumented_column_keeps_its_stored_type() -> None:
    [found] = fit_to_table([column("seats", "text")], stored(seats=BIGINT))
    assert found == column("seats", "bigint")


@pytest.mark.parametrize(
    ("type_", "kept", "name"),
    [
        ("timestamp", "timestamptz", "at_local"),
        ("timestamptz", "timestamp", "at_utc"),
        ("decimal(38,18)", "decimal(38,9)", "at_decimal_38_18"),
        ("text", "bigint", "at_text"),
    ],
)
def test_a_documented_column_of_another_type_gets_its_own_column(type_: str, kept: str, name: str) -> None:
    columns = [column("at", type_), column("net", "bigint")]
    assert fit_to_table(columns, stored(at=ColumnType.parse(kept)), documented=["at"]) == (
        column(name, type_, "at"),
        column("net", "bigint"),
    )


def test_rates_that_were_stored_with_fewer_digits_stay_as_they_are() -> None:
    known = load_catalog().get("tax.transactions.itemized.2")
    headers = ["filing_exchange_rate", "filing_total"]
    columns = table_columns(headers, known, names={}, types={})
    there = stored(filing_exchange_rate=ColumnType.parse("decimal(38,18)"), filing_total=AMOUNT)
    fitted = fit_to_table(columns, there, documented=headers)
    assert [(column.name, str(column.type)) for column in fitted] == [
        ("filing_exchange_rate_decimal_38_28", "decimal(38,28)"),
        ("filing_total", "decimal(38,9)"),
    ]


def test_that_column_never_takes_anothers_place() -> None:
    columns = [column("at", "timestamptz"), column("at_utc", "timestamptz"), column("x" * 63, "timestamp")]
    there = stored(at=TIMESTAMP) | {"x" * 63: StoredColumn(TIMESTAMPTZ)}
    first, second, third = fit_to_table(columns, there, documented=["at", "x" * 63])
    assert (first.name, second) == (column_name("at utc"), columns[1])
    assert first.name.startswith("at_utc_")
    assert third.name == "x" * 57 + "_local"
    twice = [column("at", "timestamptz", "at"), column("at", "timestamptz", "At")]
    names = [fitted.name for fitted in fit_to_table(twice, stored(at=TIMESTAMP), documented=["at", "At"])]
    assert names == ["at_utc", column_name("At utc")]


def test_a_users_type_that_is_not_the_stored_one_is_refused() -> None:
    columns = [column("seats", "bigint", "payment_metadata[seats]")]
    assert fit_to_table(columns, stored(seats=BIGINT), typed=["payment_metadata[seats]"]) == tuple(columns)
    with pytest.raises(ConfigurationError) as caught:
        fit_to_table(columns, stored(seats=TEXT), typed=["payment_metadata[seats]"])
    assert str(caught.value) == (
        "types: 'payment_metadata[seats]' is to be bigint, but its column 'seats' holds text; name another column "
        "through metadata, or load the report anew with refresh='drop_resources'."
    )


def test_a_type_of_another_source_is_refused_where_only_a_user_may_have_set_it() -> None:
    [known] = fit_to_table([column("net", "text")], {"net": StoredColumn(AMOUNT, "net", by_another=True)})
    assert known.type == AMOUNT
    columns = [column("seats", "text", "payment_metadata[seats]")]
    with pytest.raises(ConfigurationError) as caught:
        fit_to_table(columns, {"seats": StoredColumn(BIGINT, "payment_metadata[seats]", by_another=True)})
    assert str(caught.value) == (
        "types: 'payment_metadata[seats]' is to be text, but its column 'seats' holds bigint of another source or "
        "pipeline; set that type, or name another column through metadata."
    )
    assert fit_to_table(columns, {"seats": StoredColumn(TEXT, by_another=True)}) == tuple(columns)


@pytest.mark.parametrize(
    ("header", "held"),
    [("payment_metadata[b]", "payment_metadata[a]"), ("a", "payment_metadata[a]"), ("payment_metadata[a]", "a")],
)
def test_a_column_that_holds_another_header_is_refused(header: str, held: str) -> None:
    columns = (column("a", "text", header),)
    assert fit_to_table(columns, {"a": StoredColumn(TEXT, header)}) == columns
    assert fit_to_table(columns, {"a": StoredColumn(TEXT)}) == columns  # earlier versions did not note it
    with pytest.raises(ConfigurationError) as caught:
        fit_to_table(columns, {"a": StoredColumn(TEXT, held)})
    assert str(caught.value) == (
        f"the column 'a' of {header!r} holds {held!r} already; name another column through metadata, leave {header!r} "
        "out, or load the report anew with refresh='drop_resources'."
    )


def test_a_column_beside_is_shared_by_stripes_own_headers_alone() -> None:
    at = [column("at", "timestamptz")]
    for beside, name in (
        (StoredColumn(TIMESTAMPTZ, "at_utc"), "at_utc"),
        (StoredColumn(TIMESTAMPTZ, "at"), "at_utc"),
        (StoredColumn(TEXT, "at_utc"), column_name("at utc")),
        (StoredColumn(TIMESTAMPTZ, "payment_metadata[at]"), column_name("at utc")),
    ):
        [found] = fit_to_table(at, {**stored(at=TIMESTAMP), "at_utc": beside}, documented=["at"])
        assert found.name == name


@pytest.mark.parametrize(
    ("header", "readable"),
    [
        ("payment_metadata[orderId]", "payment_metadata_order_id"),
        ("payment_metadata[HTTPCode2Go]", "payment_metadata_httpcode2_go"),
        ("payment_metadata[ --x.Y-- ]", "payment_metadata_x_y"),
        ("payment_metadata[日本]", "payment_metadata"),
        ("日本", "column"),
        ("2nd Column", "column_2nd_column"),
        ("Net", "net"),
        ("payment_metadata_order_id", "payment_metadata_order_id"),
        ("a_0123abcd", "a_0123abcd"),
        ("payment_metadata[" + "k" * 40 + "]", None),
        ("x" * 80, "x" * 54),
        ("tax_transaction_metadata[" + "AbcD" * 10 + "]", "tax_transaction_metadata_abc_dabc_dabc_dabc_dabc_dabc"),
    ],
)
def test_hashed_names_word_for_word(header: str, readable: str | None) -> None:
    digest = hashlib.sha256(header.encode()).hexdigest()[:8]
    expected = "payment_metadata_" + "k" * 40 if readable is None else f"{readable}_{digest}"
    assert column_name(header) == expected


def test_names_of_headers() -> None:
    assert split_metadata("payment_metadata[a]b]") == ("payment_metadata", "a]b")
    assert split_metadata("payment_metadata[]") is None
    assert split_metadata("payment_metadata[" + "a" * 41 + "]") is None
    assert column_name("a_0123abcd", known=True) == "a_0123abcd"
    assert is_normal("a" * 63)
    assert not is_normal("a" * 64)


def test_table_columns_word_for_word() -> None:
    [found] = table_columns(["payment_metadata[a]"], None, names={}, types={})
    assert found == TableColumn(
        "payment_metadata[a]", "payment_metadata_a", TEXT, "Stripe's column payment_metadata[a]"
    )
    known = load_catalog().get("payouts.itemized.3")
    assert known is not None
    [net] = table_columns(["net"], known, names={}, types={"net": TEXT})
    assert (net.type, net.description) == (TEXT, known.column("net").description)  # type: ignore[union-attr]
    with pytest.raises(ConfigurationError) as caught:
        table_columns(["net", "m[a]"], None, names={"m[a]": "net"}, types={})
    assert str(caught.value) == (
        "metadata name 'net' for 'm[a]' is also the name of the column 'net'; choose another name."
    )
    with pytest.raises(ConfigurationError) as caught:
        table_columns(["m[a]"], None, names={"m[a]": "_account"}, types={})
    assert str(caught.value) == (
        "metadata name '_account' for 'm[a]' is also the name of a column that this package adds; choose another name."
    )
