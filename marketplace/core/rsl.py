"""Terms as RSL 1.0 (https://rslstandard.org/rsl), for crawlers and agents that read it.

RSL knows fewer words than our terms. Where it has no word for exactly what is granted, nothing is said, so that a
reader of the RSL text never believes in more rights than the license gives.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from marketplace.core.money import Amount
from marketplace.core.terms import Terms, Use

NAMESPACE = "https://rslstandard.org/rsl"


def rsl_document(
    terms: Terms, *, content_url: str, terms_url: str, offer_url: str, price: Amount, proof_url: str | None = None
) -> str:
    """Return the RSL document of one dataset under `terms`, as text.

    `content_url` names what is licensed, `terms_url` the human text that prevails, `offer_url` where to buy;
    `proof_url` is a certificate or receipt. RSL amounts are in ISO 4217 currencies, which tokens are not: the price
    stands at `offer_url`.
    """
    root = ET.Element("rsl", {"xmlns": NAMESPACE})
    content = ET.SubElement(root, "content", {"url": content_url})
    granted = ET.SubElement(content, "license")
    permitted, prohibited = _usages(terms)
    _say(granted, "permits", "usage", permitted)
    if not terms.commercial:
        _say(granted, "permits", "user", ("non-commercial",))
    if not terms.worldwide:
        _say(granted, "permits", "geo", tuple(sorted(terms.territory)))
    _say(granted, "prohibits", "usage", prohibited)
    if not terms.commercial:
        _say(granted, "prohibits", "user", ("commercial",))
    payment = ET.SubElement(granted, "payment", {"type": _payment(terms, price)})
    if price.units or terms.rate is not None:
        ET.SubElement(payment, "custom").text = offer_url
    if proof_url is not None:
        ET.SubElement(granted, "legal", {"type": "proof"}).text = proof_url
    ET.SubElement(content, "terms").text = terms_url
    return ET.tostring(root, encoding="unicode")


def _usages(terms: Terms) -> tuple[tuple[str, ...], tuple[str, ...]]:
    # `ai-train` covers training and fine-tuning alike: permitted only if both are, prohibited only if neither is.
    permitted, prohibited = [], []
    for word, uses in (("ai-train", {Use.PRETRAIN, Use.FINE_TUNE}), ("ai-input", {Use.RETRIEVE})):
        if uses <= terms.uses:
            permitted.append(word)
        elif not uses & terms.uses:
            prohibited.append(word)
    return tuple(permitted), tuple(prohibited)


def _payment(terms: Terms, price: Amount) -> str:
    if terms.rate is not None:
        return "use"
    if price.units:
        return "purchase"
    return "free" if terms.attribution is None else "attribution"


def _say(parent: ET.Element, element: str, kind: str, words: tuple[str, ...]) -> None:
    if words:
        ET.SubElement(parent, element, {"type": kind}).text = ",".join(words)
