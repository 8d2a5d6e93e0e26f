"""Which errors of a database say that a query does not fit its tables, and which pass again.

In: what dlt makes of a database's error. Out: the error anew, where it tells nothing of the tables: they are locked, or
there is no memory, connection or permission for the question. Whoever goes on without an answer would say something of
the tables that is not so.
"""

from __future__ import annotations

from typing import Any

from dlt.destinations.exceptions import DatabaseException

_UNFIT = {"ProgrammingError", "DataError", "NotSupportedError"}
"""PEP 249's classes for a query that would fail at another time too."""
_UNFIT_STATES = ("42", "22", "0A")
"""The same in PostgreSQL, as classes of SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html"""
_NO_PERMISSION = "42501"
_UNFIT_NUMBERS = (1054, 1064, 1305)
"""The same in MySQL and MariaDB: no such column, syntax, no such function. https://mariadb.com/kb/en/mariadb-error-codes/"""


def raise_passing(error: DatabaseException) -> None:
    """Raise an error that passes again; to be called where it is handled.

    An error of a driver that is not known here does not count as passing.
    """
    drivers = error.dbapi_exception
    if _is_passing(getattr(drivers, "orig", drivers)):  # `orig` is SQLAlchemy's
        raise error


def _is_passing(error: Any) -> bool:
    """`error` is the driver's."""
    driver = type(error).__module__.partition(".")[0].lstrip("_")
    if driver == "duckdb":
        return _UNFIT.isdisjoint(each.__name__ for each in type(error).__mro__)
    if driver == "psycopg2":
        state = str(error.pgcode or "")
        return state == _NO_PERMISSION or not state.startswith(_UNFIT_STATES)
    if driver == "pymysql":
        return not error.args or error.args[0] not in _UNFIT_NUMBERS
    return False
