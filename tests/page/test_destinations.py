"""The page of PostgreSQL says what that of DuckDB says; a database without reports has none."""

from __future__ import annotations

from pathlib import Path

import dlt
import duckdb
import pytest
from click.testing import CliRunner

from stripe_reports_source.cli import cli
from stripe_reports_source.page.make import make_page, make_record
from stripe_reports_source.warehouse.query import reading
from tests.page.conftest import BUSINESS
from tests.page.read import ReadPage
from tests.page.test_record import FEBRUARY
from tests.reconcile.worlds import Worlds

FIGURES = ("tie-outs", "roll-forward", "balance", "payouts", "income", "journal")


@pytest.mark.long
def test_the_page_of_postgres_is_that_of_duckdb(worlds: Worlds, postgres: str, tmp_path: Path) -> None:
    duck = worlds.copy(BUSINESS, tmp_path / "duck")
    (tmp_path / "postgres").mkdir()
    other = BUSINESS.load(tmp_path / "postgres", dlt.destinations.postgres(postgres))
    first, second = (ReadPage(make_page(pipeline).text) for pipeline in (duck, other))
    for section in FIGURES:
        tables = [[(table.caption, table.rows) for table in page.of(section)] for page in (first, second)]
        assert tables[0] == tables[1]
        assert tables[0]
    assert first.copied == second.copied
    records = [make_record(pipeline, FEBRUARY) for pipeline in (duck, other)]
    assert not any(record.refusal for record in records)
    for name in ("roll_forward", "payouts", "journal_lines"):
        texts = {record.files[f"2025-02_{name}.csv"] for record in records}
        assert len(texts) == 1
    with other.sql_client() as client:
        assert len(second.queries) == 5
        for sql in second.queries:
            assert client.execute_sql(sql.replace("%", "%%"))


def test_a_database_without_reports_has_no_page(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "empty.duckdb")) as connection:
        connection.execute("CREATE TABLE other (a INTEGER)")
    result = CliRunner().invoke(cli, ["page", "--database", "empty.duckdb"])
    assert result.exit_code == 4
    assert "nothing is loaded in 'stripe'; load it with `stripe-reports sync`." in result.output
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.parametrize("command", ["page", "reconcile"])
def test_a_column_that_was_renamed_by_hand_is_named(worlds: Worlds, tmp_path: Path, command: str) -> None:
    worlds.copy(BUSINESS, tmp_path / "copy")
    database = tmp_path / "copy" / "world.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute("ALTER TABLE stripe.balance_summary RENAME COLUMN net_amount TO amount")
    result = CliRunner().invoke(cli, [command, "--database", str(database), "--pipeline", "world"])
    assert result.exit_code == 4
    assert "the column net_amount was loaded and is not in its table any more" in result.output


def test_instants_are_utc_whatever_zone_the_server_speaks(postgres: str, tmp_path: Path) -> None:
    """A server answers in the zone that its database or role is set to; the page, `status` and marts say UTC."""
    address = f"{postgres}?options=-c%20TimeZone%3DAmerica%2FLos_Angeles"
    pipeline = dlt.pipeline("zone", destination=dlt.destinations.postgres(address), pipelines_dir=str(tmp_path))
    with reading(pipeline) as reader:
        assert reader.execute("SHOW timezone") == [("America/Los_Angeles",)]
        [row] = reader.execute("SELECT TIMESTAMPTZ '2025-04-11 12:00+00', TIMESTAMP '2025-04-11 12:00', 1, NULL")
    assert [str(value) for value in row] == ["2025-04-11 12:00:00+00:00", "2025-04-11 12:00:00", "1", "None"]
