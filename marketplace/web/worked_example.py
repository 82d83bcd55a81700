"""What one sale means in money, before anybody publishes: fee, ancestors, contributors, the creator's rest."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.core.money import BPS, divide, part, percent
from marketplace.models import Contributor, Draft
from marketplace.queries.catalog import current_fee_bps, fee_part, title_of
from marketplace.queries.deployments import current_deployment, payment_token
from marketplace.templatetags.cadastre import money
from provenance.content_queries import dataset_record
from provenance.models import ParentEdge, Submission

HUNDRED = 100


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the example: who, why, base units."""

    who: str
    why: str
    units: int


@dataclass(frozen=True, slots=True)
class Example:
    """A sale at `price` base units, shared line by line; the lines add up to it. `sentence` says it in words."""

    price: int
    lines: tuple[Line, ...]
    sentence: str


def worked_example(draft: Draft) -> Example | None:
    """Return the example for a draft's price (100.00 where there is none yet), or None without terms."""
    if draft.terms is None or draft.price == 0:
        return None
    token = payment_token()
    price = draft.price or HUNDRED * 10**token.decimals
    fee = fee_part(price, current_fee_bps(current_deployment()))
    net = price - fee
    ancestors = _ancestors(draft)
    shared = [Line(title, f"it is built from it, {percent(bps)}", part(net, bps)) for title, bps in ancestors]
    own = net - sum(line.units for line in shared)
    others = [(each.email, each.bps, each.role) for each in draft.contributors.exclude(state=Contributor.State.DECLINED)]
    split = divide(own, [(email, bps) for email, bps, _ in others], rest="you")
    people = [Line(email, f"{role}, {percent(bps)} of your income", split[email]) for email, bps, role in others]
    lines = (Line("Cadastre", "market fee", fee), *shared, *people, Line("You", "the rest", split["you"]))
    derive = percent(draft.derive_bps)
    sentence = f"Of a sale at {money(price)} you receive {money(split['you'])}."
    if draft.derive_bps:
        sentence += f" When somebody sells data built from yours for {money(price)}, {derive} of it after the fee comes to you: {money(part(net, draft.derive_bps))}."
    return Example(price, lines, sentence)


def _ancestors(draft: Draft) -> list[tuple[str, int]]:
    submission = Submission.objects.filter(pk=draft.submission).first()
    found: dict[str, int] = {}
    for parent in submission.parents if submission else []:
        record = dataset_record(str(parent["dataset"]))
        if record is None:
            continue
        found[record.caip] = found.get(record.caip, 0) + record.derive_bps
        for edge in _edges_above(record.deployment_id, record.token):
            caip = record.deployment.dataset_caip(edge[0])
            found[caip] = found.get(caip, 0) + edge[1]
    return [(title_of(caip), min(bps, BPS)) for caip, bps in sorted(found.items()) if bps]


def _edges_above(deployment: int, token: int) -> list[tuple[int, int]]:
    edges: list[tuple[int, int]] = []
    seen: set[int] = set()
    waiting = [token]
    while waiting:
        child = waiting.pop()
        if child in seen:
            continue
        seen.add(child)
        for edge in ParentEdge.objects.filter(deployment_id=deployment, child=child):
            edges.append((edge.parent, edge.bps))
            waiting.append(edge.parent)
    return edges
