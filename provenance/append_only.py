"""The database itself refuses to change or remove a log entry, whatever code or console tries it."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

TABLE = "provenance_logentry"
MESSAGE = "log entries are append-only"

_SQLITE = {
    f"{TABLE}_no_update": f"CREATE TRIGGER {TABLE}_no_update BEFORE UPDATE ON {TABLE} "
    f"BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END",
    f"{TABLE}_no_delete": f"CREATE TRIGGER {TABLE}_no_delete BEFORE DELETE ON {TABLE} "
    f"BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END",
    # INSERT OR REPLACE deletes the old row without firing its delete trigger.
    f"{TABLE}_no_replace": f"CREATE TRIGGER {TABLE}_no_replace BEFORE INSERT ON {TABLE} "  # noqa: S608  # only our own constants
    f'WHEN EXISTS (SELECT 1 FROM {TABLE} WHERE "index" = NEW."index" OR fact = NEW.fact) '
    f"BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END",
}
_POSTGRESQL_FUNCTION = (
    f"CREATE OR REPLACE FUNCTION {TABLE}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN RAISE EXCEPTION '{MESSAGE}'; END $$"
)
_POSTGRESQL = {
    f"{TABLE}_no_change": f"CREATE TRIGGER {TABLE}_no_change BEFORE UPDATE OR DELETE ON {TABLE} "
    f"FOR EACH ROW EXECUTE FUNCTION {TABLE}_refuse()",
    f"{TABLE}_no_truncate": f"CREATE TRIGGER {TABLE}_no_truncate BEFORE TRUNCATE ON {TABLE} "
    f"FOR EACH STATEMENT EXECUTE FUNCTION {TABLE}_refuse()",
}


def installing(vendor: str) -> tuple[str, ...]:
    """Return the statements that install the triggers on a database of `vendor`."""
    match vendor:
        case "sqlite":
            return tuple(_SQLITE.values())
        case "postgresql":
            return (_POSTGRESQL_FUNCTION, *_POSTGRESQL.values())
        case _:
            raise ValueError(f"The log's append-only triggers are written for SQLite and PostgreSQL, not {vendor}.")


def removing(vendor: str) -> tuple[str, ...]:
    """Return the statements that remove the triggers; nothing but migrations backwards and test clean-up uses them."""
    match vendor:
        case "sqlite":
            return tuple(f"DROP TRIGGER IF EXISTS {name}" for name in _SQLITE)
        case "postgresql":
            return tuple(f"DROP TRIGGER IF EXISTS {name} ON {TABLE}" for name in _POSTGRESQL)
        case _:
            raise ValueError(f"The log's append-only triggers are written for SQLite and PostgreSQL, not {vendor}.")


def install(connection: BaseDatabaseWrapper) -> None:
    """Install the triggers through `connection`."""
    with connection.cursor() as cursor:
        for statement in installing(connection.vendor):
            cursor.execute(statement)


def remove(connection: BaseDatabaseWrapper) -> None:
    """Remove the triggers through `connection`."""
    with connection.cursor() as cursor:
        for statement in removing(connection.vendor):
            cursor.execute(statement)
