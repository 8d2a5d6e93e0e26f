"""Errors of databases without the rows and values that they quote.

In: a job that loads rows. Out: the same, whose errors say what is wrong, and of which column, and show the form of a
value only. dlt writes an error, and all that it came from, into its log, its trace and its working folder.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from dlt.common.destination.client import RunnableLoadJob
from dlt.destinations.exceptions import DatabaseException

from ..plan.value_form import value_form

_DRIVERS = ("adbc_driver_manager", "duckdb", "psycopg2", "pymysql", "sqlalchemy")
_NAMES_ALONE = ("23", "53", "57", "58000", "58030")
"""PostgreSQL's errors whose first sentence quotes names alone, of constraints and files: a row stands in what follows.

By code or class. Not so 54, which quotes a word that is too long, and 58P01, a file whose name may be a value.
"""
_LOOKED_UP = ("3F", "42")
"""Classes that quote what was not found: a name of a statement, or a value that is cast to a name."""
_SYNTAX_ERROR = "42601"
"""It quotes any part of a statement."""
_OWN_STATEMENT = re.compile(
    r"PL/pgSQL function .* at (SQL statement|PERFORM|assignment)|SQL function .* during (startup|inlining)"
)
"""Where a trigger has a statement of its own; those that it makes up may have values for names."""
_MARKS = str.maketrans(dict.fromkeys("«»„“”", '"'))
"""Other languages' quotation marks, which a server may be set to."""
_APOSTROPHE = re.compile(r"(?<=[a-z]{2})'(?=[st]\b)")
"""As in "can't": it ends no value and begins none."""


def quote_no_values(job: RunnableLoadJob) -> None:
    """From now on, a job's errors hold no value of a row."""
    run = job.run
    table: Any = job._load_table
    names = {job.load_table_name, *table["columns"]}

    def quietly() -> None:
        try:
            run()
            return
        except Exception as error:
            shown = without_values(error, names)
            if shown is error:
                raise
            shown = shown.with_traceback(error.__traceback__)
        raise shown  # not while the error is handled: dlt writes down what an error came from, also `from None`

    job.run = quietly  # type: ignore[method-assign]


def without_values(error: Exception, names: Collection[str]) -> Exception:
    """An error of the same class, of dlt's or of a driver's, in which values have their form only.

    Args:
        error: that a statement has ended with; one that is not of a database is returned as it is.
        names: of the table and its columns, which may be shown.
    """
    if isinstance(error, DatabaseException):
        of_driver = without_values(error.dbapi_exception, names)
        made: Exception = type(error)(of_driver)
        made.__cause__ = of_driver  # as dlt raises it
        return made
    if type(error).__module__.partition(".")[0].lstrip("_") not in _DRIVERS:
        return error
    driver: Any = getattr(error, "orig", None) or error  # `orig` is SQLAlchemy's
    said = _first_sentence(driver)
    return _anew(driver, said if _quotes_names_alone(driver) else in_form(said, names))


def _quotes_names_alone(driver: Any) -> bool:
    """True for an error of PostgreSQL's whose first sentence quotes no value."""
    code, diag = getattr(driver, "pgcode", None) or "", getattr(driver, "diag", None)
    if getattr(diag, "source_function", None) == "exec_stmt_raise":
        return False  # the sentence, and maybe the code, are those of someone's trigger
    if not code.startswith(_LOOKED_UP):
        return code.startswith(_NAMES_ALONE)
    if code == _SYNTAX_ERROR:
        return False
    if getattr(diag, "statement_position", None):
        return True  # the statement is dlt's or ours
    within = str(getattr(diag, "context", None) or "").partition("\n")[0]
    return bool(getattr(diag, "internal_position", None)) and _OWN_STATEMENT.fullmatch(within) is not None


def in_form(text: str, names: Collection[str]) -> str:
    """The first line of a text, in which all that is quoted and not a name has its form only.

    A value may hold quotes itself: what is hidden reaches to the last one of its kind.
    """
    line = _APOSTROPHE.sub("\u2019", (text.splitlines() or [""])[0].translate(_MARKS))
    known = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    quoted = re.compile(rf"""(["'])(?:{known})\1|(["'])(?P<value>.*)\2|["'](?P<open>.*)$""")

    def shown(match: re.Match[str]) -> str:
        value = match["value"] if match["value"] is not None else match["open"]
        return match[0] if value is None else value_form(value.replace("\u2019", "'"))

    return quoted.sub(shown, line).replace("\u2019", "'")


def _first_sentence(driver: Any) -> str:
    """What is wrong, without the row and the statement that follow."""
    primary = getattr(getattr(driver, "diag", None), "message_primary", None)  # psycopg2's
    said = primary or (driver.args[-1] if driver.args else "")
    return (str(said).splitlines() or [""])[0]


def _anew(driver: Any, text: str) -> Exception:
    """An error of a driver's with another text; by its codes, it is told what to do about it."""
    kind = type(driver)
    if hasattr(driver, "pgcode"):
        made = kind(text)
        made.__setstate__({"pgerror": text, "pgcode": driver.pgcode})
        return made  # type: ignore[no-any-return]
    if hasattr(driver, "sqlstate"):  # ADBC's
        return kind(text, status_code=driver.status_code, vendor_code=driver.vendor_code, sqlstate=driver.sqlstate)  # type: ignore[no-any-return]
    return kind(*driver.args[:-1], text)  # type: ignore[no-any-return]
