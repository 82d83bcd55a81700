"""One well-formed statement of every type, and the people and keys around them."""

from datetime import UTC, datetime

from eth_keys import keys

from provenance.core.caip import Account
from provenance.core.digest import Sha256
from provenance.core.entry import PersonSignature, make_entry, rights_attestation
from provenance.core.statement import ChainPlace, Statement, StatementType, Subject
from provenance.core.typed_data import Domain
from tests.provenance_core.logs import ed25519, public_bytes

CHAIN = 31337
REGISTRY = "0x" + "a1" * 20
MARKET = "0x" + "b2" * 20
TOKEN = f"eip155:{CHAIN}/erc20:0x{'c3' * 20}"
NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
DOMAIN = Domain("Cadastre Registry", CHAIN, REGISTRY)

SERVICE = ed25519(2)
SERVICE_KEY = public_bytes(SERVICE)


class Person:
    """A key on the chain."""

    def __init__(self, seed):
        self.key = keys.PrivateKey(bytes([seed]) * 32)
        self.address = self.key.public_key.to_address()
        self.account = Account(CHAIN, self.address)

    def sign(self, digest, role="owner"):
        made = self.key.sign_msg_hash(digest)
        raw = made.r.to_bytes(32) + made.s.to_bytes(32) + bytes([made.v + 27])
        return PersonSignature(role, self.account, digest, raw)


ADA, BEN, CLEO, MALLORY = (Person(seed) for seed in (11, 12, 13, 66))

DATASET = f"eip155:{CHAIN}/erc721:{REGISTRY}/12"
LICENSE = f"eip155:{CHAIN}/erc1155:{MARKET}/5"


def digest(text):
    return Sha256.of(text.encode())


MANIFEST = digest("manifest")

_SUBJECTS = {
    Subject.DATASET: DATASET,
    Subject.LICENSE: LICENSE,
    Subject.ACCOUNT: str(ADA.account),
    Subject.CONTENT: f"sha256:{MANIFEST}",
    Subject.SETTLEMENT: f"settlement:{TOKEN}:7",
    Subject.LOG: "log:log.example/cadastre",
    Subject.ANY: LICENSE,
}

_NOTICE = {"notice": digest("notice").hex, "decision": None}
_CONTENT = {"version": 1, "reason": "court-order", "order": digest("order").hex}
_OFFER = {"offer": digest("offer").hex, "terms": digest("terms").hex, "nonce": "77"}
_USAGE = {
    "report": digest("report").hex,
    "unit": "records-1000",
    "quantity": "25000",
    "cumulative_amount": "5000000",
    "reports_root": digest("reports").hex,
}
EXAMPLES = {
    StatementType.DATASET_REGISTERED: {
        "manifest": MANIFEST.hex,
        "package": digest("package").hex,
        "owner": str(ADA.account),
        "parents": [{"dataset": DATASET.replace("/12", "/3"), "bps": 500, "license": LICENSE}],
        "derive_bps": 500,
        "splits": None,
    },
    StatementType.VERSION_PUBLISHED: {"version": 1, "manifest": MANIFEST.hex, "package": digest("package").hex},
    StatementType.PACKAGE_MADE: {"version": 1, "package": 1, "digest": digest("package").hex, "kind": "sealed"},
    StatementType.RIGHTS_ATTESTED: {"manifest": MANIFEST.hex, "owner": str(ADA.account), "bases": ["own-work"]},
    StatementType.FINGERPRINT_COMPUTED: {
        "manifest": MANIFEST.hex,
        "algorithm": "pdq/1",
        "parameters": digest("parameters").hex,
        "records": 24,
        "commitment": digest("commitment").hex,
    },
    StatementType.GATE_PASSED: {
        "manifest": MANIFEST.hex,
        "owner": str(ADA.account),
        "result": "none",
        "index_version": 4,
        "compared": 310,
        "thresholds": digest("thresholds").hex,
    },
    StatementType.LISTING_CHANGED: {"state": "listed", "offer": digest("offer").hex, "reason": "published"},
    StatementType.OFFER_MADE: _OFFER,
    StatementType.OFFER_WITHDRAWN: _OFFER,
    StatementType.LICENSE_PURCHASED: {
        "dataset": DATASET,
        "offer": digest("offer").hex,
        "terms": digest("terms").hex,
        "price": "240000000",
        "fee": "6000000",
        "token": TOKEN,
        "uses": ["derive", "pretrain"],
    },
    StatementType.LICENSE_REFUNDED: {"dataset": DATASET, "amount": "240000000"},
    StatementType.LICENSE_REVOKED: {"ground": "breach", "effective": "2027-04-01T00:00:00Z"},
    StatementType.LICENSE_EXPIRED: {"dataset": DATASET},
    StatementType.KEY_GRANTED: {
        "package": digest("package").hex,
        "recipient": digest("recipient").hex,
        "grant": digest("grant").hex,
    },
    StatementType.USAGE_REPORTED: _USAGE,
    StatementType.USAGE_CORRECTED: _USAGE,
    StatementType.MODEL_DECLARED: {"model": digest("model").hex},
    StatementType.SETTLEMENT_ACCEPTED: {
        "epoch": 7,
        "root": "0x" + "0f" * 32,
        "digest": digest("settlement").hex,
        "cumulative": "240000000",
    },
    StatementType.PAYOUT_MADE: {
        "payee": 3,
        "token": TOKEN,
        "amount": "1",
        "cumulative": "18446744073709551615",
        "epoch": 7,
    },
    StatementType.OPTOUT_RECORDED: _NOTICE,
    StatementType.DISPUTE_OPENED: {"dispute": digest("dispute").hex, "outcome": None},
    StatementType.DISPUTE_RESOLVED: {"dispute": digest("dispute").hex, "outcome": "upheld"},
    StatementType.NOTICE_RECEIVED: _NOTICE,
    StatementType.NOTICE_DECIDED: {**_NOTICE, "decision": "withhold"},
    StatementType.CONTENT_WITHHELD: _CONTENT,
    StatementType.CONTENT_ERASED: _CONTENT,
    StatementType.DATASET_TRANSFERRED: {"from": str(ADA.account), "to": str(BEN.account)},
    StatementType.INDEX_COMMITTED: {"up_to": 100, "count": 40, "root": digest("root").hex},
    StatementType.FACT_RETRACTED: {"entry": 17, "reason": "reorg-past-finality"},
    StatementType.KEY_ROTATED: {"role": "service", "old": "11" * 32, "new": "22" * 32},
}


def place(log=0, block=8):
    return ChainPlace(CHAIN, REGISTRY, block, "0x" + "8b" * 32, "0x" + "7c" * 32, log)


def statement(kind, *, subject=None, body=None, unique="1", chain=None, time=NOW):
    """A statement of a type; `body` overrides single members of the example."""
    from provenance.core.statement import BODIES

    subject = subject or _SUBJECTS[BODIES[kind].subject]
    fact = f"{chain.fact}:{kind}" if chain else f"{kind}:{subject}:{unique}"
    return Statement(str(kind), subject, fact, time, chain, {**EXAMPLES[kind], **(body or {})})


def entry(kind, *, previous=None, people=(), **options):
    made = statement(kind, **options)
    if kind is StatementType.RIGHTS_ATTESTED and not people:
        manifest = Sha256.from_hex(made.body["manifest"])
        people = (ADA.sign(rights_attestation(DOMAIN, ADA.address, manifest).digest),)
    return make_entry(made, key=SERVICE_KEY, sign=SERVICE.sign, previous=previous, people=people)
