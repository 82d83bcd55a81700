"""What a person's own wallet signs for a transaction of trade, and the transaction that carries its signature.

The relayer sends it and pays the gas; no key of the register is asked. Payloads are JSON, as in `market_kinds`:

    wallet.purchase      order, valid_before, signature             the wallet pays by EIP-3009
    wallet.deposit       voucher, payer, amount, reference, valid_before, signature
    wallet.cancel_offer  offer, deadline, signature                 the owner's cancellation

Kinds of the registry take a wallet's signature in the same place (`provenance.registry_calls`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from marketplace.core.caip import AssetKind, AssetName
from marketplace.core.offer import (
    authorization_typed_data,
    cancellation_typed_data,
    deposit_nonce,
    order_nonce,
    order_typed_data,
)
from marketplace.market_kinds import (
    Payload,
    checked,
    domain_of,
    license_row,
    market_call,
    order_reference,
    payment_domain,
    raw_bytes,
    split_signature,
)
from marketplace.models import OfferRow, Order, VoucherRow
from marketplace.queries.catalog import offer_terms, offer_value
from provenance import outbox
from provenance.core.registration import registry_domain
from provenance.core.typed_data import Domain, TypedData
from provenance.ports import Call, Chain, KeyRing
from provenance.registry_calls import dataset_nonce, owner_consent


def register_kinds() -> None:
    """Make the kinds that carry a wallet's signature known to the outbox."""
    outbox.register("wallet.purchase", checked(purchase))
    outbox.register("wallet.deposit", checked(deposit))
    outbox.register("wallet.cancel_offer", checked(cancel_offer))


def consent(kind: str, call: Payload, chain: Chain) -> TypedData:
    """Return what the wallet signs for an intent of this kind; asks the chain for what only it knows.

    Raises Refusal, ChainDown.
    """
    own = _CONSENTS.get(kind)
    if own is not None:
        return own(call, chain)
    domain = registry_domain(chain.chain_id, chain.address("DatasetRegistry"))
    return owner_consent(kind, call, domain, nonce=dataset_nonce(chain, call["dataset"]))


def purchase_consent(call: Payload, chain: Chain) -> TypedData:
    """The payment of an order, bound to offer, licensee and order; for a price of zero the consent to it."""
    order, domain = _order(call), domain_of(chain)
    offer = _signed_offer(order, domain)
    reference, valid_before = order_reference(order.pk), int(call["valid_before"])
    if order.total == 0:
        return order_typed_data(
            domain, offer_hash=offer.struct_hash, payer=order.payer, licensee=order.licensee, order=reference,
            valid_before=valid_before,
        )  # fmt: skip
    nonce = order_nonce(domain, offer_hash=offer.struct_hash, licensee=order.licensee, order=reference)
    return authorization_typed_data(
        payment_domain(chain, order.offer.token), payer=order.payer, market=domain.contract, value=order.total,
        valid_before=valid_before, nonce=nonce,
    )  # fmt: skip


def purchase(payload: Payload, _ring: KeyRing, chain: Chain) -> Call:
    """Buy a license that the buyer's own wallet pays for."""
    order = _order(payload)
    offer = _signed_offer(order, domain_of(chain))
    struct = [order.payer, order.licensee, order_reference(order.pk), int(payload["valid_before"])]
    owner_signature, signature = raw_bytes(order.offer.signature), raw_bytes(payload["signature"])
    if order.total == 0:
        return market_call(chain, "buy", offer.message, owner_signature, struct, signature)
    return market_call(
        chain, "buyWithAuthorization", offer.message, owner_signature, struct, *split_signature(signature)
    )


def deposit_consent(call: Payload, chain: Chain) -> TypedData:
    """A deposit from the wallet, for vouchers of the licenses that it paid for."""
    payer, domain = call["payer"], domain_of(chain)
    token = license_row(VoucherRow.objects.get(pk=call["voucher"]).license).token
    return authorization_typed_data(
        payment_domain(chain, token), payer=payer, market=domain.contract, value=int(call["amount"]),
        valid_before=int(call["valid_before"]),
        nonce=deposit_nonce(domain, account=payer, reference=raw_bytes(call["reference"])),
    )  # fmt: skip


def deposit(payload: Payload, _ring: KeyRing, chain: Chain) -> Call:
    """Deposit what a voucher lacks from the wallet that paid for its license."""
    token = license_row(VoucherRow.objects.get(pk=payload["voucher"]).license).token
    address, payer = AssetName.parse(token, AssetKind.TOKEN).contract, payload["payer"]
    return market_call(
        chain, "depositWithAuthorization", address, payer, payer, int(payload["amount"]),
        raw_bytes(payload["reference"]), int(payload["valid_before"]),
        *split_signature(raw_bytes(payload["signature"])),
    )  # fmt: skip


def cancellation_consent(call: Payload, chain: Chain) -> TypedData:
    """The end of an offer for whoever holds its signature."""
    offer, dataset = _cancelled(call)
    return cancellation_typed_data(
        domain_of(chain), dataset=dataset, nonce=int(offer.nonce), deadline=int(call["deadline"])
    )


def cancel_offer(payload: Payload, _ring: KeyRing, chain: Chain) -> Call:
    """Withdraw an offer on chain with the signature of the owner's wallet."""
    offer, dataset = _cancelled(payload)
    signature = raw_bytes(payload["signature"])
    return market_call(chain, "cancelOffer", dataset, int(offer.nonce), int(payload["deadline"]), signature)


_CONSENTS: Mapping[str, Callable[[Payload, Chain], TypedData]] = {
    "wallet.purchase": purchase_consent,
    "wallet.deposit": deposit_consent,
    "wallet.cancel_offer": cancellation_consent,
}


def _order(call: Payload) -> Order:
    return Order.objects.select_related("offer", "offer__terms").get(pk=call["order"])


def _signed_offer(order: Order, domain: Domain) -> TypedData:
    return offer_value(order.offer).typed_data(domain, offer_terms(order.offer))


def _cancelled(call: Payload) -> tuple[OfferRow, int]:
    offer = OfferRow.objects.get(pk=call["offer"])
    return offer, AssetName.parse(offer.dataset, AssetKind.DATASET).number or 0
