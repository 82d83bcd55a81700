"""What an auditor asks the chain, and which event each statement about it must be.

The chain is reached through a protocol that the auditor implements with their own node; nothing here connects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from provenance.core.bundle import Deployment
from provenance.core.caip import Account, Asset, AssetKind
from provenance.core.canonical import Json
from provenance.core.refusal import Refusal
from provenance.core.statement import Statement, StatementType

NO_DIGEST = "0x" + "00" * 32


class ChainFactRefusal(Refusal):
    """The chain says something else than the log, or does not know it."""


class ChainUnavailable(Refusal):
    """The auditor's node did not answer: the step is not checked, which is neither pass nor fail."""


class ChainEvent(Protocol):
    """A decoded log. `args` hold integers as decimal strings, addresses lower-case, bytes as 0x texts."""

    @property
    def address(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def args(self) -> Mapping[str, object]: ...
    @property
    def log_index(self) -> int: ...
    @property
    def block_number(self) -> int: ...
    @property
    def block_hash(self) -> str: ...


@dataclass(frozen=True, slots=True)
class LicenseState:
    """What the market says about a license now. `end` is Unix seconds, 0 for perpetual."""

    dataset: int
    licensee: str
    end: int
    active: bool


class ChainReader(Protocol):
    """The auditor's own view of one chain. Every method may raise ChainUnavailable."""

    @property
    def chain_id(self) -> int: ...

    def finalized(self) -> int:
        """Return the number of the highest final block."""

    def events(self, tx: str) -> Sequence[ChainEvent]:
        """Return the events of the deployment's contracts in a canonical transaction; none when it is not there."""

    def license(self, number: int) -> LicenseState | None:
        """Return the state of a license of the deployment's market, or None when it never was."""


def check_place(statement: Statement, deployment: Deployment, reader: ChainReader) -> None:
    """Accept a statement about an event only if that event is in the chain, final, and says the same.

    Raises ChainFactRefusal, ChainUnavailable.
    """
    place = statement.chain
    if place is None:
        return
    if place.chain != deployment.chain:
        raise ChainFactRefusal(
            "chain.other", "The fact stands on another chain.", limit=deployment.chain, actual=place.chain
        )
    found = next((event for event in reader.events(place.tx) if event.log_index == place.log), None)
    if found is None:
        raise ChainFactRefusal("chain.no_event", "The chain has no such event.", actual=f"{place.tx}:{place.log}")
    said = (found.address, found.block_number, found.block_hash)
    if said != (place.contract, place.block, place.block_hash):
        raise ChainFactRefusal(
            "chain.place", "The event stands elsewhere in the chain.",
            limit=f"{found.address} in block {found.block_number} {found.block_hash}",
            actual=f"{place.contract} in block {place.block} {place.block_hash}",
        )  # fmt: skip
    if place.block > reader.finalized():
        raise ChainFactRefusal(
            "chain.not_final", "The event is not final yet.", limit=reader.finalized(), actual=place.block
        )
    _check_content(statement, deployment, found)


def _check_content(statement: Statement, deployment: Deployment, event: ChainEvent) -> None:
    if not statement.is_known:
        return
    expected = _expected(statement)
    if not expected:
        return
    contract = deployment.registry if event.name in _REGISTRY_EVENTS else deployment.market
    if event.name not in expected or event.address != contract:
        raise ChainFactRefusal(
            "chain.event", f"A {statement.type} is another event of another contract.",
            limit=", ".join(sorted(expected)), actual=event.name,
        )  # fmt: skip
    for name, value in expected[event.name].items():
        if event.args.get(name) != value:
            raise ChainFactRefusal(
                "chain.content", f"The event's {name} is another.", limit=str(event.args.get(name)), actual=str(value)
            )
    if event.name == "Pushed":
        _check_pushed(statement.body, str(event.args["leaves"]).removeprefix("0x"))


def _check_pushed(body: Mapping[str, Json], leaves: str) -> None:
    """One push pays many payees: this one must be among them."""
    leaf = f"{int(str(body['payee'])):08x}{int(str(body['cumulative'])):016x}"
    if leaf not in (leaves[at : at + len(leaf)] for at in range(0, len(leaves), len(leaf))):
        raise ChainFactRefusal(
            "chain.content", "The event does not pay this payee up to this amount.", limit=leaves[:200], actual=leaf
        )


_REGISTRY_EVENTS = {"DatasetRegistered", "VersionPublished", "PackageMade", "Transfer"}
_KINDS = {"open": "0", "sealed": "1"}

Expected = dict[str, dict[str, str]]
"""Name of an event that may stand for the statement → arguments that it must have."""


def _expected(statement: Statement) -> Expected:
    """Return nothing for a type whose event says no more than its place."""
    body, kind = statement.body, StatementType(statement.type)
    match kind:
        case StatementType.DATASET_REGISTERED | StatementType.VERSION_PUBLISHED | StatementType.PACKAGE_MADE:
            return _of_content(kind, _number(statement.subject, AssetKind.DATASET), body)
        case StatementType.DATASET_TRANSFERRED:
            parties = {"from": _address(body["from"]), "to": _address(body["to"])}
            return {"Transfer": {**parties, "tokenId": _number(statement.subject, AssetKind.DATASET)}}
        case StatementType.OFFER_WITHDRAWN:
            dataset = _number(statement.subject, AssetKind.DATASET)
            return {"OfferCancelled": {"dataset": dataset, "nonce": str(body["nonce"])}}
        case (
            StatementType.LICENSE_PURCHASED
            | StatementType.LICENSE_REFUNDED
            | StatementType.LICENSE_REVOKED
            | StatementType.USAGE_REPORTED
            | StatementType.USAGE_CORRECTED
        ):
            return _of_license(kind, _number(statement.subject, AssetKind.LICENSE), body)
        case StatementType.SETTLEMENT_ACCEPTED | StatementType.PAYOUT_MADE:
            return _of_payout(kind, statement)
        case StatementType.DISPUTE_OPENED | StatementType.DISPUTE_RESOLVED:
            dispute = {"dataset": _number(statement.subject, AssetKind.DATASET), "dispute": _word(body["dispute"])}
            return {"DatasetFrozen": dispute} if kind is StatementType.DISPUTE_OPENED else {"DatasetUnfrozen": dispute}
        case (
            StatementType.RIGHTS_ATTESTED
            | StatementType.FINGERPRINT_COMPUTED
            | StatementType.GATE_PASSED
            | StatementType.LISTING_CHANGED
            | StatementType.OFFER_MADE
            | StatementType.LICENSE_EXPIRED
            | StatementType.KEY_GRANTED
            | StatementType.MODEL_DECLARED
            | StatementType.OPTOUT_RECORDED
            | StatementType.NOTICE_RECEIVED
            | StatementType.NOTICE_DECIDED
            | StatementType.CONTENT_WITHHELD
            | StatementType.CONTENT_ERASED
            | StatementType.INDEX_COMMITTED
            | StatementType.FACT_RETRACTED
            | StatementType.KEY_ROTATED
        ):
            return {}


def _of_content(kind: StatementType, dataset: str, body: Mapping[str, Json]) -> Expected:
    """A registration stands for version 1 and its package 1, a new version for its package 1."""
    if kind is StatementType.DATASET_REGISTERED:
        registered = {
            "dataset": dataset,
            "owner": _address(body["owner"]),
            "manifest": _word(body["manifest"]),
            "package": _word(body["package"]),
            "deriveBps": str(body["derive_bps"]),
            "splits": NO_DIGEST if body["splits"] is None else _word(body["splits"]),
        }
        return {"DatasetRegistered": registered}
    version = {"dataset": dataset, "version": str(body["version"])}
    if kind is StatementType.VERSION_PUBLISHED:
        said = {"manifest": _word(body["manifest"]), "package": _word(body["package"])}
        return _first_or_later(body, {"dataset": dataset, **said}, {**version, **said})
    package = {"package": _word(body["digest"])}
    packaged = {**package, "packageKind": _KINDS[str(body["kind"])]}
    if body["package"] == 1:
        return _first_or_later(body, {"dataset": dataset, **packaged}, {**version, **packaged})
    return {"PackageMade": {**version, **package, "number": str(body["package"]), "kind": _KINDS[str(body["kind"])]}}


def _first_or_later(body: Mapping[str, Json], first: dict[str, str], later: dict[str, str]) -> Expected:
    return {"DatasetRegistered": first} if body["version"] == 1 else {"VersionPublished": later}


def _of_license(kind: StatementType, license_number: str, body: Mapping[str, Json]) -> Expected:
    named = {"license": license_number}
    if kind is StatementType.LICENSE_PURCHASED:
        purchased = {
            **named,
            "dataset": _number(body["dataset"], AssetKind.DATASET),
            "document": _word(body["offer"]),
            "terms": _word(body["terms"]),
            "price": str(body["price"]),
            "token": Asset.parse(str(body["token"]), AssetKind.TOKEN).contract,
        }
        return {"LicensePurchased": purchased}
    if kind is StatementType.LICENSE_REFUNDED:
        dataset = _number(body["dataset"], AssetKind.DATASET)
        return {"LicenseRefunded": {**named, "dataset": dataset, "amount": str(body["amount"])}}
    if kind is StatementType.LICENSE_REVOKED:
        return {"LicenseRevoked": named}
    return {"Charged": {**named, "reportsRoot": _word(body["reports_root"])}}


def _of_payout(kind: StatementType, statement: Statement) -> Expected:
    body = statement.body
    if kind is StatementType.SETTLEMENT_ACCEPTED:
        token = statement.subject.removeprefix("settlement:").rpartition(":")[0]
        accepted = {"token": _contract(token), "epoch": str(body["epoch"]), "cumulativeTotal": str(body["cumulative"])}
        return {"RootAccepted": accepted}
    token = _contract(str(body["token"]))
    paid = {
        "token": token,
        "payee": str(body["payee"]),
        "amount": str(body["amount"]),
        "cumulativeAmount": str(body["cumulative"]),
    }
    return {"Paid": paid, "Pushed": {"token": token, "epoch": str(body["epoch"])}}


def _contract(token: str) -> str:
    return Asset.parse(token, AssetKind.TOKEN).contract


def _number(name: Json, kind: AssetKind) -> str:
    return str(Asset.parse(str(name), kind).number)


def _address(account: Json) -> str:
    return Account.parse(str(account)).address


def _word(digest: Json) -> str:
    return f"0x{digest}"
