"""An offer is immutable: the document `cadastre.offer/1`, and the EIP-712 `Offer` that the dataset's owner signs.

The signed struct carries the document's digest and, for the contract, what it must judge by itself: uses, price, term,
hold, grounds of revocation. All of it follows from the offer and its terms; `Offer.typed_data` is the only place where.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self, assert_never

from marketplace.core.document import read_time_or_none, write_time
from marketplace.core.money import check_bps, check_units, percent
from marketplace.core.terms import Ground, Terms, Use
from provenance.core.caip import Account, Asset, AssetKind
from provenance.core.canonical import Json, document_bytes
from provenance.core.digest import Sha256
from provenance.core.fields import Fields
from provenance.core.keccak import keccak256
from provenance.core.refusal import Refusal
from provenance.core.typed_data import ZERO_ADDRESS, Domain, StructType, TypedData

SCHEMA = "cadastre.offer/1"
FEE_LIMIT_BPS = 500
HOLD_LIMIT_SECONDS = 365 * 86_400
COUNT_LIMIT = 2**32 - 1
NEVER = 2**40 - 1
COMMERCIAL_BIT = 64

_OFFER = StructType(
    "Offer(uint64 dataset,uint32 version,bytes32 terms,bytes32 document,uint16 uses,uint64 price,address token,"
    "uint16 feeBps,uint32 holdSeconds,uint32 termSeconds,uint40 expiry,uint32 maxLicenses,address licensee,"
    "uint16 grounds,uint16 cureDays,uint64 unitPrice,uint256 nonce)"
)
_ORDER = StructType("Order(bytes32 offer,address payer,address licensee,bytes32 order,uint256 validBefore)")
_CANCELLATION = StructType("OfferCancellation(uint64 dataset,uint256 nonce,uint256 deadline)")
_AUTHORIZATION = StructType(
    "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,"
    "bytes32 nonce)"
)


class OfferRefusal(Refusal):
    """An offer that cannot be made, or cannot be accepted any more."""


def use_bit(use: Use) -> int:
    """Return the bit of the contract's `uses` mask that stands for `use`; 64 stands for commercial use."""
    match use:
        case Use.PRETRAIN:
            return 1
        case Use.FINE_TUNE:
            return 2
        case Use.EVALUATE:
            return 4
        case Use.RETRIEVE:
            return 8
        case Use.DERIVE:
            return 16
        case Use.REDISTRIBUTE:
            return 32
        case _:
            assert_never(use)


def use_mask(uses: Iterable[Use], *, commercial: bool) -> int:
    """Return the contract's `uses` mask."""
    return sum(use_bit(use) for use in set(uses)) | (COMMERCIAL_BIT if commercial else 0)


def uses_of_mask(mask: int) -> tuple[frozenset[Use], bool]:
    """Return (uses, commercial) that a contract's `uses` mask grants. Raises OfferRefusal for unknown bits."""
    uses = frozenset(use for use in Use if mask & use_bit(use))
    commercial = bool(mask & COMMERCIAL_BIT)
    if use_mask(uses, commercial=commercial) != mask:
        raise OfferRefusal("offer.uses", "The mask of uses has a bit without a meaning.", actual=mask)
    return uses, commercial


def known_uses(mask: int) -> tuple[frozenset[Use], bool]:
    """Return (uses, commercial) that have a meaning here in a mask that anybody wrote; other bits grant nothing."""
    return uses_of_mask(mask & use_mask(Use, commercial=True))


def use_words(uses: Iterable[Use], *, commercial: bool) -> list[str]:
    """Return the uses as certificates and entries write them: sorted, `commercial` being one of the words."""
    return sorted({*(use.value for use in uses), *(("commercial",) if commercial else ())})


def ground_bit(ground: Ground) -> int:
    """Return the bit of the contract's `grounds` mask that stands for `ground`."""
    match ground:
        case Ground.BREACH:
            return 1
        case Ground.COURT_ORDER:
            return 2
        case Ground.NON_PAYMENT:
            return 4
        case Ground.RIGHTS_CLAIM:
            return 8
        case _:
            assert_never(ground)


def ground_word(bit: int) -> str:
    """Return a ground as entries write it. Anybody may sign offers with bits that have no name: `ground-16`."""
    named = {ground_bit(ground): ground.value for ground in Ground}
    return named.get(bit, f"ground-{bit}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What is offered to whom at what price. Amounts in base units of `token`, times in Unix seconds.

    `expires` None: until withdrawn; `count` None: any number; `licensee` None: anybody. Offers of one dataset that
    share a `nonce` share the count and are withdrawn together.
    """

    dataset: Asset
    version: int
    manifest: Sha256
    terms: Sha256
    price: int
    token: Asset
    fee_bps: int
    hold_seconds: int
    nonce: int
    expires: int | None = None
    count: int | None = None
    licensee: Account | None = None

    def __post_init__(self) -> None:
        check_units(self.price)
        _check_range("offer.version", "The version", self.version, 1, 2**32 - 1)
        _check_range("offer.hold", "The hold in seconds", self.hold_seconds, 0, HOLD_LIMIT_SECONDS)
        _check_range("offer.nonce", "The nonce", self.nonce, 0, 2**256 - 1)
        if self.expires is not None:
            _check_range("offer.expires", "The expiry", self.expires, 0, NEVER - 1)
        if self.count is not None:
            _check_range("offer.count", "The number of licenses", self.count, 1, COUNT_LIMIT)
        if check_bps(self.fee_bps) > FEE_LIMIT_BPS:
            raise OfferRefusal(
                "offer.fee", f"The market's fee is at most {percent(FEE_LIMIT_BPS)}.", limit=FEE_LIMIT_BPS,
                actual=self.fee_bps,
            )  # fmt: skip
        if self.token.kind is not AssetKind.TOKEN or self.dataset.kind is not AssetKind.DATASET:
            raise OfferRefusal("offer.names", "An offer names a dataset and a token.", actual=str(self.token))
        if self.token.chain != self.dataset.chain:
            raise OfferRefusal(
                "offer.chain", "The token lives on another chain than the dataset.", limit=self.dataset.chain,
                actual=self.token.chain,
            )  # fmt: skip

    def to_document(self) -> dict[str, Json]:
        """Return the `cadastre.offer/1` document."""
        return {
            "schema": SCHEMA,
            "dataset": str(self.dataset),
            "version": self.version,
            "manifest": self.manifest.hex,
            "terms": self.terms.hex,
            "price": str(self.price),
            "token": str(self.token),
            "fee_bps": self.fee_bps,
            "hold_seconds": self.hold_seconds,
            "expires": None if self.expires is None else write_time(self.expires),
            "count": self.count,
            "licensee": None if self.licensee is None else str(self.licensee),
            "nonce": str(self.nonce),
        }

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return document_bytes(self.to_document())

    @property
    def digest(self) -> Sha256:
        """What the signed struct carries as `document`."""
        return Sha256.of(self.to_bytes())

    @classmethod
    def from_document(cls, value: Json) -> Self:
        """Read a `cadastre.offer/1` document. Raises FieldRefusal, OfferRefusal, CaipRefusal, MoneyRefusal."""
        found = Fields.of(value, "offer", _KEYS, schema=SCHEMA)
        return cls(
            dataset=found.asset("dataset", AssetKind.DATASET),
            version=found.integer("version", low=1),
            manifest=found.digest("manifest"),
            terms=found.digest("terms"),
            price=found.amount("price"),
            token=found.asset("token", AssetKind.TOKEN),
            fee_bps=found.integer("fee_bps"),
            hold_seconds=found.integer("hold_seconds"),
            expires=read_time_or_none(found, "expires"),
            count=found.integer_or_none("count", low=1),
            licensee=None if found.members["licensee"] is None else found.account("licensee"),
            nonce=found.amount("nonce", high=2**256 - 1),
        )

    def typed_data(self, domain: Domain, terms: Terms) -> TypedData:
        """Return what the dataset's owner signs. Raises OfferRefusal if `terms` are not the offer's."""
        if terms.digest != self.terms:
            raise OfferRefusal(
                "offer.terms", "These are not the terms that the offer names.", limit=self.terms.hex,
                actual=terms.digest.hex,
            )  # fmt: skip
        revocation = terms.revocation
        return TypedData(
            domain,
            _OFFER,
            {
                "dataset": self.dataset.number or 0,
                "version": 0 if terms.all_versions else self.version,
                "terms": self.terms.raw,
                "document": self.digest.raw,
                "uses": use_mask(terms.uses, commercial=terms.commercial),
                "price": self.price,
                "token": self.token.contract,
                "feeBps": self.fee_bps,
                "holdSeconds": self.hold_seconds,
                "termSeconds": 0 if terms.term_days is None else terms.term_days * 86_400,
                "expiry": NEVER if self.expires is None else self.expires,
                "maxLicenses": self.count or 0,
                "licensee": ZERO_ADDRESS if self.licensee is None else self.licensee.address,
                "grounds": 0 if revocation is None else sum(ground_bit(ground) for ground in revocation.grounds),
                # On chain one period runs from the announcement to the effect: notice, then time to cure.
                "cureDays": 0 if revocation is None else revocation.notice_days + revocation.cure_days,
                "unitPrice": 0 if terms.rate is None else terms.rate.price,
                "nonce": self.nonce,
            },
        )


_KEYS = (
    "dataset", "version", "manifest", "terms", "price", "token", "fee_bps", "hold_seconds", "expires", "count",
    "licensee", "nonce",
)  # fmt: skip


def check_derive_share(terms: Terms, registered_bps: int) -> None:
    """Refuse terms that promise derivatives another share than the registry will take. Raises OfferRefusal."""
    if terms.derive_bps != registered_bps:
        raise OfferRefusal(
            "offer.derive_bps", "The terms name another share for derived datasets than the registry.",
            limit=registered_bps, actual=terms.derive_bps, todo="Change the share at the registry first, then offer.",
        )  # fmt: skip


def check_acceptable(offer: Offer, *, now: int, licensee: Account, sold: int, withdrawn: bool) -> None:
    """Refuse what the contract would refuse, before anybody pays gas. Times in Unix seconds. Raises OfferRefusal."""
    if withdrawn:
        raise OfferRefusal("offer.withdrawn", "The offer was withdrawn.", todo="Ask for a new one.")
    if offer.expires is not None and now > offer.expires:
        raise OfferRefusal(
            "offer.expired", "The offer has expired.", limit=write_time(offer.expires), actual=write_time(now),
            todo="Ask for a new one.",
        )  # fmt: skip
    if offer.count is not None and sold >= offer.count:
        raise OfferRefusal("offer.sold_out", "All licenses of this offer are sold.", limit=offer.count, actual=sold)
    if offer.licensee is not None and offer.licensee != licensee:
        raise OfferRefusal(
            "offer.for_other", "The offer was made to another account.", limit=str(offer.licensee), actual=str(licensee)
        )


def market_domain(chain: int, market: str) -> Domain:
    """Return the EIP-712 domain of a market."""
    return Domain("Cadastre Market", chain, market)


def order_typed_data(
    domain: Domain, *, offer_hash: bytes, payer: str, licensee: str, order: bytes, valid_before: int
) -> TypedData:
    """Return what a payer signs who does not send the transaction. `offer_hash` is the offer's struct hash."""
    return TypedData(
        domain,
        _ORDER,
        {"offer": offer_hash, "payer": payer, "licensee": licensee, "order": order, "validBefore": valid_before},
    )


def cancellation_typed_data(domain: Domain, *, dataset: int, nonce: int, deadline: int) -> TypedData:
    """Return what the dataset's owner signs to withdraw all offers under `nonce`."""
    return TypedData(domain, _CANCELLATION, {"dataset": dataset, "nonce": nonce, "deadline": deadline})


def order_nonce(domain: Domain, *, offer_hash: bytes, licensee: str, order: bytes) -> bytes:
    """Return the EIP-3009 nonce of a purchase: it binds payment to offer, licensee, order, chain and market."""
    return keccak256(_words(domain) + _bytes32(offer_hash) + _address(licensee) + _bytes32(order))


def deposit_nonce(domain: Domain, *, account: str, reference: bytes) -> bytes:
    """Return the EIP-3009 nonce of a deposit for `account`."""
    return keccak256(_words(domain) + _address(account) + _bytes32(reference))


def authorization_typed_data(
    token_domain: Domain, *, payer: str, market: str, value: int, valid_before: int, nonce: bytes
) -> TypedData:
    """Return the EIP-3009 `ReceiveWithAuthorization` of a payer: only `market` can present it, for this nonce alone.

    `valid_before` is exclusive, Unix seconds; `token_domain` is the token's own.
    """
    return TypedData(
        token_domain,
        _AUTHORIZATION,
        {"from": payer, "to": market, "value": value, "validAfter": 0, "validBefore": valid_before, "nonce": nonce},
    )


def _words(domain: Domain) -> bytes:
    return domain.chain.to_bytes(32) + _address(domain.contract)


def _address(text: str) -> bytes:
    return bytes(12) + bytes.fromhex(text.removeprefix("0x"))


def _bytes32(value: bytes) -> bytes:
    if len(value) != 32:
        raise OfferRefusal("offer.bytes32", "A hash or reference has 32 bytes.", limit=32, actual=len(value))
    return value


def _check_range(code: str, what: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not low <= value <= high:
        raise OfferRefusal(
            code, f"{what} is a whole number in its range.", limit=str(low if value < low else high), actual=str(value)
        )
