"""Terms as an ODRL 2.2 policy in JSON-LD: an Offer before the purchase, an Agreement after it.

Source: https://www.w3.org/TR/odrl-model/ and https://www.w3.org/TR/odrl-vocab/. Every rule of an Offer has exactly one
assigner; every rule of an Agreement exactly one assigner and one assignee. ODRL has no words for training, so those
actions come from our profile, each included in `odrl:use`. What is not permitted is prohibited by name, because an ODRL
reader does not assume it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from marketplace.core.document import write_time
from marketplace.core.money import Amount
from marketplace.core.terms import Terms, Use
from provenance.core.canonical import Json

PROFILE = "urn:cadastre:odrl:1"
_CONTEXT: Json = [
    "http://www.w3.org/ns/odrl.jsonld",
    {
        "cadastre": "urn:cadastre:odrl:1:",
        "cc": "http://creativecommons.org/ns#",
        "xsd": "http://www.w3.org/2001/XMLSchema#",
    },
]


@dataclass(frozen=True, slots=True)
class Agreed:
    """What turns an offer into an agreement: the license, its licensee (CAIP-10), start and end in Unix seconds."""

    license: str
    licensee: str
    start: int
    end: int | None


def odrl_policy(
    terms: Terms, *, uid: str, target: str, assigner: str, price: Amount, agreed: Agreed | None = None
) -> dict[str, Json]:
    """Return the policy of `terms` about the dataset `target` (CAIP-19), sold by `assigner` (CAIP-10).

    `uid` is the IRI of the offer; with `agreed` the result is the Agreement named by the license's id.
    """
    parties: dict[str, Json] = {"target": target, "assigner": assigner}
    if agreed is not None:
        parties["assignee"] = agreed.licensee
    return {
        "@context": _CONTEXT,
        "@type": "Offer" if agreed is None else "Agreement",
        "uid": uid if agreed is None else agreed.license,
        "profile": PROFILE,
        "permission": [
            {
                **parties,
                "action": _action(use),
                "constraint": _constraints(terms, agreed),
                "duty": _duties(terms, price, use),
            }
            for use in sorted(terms.uses)
        ],
        "prohibition": [{**parties, "action": action} for action in _prohibited(terms)],
    }


def _action(use: Use) -> str:
    match use:
        case Use.DERIVE:
            return "derive"
        case Use.REDISTRIBUTE:
            return "distribute"
        case Use.PRETRAIN | Use.FINE_TUNE | Use.EVALUATE | Use.RETRIEVE:
            return f"cadastre:{use.value}"
        case _:
            assert_never(use)


def _prohibited(terms: Terms) -> list[str]:
    actions = [_action(use) for use in sorted(set(Use) - terms.uses)]
    if not terms.commercial:
        actions.append("cc:CommericalUse")  # spelled so in the ODRL vocabulary itself
    if not terms.publish_weights:
        actions.append("cadastre:publish-weights")
    if not terms.keep_models:
        actions.append("cadastre:keep-models")
    if not terms.transferable:
        actions.append("transfer")
    return actions


def _constraints(terms: Terms, agreed: Agreed | None) -> list[Json]:
    constraints: list[Json] = []
    if not terms.worldwide:
        constraints.append(_constraint("spatial", "isAnyOf", sorted(terms.territory)))
    if agreed is not None:
        constraints.append(_constraint("dateTime", "gteq", _typed(write_time(agreed.start), "xsd:dateTime")))
        if agreed.end is not None:
            constraints.append(_constraint("dateTime", "lt", _typed(write_time(agreed.end), "xsd:dateTime")))
    elif terms.term_days is not None:
        constraints.append(_constraint("elapsedTime", "lteq", _typed(f"P{terms.term_days}D", "xsd:duration")))
    if terms.seats is not None:
        constraints.append(_constraint("cadastre:seats", "lteq", terms.seats))
    if not terms.affiliates:
        constraints.append(_constraint("recipient", "neq", "cadastre:affiliate"))
    return constraints


def _duties(terms: Terms, price: Amount, use: Use) -> list[Json]:
    duties = _payments(terms, price, use)
    if terms.attribution is not None:
        duties.append({"action": "attribute", "cadastre:text": terms.attribution})
    if terms.share_alike:
        duties.append({"action": "cc:ShareAlike"})
    if terms.report_use:
        duties.append({"action": "inform"})
    if terms.removal_duty:
        duties.append({"action": "delete", "cadastre:when": "cadastre:removal-notice"})
    if terms.audit_right:
        duties.append({"action": "cadastre:allow-audit"})
    return duties


def _payments(terms: Terms, price: Amount, use: Use) -> list[Json]:
    duties: list[Json] = []
    if price.units:
        duties.append(_payment(price, []))
    if terms.rate is not None:
        rate = terms.rate
        per: list[Json] = [_constraint("cadastre:unit", "eq", rate.unit.value)]
        if rate.allowance:
            per.append(_constraint("cadastre:allowance", "eq", rate.allowance))
        if rate.minimum:
            per.append(_constraint("cadastre:minimum", "eq", _decimal(Amount(rate.minimum, price.token))))
        if rate.cap is not None:
            per.append(_constraint("cadastre:cap", "eq", _decimal(Amount(rate.cap, price.token))))
        duties.append(_payment(Amount(rate.price, price.token), per))
    if use is Use.DERIVE and terms.derive_bps:
        duties.append(
            {
                "action": [
                    {
                        "rdf:value": {"@id": "compensate"},
                        "refinement": [_constraint("cadastre:share-bps", "eq", terms.derive_bps)],
                    }
                ]
            }
        )
    return duties


def _payment(amount: Amount, refinements: list[Json]) -> Json:
    paid: Json = {
        "leftOperand": "payAmount",
        "operator": "eq",
        "rightOperand": _decimal(amount),
        "unit": amount.token.caip,
    }
    return {"action": [{"rdf:value": {"@id": "compensate"}, "refinement": [paid, *refinements]}]}


def _constraint(left: str, operator: str, right: Json) -> Json:
    return {"leftOperand": left, "operator": operator, "rightOperand": right}


def _decimal(amount: Amount) -> Json:
    return _typed(amount.written, "xsd:decimal")


def _typed(value: str, kind: str) -> Json:
    return {"@value": value, "@type": kind}
