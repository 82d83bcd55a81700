"""`manage.py chain`: the development chain alone, where web, workers and signer are started one by one."""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection

from marketplace.management.mining import Miner
from provenance.adapters.local_node import Anvil, start_anvil

LOOK_AGAIN_SECONDS = 0.5


class Command(BaseCommand):
    """Keep a chain, its saved state and its blocks, until SIGTERM."""

    help = (
        "Run a development chain with saved state, mine while anybody waits for finality, and let the register go back "
        "to what the chain still has after it was killed. What `manage.py up` does besides everything else."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add where it listens."""
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8545)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run until told to stop; a chain that dies ends this, too, so that whoever supervises starts both again."""
        stopped = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        var = Path(settings.CADASTRE_VAR)
        anvil = start_anvil(
            log=var / "logs" / "chain.log", state_file=var / "chain" / "state.json",
            host=options["host"], port=options["port"],
        )  # fmt: skip
        try:
            settings.CADASTRE_RPC_URL = anvil.url
            self.stdout.write(f"chain {anvil.chain_id} answers at {anvil.url}")
            self._tend(anvil, stopped)
        finally:
            anvil.stop()

    def _tend(self, anvil: Anvil, stopped: threading.Event) -> None:
        miner, adopted = Miner(anvil.url), False
        while not stopped.wait(LOOK_AGAIN_SECONDS):
            if not anvil.process.is_running():
                raise CommandError(f"The chain ended; read {anvil.process.log}")
            if anvil.state:
                anvil.state.keep()
            adopted = adopted or _adopt()
            miner.tend()


def _adopt() -> bool:
    """Let the rows go back to what the chain still has; return False while there are no tables to look into."""
    try:
        call_command("confirm_reorg", "--restored")
    except DatabaseError:
        connection.close()
        return False
    return True
