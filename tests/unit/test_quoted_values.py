"""What an error of a database says of a customer's value is its form."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from dlt.destinations.exceptions import DatabaseTerminalException

from stripe_reports_source.warehouse.quoted_values import in_form, without_values

NAMES = ("payouts", "net", "customer_name")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ('null value in column "net" of relation "payouts"', 'null value in column "net" of relation "payouts"'),
        ('invalid input syntax for type integer: "Jenny 7"', "invalid input syntax for type integer: 'Aaaaa 9'"),
        ("Could not convert string 'O'Hara' to INT32", 'Could not convert string "A\'Aaaa" to INT32'),
        ('invalid input: "Jenny\nRosen"', "invalid input: 'Aaaaa'"),
        ("Type DOUBLE with value 1e+20 can't be cast to INT32", "Type DOUBLE with value 1e+20 can't be cast to INT32"),
        ("value '[Jenny' can't be cast to INTEGER[]", "value '[Aaaaa' can't be cast to INTEGER[]"),
        ("value 'I can't' doesn't fit", "value \"A aaa'a\" doesn't fit"),
        ("value 'I can't\nsay' doesn't fit", 'value "A aaa\'a"'),
        ("value 't Jenny", "value 'a Aaaaa'"),
        ("Eingabesyntax für Typ integer: »Jenny«", "Eingabesyntax für Typ integer: 'Aaaaa'"),
        ("Spalte »net«, Wert „Jenny“", "Spalte \"net\", Wert 'Aaaaa'"),
        ("column 'net' has 'Jenny', not 'net'", "column 'net' has \"Aaaaa', aaa 'aaa\""),
        ("net", "net"),
        ("", ""),
    ],
)
def test_what_is_quoted_and_not_a_name_has_its_form_only(said: str, shown: str) -> None:
    assert in_form(said, NAMES) == shown


def test_an_error_keeps_its_class_and_code_and_loses_its_rows() -> None:
    psycopg2: Any = pytest.importorskip("psycopg2")
    refused = psycopg2.errors.lookup("22P02")('invalid: "Jenny"\nDETAIL: Failing row contains (Jenny)')
    refused.__setstate__({"pgcode": "22P02", "pgerror": "Jenny"})
    shown: Any = without_values(DatabaseTerminalException(refused), NAMES)
    assert (type(shown), type(shown.dbapi_exception), shown.dbapi_exception.pgcode) == (
        DatabaseTerminalException,
        type(refused),
        "22P02",
    )
    assert str(shown) == "invalid: 'Aaaaa'"
    assert shown.dbapi_exception.pgerror == "invalid: 'Aaaaa'"


def test_errors_of_other_kinds_stay_as_they_are() -> None:
    error = ValueError("Jenny")
    assert without_values(error, NAMES) is error
    assert str(without_values(duckdb.ConversionException("Jenny\n\nLINE 1"), NAMES)) == "Jenny"
