"""Ringing a worker's doorbell: a message that may be lost, doubled or late without harm.

Rows say what is due; a sweep finds them anyway. So a broker that is down fails nothing here.
"""

from __future__ import annotations

import logging

from celery import current_app
from django.db import transaction
from kombu.exceptions import KombuError

_LOG = logging.getLogger(__name__)


def ring(*tasks: str) -> None:
    """Ring for Celery tasks by name once the current transaction is committed."""
    transaction.on_commit(lambda: _send(tasks))


def _send(tasks: tuple[str, ...]) -> None:
    for task in tasks:
        try:
            current_app.send_task(task, retry=False)
        except (KombuError, OSError) as error:
            _LOG.warning("The broker does not take the ring for %s: %s. The sweep finds the work.", task, error)
