"""Statements: one fact each, of a closed list of types, in digests, ids, amounts and enumerations only.

Writers refuse a type or a body that is not in `BODIES`. Readers keep a statement of a type that they do not know, so
that its inclusion can be proved while its meaning is reported as not checked. The table stands in docs/formats.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from provenance.core.caip import Account, Asset, AssetKind
from provenance.core.canonical import Json, canonical_bytes
from provenance.core.digest import Sha256
from provenance.core.fields import Fields, time_text
from provenance.core.refusal import Refusal

SCHEMA = "cadastre.statement/1"
SIGNED_PREFIX = b"cadastre-statement/1\n"
SUBJECT_LIMIT = 250
FACT_LIMIT = 250

_TYPE = re.compile(r"[a-z]+\.[a-z]+(?:-[a-z]+)*")
_CODE = re.compile(r"[a-z0-9]+(?:[-_/.][a-z0-9]+)*")
_CODE_LIMIT = 64
_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_SUBJECT = re.compile(
    r"eip155:[1-9][0-9]*/erc(?:721|1155):0x[0-9a-f]{40}/[0-9]+"
    r"|eip155:[1-9][0-9]*:0x[0-9a-f]{40}"
    r"|sha256:[0-9a-f]{64}"
    r"|settlement:eip155:[1-9][0-9]*/erc20:0x[0-9a-f]{40}:[1-9][0-9]*"
    r"|log:[^\s+]+"
)
_KEYS = ("type", "subject", "fact", "time", "chain", "body")


class StatementRefusal(Refusal):
    """A statement is of no known type, or its body is not of its type."""


class StatementType(StrEnum):
    """Every kind of fact that this register records."""

    DATASET_REGISTERED = "dataset.registered"
    VERSION_PUBLISHED = "version.published"
    PACKAGE_MADE = "package.made"
    RIGHTS_ATTESTED = "rights.attested"
    FINGERPRINT_COMPUTED = "fingerprint.computed"
    GATE_PASSED = "gate.passed"
    LISTING_CHANGED = "listing.changed"
    OFFER_MADE = "offer.made"
    OFFER_WITHDRAWN = "offer.withdrawn"
    LICENSE_PURCHASED = "license.purchased"
    LICENSE_REFUNDED = "license.refunded"
    LICENSE_REVOKED = "license.revoked"
    LICENSE_EXPIRED = "license.expired"
    KEY_GRANTED = "key.granted"
    USAGE_REPORTED = "usage.reported"
    USAGE_CORRECTED = "usage.corrected"
    MODEL_DECLARED = "model.declared"
    SETTLEMENT_ACCEPTED = "settlement.accepted"
    PAYOUT_MADE = "payout.made"
    OPTOUT_RECORDED = "optout.recorded"
    DISPUTE_OPENED = "dispute.opened"
    DISPUTE_RESOLVED = "dispute.resolved"
    NOTICE_RECEIVED = "notice.received"
    NOTICE_DECIDED = "notice.decided"
    CONTENT_WITHHELD = "content.withheld"
    CONTENT_ERASED = "content.erased"
    DATASET_TRANSFERRED = "dataset.transferred"
    INDEX_COMMITTED = "index.committed"
    FACT_RETRACTED = "fact.retracted"
    KEY_ROTATED = "key.rotated"


class Subject(StrEnum):
    """What a statement is about, as its subject begins or is written."""

    DATASET = "dataset"
    LICENSE = "license"
    ACCOUNT = "account"
    CONTENT = "content"
    SETTLEMENT = "settlement"
    LOG = "log"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class ChainPlace:
    """Where on chain a fact stands. `tx` and `block_hash` are 0x texts, `log` the index of the log in its block."""

    chain: int
    contract: str
    block: int
    block_hash: str
    tx: str
    log: int

    @classmethod
    def from_document(cls, value: Json) -> Self:
        """Read the `chain` member of a statement. Raises FieldRefusal."""
        fields = Fields.of(value, "chain", ("id", "contract", "block", "block_hash", "tx", "log"))
        return cls(
            fields.integer("id", low=1),
            fields.matching("contract", _ADDRESS, "an address of 0x and 40 lower-case hex digits"),
            fields.integer("block"),
            fields.hash32("block_hash"),
            fields.hash32("tx"),
            fields.integer("log"),
        )

    def to_document(self) -> dict[str, Json]:
        return {
            "id": self.chain,
            "contract": self.contract,
            "block": self.block,
            "block_hash": self.block_hash,
            "tx": self.tx,
            "log": self.log,
        }

    @property
    def fact(self) -> str:
        """What the fact keys of statements about this event begin with."""
        return f"chain:{self.chain}:{self.tx}:{self.log}"


@dataclass(frozen=True, slots=True)
class Statement:
    """One fact. `type` may be one that this version does not know; `is_known` tells.

    `fact` is unique for ever: for events on chain `chain:{chain}:{tx}:{log}`, with `:{type}` behind it where one event
    makes several statements; else `{type}:{subject}:{what makes it unique}`.
    """

    type: str
    subject: str
    fact: str
    time: datetime
    chain: ChainPlace | None
    body: Mapping[str, Json]

    def __post_init__(self) -> None:
        if _TYPE.fullmatch(self.type) is None:
            raise StatementRefusal("statement.type", "A statement's type is written noun.verb.", actual=self.type[:80])
        if _SUBJECT.fullmatch(self.subject) is None or len(self.subject) > SUBJECT_LIMIT:
            raise StatementRefusal("statement.subject", "The subject is of no known form.", actual=self.subject[:100])
        if not 0 < len(self.fact) <= FACT_LIMIT:
            raise StatementRefusal(
                "statement.fact", "A fact key is empty or too long.", limit=FACT_LIMIT, actual=len(self.fact)
            )
        if self.chain is not None and self.fact != self.chain.fact and not self.fact.startswith(self.chain.fact + ":"):
            raise StatementRefusal(
                "statement.fact", "The fact key names another event.", limit=self.chain.fact, actual=self.fact
            )
        if self.chain is None and not self.fact.startswith(f"{self.type}:{self.subject}:"):
            raise StatementRefusal(
                "statement.fact",
                "The fact key does not begin with type and subject.",
                limit=f"{self.type}:{self.subject}:",
                actual=self.fact,
            )

    @classmethod
    def from_document(cls, value: Json) -> Self:
        """Read a statement. The body of a known type is checked. Raises StatementRefusal, FieldRefusal."""
        fields = Fields.of(value, "statement", _KEYS, schema=SCHEMA)
        chain, body = fields.members["chain"], fields.members["body"]
        if not isinstance(body, Mapping):
            raise StatementRefusal("statement.body", "The body is not an object.", actual=type(body).__name__)
        statement = cls(
            fields.text("type", most=80),
            fields.text("subject", most=SUBJECT_LIMIT),
            fields.text("fact", most=FACT_LIMIT),
            fields.time("time"),
            None if chain is None else ChainPlace.from_document(chain),
            body,
        )
        if statement.is_known:
            statement.check()
        return statement

    @property
    def is_known(self) -> bool:
        """Whether this version knows what the type means."""
        return self.type in set(StatementType)

    def check(self) -> None:
        """Refuse a type that is not in the list, and a subject or body that is not of its type.

        Raises StatementRefusal, FieldRefusal, DigestRefusal, CaipRefusal.
        """
        if not self.is_known:
            raise StatementRefusal("statement.unknown", "No statement of this type is written here.", actual=self.type)
        shape = BODIES[StatementType(self.type)]
        if shape.subject not in {Subject.ANY, subject_of(self.subject)}:
            raise StatementRefusal(
                "statement.subject",
                f"A {self.type} is about a {shape.subject}.",
                limit=shape.subject,
                actual=self.subject,
            )
        fields = Fields.of(self.body, f"{self.type} body", shape.members)
        for key, check in shape.members.items():
            check(fields, key)

    def to_document(self) -> dict[str, Json]:
        return {
            "schema": SCHEMA,
            "type": self.type,
            "subject": self.subject,
            "fact": self.fact,
            "time": time_text(self.time),
            "chain": None if self.chain is None else self.chain.to_document(),
            "body": self.body,
        }

    @property
    def digest(self) -> Sha256:
        """SHA-256 of the statement's canonical bytes: what callers hold before it has an index."""
        return Sha256.of(canonical_bytes(self.to_document()))

    @property
    def signed_bytes(self) -> bytes:
        """What the service signs: a prefix, so that no other message can be taken for a statement, and the JCS."""
        return SIGNED_PREFIX + canonical_bytes(self.to_document())


def subject_of(text: str) -> Subject:
    """Return what a subject is about, from its form."""
    if text.startswith("sha256:"):
        return Subject.CONTENT
    if text.startswith("settlement:"):
        return Subject.SETTLEMENT
    if text.startswith("log:"):
        return Subject.LOG
    if "/erc721:" in text:
        return Subject.DATASET
    if "/erc1155:" in text:
        return Subject.LICENSE
    return Subject.ACCOUNT


Check = Callable[[Fields, str], object]


@dataclass(frozen=True, slots=True)
class Shape:
    """The subject and the members of one type's body."""

    subject: Subject
    members: Mapping[str, Check]


def _count(fields: Fields, key: str) -> int:
    return fields.integer(key)


def _positive(fields: Fields, key: str) -> int:
    return fields.integer(key, low=1)


def _positive_or_none(fields: Fields, key: str) -> int | None:
    return fields.integer_or_none(key, low=1)


def _bps(fields: Fields, key: str) -> int:
    return fields.integer(key, high=10_000)


def _amount(fields: Fields, key: str) -> int:
    return fields.amount(key)


def _uint256(fields: Fields, key: str) -> int:
    return fields.amount(key, high=2**256 - 1)


def _code(fields: Fields, key: str) -> str:
    """A word of an enumeration: never a sentence, so that nothing personal finds its way in."""
    text = fields.matching(key, _CODE, "a word of lower-case letters, digits and hyphens")
    if len(text) > _CODE_LIMIT:
        raise StatementRefusal("statement.code", "A word is too long.", limit=_CODE_LIMIT, actual=len(text))
    return text


def _code_or_none(fields: Fields, key: str) -> str | None:
    return None if fields.members[key] is None else _code(fields, key)


def _codes(fields: Fields, key: str) -> None:
    for word in fields.sorted_texts(key, most=100):
        _code(Fields(fields.where, {key: word}), key)


def _dataset(fields: Fields, key: str) -> Asset:
    return fields.asset(key, AssetKind.DATASET)


def _token(fields: Fields, key: str) -> Asset:
    return fields.asset(key, AssetKind.TOKEN)


def _account(fields: Fields, key: str) -> Account:
    return fields.account(key)


def _parents(fields: Fields, key: str) -> None:
    for number, item in enumerate(fields.items(key, most=16)):
        parent = Fields.of(item, f"{key}[{number}]", ("dataset", "bps", "license"))
        parent.asset("dataset", AssetKind.DATASET)
        parent.integer("bps", high=10_000)
        if parent.members["license"] is not None:
            parent.asset("license", AssetKind.LICENSE)


def _one_of(*words: str) -> Check:
    def check(fields: Fields, key: str) -> None:
        value = fields.members[key]
        if value not in words:
            raise StatementRefusal(
                "statement.value",
                f"{fields.where}.{key} is none of the words that this type knows.",
                limit=", ".join(words),
                actual=str(value)[:80],
            )

    return check


_DIGEST, _DIGEST_OR_NONE, _HASH32 = Fields.digest, Fields.digest_or_none, Fields.hash32
_KIND = _one_of("open", "sealed")
_OFFER: dict[str, Check] = {"offer": _DIGEST, "terms": _DIGEST, "nonce": _uint256}
_USAGE: dict[str, Check] = {
    "report": _DIGEST,
    "unit": _code_or_none,
    "quantity": _uint256,
    "cumulative_amount": _amount,
    "reports_root": _DIGEST,
}
_NOTICE: dict[str, Check] = {"notice": _DIGEST, "decision": _code_or_none}
_DISPUTE: dict[str, Check] = {"dispute": _DIGEST, "outcome": _code_or_none}
_CONTENT: dict[str, Check] = {"version": _positive_or_none, "reason": _code, "order": _DIGEST_OR_NONE}

BODIES: Mapping[StatementType, Shape] = {
    StatementType.DATASET_REGISTERED: Shape(
        Subject.DATASET,
        {
            "manifest": _DIGEST,
            "package": _DIGEST,
            "owner": _account,
            "parents": _parents,
            "derive_bps": _bps,
            "splits": _DIGEST_OR_NONE,
        },
    ),
    StatementType.VERSION_PUBLISHED: Shape(
        Subject.DATASET, {"version": _positive, "manifest": _DIGEST, "package": _DIGEST}
    ),
    StatementType.PACKAGE_MADE: Shape(
        Subject.DATASET, {"version": _positive, "package": _positive, "digest": _DIGEST, "kind": _KIND}
    ),
    StatementType.RIGHTS_ATTESTED: Shape(Subject.CONTENT, {"manifest": _DIGEST, "owner": _account, "bases": _codes}),
    StatementType.FINGERPRINT_COMPUTED: Shape(
        Subject.CONTENT,
        {
            "manifest": _DIGEST,
            "algorithm": _code,
            "parameters": _DIGEST,
            "records": _count,
            "commitment": _DIGEST,
        },
    ),
    StatementType.GATE_PASSED: Shape(
        Subject.CONTENT,
        {
            "manifest": _DIGEST,
            "owner": _account,
            "result": _one_of("none", "shown", "answered", "reviewed"),
            "index_version": _count,
            "compared": _count,
            "thresholds": _DIGEST,
        },
    ),
    StatementType.LISTING_CHANGED: Shape(
        Subject.DATASET, {"state": _one_of("listed", "delisted"), "offer": _DIGEST_OR_NONE, "reason": _code}
    ),
    StatementType.OFFER_MADE: Shape(Subject.DATASET, _OFFER),
    StatementType.OFFER_WITHDRAWN: Shape(Subject.DATASET, _OFFER),
    StatementType.LICENSE_PURCHASED: Shape(
        Subject.LICENSE,
        {
            "dataset": _dataset,
            "offer": _DIGEST,
            "terms": _DIGEST,
            "price": _amount,
            "fee": _amount,
            "token": _token,
            "uses": _codes,
        },
    ),
    StatementType.LICENSE_REFUNDED: Shape(Subject.LICENSE, {"dataset": _dataset, "amount": _amount}),
    StatementType.LICENSE_REVOKED: Shape(Subject.LICENSE, {"ground": _code, "effective": Fields.time}),
    StatementType.LICENSE_EXPIRED: Shape(Subject.LICENSE, {"dataset": _dataset}),
    StatementType.KEY_GRANTED: Shape(Subject.LICENSE, {"package": _DIGEST, "recipient": _DIGEST, "grant": _DIGEST}),
    StatementType.USAGE_REPORTED: Shape(Subject.LICENSE, _USAGE),
    StatementType.USAGE_CORRECTED: Shape(Subject.LICENSE, _USAGE),
    StatementType.MODEL_DECLARED: Shape(Subject.LICENSE, {"model": _DIGEST}),
    StatementType.SETTLEMENT_ACCEPTED: Shape(
        Subject.SETTLEMENT, {"epoch": _positive, "root": _HASH32, "digest": _DIGEST, "cumulative": _amount}
    ),
    StatementType.PAYOUT_MADE: Shape(
        Subject.ACCOUNT,
        {
            "payee": _positive,
            "token": _token,
            "amount": _amount,
            "cumulative": _amount,
            "epoch": _positive,
        },
    ),
    StatementType.OPTOUT_RECORDED: Shape(Subject.DATASET, _NOTICE),
    StatementType.DISPUTE_OPENED: Shape(Subject.DATASET, _DISPUTE),
    StatementType.DISPUTE_RESOLVED: Shape(Subject.DATASET, _DISPUTE),
    StatementType.NOTICE_RECEIVED: Shape(Subject.DATASET, _NOTICE),
    StatementType.NOTICE_DECIDED: Shape(Subject.DATASET, _NOTICE),
    StatementType.CONTENT_WITHHELD: Shape(Subject.DATASET, _CONTENT),
    StatementType.CONTENT_ERASED: Shape(Subject.DATASET, _CONTENT),
    StatementType.DATASET_TRANSFERRED: Shape(Subject.DATASET, {"from": _account, "to": _account}),
    StatementType.INDEX_COMMITTED: Shape(Subject.LOG, {"up_to": _count, "count": _count, "root": _DIGEST}),
    StatementType.FACT_RETRACTED: Shape(Subject.ANY, {"entry": _count, "reason": _code}),
    StatementType.KEY_ROTATED: Shape(Subject.LOG, {"role": _code, "old": _DIGEST, "new": _DIGEST}),
}
