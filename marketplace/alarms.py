"""Alarms: what an operator must look at. One open alarm per code and subject; raising it again changes nothing."""

from __future__ import annotations

import logging
from datetime import datetime

from django.core.mail import mail_admins
from django.db import IntegrityError, transaction

from marketplace.models import Alarm
from provenance.models import LogState
from provenance.sequencer import head_beyond

log = logging.getLogger(__name__)


def raise_alarm(*, code: str, message: str, now: datetime, subject: str = "") -> bool:
    """Open an alarm; return whether it is new. Mails the administrators after the commit."""
    try:
        with transaction.atomic():
            Alarm.objects.create(code=code, subject=subject[:200], message=message, raised=now)
    except IntegrityError:
        return False
    log.critical("alarm %s %s: %s", code, subject, message)
    transaction.on_commit(lambda: mail_admins(f"Cadastre alarm: {code}", f"{subject}\n{message}", fail_silently=True))
    return True


def clear_alarm(*, code: str, now: datetime, by: str, subject: str = "") -> bool:
    """Close an open alarm; return whether there was one."""
    open_ones = Alarm.objects.filter(code=code, subject=subject[:200], cleared=None)
    return bool(open_ones.update(cleared=now, cleared_by=by[:200]))


def open_alarms(prefix: str = "") -> list[Alarm]:
    """Return the open alarms whose code begins with `prefix`, oldest first."""
    return list(Alarm.objects.filter(cleared=None, code__startswith=prefix).order_by("raised"))


def watch_log(*, now: datetime) -> bool:
    """Raise `log.behind` when the database is behind the log that was published; return whether it is.

    The signer signs no entry until then, so that the log never forks; facts wait meanwhile.
    """
    state = LogState.objects.exclude(vkey="").first()
    head = head_beyond(state) if state else None
    if state is None or head is None:
        return False
    raise_alarm(
        code="log.behind", subject=state.origin, now=now,
        message=f"{head.size} entries were published, the database has {state.size}. Nothing enters the log until "
        "`manage.py rebuild` has taken the missing ones back.",
    )  # fmt: skip
    return True
