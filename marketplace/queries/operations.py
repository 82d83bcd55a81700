"""What the operator looks at: what is stuck and why, in figures that are read from the database in one go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, Sum

from marketplace import alarms
from marketplace.models import (
    Alarm,
    DerivedAddress,
    OfferRow,
    Order,
    Reconciliation,
    SettlementRow,
    VoucherRow,
    Withdrawal,
)
from marketplace.queries.settlements import PendingRoot, pending_roots
from provenance.models import (
    Deployment,
    GrantRow,
    IntakeStatement,
    Intent,
    Lane,
    LogState,
    PinRow,
    SignatureRequest,
    Submission,
)
from provenance.sequencer import head_beyond

LOW_RUNWAY_DAYS = 7
RUNWAY_WINDOW = timedelta(days=7)
AT_REST = ("final", "failed", "expired")


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many rows wait for something, and how long the oldest has waited (None: nothing waits)."""

    name: str
    count: int
    oldest: timedelta | None


@dataclass(frozen=True, slots=True)
class Funds:
    """A lane, what its address held when it was last looked at (wei), and for how many days of last week's use.

    `days` is None for a lane that sent nothing in the week, or was never looked at.
    """

    lane: Lane
    balance: int | None
    days: int | None

    @property
    def low(self) -> bool:
        """Whether somebody has to send it native currency soon."""
        return self.days is not None and self.days < LOW_RUNWAY_DAYS


@dataclass(frozen=True, slots=True)
class Operations:
    """Everything on the operator's dashboard."""

    deployments: tuple[Deployment, ...]
    lanes: tuple[Funds, ...]
    backlogs: tuple[Backlog, ...]
    failed_intents: tuple[Intent, ...]
    missing_copies: int
    alarms: tuple[Alarm, ...]
    reconciliations: tuple[Reconciliation, ...]
    settlements: tuple[SettlementRow, ...]
    # Proposed by somebody else.
    foreign_roots: tuple[PendingRoot, ...]
    log: LogState | None
    # Entries that were published, when the database is behind them; else None.
    published: int | None

    @property
    def healthy(self) -> bool:
        """Whether nothing demands a person: no alarm, halt, lane that stops or soon will, or log that stands still."""
        halted = any(deployment.halted for deployment in self.deployments)
        behind = self.published is not None
        return not (self.alarms or halted or behind or any(each.lane.paused or each.low for each in self.lanes))


def operations(*, now: datetime) -> Operations:
    """Return what is going on, what waits and what is stuck."""
    waiting = (
        ("intents", Intent.objects.exclude(state__in=AT_REST), "created_at"),
        ("signatures", SignatureRequest.objects.filter(state="wanted"), "created_at"),
        ("statements", IntakeStatement.objects.filter(sequenced=None), "created_at"),
        ("grants", GrantRow.objects.filter(state="wanted"), "created"),
        ("addresses", DerivedAddress.objects.filter(address=None), "created"),
        ("offers", OfferRow.objects.filter(state=OfferRow.State.WANTED), "created"),
        ("orders", Order.objects.filter(state__in=("placed", "paying", "mined")), "created"),
        ("vouchers", VoucherRow.objects.filter(state__in=("wanted", "signed", "depositing", "charging")), "created"),
        ("withdrawals", Withdrawal.objects.filter(state="sending"), "created"),
        ("submissions", Submission.objects.filter(state__in=("checking", "passed", "sealing", "packaged")), "changed"),
        ("pins", PinRow.objects.exclude(state="pinned"), "due"),
    )
    log = LogState.objects.first()
    beyond = head_beyond(log) if log and log.vkey else None
    return Operations(
        deployments=tuple(Deployment.objects.order_by("pk")),
        lanes=tuple(_funds(lane, now) for lane in Lane.objects.order_by("chain_id", "name")),
        backlogs=tuple(_backlog(name, rows, column, now) for name, rows, column in waiting),
        failed_intents=tuple(Intent.objects.filter(state__in=("failed", "expired")).order_by("-updated_at")[:20]),
        missing_copies=PinRow.objects.exclude(state="pinned").values("cid").distinct().count(),
        alarms=tuple(alarms.open_alarms()),
        reconciliations=tuple(Reconciliation.objects.order_by("token", "side")),
        settlements=tuple(SettlementRow.objects.order_by("-created")[:10]),
        foreign_roots=tuple(root for root in pending_roots() if not root.is_ours),
        log=log,
        published=beyond.size if beyond else None,
    )


def runway_days(balance: int, *, gas: int, gas_price: int, over: timedelta) -> int | None:
    """Return how many whole days `balance` (wei) lasts if each `over` uses `gas`; None: it is not used up."""
    cost = gas * gas_price
    return None if cost == 0 else balance * int(over.total_seconds()) // (cost * 86_400)


def _funds(lane: Lane, now: datetime) -> Funds:
    if lane.balance is None or lane.gas_price is None:
        return Funds(lane, None, None)
    sent = Intent.objects.filter(chain_id=lane.chain_id, lane_name=lane.name, gas_used__gt=0)
    used = sent.filter(updated_at__gt=now - RUNWAY_WINDOW).aggregate(gas=Sum("gas_used"))["gas"]
    # A lane in its first days is measured by these, never by less than one.
    first = sent.aggregate(first=Min("updated_at"))["first"]
    over = RUNWAY_WINDOW if first is None else min(RUNWAY_WINDOW, max(timedelta(days=1), now - first))
    balance = int(lane.balance)
    return Funds(lane, balance, runway_days(balance, gas=used or 0, gas_price=int(lane.gas_price), over=over))


def _backlog(name: str, rows: object, column: str, now: datetime) -> Backlog:
    found = rows.aggregate(count=Count("pk"), oldest=Min(column))  # type: ignore[attr-defined]  # any queryset
    oldest = found["oldest"]
    return Backlog(name, found["count"], None if oldest is None else max(now - oldest, timedelta(0)))
