"""dlt's `sqlalchemy`: which databases behind it keep every value, and MySQL and MariaDB so set up that they do.

In: a pipeline. Out: nothing, or a refusal before a report is run; and a base for its client. Instants are stored in UTC
without a zone, which the types of these databases do not have.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from dlt import Pipeline
from dlt.common.configuration.exceptions import ConfigurationException

from ..errors import ConfigurationError
from .repeatable import RepeatableClient

logger = logging.getLogger(__name__)

SERVERS = ("mysql", "mariadb")
LOSSY = {
    "sqlite": "stores amounts as floating point numbers, which rounds long ones",
    "oracle": "takes an empty text for a missing one",
}
STRICT_MODES = {"STRICT_TRANS_TABLES", "STRICT_ALL_TABLES"}
"""Without one of them a value that does not fit is cut, with a warning that nobody sees."""
CHARACTERS = "utf8mb4"


def dialect_of(pipeline: Pipeline) -> str:
    """SQLAlchemy's word for the database, such as `mysql`; "" where the settings do not say it yet."""
    config = _config(pipeline)
    return "" if config is None else str(config.get_backend_name() or "")


def check_dialect(pipeline: Pipeline) -> None:
    """Refuse a database that changes values without a word; warn of one that is not tested.

    Raises:
        ConfigurationError: names the database and some that work.
    """
    dialect = dialect_of(pipeline)
    if dialect in LOSSY:
        raise ConfigurationError(
            f"destination 'sqlalchemy' with {dialect!r} {LOSSY[dialect]}; use duckdb (a file as well), postgres or "
            "sqlalchemy with MariaDB."
        )
    if dialect and dialect not in SERVERS:
        logger.warning(
            "destination 'sqlalchemy' with %r is not tested; whether it keeps amounts of 38 digits, empty text and "
            "transactions as they are is not known.",
            dialect,
        )


def check_server(pipeline: Pipeline) -> None:
    """Refuse a MySQL or MariaDB server, or a dataset there, that cannot keep every text or tell all keys apart.

    Raises:
        ConfigurationError: names the setting and what it must be.
    """
    if dialect_of(pipeline) not in SERVERS:
        return
    with pipeline.sql_client() as client:
        [(modes,)] = client.execute_sql("SELECT @@sql_mode") or ()
        rows = client.execute_sql(
            "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata "
            "WHERE schema_name = %s",
            client.dataset_name,
        )
    if not STRICT_MODES & set(str(modes).split(",")):
        raise ConfigurationError(
            f"the server has sql_mode {str(modes)!r}, in which values that do not fit are cut; set STRICT_TRANS_TABLES."
        )
    for characters, collation in rows or ():
        if characters != CHARACTERS or not str(collation).endswith("_bin"):
            raise ConfigurationError(
                f"the database {client.dataset_name!r} has the character set {characters} and the collation "
                f"{collation}, which does not keep all texts and accounts apart; set {CHARACTERS} and {CHARACTERS}_bin "
                "(ALTER DATABASE), or give another dataset_name, and it is made so."
            )


def engine_settings(pipeline: Pipeline) -> dict[str, Any]:
    """Settings of SQLAlchemy's engine: the user's, and errors that do not quote rows."""
    config = _config(pipeline)
    return {} if config is None else {"engine_kwargs": {"hide_parameters": True, **(config.engine_kwargs or {})}}


def _config(pipeline: Pipeline) -> Any:
    """dlt's; None where a setting or a driver is missing: whoever loads says so."""
    try:
        return pipeline.destination_client().config
    except (ConfigurationException, ImportError):
        return None


class ServerClient(RepeatableClient):
    """Makes datasets that keep every text and tell all keys apart, whatever is the server's default."""

    def initialize_storage(self, truncate_tables: Iterable[str] | None = None) -> None:
        client: Any = self.sql_client
        if client.dialect_name in SERVERS and not self.is_storage_initialized():
            name = client.escape_column_name(client.dataset_name)
            client.execute_sql(
                f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET {CHARACTERS} COLLATE {CHARACTERS}_bin"
            )
        super().initialize_storage(truncate_tables)
