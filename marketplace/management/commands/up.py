"""`manage.py up`: everything embedded, on this machine; what `make run` calls."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connection

from marketplace.management.embedded import relaunch
from marketplace.management.preflight import check_disk, check_port, check_writable, take_folder
from marketplace.management.speaking import SpeakingCommand
from marketplace.management.story.load import load_story_if_empty
from marketplace.management.supervisor import Supervisor, stop_on_signals
from provenance.core.refusal import Refusal


class Command(SpeakingCommand):
    """Start the chain, the site, the workers, beat and the signer; load the demo story into an empty register."""

    help = "Start everything on this machine and, when the register is empty, load the demo story."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the port and whether to load the story."""
        parser.add_argument("--port", type=int, default=8000, help="where the site listens on 127.0.0.1")
        parser.add_argument("--no-story", action="store_true", help="leave an empty register empty")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run until Ctrl-C."""
        relaunch({"CADASTRE_PUBLIC_URL": f"http://127.0.0.1:{options['port']}"})
        try:
            lock = self._look_at_machine(options["port"])
        except Refusal as refusal:
            raise CommandError(str(refusal)) from refusal
        supervisor = Supervisor(port=options["port"], say=self.say)
        stopped = stop_on_signals(supervisor)
        self.say("Starting chain, site, workers and signer …")
        try:
            supervisor.start()
            self.say(f"The site answers at {supervisor.url}")
            self.say(f"The chain's node answers at {settings.CADASTRE_RPC_URL} (what --rpc asks for)")
            if not options["no_story"]:
                load_story_if_empty(supervisor, say=self.say, begin=self.begin, stopped=stopped)
            self.say("Ctrl-C stops everything. Started again, it goes on where it was.")
            supervisor.watch(until=stopped)
        except (Refusal, TimeoutError) as refusal:
            raise CommandError(str(refusal)) from refusal
        finally:
            self.say("Stopping …")
            supervisor.stop()
            lock.close()

    def _look_at_machine(self, port: int) -> IO[str]:
        folder = Path(settings.CADASTRE_VAR)
        is_file = connection.vendor == "sqlite"
        check_writable(folder, Path(str(connection.settings_dict["NAME"])) if is_file else None)
        lock = take_folder(folder)
        check_disk(folder)
        check_port(port)
        return lock
