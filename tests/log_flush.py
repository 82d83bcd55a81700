"""Lets the tests empty their database between tests, which the log's triggers refuse to everybody else."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db.backends.postgresql.operations import DatabaseOperations as PostgresOperations
from django.db.backends.sqlite3.operations import DatabaseOperations as SqliteOperations

from provenance import append_only


@contextmanager
def flushable_log() -> Iterator[None]:
    """Wrap Django's flush: triggers off before, on again after."""
    originals = {operations: operations.sql_flush for operations in (PostgresOperations, SqliteOperations)}
    for operations, original in originals.items():
        operations.sql_flush = _wrapped(original)
    yield
    for operations, original in originals.items():
        operations.sql_flush = original


def _wrapped(original: Any) -> Any:
    def sql_flush(self: Any, style: Any, tables: Sequence[str], **options: Any) -> list[str]:
        statements = original(self, style, tables, **options)
        if append_only.TABLE not in tables:
            return statements
        vendor = self.connection.vendor
        return [*append_only.removing(vendor), *statements, *append_only.installing(vendor)]

    return sql_flush
