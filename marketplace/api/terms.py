"""Documents of docs/formats.md as they appear inside bodies and answers: terms, rights statements, splits."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

import msgspec

from marketplace.api.names import Id
from marketplace.api.reading import Body

Bps = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1, description="Basis points: 500 is 5 %")]
Kind = Literal["image", "table", "text", "audio", "mixed"]
Visibility = Literal["open", "sealed"]
UseName = Literal["derive", "evaluate", "fine-tune", "pretrain", "redistribute", "retrieve"]
BasisName = Literal[
    "own-work", "commissioned", "licensed", "open-license", "web", "personal-data", "synthetic", "unknown"
]
AmountText = Annotated[str, msgspec.Meta(pattern="^(0|[1-9][0-9]{0,19})$", description="Base units")]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class Rate(Body):
    """A metered price: `price` per unit beyond `allowance`."""

    unit: Literal["records-1000", "tokens-1000000", "run", "gigabyte"]
    price: AmountText
    allowance: Count
    minimum: AmountText
    cap: AmountText | None


class Revocation(Body):
    """Grounds on which a license may end early."""

    grounds: list[Literal["breach", "court-order", "non-payment", "rights-claim"]]
    notice_days: Count
    cure_days: Count


class Terms(Body):
    """`cadastre.terms/1`. The text prevails; what is not granted is reserved."""

    title: str
    text: str
    uses: list[UseName]
    commercial: bool
    territory: list[str]
    term_days: Count | None
    seats: Count | None
    affiliates: bool
    keep_models: bool
    publish_weights: bool
    exclusive: bool
    transferable: bool
    attribution: str | None
    share_alike: bool
    report_use: bool
    removal_duty: bool
    audit_right: bool
    revocation: Revocation | None
    law: str | None
    rate: Rate | None
    versions: Literal["one", "all-in-term"]
    derive_bps: Bps
    spdx: str | None
    schema: Literal["cadastre.terms/1"] = "cadastre.terms/1"


class RightsStatement(Body):
    """On what right one source of the data is published."""

    source: str
    basis: BasisName
    from_: str | None = msgspec.field(name="from", default=None)
    sublicensing: bool | None = None
    license: str | None = None
    legal_basis: str | None = None
    model: str | None = None
    evidence: str | None = None


class Collected(Body):
    """The days between which data was collected."""

    from_: date | None = msgspec.field(name="from", default=None)
    to: date | None = None


class Parent(Body):
    """A dataset that this one is built from, and the license that permits it where one is needed."""

    dataset: Id
    license: Id | None = None


class SplitGiven(Body):
    """A share of the owner's income for a person, named by account or by e-mail address."""

    bps: Bps
    role: Annotated[str, msgspec.Meta(min_length=1, max_length=60)] = "contributor"
    account: Annotated[str, msgspec.Meta(min_length=1, max_length=40)] | None = None
    email: Annotated[str, msgspec.Meta(min_length=3, max_length=254, pattern="^[^@\\s]+@[^@\\s]+$")] | None = None
