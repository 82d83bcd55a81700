"""The language of plain sentences: English, unless whoever shows them hands in another one.

A `Language` is what `gettext.NullTranslations` of the standard library is, and the module `django.utils.translation`:
so the core names its messages where translators' tools find them, and knows no framework.
"""

from __future__ import annotations

from gettext import NullTranslations
from typing import Protocol


class Language(Protocol):
    """Translates messages. Figures are put in afterwards, by name: `gettext("… %(share)s …") % {"share": …}`."""

    def gettext(self, message: str, /) -> str:
        """Return the message in this language."""

    def ngettext(self, singular: str, plural: str, number: int, /) -> str:
        """Return the form of the message that goes with `number`."""


ENGLISH: Language = NullTranslations()


def gettext_noop(message: str) -> str:
    """Mark a message for translators where it is written; whoever shows it looks it up."""
    return message
