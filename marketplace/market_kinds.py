"""The transactions of trade: how each kind of intent becomes a call. Runs in the signer, where the keys are.

Payloads are JSON; integers beyond 2^53 and amounts are decimal strings.

    market.purchase      order, valid_before        the treasury pays by EIP-3009 for licensee/{order}
    market.deposit       voucher, amount, reference, valid_before
    market.charge        voucher
    market.refund        payer, order               by the refunder
    market.cancel_offer  offer                      the owner signs the cancellation
    market.enroll_owner  dataset
    market.invite_payee  account
    market.accept_payee  account, key_path          the invited account signs
    market.propose       settlement                 by the proposer
    market.accept        settlement                 anyone; waits for the window
    market.push          settlement, first, count
    market.veto          token, epoch, reason       by the guardian
    token.mint           top_up                     development chains: to the treasury
    token.collect        top_up, valid_before       from the account's custodial address to the treasury
    token.withdraw       withdrawal, valid_before   from the treasury to the person's own address
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist

from marketplace.core.caip import AssetKind, AssetName
from marketplace.core.offer import (
    authorization_typed_data,
    cancellation_typed_data,
    deposit_nonce,
    market_domain,
    order_nonce,
    order_typed_data,
)
from marketplace.core.payee import acceptance_typed_data
from marketplace.core.payout_tree import PayoutTree
from marketplace.core.transfer import TokenTransfer
from marketplace.models import (
    DerivedAddress,
    LicenseRow,
    OfferRow,
    Order,
    PayoutRow,
    SettlementRow,
    TopUp,
    VoucherRow,
    Withdrawal,
)
from marketplace.queries.addresses import signing_of
from marketplace.queries.catalog import offer_terms, offer_value
from marketplace.queries.deployments import token_by_caip, token_contract, token_domain
from provenance import outbox
from provenance.core.digest import Sha256
from provenance.core.refusal import Refusal
from provenance.core.typed_data import Domain, TypedData
from provenance.models import DatasetRecord
from provenance.ports import Call, Chain, KeyRing

MARKET = "Market"
TREASURY = "treasury"
OPERATOR_LANE = "operator"
GUARDIAN_LANE = "guardian"
NO_SIGNATURE = b""

Payload = Mapping[str, Any]
Builder = Callable[[Payload, KeyRing, Chain], Call]


class CallRefusal(Refusal):
    """A transaction cannot be built from its rows any more; its intent fails with this cause."""


def register_kinds() -> None:
    """Make the kinds of trade known to the outbox."""
    for name, builder in _RELAYED.items():
        outbox.register(name, checked(builder))
    outbox.register("market.charge", checked(charge), retry_on={"UsageDepositTooLow"})
    outbox.register("market.accept", checked(accept), retry_on={"PayoutsWindowOpen"})
    outbox.register("market.propose", checked(propose), lane=OPERATOR_LANE, retry_on={"PayoutsRootPending"})
    outbox.register("market.refund", checked(refund), lane=OPERATOR_LANE)
    outbox.register("market.veto", checked(veto), lane=GUARDIAN_LANE)


def order_reference(order: UUID) -> bytes:
    """Return the 32 bytes by which the contract knows an order; the licensee says nothing about the buyer."""
    return order.bytes.rjust(32, b"\0")


def _treasury(ring: KeyRing) -> str:
    """Return the treasury's address, made known to everybody before an event can name it."""
    address = ring.address(TREASURY)
    DerivedAddress.objects.get_or_create(path=TREASURY, defaults={"address": address})
    DerivedAddress.objects.filter(path=TREASURY, address=None).update(address=address)
    return address


def purchase(payload: Payload, ring: KeyRing, chain: Chain) -> Call:
    """Buy a license for a fresh licensee, paid by the treasury."""
    order = Order.objects.select_related("offer", "offer__terms").get(pk=payload["order"])
    offer, domain = order.offer, domain_of(chain)
    typed = offer_value(offer).typed_data(domain, offer_terms(offer))
    payer, licensee = _treasury(ring), ring.address(f"licensee/{order.pk}")
    reference, valid_before = order_reference(order.pk), int(payload["valid_before"])
    struct = [payer, licensee, reference, valid_before]
    owner_signature = raw_bytes(offer.signature)
    if order.total == 0:
        consent = order_typed_data(
            domain, offer_hash=typed.struct_hash, payer=payer, licensee=licensee, order=reference,
            valid_before=valid_before,
        )  # fmt: skip
        return market_call(chain, "buy", typed.message, owner_signature, struct, _signed(ring, TREASURY, consent))
    nonce = order_nonce(domain, offer_hash=typed.struct_hash, licensee=licensee, order=reference)
    data = authorization_typed_data(
        payment_domain(chain, offer.token), payer=payer, market=domain.contract, value=order.total,
        valid_before=valid_before, nonce=nonce,
    )  # fmt: skip
    return market_call(
        chain,
        "buyWithAuthorization",
        typed.message,
        owner_signature,
        struct,
        *split_signature(_signed(ring, TREASURY, data)),
    )


def deposit(payload: Payload, ring: KeyRing, chain: Chain) -> Call:
    """Deposit from the treasury, for vouchers of licenses that the treasury paid for."""
    voucher = VoucherRow.objects.get(pk=payload["voucher"])
    token = _license_token(voucher)
    treasury, domain = _treasury(ring), domain_of(chain)
    reference, amount, valid_before = (
        raw_bytes(payload["reference"]),
        int(payload["amount"]),
        int(payload["valid_before"]),
    )
    data = authorization_typed_data(
        payment_domain(chain, token), payer=treasury, market=domain.contract, value=amount, valid_before=valid_before,
        nonce=deposit_nonce(domain, account=treasury, reference=reference),
    )  # fmt: skip
    address = AssetName.parse(token, AssetKind.TOKEN).contract
    return market_call(
        chain, "depositWithAuthorization", address, treasury, treasury, amount, reference, valid_before,
        *split_signature(_signed(ring, TREASURY, data)),
    )  # fmt: skip


def charge(payload: Payload, _ring: KeyRing, chain: Chain) -> Call:
    """Charge what a signed voucher adds to earlier ones."""
    voucher = VoucherRow.objects.get(pk=payload["voucher"])
    row = license_row(voucher.license)
    if not voucher.signature:
        raise CallRefusal("voucher.unsigned", "The voucher is not signed.", actual=voucher.pk)
    number = AssetName.parse(voucher.license, AssetKind.LICENSE).number
    struct = [number, voucher.cumulative_units, voucher.cumulative_amount, bytes.fromhex(voucher.reports_root)]
    return market_call(chain, "charge", struct, row.payer, raw_bytes(row.order_reference), raw_bytes(voucher.signature))


def refund(payload: Payload, _ring: KeyRing, chain: Chain) -> Call:
    """Give a held price back to its payer."""
    return market_call(chain, "refund", payload["payer"], raw_bytes(payload["order"]))


def cancel_offer(payload: Payload, ring: KeyRing, chain: Chain) -> Call:
    """Withdraw an offer on chain; whoever holds its signature can no longer accept it."""
    row = OfferRow.objects.get(pk=payload["offer"])
    name = AssetName.parse(row.dataset, AssetKind.DATASET)
    record = DatasetRecord.objects.get(deployment__market=chain.address(MARKET), token=name.number or 0)
    holder = signing_of(record.owner)
    if holder is None or holder[1].key_path is None:
        raise CallRefusal(
            "offer.wallet", "The owner's own wallet has to cancel this offer.", actual=record.owner,
            todo="Send cancelOffer from the wallet.",
        )  # fmt: skip
    deadline = chain.header("latest").timestamp + _DAY
    data = cancellation_typed_data(domain_of(chain), dataset=record.token, nonce=int(row.nonce), deadline=deadline)
    return market_call(
        chain, "cancelOffer", record.token, int(row.nonce), deadline, _signed(ring, holder[1].key_path, data)
    )


def enroll_owner(payload: Payload, _ring: KeyRing, chain: Chain) -> Call:
    """Give the owner of a dataset a payee number."""
    return market_call(chain, "enrollOwner", int(payload["dataset"]))


def invite_payee(payload: Payload, _ring: KeyRing, chain: Chain) -> Call:
    """Give an invited contributor a payee number; the share waits until they accept."""
    return market_call(chain, "invitePayee", payload["account"])


def accept_payee(payload: Payload, ring: KeyRing, chain: Chain) -> Call:
    """Accept a share with the custodial key of the contributor."""
    deadline = chain.header("latest").timestamp + _DAY
    data = acceptance_typed_data(domain_of(chain), account=payload["account"], deadline=deadline)
    return market_call(chain, "acceptPayee", payload["account"], deadline, _signed(ring, payload["key_path"], data))


def propose(payload: Payload, _ring: KeyRing, chain: Chain) -> Call:
    """Propose the root of a settlement whose documents are pinned."""
    row = SettlementRow.objects.get(pk=payload["settlement"])
    token = AssetName.parse(row.token, AssetKind.TOKEN).contract
    return market_call(
        chain, "propose", token, row.epoch, row.to_block, raw_bytes(row.to_block_hash), raw_bytes(row.root),
        row.cumulative, bytes.fromhex(row.digest),
    )  # fmt: skip


def accept(payload: Payload, _ring: KeyRing, chain: Chain) -> Call:
    """Accept a proposed root once its window is over."""
    row = SettlementRow.objects.get(pk=payload["settlement"])
    return market_call(chain, "accept", AssetName.parse(row.token, AssetKind.TOKEN).contract, row.epoch)


def push(payload: Payload, _ring: KeyRing, chain: Chain) -> Call:
    """Pay a contiguous range of leaves."""
    row = SettlementRow.objects.get(pk=payload["settlement"])
    token = AssetName.parse(row.token, AssetKind.TOKEN).contract
    leaves = list(PayoutRow.objects.filter(settlement=row).order_by("leaf").values_list("payee", "cumulative"))
    tree = PayoutTree.of(token, leaves)
    first, count = int(payload["first"]), int(payload["count"])
    return market_call(
        chain, "push", token, len(leaves), first, tree.packed(first, count), tree.range_proof(first, count)
    )


def veto(payload: Payload, _ring: KeyRing, chain: Chain) -> Call:
    """Strike a pending root down."""
    reason = Sha256.of(str(payload["reason"]).encode()).raw
    return market_call(chain, "veto", payload["token"], int(payload["epoch"]), reason)


def mint(payload: Payload, ring: KeyRing, chain: Chain) -> Call:
    """Play money of a development chain, into the treasury."""
    row = TopUp.objects.get(pk=payload["top_up"])
    return _token(chain, row.token, "mint", _treasury(ring), row.amount)


def collect(payload: Payload, ring: KeyRing, chain: Chain) -> Call:
    """Move income of a custodial account from its own address into the treasury."""
    row = TopUp.objects.get(pk=payload["top_up"])
    sender, valid_before = ring.address(row.key_path), int(payload["valid_before"])
    wish = TokenTransfer(row.pk, sender, _treasury(ring), row.amount, valid_before)
    return _transfer(chain, ring, row.token, row.key_path, wish)


def withdraw(payload: Payload, ring: KeyRing, chain: Chain) -> Call:
    """Pay a withdrawal out of the treasury."""
    row = Withdrawal.objects.select_related("destination").get(pk=payload["withdrawal"])
    if row.destination.address is None:
        raise CallRefusal("withdrawal.address", "The withdrawal has no address.", actual=str(row.pk))
    wish = TokenTransfer(row.pk, _treasury(ring), row.destination.address, row.amount, int(payload["valid_before"]))
    return _transfer(chain, ring, row.token, TREASURY, wish)


_DAY = 86_400
_RELAYED: Mapping[str, Builder] = {
    "market.purchase": purchase,
    "market.deposit": deposit,
    "market.cancel_offer": cancel_offer,
    "market.enroll_owner": enroll_owner,
    "market.invite_payee": invite_payee,
    "market.accept_payee": accept_payee,
    "market.push": push,
    "token.mint": mint,
    "token.collect": collect,
    "token.withdraw": withdraw,
}


def license_row(license_id: str) -> LicenseRow:
    """Return the license of a voucher. Raises CallRefusal."""
    found = LicenseRow.objects.filter(pk=license_id).first()
    if found is None:
        raise CallRefusal("license.unknown", "The license is not in the chain any more.", actual=license_id)
    return found


def _transfer(chain: Chain, ring: KeyRing, token: str, path: str, wish: TokenTransfer) -> Call:
    signature = _signed(ring, path, wish.typed_data(payment_domain(chain, token)))
    return _token(
        chain, token, "transferWithAuthorization", wish.sender, wish.to, wish.value, 0, wish.valid_before, wish.nonce,
        *split_signature(signature),
    )  # fmt: skip


def _license_token(voucher: VoucherRow) -> str:
    return str(license_row(voucher.license).token)


def domain_of(chain: Chain) -> Domain:
    """Return the domain of the chain's market."""
    return market_domain(chain.chain_id, chain.address(MARKET))


def payment_domain(chain: Chain, caip: str) -> Domain:
    """Return the domain under which a token checks the authorizations that its holders sign."""
    token = token_by_caip(caip)
    told = token_domain(token)
    if told is None:
        # ERC-5267: the token says itself under which name and version it checks signatures.
        answer: Any = chain.read(token_contract(token), "eip712Domain")
        told = str(answer[1]), str(answer[2])
    return Domain(told[0], token.chain, token.address, told[1])


def market_call(chain: Chain, function: str, *args: object) -> Call:
    """Return a call of the market."""
    return Call(to=chain.address(MARKET), data=chain.encode(MARKET, function, *args))


def _token(chain: Chain, caip: str, function: str, *args: object) -> Call:
    token = token_by_caip(caip)
    return Call(to=token.address, data=chain.encode(token_contract(token), function, *args))


def _signed(ring: KeyRing, path: str, data: TypedData) -> bytes:
    return raw_bytes(ring.sign_typed_data(path, data.to_json()).signature)


def split_signature(signature: bytes) -> tuple[int, bytes, bytes]:
    """Return (v, r, s), as EIP-3009 takes a signature."""
    return signature[64], signature[:32], signature[32:64]


def raw_bytes(text: str) -> bytes:
    """Return the bytes of 0x text. Raises ValueError."""
    return bytes.fromhex(text.removeprefix("0x"))


def checked(builder: Builder) -> outbox.Builder:
    """Return the builder for the outbox: what is wrong with a payload fails its own intent."""

    def build(payload: Mapping[str, object], ring: KeyRing, chain: Chain) -> Call:
        try:
            return builder(payload, ring, chain)
        except (KeyError, TypeError, ValueError, ObjectDoesNotExist) as error:
            # A malformed payload fails its own intent; raised further it would stop the whole lane.
            raise CallRefusal(
                "outbox.payload", f"The transaction's payload is malformed: {type(error).__name__} {error}."
            ) from error

    return build
