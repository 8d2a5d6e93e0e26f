"""A table's columns keep type and header, whoever has made them: a source, a clone of it, another pipeline."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt import Pipeline
from dlt.extract import DltSource

from stripe_reports_source import ConfigurationError, Report, load_reports, stripe_reports
from stripe_reports_source.emulator import Emulator
from tests.conftest import BOTH, query, source_of
from tests.pipeline.ways import FIRST_OF_WAYS, WAYS, load, posts, refusal

Make = Callable[..., Emulator]
ACTIVITY, TABLE = "balance_change_from_activity.itemized", "balance_change_from_activity_itemized"
SETTLED, SETTLED_TABLE = "payout_reconciliation.itemized", "payout_reconciliation_itemized"
SOME = ["balance_transaction_id", "currency", "gross", "fee", "net"]
KEY, OTHER_KEY = "payment_metadata[order_id]", "payment_metadata[orderId]"
AT = "automatic_payout_effective_at"


@pytest.fixture
def start(start_emulator: Make) -> Make:
    """Emulators of two accounts, with little data."""
    return lambda **settings: start_emulator(
        scale=0.05, available_end=datetime(2025, 2, 10, 12, tzinfo=timezone.utc), **settings
    )


def advance(emulator: Emulator) -> None:
    emulator.advance(emulator.service.available_end + timedelta(days=1))


def clone_of(name: str, emulator: Emulator, reports: Any, **settings: Any) -> DltSource:
    clone: Any = stripe_reports.clone(name=name)
    made: DltSource = clone(
        reports,
        account=name,
        api_key=emulator.settings.live_keys[0],
        api_base_url=emulator.api_url,
        files_base_url=emulator.files_url,
        **settings,
    )
    return made


def activity(types: dict[str, str] | None = None, metadata: Any = (KEY,), columns: Any = SOME) -> Report:
    return Report(ACTIVITY, columns=columns, metadata=metadata, types=types, lookback_days=0)


def types_of(pipeline: Pipeline, table: str, like: str) -> dict[str, str]:
    found = query(pipeline, "SELECT column_name, type FROM report_columns WHERE table_name = %s", table)
    real = query(
        pipeline,
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s AND table_schema = %s",
        table,
        pipeline.dataset_name,
    )
    assert {name for name, _ in real} == {name for name, _ in found}
    return {name: type_.lower() for name, type_ in real if name.startswith(like)}


@pytest.mark.first(1)
@BOTH
@pytest.mark.parametrize("order", [("us", "eu"), pytest.param(("eu", "us"), marks=pytest.mark.long)], ids="-".join)
def test_clones_whose_versions_disagree_on_a_type(start: Make, pipeline: Pipeline, order: tuple[str, str]) -> None:
    """In version 3 the column is UTC, in version 5 it is in the report's zone: in later syncs, too."""
    offered = [f"{SETTLED}.3", "balance.summary.2"], [f"{SETTLED}.5", "balance.summary.2"]
    us, eu = start(offered=tuple(offered[0])), start(offered=tuple(offered[1]), seed=8)
    reports = [SETTLED, "balance.summary"]
    for _ in range(2):
        for name in order:
            emulator, zone = (us, "UTC") if name == "us" else (eu, "Europe/Berlin")
            loaded = load_reports(pipeline, clone_of(name, emulator, reports, timezone=zone))
            assert loaded.reconciliation is not None
            assert loaded.reconciliation.ok
            advance(emulator)
    local = f"{AT}_local" if order[0] == "us" else AT
    types = types_of(pipeline, SETTLED_TABLE, AT)
    assert types[local].endswith("without time zone") or types[local] == "timestamp"
    assert types[f"{AT}_utc"] == "timestamp with time zone"
    wrong = f"{local} <> {AT}_utc AT TIME ZONE 'Europe/Berlin'"
    found = query(
        pipeline,
        f"SELECT count({local}), count({AT}_utc), sum(CASE WHEN {wrong} THEN 1 ELSE 0 END) "
        f"FROM {SETTLED_TABLE} WHERE _account = 'eu'",
    )
    assert found[0][0] == found[0][1] > 0
    assert found[0][2] == 0
    of_us = AT if order[0] == "us" else f"{AT}_utc"
    counts = f"SELECT count(*), count({of_us}), count({local}) FROM {SETTLED_TABLE} WHERE _account = 'us'"
    [(rows, in_utc, in_local)] = query(pipeline, counts)
    assert (in_utc, in_local) == (rows, 0)


@pytest.mark.long
def test_clones_in_one_run(start: Make, pipeline: Pipeline) -> None:
    """The second is extracted before anything of the first is stored."""
    us, eu = start(offered=(f"{SETTLED}.3",)), start(offered=(f"{SETTLED}.5",), seed=8)
    pipeline.run([clone_of("us", us, [SETTLED]), clone_of("eu", eu, [SETTLED], timezone="Europe/Berlin")])
    assert sorted(types_of(pipeline, SETTLED_TABLE, AT)) == [AT, f"{AT}_utc"]  # dlt takes eu first
    counts = f"SELECT count(*) > 0, count({AT}), count(*) - count({AT}_utc) FROM {SETTLED_TABLE} WHERE _account = 'us'"
    assert query(pipeline, counts) == [(True, 0, 0)]


TYPES = {
    "to text": ({KEY: "decimal(38,2)"}, None, "to be text", "holds decimal(38,2)"),
    "to a type": (None, {KEY: "bigint"}, "to be bigint", "holds text"),
    "to another type": ({KEY: "bigint"}, {KEY: "decimal(38,9)"}, "to be decimal(38,9)", "holds bigint"),
}


@pytest.mark.first(3)
@pytest.mark.parametrize("second", ["clone", "pipeline"])
@pytest.mark.parametrize("case", TYPES)
@WAYS
@BOTH
def test_a_type_that_another_has_not_set_is_refused(
    start: Make, make_pipeline: Callable[..., Pipeline], way: str, case: str, second: str
) -> None:
    first_types, types, wanted, held = TYPES[case]
    us, eu = start(), start(seed=8)
    first = make_pipeline("us")
    none = "payment_metadata[of_nobody]"  # which is empty, and fits every type
    swapped = [None if chosen is None else {none: chosen[KEY]} for chosen in (first_types, types)]
    load(first, clone_of("us", us, [activity(swapped[0], [none])]), "load_reports")
    pipeline = first if second == "clone" else make_pipeline("eu", folder="elsewhere")
    make = clone_of if second == "clone" else lambda name, *given: source_of(*given, account=name)
    runs = posts(eu)
    for _ in range(2):
        error = refusal(pipeline, make("eu", eu, [activity(swapped[1], [none])]), way)
        assert isinstance(error, ConfigurationError)
        assert str(error).startswith(f"types: {none!r} is {wanted}, but its column 'payment_metadata_of_nobody' {held}")
        assert str(error).endswith(
            " of another source or pipeline; set that type, or name another column through metadata."
        )
    assert posts(eu) == runs
    load(pipeline, make("eu", eu, [activity(swapped[0], [none])]), way)
    advance(us)
    load(first, clone_of("us", us, [activity(swapped[0], [none])]), way)  # which goes on
    assert query(first, f"SELECT DISTINCT _account FROM {TABLE} ORDER BY 1") == [("eu",), ("us",)]


def test_a_column_that_was_dropped_is_nobodys(start: Make, make_pipeline: Callable[..., Pipeline]) -> None:
    """The dataset's list still has it."""
    us, eu = start(), start(seed=8)
    first, other = make_pipeline("us"), make_pipeline("eu", folder="elsewhere")
    key = "payment_metadata[of_nobody]"
    load_reports(first, source_of(us, [activity({key: "bigint"}, [key])], account="us"))
    without = source_of(us, [activity(metadata=())], account="us").with_resources(TABLE)
    load(first, without, "load_reports", refresh="drop_resources")
    listed = query(first, "SELECT type FROM report_columns WHERE stripe_header = %s", key)
    load_reports(other, source_of(eu, [activity(metadata=[key])], account="eu"))
    assert listed == [("bigint",)]
    assert types_of(first, TABLE, "payment_metadata_of_nobody")["payment_metadata_of_nobody"] in ("varchar", "text")


@pytest.mark.first(1)
@pytest.mark.parametrize(
    ("before", "after", "name", "held"),
    [
        (activity(metadata={KEY: "ref"}), activity(metadata={OTHER_KEY: "ref"}), "ref", KEY),
        (activity(metadata={KEY: "description"}), activity(None, (), None), "description", KEY),
        (activity(metadata=(), columns=[*SOME, "description"]), activity(metadata={KEY: "description"}), None, None),
        (activity(metadata={OTHER_KEY: "payment_metadata_order_id"}), activity(), None, OTHER_KEY),
    ],
    ids=["another key", "a column of Stripe's", "a name that is taken", "the name that a key has by itself"],
)
@FIRST_OF_WAYS
def test_a_column_never_takes_another_header(
    start: Make, pipeline: Pipeline, way: str, before: Report, after: Report, name: str | None, held: str | None
) -> None:
    emulator = start()
    load(pipeline, source_of(emulator, [before]), way)
    advance(emulator)
    runs = posts(emulator)
    error = refusal(pipeline, source_of(emulator, [after]), way)
    assert isinstance(error, ConfigurationError)
    header = OTHER_KEY if name == "ref" else "description" if name else KEY
    named = name or ("payment_metadata_order_id" if held else "description")
    assert str(error) == (
        f"the column {named!r} of {header!r} holds {held or 'description'!r} already; name another column through "
        f"metadata, leave {header!r} out, or load the report anew with refresh='drop_resources'."
    )
    assert posts(emulator) == runs
    load(pipeline, source_of(emulator, [before]), way)
    load(pipeline, source_of(emulator, [after]), way, refresh="drop_resources")
    assert query(pipeline, "SELECT stripe_header FROM report_columns WHERE column_name = %s", named) == [(header,)]


def test_a_column_of_another_pipeline_never_takes_another_header(
    start: Make, make_pipeline: Callable[..., Pipeline]
) -> None:
    us, eu = start(), start(seed=8)
    load_reports(make_pipeline("us"), source_of(us, [activity(metadata={KEY: "ref"})], account="us"))
    reports = [activity(metadata={OTHER_KEY: "ref"})]
    with pytest.raises(
        ConfigurationError, match=r"the column 'ref' of .* holds 'payment_metadata\[order_id\]' already"
    ):
        load_reports(make_pipeline("eu", folder="elsewhere"), source_of(eu, reports, account="eu"))
    assert posts(eu) == 0


@pytest.mark.first(1)
@BOTH
def test_headers_of_stripes_versions_go_on_sharing_a_column(start: Make, pipeline: Pipeline) -> None:
    """Version 3 calls UTC what version 5 calls by another name beside the local time."""
    emulator = start()
    for version in (5, 3, 5):
        load_reports(pipeline, source_of(emulator, [f"{SETTLED}.{version}"], lookback_days=0))
        advance(emulator)
    assert sorted(types_of(pipeline, SETTLED_TABLE, AT)) == [AT, f"{AT}_utc"]
    assert query(pipeline, f"SELECT count(*) - count({AT}_utc) FROM {SETTLED_TABLE}") == [(0,)]


def test_columns_without_a_note_of_their_header_go_on(start: Make, pipeline: Pipeline) -> None:
    """Earlier versions made none."""
    emulator = start()
    reports = [activity(metadata={KEY: "ref"})]
    load_reports(pipeline, source_of(emulator, reports))
    schema = pipeline.default_schema
    for column in schema.tables[TABLE]["columns"].values():
        column.pop("x-stripe-column", None)  # type: ignore[typeddict-item]
    pipeline.schemas.save_schema(schema)
    advance(emulator)
    assert load_reports(pipeline, source_of(emulator, reports)).cells == 1
    assert sorted(types_of(pipeline, TABLE, "ref")) == ["ref"]


@pytest.mark.first(1)
@WAYS
@BOTH
def test_a_type_of_an_import_schema_is_refused(
    start: Make, make_pipeline: Callable[..., Pipeline], tmp_path: Path, way: str
) -> None:
    emulator, made = start(), make_pipeline("unused")
    schema = dlt.Schema("stripe_reports")
    gross: Any = {"name": "gross", "data_type": "decimal", "precision": 38, "scale": 2}
    schema.update_table({"name": "payouts_itemized", "columns": {"gross": gross}})
    file = tmp_path / "import" / "stripe_reports.schema.yaml"
    file.parent.mkdir()
    file.write_text(schema.to_pretty_yaml())
    pipeline = dlt.pipeline(
        "imported",
        destination=made.destination,
        dataset_name=made.dataset_name,
        pipelines_dir=str(tmp_path / "imported"),
        import_schema_path=str(file.parent),
    )
    error = refusal(pipeline, source_of(emulator, ["payouts.itemized"]), way)
    assert isinstance(error, ConfigurationError)
    assert str(error) == (
        "the import schema of 'stripe_reports' has for table 'payouts_itemized' the hint scale=2 for column 'gross', "
        "which has scale=9; take it out of that, and call pipeline.drop() (a type is set with Report(..., types=...))."
    )
    assert posts(emulator) == 0
    file.unlink()
    pipeline.drop()
    load(pipeline, source_of(emulator, ["payouts.itemized"]), way)
    advance(emulator)
    load(pipeline, source_of(emulator, ["payouts.itemized"]), way)
    assert list(types_of(pipeline, "payouts_itemized", "gross")) == ["gross"]
    assert query(pipeline, "SELECT count(*) - count(gross) FROM payouts_itemized") == [(0,)]
