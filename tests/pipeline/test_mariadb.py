"""dlt's `sqlalchemy`: MariaDB exact and atomic, databases that change values refused. Needs `mariadbd`."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt import Pipeline

from stripe_reports_source import ConfigurationError, Report, load_reports
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.marts import read_mart
from stripe_reports_source.warehouse.destinations import check_destination
from tests.conftest import query, source_of
from tests.pipeline.test_locked_tables import passes
from tests.pipeline.test_roundtrip import COLUMNS, NAMES, TYPES, serve
from tests.pipeline.truth import assert_true
from tests.pipeline.ways import WAYS, posts, refusal

sqlalchemy = pytest.importorskip("sqlalchemy")
pytest.importorskip("pymysql")

MARIADB = pytest.mark.parametrize("destination", ["mariadb"], indirect=True)
REPORTS = ["balance.summary", "balance_change_from_activity.itemized", "payout_reconciliation.itemized"]


@MARIADB
def test_syncs_end_in_the_truth_and_reports_agree(emulator: Emulator, make_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = make_pipeline()
    for days in (0, 1):
        emulator.advance(emulator.settings.available_end + timedelta(days=days))
        loaded = load_reports(pipeline, source_of(emulator, REPORTS))
        assert loaded.reconciliation is not None
        assert loaded.reconciliation.ok
        assert_true(emulator, pipeline, REPORTS, end=emulator.service.available_end)
    asked = posts(emulator)
    assert load_reports(make_pipeline(folder="elsewhere"), source_of(emulator, REPORTS)).cells == 0
    assert posts(emulator) == asked
    [(characters, collation)] = query(
        pipeline,
        "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata "
        "WHERE schema_name = database()",
    )
    assert (characters, collation) == ("utf8mb4", "utf8mb4_bin")


@MARIADB
def test_every_value_comes_back(emulator: Emulator, pipeline: Pipeline) -> None:
    instant = datetime(2025, 10, 26, 0, 30, tzinfo=timezone.utc)
    long = Decimal("12345678901234567890123456789.123456789")
    rate = Decimal("-99999999999999999999.999999999999999999")
    rows: list[tuple[Any, ...]] = [
        ("a'b\\\"\r\n%s", long, rate, datetime(2025, 10, 26, 2, 30), instant, True, 2**63 - 1, instant.date(), "日💶"),
        ("", Decimal("1234567890123456.78"), Decimal(0), None, None, False, -(2**63), None, ""),
        (None, None, None, None, None, None, None, None, None),
        (" x ", long.copy_negate(), rate.copy_negate(), None, None, None, 0, None, "É"),
    ]
    serve(emulator)(COLUMNS, rows)
    report = Report("payouts.itemized", columns="default", types=TYPES)
    load_reports(pipeline, source_of(emulator, [report], start_date="2025-01-01", end_date="2025-02-01"))
    listed = ", ".join(f'"{name}"' for name in NAMES)
    stored = [(*row[:4], row[4] and instant.replace(tzinfo=None), *row[5:]) for row in rows]
    assert Counter(query(pipeline, f"SELECT {listed} FROM payouts_itemized")) == Counter(stored)


@MARIADB
@pytest.mark.first(1)
@pytest.mark.parametrize("table", ["payouts_summary", "report_cells"])
def test_a_merge_that_fails_half_way_leaves_the_rows_as_they_were_and_quotes_none(
    emulator: Emulator, pipeline: Pipeline, table: str
) -> None:
    window = {"start_date": "2025-01-01", "end_date": "2025-03-01"}
    load_reports(pipeline, source_of(emulator, ["payouts.summary"], **window))
    before = query(pipeline, f"SELECT * FROM {table} ORDER BY 1, 2, 3")
    assert before
    query(pipeline, f"ALTER TABLE {table} ADD COLUMN refused INT NOT NULL")  # not what the merge inserts
    with pytest.raises(Exception, match="refused") as caught:
        load_reports(pipeline, source_of(emulator, ["payouts.summary"], **window))
    assert "[parameters:" not in str(caught.value)
    query(pipeline, f"ALTER TABLE {table} DROP COLUMN refused")
    assert query(pipeline, f"SELECT * FROM {table} ORDER BY 1, 2, 3") == before


@contextmanager
def altered(pipeline: Pipeline, change: str, back: str) -> Iterator[None]:
    with pipeline.sql_client() as client:
        client.execute_sql(change)
    try:
        yield
    finally:
        with pipeline.sql_client() as client:
            client.execute_sql(back)


@MARIADB
@pytest.mark.parametrize("how", ["CHARACTER SET latin1", "CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"])
@WAYS
def test_a_database_that_does_not_keep_all_texts_apart_is_refused_before_a_run(
    emulator: Emulator, pipeline: Pipeline, how: str, way: str
) -> None:
    name = pipeline.dataset_name
    with altered(pipeline, f"CREATE DATABASE {name} {how}", f"DROP DATABASE {name}"):
        error = refusal(pipeline, source_of(emulator, ["payouts.itemized"]), way)
    assert f"the database {name!r} has the character set" in str(error)
    assert not posts(emulator)


@MARIADB
def test_a_server_that_cuts_values_is_refused_before_a_run(emulator: Emulator, pipeline: Pipeline) -> None:
    strict = "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION"
    with altered(pipeline, "SET GLOBAL sql_mode = ''", f"SET GLOBAL sql_mode = '{strict}'"):
        error = refusal(pipeline, source_of(emulator, ["payouts.itemized"]), "load_reports")
    assert "sql_mode '', in which values that do not fit are cut" in str(error)
    assert not posts(emulator)


@WAYS
def test_sqlite_which_rounds_amounts_is_refused_before_a_run(emulator: Emulator, tmp_path: Path, way: str) -> None:
    destination = dlt.destinations.sqlalchemy(f"sqlite:///{tmp_path}/reports.db")
    pipeline = dlt.pipeline("rounds", destination=destination, dataset_name="stripe", pipelines_dir=str(tmp_path))
    error = refusal(pipeline, source_of(emulator, ["payouts.itemized"]), way)
    assert isinstance(error, ConfigurationError)
    assert "'sqlite' stores amounts as floating point numbers, which rounds long ones; use duckdb" in str(error)
    assert not posts(emulator)


def test_databases_that_are_not_tested_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("psycopg2")
    destination = dlt.destinations.sqlalchemy("postgresql+psycopg2://loader@localhost/stripe")
    with caplog.at_level(logging.WARNING):
        check_destination(dlt.pipeline("other", destination=destination, pipelines_dir=str(tmp_path)))
    assert "destination 'sqlalchemy' with 'postgresql' is not tested" in caplog.text


def test_marts_need_instants_with_a_zone(tmp_path: Path) -> None:
    destination = dlt.destinations.sqlalchemy("mysql+pymysql://nobody@localhost/none")
    pipeline = dlt.pipeline("maria", str(tmp_path), destination=destination, dataset_name="stripe")
    with pytest.raises(ConfigurationError, match="'sqlalchemy' has no instants with a time zone"):
        read_mart(pipeline, "stripe_fees")


@MARIADB
def test_an_error_that_passes_is_told_from_a_query_that_does_not_fit(
    emulator: Emulator, pipeline: Pipeline, mariadb: str
) -> None:
    load_reports(pipeline, source_of(emulator, ["balance.summary"]))
    with pipeline.sql_client() as client:
        table = client.make_qualified_table_name("report_cells")
        assert not passes(client, f"SELECT account, other FROM {table}")
        assert not passes(client, f"SELECT no_such_function(account) FROM {table}")
        assert not passes(client, f"SELECT account FROM {table} WHERE")
        client.execute_sql("SET lock_wait_timeout = 1")
        with sqlalchemy.create_engine(mariadb).connect() as other:
            other.execute(sqlalchemy.text(f"LOCK TABLES {table} WRITE"))
            assert passes(client, f"SELECT account FROM {table}")
