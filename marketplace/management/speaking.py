"""How commands tell people what they do: a line for what was done, and on a terminal one for what is being done."""

from __future__ import annotations

import logging
from typing import Any

from django.core.management.base import BaseCommand

_CLEAR = "\r\x1b[K"


class SpeakingCommand(BaseCommand):
    """A command that takes minutes."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run it; what the parts tell operators stands in their log files and not between the sentences."""
        logging.getLogger("marketplace").setLevel(logging.WARNING)
        return super().execute(*args, **options)

    def say(self, sentence: str) -> None:
        """Say one sentence; it takes the place of what was begun."""
        self.stdout.write(f"{_CLEAR}{sentence}" if self.stdout.isatty() else sentence)
        self.stdout.flush()

    def begin(self, words: str) -> None:
        """Show what is being done, until the next sentence, where somebody watches."""
        if self.stdout.isatty():
            self.stdout.write(f"{_CLEAR}{words}", ending="")
            self.stdout.flush()
