"""Keeps secrets out of logs: whatever a library decides to print, key material is blanked on its way to the handler."""

from __future__ import annotations

import logging
import re

_SECRETS = re.compile(
    r"AGE-SECRET-KEY-1[0-9A-Z]+"
    r"|\bcad_[0-9A-Za-z_-]{12,}"
    r"|(?<=[Bb]earer )[^\s'\",]+"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
    r"|(?i:(?<=password=)|(?<=passphrase=)|(?<=private_key=)|(?<=secret=))[^\s&'\",]+"
)
_BLANK = "[redacted]"


def redact(text: str) -> str:
    """Return `text` without age identities, API keys, bearer tokens, and passwords in URLs or assignments."""
    return _SECRETS.sub(_BLANK, text)


class RedactingFormatter(logging.Formatter):
    """Formats as usual, then redacts: tracebacks and arguments included."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the formatted, redacted line."""
        return redact(super().format(record))
