"""Writes the log's static files."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import timezone

from provenance.sequencer import publish


class Command(BaseCommand):
    help = "Write tiles, entry bundles and the checkpoint of the signed log below CADASTRE_LOG_DIR."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--all", action="store_true", help="write every file again, not only what is new")

    def handle(self, *args: Any, **options: Any) -> None:
        size = publish(timezone.now(), everything=options["all"])
        self.stdout.write(f"{size} entries are published in {settings.CADASTRE_LOG_DIR}")
