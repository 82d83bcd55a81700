"""The steps of verification that need the rules of trade: offer, terms and price of a license bundle.

They run as `additional` steps of `provenance.core.verify.verify_bundle`, which knows documents but no terms.

1. terms-bought     Terms and certificate grant the same uses until the same end, for the version that was offered.
2. price-and-fee    The certificate's fee is the offer's share of its price, rounded down.
3. offer-signature  An owner of the dataset signed this offer, these terms and this price for this market.
4. offer-on-chain   The market sold under exactly that signed offer.

A trail, and a bundle whose documents an earlier step has refused, are not checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from marketplace.core.license import Certificate, term_end
from marketplace.core.money import part
from marketplace.core.offer import Offer, market_domain
from marketplace.core.terms import Terms
from provenance.core.audit import Audit, AuditRefusal, NotChecked, check_same
from provenance.core.statement import StatementType
from provenance.core.typed_data import TypedData


@dataclass(frozen=True, slots=True)
class _Sale:
    """What was bought, as its three documents say."""

    certificate: Certificate
    offer: Offer
    terms: Terms


def check_terms(case: Audit) -> str:
    """Step 1."""
    sale = _sale(case)
    certificate, offer, terms = sale.certificate, sale.offer, sale.terms
    granted = (sorted(terms.uses), terms.commercial)
    check_same(
        "trade.uses", "The certificate grants other uses than the terms.", str(granted),
        str((sorted(certificate.uses), certificate.commercial)),
    )  # fmt: skip
    end = term_end(certificate.start, terms.term_days)
    check_same("trade.end", "The license ends at another time than the terms say.", str(end), str(certificate.end))
    check_same("trade.version", "The certificate is for another version.", str(offer.version), str(certificate.version))
    return f"The terms “{terms.title}” are those that the certificate grants."


def check_price(case: Audit) -> str:
    """Step 2."""
    sale = _sale(case)
    fee = part(sale.offer.price, sale.offer.fee_bps)
    check_same("trade.price", "The price is not the offer's.", str(sale.offer.price), str(sale.certificate.price))
    check_same("trade.fee", "The fee is not the offer's share of the price.", str(fee), str(sale.certificate.fee))
    return f"Price {sale.certificate.price} and fee {fee} (base units) follow from the offer."


def check_offer_signature(case: Audit) -> str:
    """Step 3."""
    sale = _sale(case)
    subject, typed = str(case.bundle.dataset), _typed_data(case, sale)
    owners = _owners(case)
    for index, statement in case.standing(StatementType.OFFER_MADE, subject):
        if statement.body["offer"] != sale.certificate.offer.hex:
            continue
        signatures = [each for each in case.entries[index].people if each.digest == typed.digest]
        signed = [each for each in signatures if str(each.signer) in owners]
        if not signed:
            raise AuditRefusal(
                "trade.offer_signature", "No owner of the dataset signed this offer.", limit=", ".join(sorted(owners)),
                actual=", ".join(str(each.signer) for each in signatures) or None,
            )  # fmt: skip
        if not any(each.is_of_a_key for each in signed):
            raise NotChecked("trade.wallet", "A contract wallet signed the offer; it was not asked.")
        return f"Entry {index}: {signed[0].signer} signed the offer."
    raise NotChecked("trade.no_offer", "The log does not hold the offer's signature; the market checked it.")


def check_offer_on_chain(case: Audit) -> str:
    """Step 4."""
    sale = _sale(case)
    typed = _typed_data(case, sale)
    number = str(sale.certificate.license.number)
    for event in case.chain.events(sale.certificate.tx):
        if event.name == "LicensePurchased" and event.args.get("license") == number:
            expected = "0x" + typed.struct_hash.hex()
            check_same("trade.struct", "The market sold under another offer.", str(event.args.get("offer")), expected)
            return "The market sold under this signed offer."
    raise AuditRefusal("trade.no_event", "The chain has no such purchase.", actual=sale.certificate.tx)


TRADE_CHECKS: tuple[tuple[str, Callable[[Audit], str]], ...] = (
    ("terms-bought", check_terms),
    ("price-and-fee", check_price),
    ("offer-signature", check_offer_signature),
    ("offer-on-chain", check_offer_on_chain),
)


def _sale(case: Audit) -> _Sale:
    if case.bundle.certificate is None:
        raise NotChecked("trade.none", "The bundle is not about a license.")
    case.entries  # noqa: B018  # documents mean nothing beside entries that are not proved
    certificate = Certificate.from_document(case.bundle.document(case.bundle.certificate))
    return _Sale(
        certificate,
        Offer.from_document(case.bundle.document(certificate.offer)),
        Terms.from_document(case.bundle.document(certificate.terms)),
    )


def _typed_data(case: Audit, sale: _Sale) -> TypedData:
    deployment = case.policy.deployment
    return sale.offer.typed_data(market_domain(deployment.chain, deployment.market), sale.terms)


def _owners(case: Audit) -> set[str]:
    """Return everybody who owned the dataset at some time; the market accepts the owner of the day only."""
    subject = str(case.bundle.dataset)
    first = {str(each.body["owner"]) for _, each in case.standing(StatementType.DATASET_REGISTERED, subject)}
    return first | {str(each.body["to"]) for _, each in case.standing(StatementType.DATASET_TRANSFERRED, subject)}
