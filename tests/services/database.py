"""How a test that commits leaves the database empty, although the log's table refuses to be emptied."""

from django.db import connection
from django.test import TransactionTestCase

from provenance import append_only


def empty_the_log_after_tests() -> None:
    """Lift the log's triggers for as long as Django empties all tables after a test, and no longer."""
    empty_tables = TransactionTestCase._fixture_teardown

    def with_triggers_lifted(case: TransactionTestCase) -> None:
        append_only.remove(connection)
        try:
            empty_tables(case)
        finally:
            append_only.install(connection)

    TransactionTestCase._fixture_teardown = with_triggers_lifted
