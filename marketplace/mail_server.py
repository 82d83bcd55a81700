"""Mail that a server does not take is a refusal that says what to do, not a fault of ours.

Passwords and addresses that the server refuses are for the operator: the log names them, the visitor is told to wait.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from smtplib import SMTPException

from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend

from provenance.core.refusal import Refusal

log = logging.getLogger(__name__)


class MailServer(EmailBackend):
    """Django's own way to an SMTP server."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Send them. Raises Refusal `mail.down` unless the sender does not want to know."""
        try:
            return super().send_messages(email_messages) or 0
        except (OSError, SMTPException) as error:
            log.error("mail cannot be sent: %s", error)  # noqa: TRY400  # the server's words say all
            if self.fail_silently:
                return 0
            raise Refusal(
                "mail.down", "The letter could not be sent: our mail server does not take it right now.",
                todo="Try again in a few minutes; signing in with an unconfirmed address sends the letter again.",
            ) from error  # fmt: skip
