"""`make run` as people have it: every part is killed, the broker wiped, Ctrl-C pressed, and nothing is lost.

One instance for all of them; each test leaves it running. `--dist loadfile` keeps them in one process.
"""

from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from cadastre.client import Client
from cadastre.folder import files_of
from marketplace.core.adapting import adapted
from provenance.adapters.keystore import open_keystore
from provenance.adapters.local_node import LocalNodeMissing, find_anvil
from tests.faults.instance import PROGRAMS, ROOT, Instance, Newcomer, newcomer_with_money, until
from tests.services.presence import missing

pytestmark = pytest.mark.slow

PASSPHRASE = "a horse, a battery, and nobody else's 4711"
SIZE = "SELECT size FROM provenance_logstate"
KEY_FILE = Path("keys") / "master.json"


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """Running and ready, in a folder of its own."""
    try:
        find_anvil()
    except LocalNodeMissing as refusal:
        missing("anvil", refusal.todo or "")
    running = Instance(tmp_path_factory.mktemp("instance"), {"CADASTRE_KEY_PASSPHRASE": PASSPHRASE})
    try:
        running.start()
        yield running
    finally:
        running.end()


@pytest.fixture(scope="module")
def publication(instance: Instance) -> dict[str, Any]:
    """A locked dataset of Ada's, published although the broker was wiped while its registration was under way."""
    client = newcomer_with_money(instance).client()
    draft = confirmed(instance, client, "readings of November")
    pending = instance.rows("SELECT count(*) FROM provenance_intent WHERE kind = 'registry.register'")
    wipe_broker(instance)
    return {"pending": pending, "dataset": published(client, draft)}


def confirmed(instance: Instance, client: Client, title: str) -> str:
    """Upload a locked table, wait for its checks and confirm what the review shows; return the draft."""
    draft = client.open_draft()["id"]
    description = {
        "title": title, "creator": "Ada", "kind": "table", "price": "12.50",
        "rights": [{"source": "my own thermometer", "basis": "own-work"}],
        "terms": adapted("train-commercial").to_document(),
    }  # fmt: skip
    client.change_draft(draft, description)
    folder = instance.var / title
    folder.mkdir()
    digests = (hashlib.sha256(f"{title}{hour}".encode()).hexdigest() for hour in range(300))
    (folder / "readings.csv").write_text("hour,reading\n" + "".join(f"{d[:12]},{int(d[12:20], 16)}\n" for d in digests))
    client.upload(draft, files_of(folder))
    client.check_draft(draft)
    until("the review", lambda: client.draft(draft)["state"] == "ready")
    client.confirm(draft, client.review(draft)["digest"])
    return draft


def published(client: Client, draft: str) -> str:
    """Wait until a dataset is published; return its id."""
    until("the dataset being published", lambda: client.draft(draft)["state"] == "published")
    return str(client.draft(draft)["dataset"])


def wipe_broker(instance: Instance) -> None:
    """Take the folder away with every message in it."""
    gone = instance.var / "broker"
    while gone.exists():
        # Somebody may write into it at this moment.
        shutil.rmtree(gone, ignore_errors=True)


def state_of(instance: Instance, person: Newcomer) -> dict[str, Any]:
    """What must be the same after a restart: who they are, what they have, where the contracts stand."""
    me = person.me()
    with Client(instance.url) as anybody:
        deployment = anybody.deployment()
    return {
        "account": me["account"], "balance": me["balance"], "deployment": deployment,
        "contracts": instance.rows("SELECT chain_id, registry, market, anchor, tokens FROM provenance_deployment"),
    }  # fmt: skip


@pytest.mark.parametrize("part", PROGRAMS)
def test_a_part_that_is_killed_comes_back_and_work_goes_on(instance: Instance, part: str) -> None:
    ada = Newcomer(instance)
    ada.sign_up()
    victim = instance.kill(part)
    ada.draw(3_000_000, key="while it was dying")
    instance.comes_back(part, after=victim)
    until("an address", lambda: ada.me()["account"]["address"])
    until("the draw", lambda: ada.balance() == 3_000_000)
    assert " ended; it is started again" in instance.said()


def test_a_broker_wiped_in_the_middle_of_a_registration_loses_nothing(
    instance: Instance, publication: dict[str, Any]
) -> None:
    assert publication["pending"] == [(1,)]
    assert publication["dataset"]
    states = instance.rows("SELECT state FROM provenance_intent WHERE kind = 'registry.register'")
    assert states == [("final",)]
    assert newcomer_with_money(instance).balance() == 7_000_000


def test_two_beats_at_once_do_everything_once(instance: Instance) -> None:
    beat = until("beat running", lambda: instance.program("beat"))
    second = subprocess.Popen(
        [*beat.cmdline(), "--schedule", str(instance.var / "second-schedule")],
        cwd=ROOT, env=beat.environ(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        people = [newcomer_with_money(instance) for _ in range(2)]
        people[0].draw(7_000_000, key="first")
        assert second.poll() is None
    finally:
        second.terminate()
        second.wait()
    assert [person.balance() for person in people] == [7_000_000, 7_000_000]
    keys = instance.rows("SELECT job, period, count(*) FROM marketplace_periodrun GROUP BY job, period")
    assert all(count == 1 for _, _, count in keys)
    assert instance.rows("SELECT key FROM provenance_intent GROUP BY key HAVING count(*) > 1") == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_nothing_outlives_its_end_and_the_next_start_goes_on_where_it_was(
    instance: Instance, number: signal.Signals
) -> None:
    person = newcomer_with_money(instance)
    before = state_of(instance, person)
    height = instance.height()
    assert len(instance.processes()) > len(PROGRAMS)
    instance.interrupt(number)
    until("every process being gone", lambda: not instance.processes())
    instance.start()
    assert state_of(instance, person) == before
    # A chain that was killed may lack its last second; one that was stopped lacks nothing.
    assert instance.height() >= (0 if number == signal.SIGKILL else height)
    person.draw(1_000_000, key="second")
    until("the second draw", lambda: person.balance() == 8_000_000)


def test_a_restored_backup_replays_the_chain_and_goes_on_with_log_and_lanes(
    instance: Instance, publication: dict[str, Any]
) -> None:
    ada = newcomer_with_money(instance)
    client = ada.client()
    backup = instance.back_up()
    later = published(client, confirmed(instance, client, "readings of December"))
    until("its entries being published", lambda: instance.published_size() == instance.rows(SIZE)[0][0])
    size = instance.published_size()
    shown = {dataset: client.dataset(dataset)["manifest"] for dataset in (publication["dataset"], later)}
    instance.interrupt()
    instance.restore(backup)
    instance.start()
    assert instance.rows(SIZE)[0][0] < size
    assert "log entries came back" in instance.manage("rebuild")
    assert ada.balance() == 7_000_000
    assert {dataset: client.dataset(dataset)["manifest"] for dataset in shown} == shown
    ada.draw(1_000_000, key="after the restore")
    foreign = "SELECT name FROM provenance_lane WHERE paused LIKE 'lane.foreign_nonce%'"
    until("the relayer saying that its key was used", lambda: ("relayer/0",) in instance.rows(foreign))
    for (lane,) in instance.rows(foreign):
        instance.manage("resume_lane", lane, "--by", "Dora")
    until("the draw", lambda: ada.balance() == 8_000_000)
    assert instance.published_size() >= size


def test_the_passphrase_is_known_to_the_signer_and_who_starts_it_and_stands_in_no_file(
    instance: Instance, publication: dict[str, Any]
) -> None:
    assert instance.process is not None
    signer = until("the signer running", lambda: instance.program("signer"))
    holders = {process.pid for process in instance.processes() if PASSPHRASE in " ".join(process.environ().values())}
    assert holders == {instance.process.pid, signer.pid}
    files = [path for path in instance.var.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"signer.log", "worker.log", "web.log", "beat.log", "cadastre.sqlite3"}
    assert [path for path in files if PASSPHRASE.encode() in bytes_of(path)] == []


def test_no_private_key_lies_outside_of_the_key_file(instance: Instance, publication: dict[str, Any]) -> None:
    ring = open_keystore(instance.var / KEY_FILE, PASSPHRASE)
    accounts = [UUID(row[0]) for row in instance.rows("SELECT id FROM marketplace_account")]
    paths = ["treasury", "guardian", "deployer", "lane/relayer/0", "lane/operator", "lane/anchor"]
    secrets = [bytes(ring._account(path).key) for path in (*paths, *(f"owner/{account}" for account in accounts))]
    secrets += [ring._ed25519(name).private_bytes_raw() for name in ("service", "log")]
    secrets.append(ring._SeedKeyRing__seed)
    wrapped = instance.rows("SELECT wrapped FROM provenance_contentkey WHERE state = 'made'")
    identities = [ring.unwrap_identity(bytes(row[0])) for row in wrapped]
    assert identities
    assert len(accounts) > 1
    needles = [form for secret in secrets for form in (secret, secret.hex().encode(), secret.hex().upper().encode())]
    needles += [b"AGE-SECRET-KEY", *(identity.encode() for identity in identities)]
    for path in instance.var.rglob("*"):
        if path.is_file() and path != instance.var / KEY_FILE:
            content = bytes_of(path)
            assert not any(needle in content for needle in needles), path


def bytes_of(path: Path) -> bytes:
    """The bytes of a file that may be gone by now: messages of the broker are."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
