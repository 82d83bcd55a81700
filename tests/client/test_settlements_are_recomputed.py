import json
from dataclasses import dataclass, field, replace

import pytest

from cadastre.profile import Profile
from cadastre.settlement_audit import SettlementAuditRefusal, audit_settlements
from marketplace.core.event_facts import SETTLING_EVENTS, Ledger
from marketplace.core.facts import Border, Deployment
from marketplace.core.settlement import settle
from marketplace.core.settlement_documents import write_documents
from marketplace.core.splits import Share, Splits
from provenance.adapters.blocks_local import LocalBlocks
from provenance.adapters.evm_auditor import EvmAuditor
from provenance.core.canonical import canonical_bytes
from provenance.core.cid import Cid
from provenance.core.digest import Sha256
from provenance.models import Document
from provenance.ports import Header, StoreRefusal
from tests.marketplace_core.cast import ADA, BEN, CHAIN, DORA, MARKET, OPERATOR, REGISTRY, TUSD, account
from tests.trade.conftest import _deployed_once, ada, deployment, person, register, world
from tests.trade.test_an_epoch_pays_everybody_once import close

__all__ = ["_deployed_once", "ada", "deployment", "register", "world"]

NONE = "0x" + "00" * 32
FIRST_BLOCK = 3


@dataclass(frozen=True)
class Event:
    name: str
    args: dict
    block_number: int
    log_index: int
    tx: str


def block_hash(number):
    return f"0x{number:064x}"


@dataclass
class PlayedChain:
    """A chain as an auditor's node shows it: events by block, every block final."""

    events: list = field(default_factory=list)
    head: int = 100
    chain_id: int = CHAIN

    def address(self, contract):
        return {"DatasetRegistry": REGISTRY, "Market": MARKET}[contract]

    def header(self, at):
        number = self.head if at == "finalized" else int(at)
        return Header(number, block_hash(number), block_hash(number - 1), 12 * number, 0)

    def blocks_with_logs(self, first, last):
        return {event.block_number for event in self.events if first <= event.block_number <= last}

    def logs(self, at):
        return [event for event in self.events if block_hash(event.block_number) == at]

    def emit(self, name, block, **args):
        number = len(self.events)
        told = {key: str(value) if isinstance(value, int) else value for key, value in args.items()}
        self.events.append(Event(name, told, block, number, f"0x{number:064x}"))


class Books:
    """Two datasets, Ben's built from Ada's, who shares with Dora; `close` settles as the register does."""

    def __init__(self):
        self.chain, self.documents, self.settled = PlayedChain(), {}, []
        share = Share(account(DORA), 1_000, "lighting")
        splits = self.file(canonical_bytes(Splits(account(ADA), (share,), "ab" * 16).to_document()))
        emit = self.chain.emit
        for payee, address in enumerate((OPERATOR, ADA, BEN, DORA), start=1):
            emit("PayeeAdded", 4, payee=payee, account=address, accepted=True)
        emit("FeePayeeSet", 4, payee=1)
        emit("DatasetRegistered", 5, dataset=1, owner=ADA, splits=f"0x{splits}")
        emit("Transfer", 5, **{"from": "0x" + "00" * 20, "to": ADA, "tokenId": 1})
        emit("DatasetRegistered", 6, dataset=2, owner=BEN, splits=NONE)
        emit("ParentLinked", 6, dataset=2, parent=1, shareBps=1_000)
        emit("OfferCancelled", 7, dataset=2, nonce=4)

    def file(self, data):
        self.documents[Sha256.of(data)] = data
        return Sha256.of(data)

    def sell(self, license_number, dataset, price, block):
        self.chain.emit(
            "LicensePurchased", block, license=license_number, dataset=dataset, token=TUSD, price=price, feeBps=250,
            heldUntil=12 * block,
        )  # fmt: skip

    def charge(self, license_number, amount, block):
        self.chain.emit("Charged", block, license=license_number, token=TUSD, units=amount, signed=amount, moved=amount)

    def close(self, epoch, block, altered=lambda settlement: settlement):
        """Propose and accept what follows from the events, or what `altered` makes of it."""
        ledger = Ledger.of(self.chain.events)
        splits = {
            digest: Splits.from_document(json.loads(raw)) for digest, raw in self.documents.items() if b"splits" in raw
        }
        ends = [FIRST_BLOCK - 1, *(end for end, _, _ in self.settled), block]
        facts = ledger.facts(
            deployment=Deployment(CHAIN, REGISTRY, MARKET), token=TUSD, epoch=epoch, splits=splits,
            borders=[Border(end, block_hash(end), 12 * end) for end in ends],
            previous=self.settled[-1][1:] if self.settled else None,
        )  # fmt: skip
        settlement = altered(settle(facts))
        documents = write_documents(settlement)
        for data in (documents.index, *documents.shards):
            self.file(data)
        named = {"token": TUSD, "epoch": epoch}
        self.chain.emit(
            "RootProposed", block + 1, **named, toBlock=block, toBlockHash=block_hash(block),
            root="0x" + settlement.payout_tree().root.hex(), cumulativeTotal=settlement.totals.cumulative,
            settlement=f"0x{documents.digest}",
        )  # fmt: skip
        self.chain.emit("RootAccepted", block + 2, **named, cumulativeTotal=settlement.totals.cumulative)
        self.settled.append((block, documents.digest, settlement))

    def document(self, digest):
        if digest not in self.documents:
            raise StoreRefusal("store.missing", "The store does not hold it.")
        return self.documents[digest]

    def audit(self, epoch):
        return audit_settlements(
            self.chain, first_block=FIRST_BLOCK, token=TUSD, get_document=self.document, up_to_epoch=epoch
        )


@pytest.fixture
def books():
    made = Books()
    made.sell(1, 2, 240_000_000, block=10)
    made.sell(2, 1, 10_000_019, block=11)
    made.close(1, 20)
    made.charge(1, 5_000_003, block=30)
    made.close(2, 40)
    return made


def test_true_settlements_agree_epoch_by_epoch(books):
    audit = books.audit(2)
    assert audit.agrees
    assert [epoch.root.epoch for epoch in audit.epochs] == [1, 2]
    assert audit.missing == ()
    assert audit.epochs[-1].settlement == books.settled[-1][2]


def test_an_earlier_epoch_is_audited_alone(books):
    assert [epoch.root.epoch for epoch in books.audit(1).epochs] == [1]


def moved(settlement):
    """One base unit goes from Ada's line to Ben's."""
    lines = list(settlement.balances)
    ada, ben = (next(n for n, line in enumerate(lines) if line.account.endswith(who)) for who in (ADA[2:], BEN[2:]))
    for number, by in ((ada, -1), (ben, 1)):
        line = lines[number]
        lines[number] = line._replace(amount=line.amount + by, cumulative=line.cumulative + by)
    return replace(settlement, balances=tuple(lines))


def test_one_altered_amount_is_named_as_the_first_difference():
    books = Books()
    books.sell(1, 2, 240_000_000, block=10)
    books.close(1, 20, altered=moved)
    audit = books.audit(1)
    assert not audit.agrees
    assert audit.first_difference.startswith("balance 2: computed ")
    assert ADA in audit.first_difference


def test_a_purchase_that_was_left_out_is_named():
    books = Books()
    books.sell(1, 2, 240_000_000, block=10)
    books.close(1, 20)
    books.sell(2, 2, 1_000_000, block=12)
    difference = books.audit(1).first_difference
    assert difference.startswith("revenue line 2: computed ")
    assert difference.endswith("published nothing.")


def test_another_root_on_chain_is_named(books):
    for number, event in enumerate(books.chain.events):
        if event.name == "RootProposed" and event.args["epoch"] == "2":
            books.chain.events[number] = replace(event, args={**event.args, "root": NONE})
    assert books.audit(2).first_difference.startswith("payout root: computed 0x")


def test_a_vetoed_proposal_does_not_count(books):
    first = next(event for event in books.chain.events if event.name == "RootProposed")
    vetoed = replace(first, block_number=20, log_index=900, args={**first.args, "root": NONE})
    books.chain.events.insert(0, vetoed)
    assert books.audit(2).agrees


def test_an_epoch_that_nobody_accepted_is_refused(books):
    with pytest.raises(SettlementAuditRefusal) as refused:
        books.audit(3)
    assert (refused.value.code, refused.value.limit) == ("audit.no_epoch", "1, 2")


def test_documents_that_are_not_what_was_named_are_refused(books):
    digest = books.settled[0][1]
    books.documents[digest] = books.documents[digest].replace(b"settlement/1", b"settlement/2")
    with pytest.raises(SettlementAuditRefusal) as refused:
        books.audit(1)
    assert refused.value.code == "audit.document"


def test_missing_documents_about_shares_are_said(books):
    splits = next(digest for digest, raw in books.documents.items() if b"cadastre.splits/1" in raw)
    del books.documents[splits]
    audit = books.audit(1)
    assert not audit.agrees
    assert audit.missing == (splits,)


def shared_in_secret(books):
    """Ben names a splits document on chain that nobody else has; return its bytes."""
    data = canonical_bytes(Splits(account(BEN), (Share(account(DORA), 2_000, "sound"),), "cd" * 16).to_document())
    books.chain.emit("SplitsSet", 45, dataset=2, splits=f"0x{Sha256.of(data)}")
    books.charge(1, 7_000_000, block=50)
    return data


def test_a_document_that_came_after_the_settlement_leaves_it_undecided_and_is_named(books, command):
    late = shared_in_secret(books)
    books.close(3, 60)
    assert books.audit(3).missing == (Sha256.of(late),)
    books.file(late)
    audit = books.audit(3)
    assert audit.agrees
    assert audit.settled_without == (Sha256.of(late),)
    assert audit.epochs[-1].settlement == books.settled[-1][2]
    assert books.audit(2).settled_without == ()
    said = command(3)
    assert said.code == 4
    assert Sha256.of(late).hex in said.out
    assert command(3, "--json").json()["settled_without"] == [Sha256.of(late).hex]


def test_a_missing_document_excuses_no_other_difference(books):
    late = shared_in_secret(books)
    books.close(3, 60, altered=moved)
    books.file(late)
    audit = books.audit(3)
    assert not audit.agrees
    assert audit.settled_without == ()


def test_another_chain_at_the_border_is_refused(books):
    for number, event in enumerate(books.chain.events):
        if event.name == "RootProposed":
            books.chain.events[number] = replace(event, args={**event.args, "toBlockHash": NONE})
    with pytest.raises(SettlementAuditRefusal) as refused:
        books.audit(1)
    assert refused.value.code == "audit.block"


def test_every_event_that_decides_a_settlement_is_read(books):
    ledger = Ledger()
    for event in books.chain.events:
        before = repr(ledger)
        ledger.read(event)
        mint = event.name == "Transfer" and event.args["from"] == "0x" + "00" * 20
        assert (repr(ledger) != before) == (event.name in SETTLING_EVENTS and not mint)


@pytest.fixture
def command(books, run, dora, monkeypatch, tmp_path):
    """`audit-settlement` with the played chain as the auditor's node and documents in a block directory."""
    monkeypatch.setattr("cadastre.commands.verifying.chain_of", lambda _pins, _rpc: books.chain)
    store = LocalBlocks(tmp_path / "shelf")

    def call(epoch, *words):
        for data in books.documents.values():
            store.put_block(Cid.of(data), data)
        where = ["--rpc", "http://127.0.0.1:1", "--blocks", tmp_path / "shelf", "--token", TUSD]
        return run(*words, "audit-settlement", epoch, *where)

    return call


@pytest.fixture
def dora(home, goods):
    """An auditor who pinned the deployment and needs no account."""
    pins = goods.pins()
    deployment = {**pins["deployment"], "registry": REGISTRY, "market": MARKET, "first_block": FIRST_BLOCK}
    token = {"address": TUSD, "symbol": "TUSD", "decimals": 6, "name": "TestUSD"}
    Profile(home=home, pins={**pins, "deployment": deployment, "tokens": [token]}).save()


def test_the_command_prints_what_everybody_receives(command):
    said = command(2)
    assert said.code == 0
    assert f"eip155:{CHAIN}:{DORA}  0.04875 TUSD this epoch" in said.out
    assert "Epoch 2: root, total and every line are what the chain gives." in said.out


def test_the_command_prints_one_json_value(command, books):
    found = command(2, "--json").json()
    assert (found["agrees"], found["root"]) == (True, found["root_recomputed"])
    assert [row["payee"] for row in found["balances"]] == [1, 2, 3, 4]
    assert sum(int(row["cumulative"]) for row in found["balances"]) == int(found["cumulative"]) == 255_000_022


def test_the_command_exits_3_at_a_difference(command, books):
    books.sell(9, 2, 1_000_000, block=12)
    said = command(1)
    assert said.code == 3
    assert "Epoch 1 differs. revenue line" in said.out


def test_the_command_exits_4_when_documents_are_missing(command, books):
    splits = next(digest for digest, raw in books.documents.items() if b"cadastre.splits/1" in raw)
    del books.documents[splits]
    said = command(1)
    assert said.code == 4
    assert "Not decided: 1 document" in said.out


@pytest.mark.django_db
def test_a_settlement_on_a_real_chain_is_recomputed_without_the_register(register, ada, run, home, tmp_path):
    register.buy_funded(person("Cleo"), register.publish(ada))
    row = close(register)
    store = LocalBlocks(tmp_path / "shelf")
    for document in Document.objects.all():
        store.put_block(Cid.of(bytes(document.content)), bytes(document.content))
    deployed = register.deployment
    Profile(
        home=home,
        pins={
            "deployment": {
                "chain": deployed.chain_id, "registry": deployed.registry, "market": deployed.market,
                "anchor": deployed.anchor, "first_block": deployed.first_block,
            },
            "tokens": deployed.tokens, "log": {}, "service_key": "",
        },
    ).save()  # fmt: skip
    found = run("--json", "audit-settlement", row.epoch, "--rpc", register.world.url, "--blocks", tmp_path / "shelf")
    assert found.code == 0, found
    assert found.json()["root_recomputed"] == row.root
    state = EvmAuditor(register.world.chain).license(1)
    assert state is not None
    assert (state.dataset, state.active) == (1, True)
    assert EvmAuditor(register.world.chain).license(99) is None
