"""What one sale of a draft brings to whom, computed by the functions that later pay."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from marketplace.core.caip import AssetKind, AssetName
from marketplace.core.money import Amount, Token, divide, part, percent
from marketplace.core.royalty import allocate
from marketplace.models import Contributor, Draft
from marketplace.queries.catalog import current_fee_bps, fee_part, title_of
from marketplace.queries.deployments import current_deployment, payment_token
from marketplace.queries.lineage import owed_by
from provenance.core.lineage import Edge, Lineage
from provenance.models import Deployment, ParentEdge, Submission

GIVEN_AWAY = gettext_noop("Licenses are given away: nobody pays, and nobody is paid.")
_NEW = 0
"""Number of the dataset to be, in its own lineage: the registry counts from 1."""
_OWNER = ""
_HUNDRED = 100


@dataclass(frozen=True, slots=True)
class Line:
    """One part of a sale: who gets it, why, base units, and its share of what it is a part of (0: no share)."""

    who: str
    why: str
    units: int
    bps: int = 0


@dataclass(frozen=True, slots=True)
class Example:
    """A sale at `price` base units; fee, ancestors, people and `kept` add up to it. `derived`: see `summary`."""

    token: Token
    price: int
    fee: int
    ancestors: tuple[Line, ...]
    people: tuple[Line, ...]
    kept: int
    derive_bps: int

    @property
    def lines(self) -> tuple[Line, ...]:
        """Every part, the creator's rest last."""
        market, you = Line("Cadastre", _("market fee"), self.fee), Line(_("You"), _("the rest"), self.kept)
        return (market, *self.ancestors, *self.people, you)

    @property
    def sentence(self) -> str:
        """All parts in one sentence."""
        parts = [_("%(fee)s are the market's fee") % {"fee": Amount(self.fee, self.token)}] if self.fee else []
        if self.ancestors:
            units, owed = sum(line.units for line in self.ancestors), sum(line.bps for line in self.ancestors)
            parts.append(
                _("%(amount)s (%(percent)s) go to the owners of what it was built from")
                % {"amount": self._written(units), "percent": percent(owed)}
            )
        parts += [
            _("%(amount)s go to %(who)s (%(percent)s)")
            % {"amount": self._written(line.units), "who": line.who, "percent": percent(line.bps)}
            for line in self.people
        ]
        parts.append(_("%(amount)s are yours") % {"amount": self._written(self.kept)})
        return _("Of each license sold for %(price)s: %(parts)s.") % {
            "price": self._written(self.price), "parts": ", ".join(parts),
        }  # fmt: skip

    @property
    def summary(self) -> str:
        """What the creator receives of a sale, and of a sale of data that others build from it."""
        figures = {"price": self._written(self.price), "kept": self._written(self.kept)}
        words = _("Of a sale at %(price)s you receive %(kept)s.") % figures
        if not self.derive_bps:
            return words
        figures |= {
            "percent": percent(self.derive_bps),
            "share": self._written(part(self.price - self.fee, self.derive_bps)),
        }
        derived = _(
            "When somebody sells data built from yours for %(price)s, %(percent)s of it after the fee comes to you: "
            "%(share)s."
        )
        return f"{words} {derived % figures}"

    def _written(self, units: int) -> str:
        return str(Amount(units, self.token))


def worked_example(draft: Draft, submission: Submission, *, price: int | None = None) -> Example:
    """Return the example for `price`, by default the draft's, or 100.00 where it has none.

    Raises DeploymentRefusal, RoyaltyRefusal, MoneyRefusal.
    """
    deployment = current_deployment()
    token = payment_token(deployment)
    price = price if price is not None else draft.price or _HUNDRED * 10**token.decimals
    fee = fee_part(price, current_fee_bps(deployment))
    allocation = allocate(_NEW, price - fee, _lineage(submission, deployment))
    contributors = draft.contributors.exclude(state=Contributor.State.DECLINED).select_related("account")
    named = {each.named: each for each in contributors.order_by("created", "email")}
    kept = divide(allocation.kept, {who: each.bps for who, each in named.items()}, rest=_OWNER)
    return Example(
        token=token,
        price=price,
        fee=fee,
        ancestors=tuple(
            Line(
                title_of(deployment.dataset_caip(dataset)),
                _("it is built from it, %(percent)s") % {"percent": percent(bps)},
                units,
                bps,
            )
            for dataset, bps, units in allocation.ancestors
        ),
        people=tuple(
            Line(
                who,
                _("%(role)s, %(percent)s of your income") % {"role": each.role, "percent": percent(each.bps)},
                kept[who],
                each.bps,
            )
            for who, each in named.items()
        ),
        kept=kept[_OWNER],
        derive_bps=draft.derive_bps,
    )


def _lineage(submission: Submission, deployment: Deployment) -> Lineage:
    owed = owed_by([str(parent["dataset"]) for parent in submission.parents], dataset=submission.dataset)
    shares = ((AssetName.parse(parent, AssetKind.DATASET).number or 0, bps) for parent, bps in owed.shares.items())
    edges = {Edge(_NEW, number, bps) for number, bps in shares}
    seen: set[int] = set()
    level = {edge.parent for edge in edges}
    while level:
        seen |= level
        found = ParentEdge.objects.filter(deployment=deployment, child__in=level)
        above = {Edge(edge.child, edge.parent, edge.bps) for edge in found}
        edges |= above
        level = {edge.parent for edge in above} - seen
    return Lineage(sorted(edges))
