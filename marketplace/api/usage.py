"""`/usage`: reports of what licensed data was used for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Annotated

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.actions.usage import Usage, approve_report, decline_report, report_usage
from marketplace.api.money import Money, Units, money
from marketplace.api.names import Id, Sha256Hex, id_of, license_caip
from marketplace.api.orders import Declining
from marketplace.api.pages import Page, PageQuery, page_of
from marketplace.api.reading import Body
from marketplace.api.resource import Resource
from marketplace.api.schema import IDEMPOTENT, IDEMPOTENT_ALWAYS, operation
from marketplace.api.terms import UseName
from marketplace.core.terms import Use
from marketplace.core.voucher import Subject, UsageRefusal
from marketplace.models import LicenseRow, UsageReport, VoucherRow
from marketplace.queries.actors import Act
from marketplace.queries.orders import own_license, reports_of

QUANTITY_LIMIT = 2**63 - 1


class Period(Body):
    """Days, both included."""

    from_: date = msgspec.field(name="from")
    to: date


class Named(Body):
    """A model or run: by its id, or by a salted commitment (SHA-256) to it."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    commitment: Sha256Hex | None = None


class UsageGiven(Body):
    """A report. `quantity` counts single records, tokens, runs or bytes; `corrects` names a report it replaces."""

    license: Id
    version: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    period: Period
    use: UseName
    quantity: Units
    model: Named
    run: Named
    corrects: Sha256Hex | None = None


class UsageShown(msgspec.Struct):
    """`amount` is what this report added to `cumulative_amount`; `state` is that of the voucher that pays it.

    A report in `approval`, or `declined` with its `cause`, counts for nothing: `amount` is what it would add to the
    `cumulative_amount` before it.
    """

    digest: str
    license: str
    version: int
    period: dict[str, str]
    use: str
    unit: str | None
    quantity: str
    amount: Money
    cumulative_units: str
    cumulative_amount: Money
    reports_root: str
    corrects: str | None
    corrected: bool
    state: str
    cause: str | None
    created: datetime


class UsageQuery(PageQuery):
    """`license`: only reports of this one."""

    license: Id | None = None


class UsageResource(Resource):
    acts = {"GET": Act.USE, "POST": Act.USE}

    @operation("The account's usage reports, newest first", answer=Page[UsageShown], query=UsageQuery, refuses=(404,))
    def get(self, request: Request) -> HttpResponse:
        query = self.query(UsageQuery)
        license_id = ""
        if query.license is not None:
            license_id = own_license(self.actor.account, license_caip(query.license)).pk
        page = page_of(
            reports_of(self.actor.account, license_id), order=("-created", "digest"), query=query, request=self.http,
            show=_shown,
        )  # fmt: skip
        return self.answer(page)

    @operation("Report use", answer=UsageShown, status=201, body=UsageGiven, parameters=(IDEMPOTENT_ALWAYS,))
    def post(self, request: Request) -> HttpResponse:
        wish = self.body(UsageGiven)

        def effect() -> tuple[int, UsageShown]:
            row = report_usage(
                by=self.actor, license_id=license_caip(wish.license), key=self.inner_key(), used=_used(wish),
                now=self.now,
            )  # fmt: skip
            return 201, _shown([row])[0]

        return self.once(effect, request=wish, key_needed=True)


class ApproveResource(Resource):
    acts = {"POST": Act.APPROVE}
    persons = frozenset({"POST"})

    @operation("Approve another member's report", answer=UsageShown, status=202, parameters=(IDEMPOTENT,))
    def post(self, request: Request, report: str) -> HttpResponse:
        return self.once(
            lambda: (202, _shown([approve_report(by=self.actor, report=report, now=self.now)])[0]), request=None
        )


class DeclineResource(Resource):
    acts = {"POST": Act.READ}

    @operation("Decline a report that waits for approval", answer=UsageShown, body=Declining, parameters=(IDEMPOTENT,))
    def post(self, request: Request, report: str) -> HttpResponse:
        wish = self.body(Declining)
        return self.once(
            lambda: (200, _shown([decline_report(by=self.actor, report=report, cause=wish.cause)])[0]), request=wish
        )


def _used(wish: UsageGiven) -> Usage:
    quantity = int(wish.quantity)
    if quantity > QUANTITY_LIMIT:
        raise UsageRefusal(
            "usage.quantity", "The quantity is too large.", limit=str(QUANTITY_LIMIT), actual=wish.quantity
        )
    return Usage(
        version=wish.version,
        first=wish.period.from_,
        last=wish.period.to,
        use=Use(wish.use),
        quantity=quantity,
        model=Subject(wish.model.id, wish.model.commitment),
        run=Subject(wish.run.id, wish.run.commitment),
        corrects=wish.corrects or "",
    )


def _shown(rows: Iterable[UsageReport]) -> list[UsageShown]:
    reports = list(rows)
    tokens = dict(LicenseRow.objects.filter(pk__in={row.license for row in reports}).values_list("pk", "token"))
    return [_one(row, tokens[row.license]) for row in reports]


def _one(row: UsageReport, token: str) -> UsageShown:
    return UsageShown(
        digest=row.digest,
        license=id_of(row.license),
        version=row.version,
        period={"from": row.period_from.isoformat(), "to": row.period_to.isoformat()},
        use=row.use,
        unit=row.unit or None,
        quantity=str(row.quantity),
        amount=money(_added(row), token),
        cumulative_units=str(row.cumulative_units),
        cumulative_amount=money(row.cumulative_amount, token),
        reports_root=row.reports_root,
        corrects=row.corrects or None,
        corrected=row.corrected,
        state=_voucher_state(row) if row.state == UsageReport.State.ENTERED else str(row.state),
        cause=row.cause or None,
        created=row.created,
    )


def _added(row: UsageReport) -> int:
    if row.sequence is None:
        return row.cost
    earlier = UsageReport.objects.filter(license=row.license, sequence=row.sequence - 1)
    return row.cumulative_amount - (earlier.values_list("cumulative_amount", flat=True).first() or 0)


def _voucher_state(row: UsageReport) -> str:
    voucher = VoucherRow.objects.filter(license=row.license, reports_root=row.reports_root).order_by("sequence").first()
    return "recorded" if voucher is None else str(voucher.state)
