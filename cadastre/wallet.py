"""A wallet of one's own, and what it lets a site have signed: nothing but what was asked for, for pinned contracts.

A site may ask for anything. Before the wallet signs, the question is compared with the contracts that are known here,
and a payment with the offer, the price, the order and the licensee that it is for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from marketplace.core.offer import Offer, market_domain, order_nonce
from marketplace.core.terms import Terms
from provenance.core.canonical import document_digest
from provenance.core.refusal import Refusal

Document = dict[str, Any]

# By act: what the data is called, and the contract that checks it.
_KNOWN: Mapping[str, frozenset[tuple[str, str]]] = {
    "link": frozenset({("WalletLink", "registry")}),
    "registration": frozenset({("Registration", "registry"), ("Version", "registry")}),
    "attestation": frozenset({("RightsAttestation", "registry")}),
    "derivation": frozenset({("Derivation", "registry")}),
    "offer": frozenset({("Offer", "market")}),
    "cancel-offer": frozenset({("OfferCancellation", "market")}),
    "splits": frozenset({("Splits", "registry")}),
    "derive-terms": frozenset({("DeriveTerms", "registry")}),
    "hand-over": frozenset({("HandOver", "registry")}),
    "purchase": frozenset({("ReceiveWithAuthorization", "token"), ("Order", "market")}),
    "voucher": frozenset({("Voucher", "market")}),
    "deposit": frozenset({("ReceiveWithAuthorization", "token")}),
}


class WalletRefusal(Refusal):
    """The wallet does not sign: the site asks for something else than what was wanted."""


@dataclass(frozen=True, slots=True)
class Wallet:
    """An address (lower case with 0x), and a function that signs EIP-712 data with its key and returns 0x text.

    `pins`: what `/api/v1/deployment` said when it was trusted; the wallet signs for these contracts only.
    """

    address: str
    sign_typed_data: Callable[[Mapping[str, Any]], str]
    pins: Mapping[str, Any]

    def sign(self, act: str, typed_data: Mapping[str, Any]) -> str:
        """Return the signature for an act, as the API names it. Raises WalletRefusal when it is something else."""
        self._check(act, typed_data)
        return self.sign_typed_data(typed_data)

    def sign_payment(self, order: Document, offer: Document, *, price: int) -> str:
        """Return the signature that pays an order of a public offer, at this price in base units and no other.

        `order` and `offer` are what the API says; the offer's digest, terms and licensee are recomputed. Raises
        WalletRefusal.
        """
        typed = order["signature"]["typed_data"]
        self._check("purchase", typed)
        made = Offer.from_document(offer["document"])
        if made.digest.hex != order["offer"] or made.price != price:
            raise _other("price", price, made.price)
        deployment = self.pins["deployment"]
        domain = market_domain(int(deployment["chain"]), deployment["market"])
        struct = made.typed_data(domain, Terms.from_document(offer["terms"])).struct_hash
        reference = UUID(order["id"]).bytes.rjust(32, b"\0")
        said, wanted = typed["message"], {"from": self.address}
        if typed["primaryType"] == "Order":
            wanted = {"payer": self.address, "offer": _hex(struct), "order": _hex(reference)}
            wanted |= {"licensee": order["licensee"]}
        else:
            nonce = order_nonce(domain, offer_hash=struct, licensee=order["licensee"], order=reference)
            wanted |= {"value": str(price), "nonce": _hex(nonce)}
        for name, value in wanted.items():
            if said[name] != value:
                raise _other(name, value, said[name])
        return self.sign_typed_data(typed)

    def sign_registration(self, review: Document) -> Document:
        """Return the `wallet` of a confirmation: all that a review asks this wallet for. Raises WalletRefusal."""
        asked, public = review["wallet"], review["public"]
        answer: Document = {"deadline": asked["deadline"]}
        if asked["owner"] is not None:
            if asked["owner"] != self.address:
                raise _other("owner", self.address, asked["owner"])
            wanted = {name: _hex(document_digest(public[name]).raw) for name in ("manifest", "package")}
            wanted["maxStackBps"] = str(public["max_stack_bps"])
            for name in ("registration", "attestation"):
                said = asked[name]["message"]
                for part, value in wanted.items():
                    if part in said and said[part] != value:
                        raise _other(part, value, said[part])
                answer[name] = self.sign(name, asked[name])
        own = [each for each in asked["derivations"] if each["wallet"] == self.address]
        answer["derivations"] = [
            {"parent": each["parent"], "signature": self.sign("derivation", each["typed_data"])} for each in own
        ]
        return answer

    def _check(self, act: str, typed: Mapping[str, Any]) -> None:
        domain, deployment = typed["domain"], self.pins["deployment"]
        contracts = {deployment["registry"]: "registry", deployment["market"]: "market"}
        contracts |= {token["address"]: "token" for token in self.pins.get("tokens", ())}
        if int(domain["chainId"]) != int(deployment["chain"]):
            raise _other("chain", int(deployment["chain"]), domain["chainId"])
        kind = (str(typed["primaryType"]), contracts.get(domain["verifyingContract"], "an unknown contract"))
        if kind not in _KNOWN.get(act, frozenset()):
            known = " or ".join(f"{name} of the {contract}" for name, contract in sorted(_KNOWN.get(act, ())))
            raise _other(act, known, f"{kind[0]} of {kind[1]}")
        if kind[0] == "ReceiveWithAuthorization" and typed["message"]["to"] != deployment["market"]:
            raise _other("receiver", deployment["market"], typed["message"]["to"])


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


def _other(what: str, limit: object, actual: object) -> WalletRefusal:
    return WalletRefusal(
        "wallet.other", f"The site asks the wallet to sign another {what} than was wanted. Nothing was signed.",
        limit=str(limit), actual=str(actual)[:160], todo="Ask the operator why.",
    )  # fmt: skip
