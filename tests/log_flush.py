"""Lets the tests empty their database between tests, which the log's triggers refuse to everybody else."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection

from provenance import append_only


@contextmanager
def flushable_log() -> Iterator[None]:
    """Wrap Django's flush: triggers off before, on again after."""
    # Of the database in use only: Django's modules for the others do not import on their own.
    operations = type(connection.ops)
    original = operations.sql_flush

    def sql_flush(self: Any, style: Any, tables: Sequence[str], **options: Any) -> list[str]:
        statements = original(self, style, tables, **options)
        if append_only.TABLE not in tables:
            return statements
        vendor = self.connection.vendor
        return [*append_only.removing(vendor), *statements, *append_only.installing(vendor)]

    operations.sql_flush = sql_flush
    yield
    operations.sql_flush = original
