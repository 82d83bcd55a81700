"""The follower: rows say what the chain says now, facts wait for finality, a deep reorg halts what cannot go back."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections
from pytest_django import Settings

from provenance import follower, hooks, outbox
from provenance.adapters import keystore
from provenance.adapters.keystore import SeedKeyRing
from provenance.follower import FollowerRefusal, confirm_reorg, follow
from provenance.models import (
    Block,
    ChainEvent,
    DatasetRecord,
    Deployment,
    IntakeStatement,
    Intent,
    IntentState,
    LogEntry,
    PackageRecord,
    ParentEdge,
    VersionRecord,
)
from provenance.ports import ChainDown
from provenance.projections import fold
from provenance.queries import ancestor_edges, dataset_by_caip, dataset_by_slug
from provenance.rebuild import rebuild_chain
from provenance.sequencer import sequence_due
from tests.chain.conftest import Mint, World

pytestmark = pytest.mark.django_db

ADA, BEN = ("owner/7f0c1d52-9a1e-4c5b-8a44-2a5a5d7b3f10", "owner/0a3f9e0c-1f0f-4a55-8d7b-6a3f6f0f9c22")


@dataclass
class Register:
    """Publishes through outbox and lane, as the register does."""

    mint: Mint
    ring: SeedKeyRing
    now: datetime
    count: int = field(default=0)

    @property
    def deployment(self) -> Deployment:
        self.mint.deployment.refresh_from_db()
        return self.mint.deployment

    @property
    def world(self) -> World:
        return self.mint.world

    def register(
        self, signer: str, *, parents: list[dict[str, Any]] | None = None, bps: int = 500, **said: Any
    ) -> Intent:
        self.count += 1
        deadline = self.world.chain.header("latest").timestamp + 100_000
        payload = {
            "signer": signer,
            "registration": {
                "owner": self.ring.address(signer),
                "manifest": f"{self.count:064x}", "package": f"{self.count + 500:064x}",
                "kind": "sealed", "open_derive": False, "derive_bps": bps, "splits": None, "parents": parents or [],
                "max_stack_bps": 10_000, "deadline": deadline, **said,
            },
            "derivations": [],
        }  # fmt: skip
        return self.send(f"register:{self.count}", "registry.register", payload)

    def send(self, key: str, kind: str, payload: dict[str, Any]) -> Intent:
        intent = outbox.enqueue(
            key=key, kind=kind, payload=payload, valid_until=self.now + timedelta(hours=1), now=self.now,
            deployment=self.deployment,
        )  # fmt: skip
        self.mint.work(self.now)
        intent.refresh_from_db()
        return intent

    def deadline(self) -> int:
        return self.world.chain.header("latest").timestamp + 100_000

    def follow(self) -> follower.Followed:
        return follow(self.deployment, self.world.chain, self.now)

    def finalize(self) -> follower.Followed:
        self.world.development.mine(3)
        self.mint.work(self.now)
        return self.follow()


@pytest.fixture
def register(mint: Mint, ring: SeedKeyRing, now: datetime) -> Register:
    return Register(mint, ring, now)


def _statements() -> list[tuple[str, dict[str, Any]]]:
    rows = IntakeStatement.objects.order_by("id")
    return [(row.type, json.loads(row.statement)["body"]) for row in rows]


def test_a_registration_is_seen_at_once_and_told_to_the_log_when_final(register: Register, ring: SeedKeyRing) -> None:
    assert register.register(ADA).state == IntentState.MINED
    register.follow()
    record = DatasetRecord.objects.get()
    assert (record.token, record.owner, record.derive_bps, record.final) == (1, ring.address(ADA), 500, False)
    assert record.manifest == f"{1:064x}"
    assert PackageRecord.objects.get().kind == "sealed"
    assert IntakeStatement.objects.count() == 0
    register.finalize()
    record.refresh_from_db()
    assert record.final
    deployment = register.deployment
    assert _statements() == [
        ("dataset.registered", {
            "manifest": f"{1:064x}", "package": f"{501:064x}", "owner": deployment.account_caip(ring.address(ADA)),
            "parents": [], "derive_bps": 500, "splits": None,
        }),
        ("version.published", {"version": 1, "manifest": f"{1:064x}", "package": f"{501:064x}"}),
        ("package.made", {"version": 1, "package": 1, "digest": f"{501:064x}", "kind": "sealed"}),
    ]  # fmt: skip
    assert set(IntakeStatement.objects.values_list("subject", flat=True)) == {record.caip}
    assert dataset_by_caip(record.caip) == dataset_by_slug(record.slug) == record


def test_what_follows_a_registration_is_folded_into_it(register: Register, ring: SeedKeyRing) -> None:
    register.register(ADA)
    register.register(ADA, parents=[{"dataset": 1, "license": None}], bps=200, open_derive=True)
    base = {"signer": ADA, "dataset": 1}
    said: dict[str, Any] = {"manifest": "ab" * 32, "package": "cd" * 32, "kind": "open"}
    register.send("v2", "registry.version", {**base, **said, "expected_version": 1, "deadline": register.deadline()})
    register.send(
        "p2", "registry.package",
        {**base, "version": 2, "number": 2, "package": "ef" * 32, "kind": "sealed", "deadline": register.deadline()},
    )  # fmt: skip
    register.send("splits", "registry.set_splits", {**base, "splits": "12" * 32, "deadline": register.deadline()})
    terms = {**base, "derive_bps": 700, "open_derive": True, "deadline": register.deadline()}
    register.send("terms", "registry.set_derive_terms", terms)
    to = ring.address(BEN)
    register.send("hand-over", "registry.hand_over", {**base, "to": to, "deadline": register.deadline()})
    assert set(Intent.objects.values_list("state", flat=True)) <= {IntentState.MINED, IntentState.FINAL}
    register.finalize()
    first, second = DatasetRecord.objects.order_by("token")
    assert (first.owner, first.creator) == (to, ring.address(ADA))
    assert (first.versions, first.manifest, first.splits) == (2, "ab" * 32, "12" * 32)
    assert (first.derive_bps, first.open_derive) == (700, True)
    assert sorted(PackageRecord.objects.filter(token=1).values_list("version", "package", "kind")) == [
        (1, 1, "sealed"), (2, 1, "open"), (2, 2, "sealed"),
    ]  # fmt: skip
    edge = ParentEdge.objects.get()
    assert (edge.child, edge.parent, edge.bps, edge.license) == (2, 1, 500, 0)
    assert (second.stack_bps, second.ancestors) == (500, 1)
    assert ancestor_edges(second) == [edge]
    assert ancestor_edges(first) == []
    parents = [body["parents"] for kind, body in _statements() if kind == "dataset.registered"]
    assert parents == [[], [{"dataset": first.caip, "bps": 500, "license": None}]]
    assert [kind for kind, _ in _statements()].count("dataset.transferred") == 1
    assert [kind for kind, _ in _statements()].count("package.made") == 4


def test_a_registration_that_the_registry_refuses_says_why(register: Register, ring: SeedKeyRing) -> None:
    refused = register.register(ADA, parents=[{"dataset": 9, "license": None}])
    assert (refused.state, refused.code) == (IntentState.FAILED, "chain.RegistryUnknownDataset")
    stolen = register.register(BEN, owner=ring.address(ADA))
    assert (stolen.state, stolen.code) == (IntentState.FAILED, "outbox.owner")
    malformed = register.send("odd", "registry.register", {"signer": ADA})
    assert (malformed.state, malformed.code) == (IntentState.FAILED, "outbox.payload")
    register.follow()
    assert not DatasetRecord.objects.exists()


def test_a_registration_that_would_owe_more_than_was_agreed_is_refused_with_both_figures(register: Register) -> None:
    register.register(ADA)
    parents = [{"dataset": 1, "license": None}]
    refused = register.register(ADA, parents=parents, max_stack_bps=499)
    assert (refused.state, refused.code) == (IntentState.FAILED, "chain.RegistryStackAboveAgreed")
    assert "stackBps 500, maxStackBps 499" in refused.cause
    assert register.register(ADA, parents=parents, max_stack_bps=500).state == IntentState.MINED


def test_following_twice_and_twice_at_once_reads_every_event_once(register: Register) -> None:
    for _ in range(3):
        register.register(ADA)
    register.finalize()
    events, facts = ChainEvent.objects.count(), IntakeStatement.objects.count()
    register.follow()
    assert (ChainEvent.objects.count(), IntakeStatement.objects.count()) == (events, facts)
    assert register.follow() == follower.Followed()


@pytest.mark.django_db(transaction=True)
def test_two_followers_at_once_make_the_same_rows(register: Register) -> None:
    for _ in range(4):
        register.register(ADA)
    register.world.development.mine(3)
    deployment, chain, now = register.deployment, register.world.chain, register.now
    barrier = threading.Barrier(3)
    failures: list[BaseException] = []

    def run() -> None:
        barrier.wait()
        try:
            for _ in range(5):
                follow(Deployment.objects.get(pk=deployment.pk), chain, now)
        except BaseException as error:
            failures.append(error)
            raise
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    follow(register.deployment, chain, now)
    assert failures == []
    assert DatasetRecord.objects.filter(final=True).count() == 4
    assert IntakeStatement.objects.count() == 12
    numbers = list(Block.objects.order_by("number").values_list("number", flat=True))
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_follower_killed_at_any_query_goes_on_where_it_was(register: Register) -> None:
    for _ in range(2):
        register.register(ADA)
    register.world.development.mine(3)
    kills = 0
    for at in range(1, 600):
        seen = 0

        def execute(run: Any, *arguments: Any, at: int = at) -> Any:
            nonlocal seen
            seen += 1
            if seen == at:
                raise _Killed
            return run(*arguments)

        try:
            with connection.execute_wrapper(execute):
                register.follow()
        except _Killed:
            kills += 1
            continue
        break
    assert kills > 10
    assert DatasetRecord.objects.filter(final=True).count() == 2
    assert IntakeStatement.objects.count() == 6
    assert ChainEvent.objects.filter(final=False).count() == 0


class _Killed(BaseException):
    """The process ends here."""


class _Told:
    """What trade hears."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.final: list[str] = []
        self.rewound: list[str] = []

    def register(self) -> None:
        hooks.on_event(self._event)
        hooks.on_final(self._final)
        hooks.on_rewind(self._rewind)

    def remove(self) -> None:
        hooks._on_event.remove(self._event)
        hooks._on_final.remove(self._final)
        hooks._on_rewind.remove(self._rewind)

    def _event(self, event: ChainEvent) -> None:
        self.events.append(event.name)

    def _final(self, event: ChainEvent) -> None:
        self.final.append(event.name)

    def _rewind(self, _deployment: Deployment, subjects: Any) -> None:
        self.rewound += subjects


@pytest.fixture
def told() -> Iterator[_Told]:
    listening = _Told()
    listening.register()
    yield listening
    listening.remove()


def test_a_reorg_before_finality_takes_its_events_back_and_brings_them_again(register: Register, told: _Told) -> None:
    register.world.development.mine(4)
    register.register(ADA)
    register.follow()
    assert DatasetRecord.objects.count() == 1
    before = ChainEvent.objects.get(name="DatasetRegistered")
    register.world.development.reorg(2)
    done = register.follow()
    assert done.rewound in {1, 2}
    assert not DatasetRecord.objects.exists()
    assert not ChainEvent.objects.filter(subject="dataset/1").exists()
    assert "dataset/1" in told.rewound
    register.mint.work(register.now)
    register.finalize()
    again = ChainEvent.objects.get(name="DatasetRegistered")
    assert (again.tx, again.block_hash == before.block_hash) == (before.tx, False)
    assert told.events.count("DatasetRegistered") == 2
    assert told.final.count("DatasetRegistered") == 1
    assert IntakeStatement.objects.count() == 3


def test_a_node_that_lags_is_waited_for(register: Register) -> None:
    register.register(ADA)
    snapshot_blocks = Block.objects.count()
    register.follow()

    class Lagging:
        def __init__(self, chain: Any) -> None:
            self._chain = chain

        def __getattr__(self, name: str) -> Any:
            return getattr(self._chain, name)

        def header(self, at: Any) -> Any:
            head = self._chain.header("latest").number - 1
            return self._chain.header(head - 2 if at == "finalized" else head if at == "latest" else at)

    assert Block.objects.count() > snapshot_blocks
    done = follow(register.deployment, Lagging(register.world.chain), register.now)
    assert done.rewound == 0
    assert DatasetRecord.objects.count() == 1


def test_a_node_that_is_down_is_waited_for(register: Register) -> None:
    class Down:
        def __getattr__(self, name: str) -> Any:
            raise ChainDown("chain.down", "The chain's node is unreachable.")

    assert follow(register.deployment, Down(), register.now) == follower.Followed()  # type: ignore[arg-type]


def test_a_reorg_past_finality_halts_until_somebody_has_looked_and_is_retracted_then(
    register: Register, ring: SeedKeyRing, settings: Settings, mailoutbox: list[Any]
) -> None:
    settings.ADMINS = [("Operator", "operator@register.example")]
    settings.CADASTRE_LOG_ORIGIN = "register.example/log"
    register.world.development.mine(2)
    register.register(ADA)
    register.finalize()
    sequence_due(ring, register.now)
    assert LogEntry.objects.count() == 3
    with pytest.raises(FollowerRefusal):
        confirm_reorg(register.deployment, register.world.chain, register.now, by="Dora")
    register.world.development.reorg(6)
    halted = register.follow().halted
    assert "confirm_reorg" in halted
    assert register.follow().halted == halted
    assert len(mailoutbox) == 1
    assert DatasetRecord.objects.count() == 1
    assert LogEntry.objects.count() == 3

    confirm_reorg(register.deployment, register.world.chain, register.now, by="Dora")
    assert register.deployment.halted == ""
    assert not DatasetRecord.objects.exists()
    sequence_due(ring, register.now)
    entries = list(LogEntry.objects.order_by("index"))
    assert [entry.type for entry in entries[3:]] == ["fact.retracted"] * 3
    assert [entry.previous for entry in entries[3:]] == [2, 3, 4]

    register.mint.work(register.now)
    register.finalize()
    sequence_due(ring, register.now)
    assert DatasetRecord.objects.count() == 1
    kinds = list(LogEntry.objects.order_by("index").values_list("type", flat=True)[6:])
    assert kinds == ["dataset.registered", "version.published", "package.made"]


def test_a_development_chain_that_came_back_from_an_older_state_is_adopted_and_caught_up_with(
    register: Register, ring: SeedKeyRing, settings: Settings
) -> None:
    settings.CADASTRE_LOG_ORIGIN = "register.example/log"
    register.register(BEN)
    register.finalize()
    snapshot = register.world.development.snapshot()
    register.register(ADA)
    register.finalize()
    sequence_due(ring, register.now)
    register.world.development.restore(snapshot)
    assert register.follow().halted
    assert DatasetRecord.objects.count() == 2
    call_command("confirm_reorg", restored=True)
    assert DatasetRecord.objects.count() == 1
    assert register.deployment.halted == ""
    register.mint.work(register.now)
    register.finalize()
    assert DatasetRecord.objects.filter(final=True).count() == 2
    call_command("confirm_reorg", restored=True)
    sequence_due(ring, register.now)
    kinds = list(LogEntry.objects.order_by("index").values_list("type", flat=True))
    assert kinds.count("dataset.registered") == 3
    assert kinds.count("fact.retracted") == 3


def test_confirming_needs_to_know_what_and_who(register: Register) -> None:
    for words in ((), ("99",), (str(register.deployment.pk),), (str(register.deployment.pk), "--by=Dora")):
        with pytest.raises(CommandError):
            call_command("confirm_reorg", *words)


def test_facts_that_were_not_sequenced_yet_are_withdrawn_by_a_deep_reorg(register: Register) -> None:
    register.world.development.mine(2)
    register.register(ADA)
    register.finalize()
    assert IntakeStatement.objects.count() == 3
    register.world.development.reorg(6)
    register.follow()
    confirm_reorg(register.deployment, register.world.chain, register.now, by="Dora")
    assert IntakeStatement.objects.count() == 0


def test_projections_folded_twice_or_from_nothing_are_the_same(register: Register) -> None:
    for signer in (ADA, BEN):
        register.register(signer)
    register.finalize()
    deployment = register.deployment
    models = (DatasetRecord, VersionRecord, PackageRecord, ParentEdge)

    def row_text(row: dict[str, Any]) -> str:
        return str({key: value for key, value in row.items() if key not in {"id", "dataset_id"}})

    def rows() -> list[Any]:
        return [sorted(row_text(row) for row in model.objects.values()) for model in models]

    before = rows()
    fold(deployment, ["dataset/1", "dataset/2"])
    assert rows() == before
    rebuild_chain(deployment, register.world.chain, register.now)
    assert rows() == before
    assert IntakeStatement.objects.count() == 6


def test_deploying_again_finds_what_is_there_and_notices_a_chain_that_was_reset(
    world: World,
    settings: Settings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keystore, "SCRYPT_N", 2**4)
    settings.CADASTRE_RPC_URL, settings.CADASTRE_KEY_FILE = world.url, tmp_path / "master.json"
    settings.CADASTRE_KEY_PASSPHRASE = "pass"
    settings.CADASTRE_EPOCH_SECONDS, settings.CADASTRE_SETTLEMENT_WINDOW = 60, 5
    head = world.chain.header("latest").number
    call_command("deploy_contracts")
    call_command("deploy_contracts")
    assert Deployment.objects.count() == 1
    deployment = Deployment.objects.get()
    assert world.chain.code(deployment.market)
    assert deployment.first_block > head + 1, (
        "a chain that starts again has another block 0; no epoch may begin with it"
    )
    assert deployment.market in capsys.readouterr().out
    Deployment.objects.update(abi_version="1")
    with pytest.raises(CommandError, match="speak version 1, this program speaks 2"):
        call_command("deploy_contracts")
    Deployment.objects.update(market="0x" + "77" * 20)
    with pytest.raises(CommandError, match="chain was reset"):
        call_command("deploy_contracts")


def test_a_live_deployment_names_whom_to_fund_before_it_spends_anything(
    world: World,
    settings: Settings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keystore, "SCRYPT_N", 2**4)
    settings.CADASTRE_RPC_URL, settings.CADASTRE_KEY_FILE = world.url, tmp_path / "master.json"
    settings.CADASTRE_KEY_PASSPHRASE, settings.CADASTRE_NETWORK = "pass", "live"
    with pytest.raises(CommandError, match="Without native currency for gas: lane/relayer/0"):
        call_command("deploy_contracts", token="0x" + "55" * 20)
    said = dict(line.split()[:2] for line in capsys.readouterr().out.splitlines())
    assert set(said) == {"lane/relayer/0", "lane/operator", "lane/anchor", "guardian", "deployer"}
    assert not Deployment.objects.exists()
