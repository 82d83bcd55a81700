"""A development chain and a Kubo node of our own, started on this machine for `make run`, `make demo` and the tests."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from provenance.adapters.anvil_state import AnvilState
from provenance.adapters.local_process import LocalProcess, free_port, start_process
from provenance.core.refusal import Refusal

ROOT = Path(__file__).resolve().parent.parent.parent

DEVELOPMENT_CHAIN_ID = 0xCADA57
"""Nobody else's: a signature made for a development chain is void on every other."""

START_SECONDS = 30.0
ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class LocalNodeMissing(Refusal):
    """A program that a local node needs is not on this machine."""


@dataclass(frozen=True, slots=True)
class Anvil:
    """A running development chain. `state` is None when it lives in memory only."""

    url: str
    chain_id: int
    process: LocalProcess
    state: AnvilState | None

    def stop(self) -> None:
        """End it; with a state file, anvil writes the last blocks on the way out."""
        self.process.stop()
        if self.state is not None:
            self.state.keep(seconds_apart=0)


@dataclass(frozen=True, slots=True)
class Kubo:
    """A running Kubo node. `api` is a multiaddr, as ipfshttpclient wants it; `gateway` is a URL."""

    api: str
    gateway: str
    repo: Path
    process: LocalProcess

    def stop(self) -> None:
        """End it and leave its repository."""
        self.process.stop()


def find_anvil() -> Path:
    """The anvil binary: `CADASTRE_ANVIL`, else node_modules, else PATH.

    Raises:
        LocalNodeMissing: none of the three has it.
    """
    machine = ARCHITECTURES.get(platform.machine().lower(), platform.machine().lower())
    # The binary itself: the script that npm puts on PATH stays between us and its signals.
    package = ROOT / "node_modules" / "@foundry-rs" / f"anvil-{platform.system().lower()}-{machine}" / "bin" / "anvil"
    return _first_program(
        "anvil",
        [os.environ.get("CADASTRE_ANVIL"), package, shutil.which("anvil")],
        todo="run `npm ci`, or `make setup`",
    )


def find_ipfs() -> Path:
    """The Kubo binary: `CADASTRE_IPFS`, else var/bin, else PATH.

    Raises:
        LocalNodeMissing: none of the three has it.
    """
    candidates = [os.environ.get("CADASTRE_IPFS"), ROOT / "var" / "bin" / "ipfs", shutil.which("ipfs")]
    return _first_program("ipfs", candidates, todo="run `make kubo`")


def start_anvil(
    *,
    log: Path,
    state_file: Path | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    chain_id: int = DEVELOPMENT_CHAIN_ID,
    block_seconds: int | None = None,
    reorg_after_restart: bool = False,
) -> Anvil:
    """Start a chain on `host`; a free port when `port` is None, a block per transaction when `block_seconds` is.

    `finalized` follows two blocks behind the head. It moves only with new blocks: somebody has to mine while
    anything waits for it. `reorg_after_restart` saves the state at every block, 170 KB each, without which
    `anvil_reorg` cannot go back past a restart; a test may want that, an instance that runs for days does not.

    Raises:
        LocalNodeMissing: no anvil on this machine.
        LocalProcessFailed: it did not start.
    """
    port = port or free_port()
    state = AnvilState(state_file) if state_file else None
    command: list[str | Path] = [
        find_anvil(),
        *("--host", host, "--port", str(port)),
        *("--chain-id", str(chain_id)),
        *("--slots-in-an-epoch", "1"),
        *("--balance", "1000000"),
        *("--cache-path", log.parent / "anvil-cache"),
        "--no-request-size-limit",
        "--quiet",
    ]
    if block_seconds is not None:
        command += ["--block-time", str(block_seconds), "--mixed-mining"]
    if state is not None:
        state.recover()
        command += ["--state", state.current, "--state-interval", "1"]
        if reorg_after_restart:
            command.append("--preserve-historical-states")
    url = f"http://127.0.0.1:{port}"
    process = start_process(
        "anvil",
        command,
        log=log,
        ready=lambda: answers_as(url, chain_id),
        seconds=START_SECONDS,
        environment=_without_our_settings(),
    )
    return Anvil(url=url, chain_id=chain_id, process=process, state=state)


def answers_as(url: str, chain_id: int) -> bool:
    """Whether a chain answers at `url` and is the one with `chain_id`."""
    question = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}).encode()
    request = urllib.request.Request(url, question, {"Content-Type": "application/json"})  # noqa: S310 - our own address
    try:
        with urllib.request.urlopen(request, timeout=2) as reply:  # noqa: S310 - the same
            return int(json.load(reply)["result"], 16) == chain_id
    except (urllib.error.URLError, OSError, ValueError, KeyError):
        return False


def start_kubo(*, repo: Path, log: Path, durable: bool = True) -> Kubo:
    """Start a node with its own repository, talking to nobody: no peers, no announcements, ports of its own choice.

    `durable` has it flush each block to disk, which tests do not need.

    Raises:
        LocalNodeMissing: no Kubo on this machine.
        LocalProcessFailed: it did not start.
    """
    ipfs = find_ipfs()
    environment = _without_our_settings() | {"IPFS_PATH": str(repo), "IPFS_TELEMETRY": "off", "DO_NOT_TRACK": "1"}
    if not (repo / "config").exists():
        repo.mkdir(parents=True, exist_ok=True)
        _initialize_repository(ipfs, repo, environment, durable=durable)
    for stale in ("api", "gateway"):
        (repo / stale).unlink(missing_ok=True)
    process = start_process(
        "ipfs daemon",
        [ipfs, "daemon", "--offline", "--migrate=true"],
        log=log,
        ready=lambda: _announced(repo / "api") and _announced(repo / "gateway"),
        seconds=START_SECONDS,
        environment=environment,
    )
    return Kubo(
        api=(repo / "api").read_text().strip(),
        gateway=(repo / "gateway").read_text().strip(),
        repo=repo,
        process=process,
    )


def _without_our_settings() -> dict[str, str]:
    """Blank what is set for this register: passwords among it are nothing to programs of others."""
    return {name: "" for name in os.environ if name.startswith("CADASTRE_") or name.endswith("_URL")}


def _initialize_repository(ipfs: Path, repo: Path, environment: dict[str, str], *, durable: bool) -> None:
    init = [str(ipfs), "init", "--profile=test,unixfs-v1-2025"]
    subprocess.run(init, env={**os.environ, **environment}, check=True, capture_output=True, timeout=START_SECONDS)
    settings = json.loads((repo / "config").read_text())
    for mount in settings["Datastore"]["Spec"]["mounts"]:
        if mount["type"] == "flatfs":
            mount["sync"] = durable
    # Sealed data is pinned but not announced: only what the store links into MFS may be.
    settings.setdefault("Provide", {})["Strategy"] = "mfs"
    (repo / "config").write_text(json.dumps(settings, indent=2))


def _announced(file: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return bool(file.read_text().strip())
    return False


def _first_program(name: str, candidates: list[str | Path | None], *, todo: str) -> Path:
    for candidate in candidates:
        if candidate and os.access(candidate, os.X_OK) and Path(candidate).is_file():
            return Path(candidate).resolve()
    raise LocalNodeMissing("local_node.missing", f"There is no `{name}` on this machine.", todo=todo)
