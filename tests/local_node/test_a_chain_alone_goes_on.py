"""`manage.py chain`: what `compose.yaml` starts as the development chain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from provenance.adapters.evm import EvmChain
from provenance.adapters.local_node import DEVELOPMENT_CHAIN_ID, answers_as
from provenance.adapters.local_process import free_port
from tests.faults.instance import until
from tests.services import chain

ROOT = Path(__file__).parents[2]


def test_a_chain_alone_goes_on_where_it_was_after_a_restart(tmp_path: Path) -> None:
    chain.start(tmp_path, number=0).stop()  # skips where there is no anvil
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    others = {name: value for name, value in os.environ.items() if not name.startswith(("CADASTRE_", "DJANGO_"))}
    of_this = {"CADASTRE_VAR": str(tmp_path), "CADASTRE_RPC_URL": url}
    environment = others | of_this | {"DATABASE_URL": f"sqlite:///{tmp_path / 'cadastre.sqlite3'}"}

    def manage(*words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "manage.py", *words], cwd=ROOT, env=environment)

    def head() -> int:
        return EvmChain(url, chain_id=DEVELOPMENT_CHAIN_ID, addresses={}).header("latest").number

    running = manage("chain", "--port", str(port))
    try:
        until("an answer of the chain", lambda: answers_as(url, DEVELOPMENT_CHAIN_ID))
        assert manage("migrate", "--verbosity", "0").wait() == 0
        assert manage("deploy_contracts").wait() == 0
        deployed = head()
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0
        running = manage("chain", "--port", str(port))
        until("an answer of the chain", lambda: answers_as(url, DEVELOPMENT_CHAIN_ID))
        until("another block", lambda: head() > deployed)
        assert manage("deploy_contracts").wait() == 0, "the chain that comes back has the contracts"
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(60)
