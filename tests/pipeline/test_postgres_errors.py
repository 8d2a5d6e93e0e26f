"""What is shown of an error of a trigger of the user's own: names that its statements have, and no value of a row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from stripe_reports_source.warehouse.quoted_values import without_values

LANGUAGE = "LANGUAGE plpgsql AS"
MADE = f"""
CREATE SCHEMA quoting;
SET search_path = quoting;
SET check_function_bodies = off;
CREATE TABLE report (payout text);
CREATE FUNCTION found(name text) RETURNS text LANGUAGE sql AS $$ SELECT nothing FROM audit.report $$;
CREATE FUNCTION made_up(name text) RETURNS SETOF int {LANGUAGE}
  $$ BEGIN RETURN QUERY EXECUTE 'SELECT 1 FROM ' || name; END $$;
CREATE FUNCTION opened(name text) RETURNS int {LANGUAGE}
  $$ DECLARE one refcursor; BEGIN OPEN one FOR EXECUTE 'SELECT 1 FROM ' || name; RETURN 1; END $$;
"""
NAMES = {
    "INSERT INTO audit.payout_log VALUES (NEW.payout)": 'relation "audit.payout_log" does not exist',
    "INSERT INTO report (pay_out) VALUES (NEW.payout)": 'column "pay_out" of relation "report" does not exist',
    "PERFORM audit.noted(NEW.payout)": 'schema "audit" does not exist',
    "PERFORM noted(NEW.payout)": "function noted(text) does not exist",
    "PERFORM found(NEW.payout)": 'relation "audit.report" does not exist',
}
VALUES = (
    "PERFORM NEW.payout::int",
    "PERFORM NEW.payout::regclass",
    "PERFORM NEW.payout::regtype",
    "PERFORM NEW.payout::regnamespace",
    "PERFORM has_column_privilege('report', NEW.payout, 'select')",
    "PERFORM set_config(NEW.payout, '1', true)",
    "PERFORM pg_database_size(NEW.payout::name)",
    "PERFORM pg_read_file(NEW.payout)",
    "PERFORM query_to_xml('SELECT 1 FROM ' || NEW.payout, true, true, '')",
    "PERFORM made_up(NEW.payout)",
    "PERFORM opened(NEW.payout)",
    "EXECUTE 'INSERT INTO ' || NEW.payout || ' VALUES (1)'",
    "EXECUTE 'SELECT ' || quote_literal(NEW.payout) || ' ' || quote_literal(NEW.payout)",
    "RAISE EXCEPTION 'no %', quote_literal(NEW.payout)",
    "RAISE EXCEPTION 'no %', quote_literal(NEW.payout) USING ERRCODE = 'unique_violation'",
)


@pytest.fixture(scope="module")
def cursor(postgres: str) -> Iterator[Any]:
    connection = psycopg2.connect(postgres)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(MADE)
        yield cursor
        cursor.execute("DROP SCHEMA quoting CASCADE")
    connection.close()


def shown(cursor: Any, statement: str) -> str:
    """What is said where a trigger's statement ends with an error."""
    cursor.execute(
        f"CREATE OR REPLACE FUNCTION noting() RETURNS trigger {LANGUAGE} $$ BEGIN {statement}; RETURN NEW; END $$;"
        "CREATE OR REPLACE TRIGGER noting BEFORE INSERT ON report FOR EACH ROW EXECUTE FUNCTION noting()"
    )
    with pytest.raises(psycopg2.Error) as caught:
        cursor.execute("INSERT INTO report VALUES ('jenny')")
    return str(without_values(caught.value, ("payout",)))


@pytest.mark.parametrize("statement", NAMES)
def test_a_name_that_was_not_found_is_said(cursor: Any, statement: str) -> None:
    assert shown(cursor, statement) == NAMES[statement]


@pytest.mark.parametrize("statement", VALUES)
def test_a_value_has_its_form_only(cursor: Any, statement: str) -> None:
    said = shown(cursor, statement)
    assert "jenny" not in said
    assert "aaaaa" in said
