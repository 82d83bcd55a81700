"""The market's money in plain Python: no storage layout, no packing, no Merkle tree; from docs/chain.md alone."""

from __future__ import annotations

from dataclasses import dataclass, field

DAY = 86_400
WINDOW = 3 * DAY
NOTICE = 35 * DAY
FEE_BPS = 250


class Refused(Exception):
    """The model's word for a revert; the contract must refuse, too, with the error of this name."""


@dataclass(slots=True)
class Bought:
    """A license with its money."""

    number: int
    payer: str
    price: int
    held_until: int | None
    status: str = "active"
    units: int = 0
    charged: int = 0


@dataclass(slots=True)
class Deposit:
    """An account's money for usage."""

    balance: int = 0
    requested: int = 0
    due: int | None = None


@dataclass(slots=True)
class Root:
    """A proposed or accepted list of cumulative amounts."""

    epoch: int
    total: int
    amounts: dict[int, int]
    accept_at: int = 0


@dataclass(slots=True)
class MarketModel:
    """Everything that money depends on. `now` is passed to whatever needs it."""

    orders: dict[tuple[str, bytes], Bought] = field(default_factory=dict)
    deposits: dict[str, Deposit] = field(default_factory=dict)
    live: Root = field(default_factory=lambda: Root(0, 0, {}))
    pending: Root | None = None
    owed: int = 0
    usage_revenue: int = 0
    paid: dict[int, int] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)
    wallets: dict[str, int] = field(default_factory=dict)
    balance: int = 0

    def released(self, now: int) -> int:
        """Revenue that no refund can touch any more."""
        bought = (b for b in self.orders.values() if b.status != "refunded")
        return self.usage_revenue + sum(b.price for b in bought if b.held_until is None or b.held_until <= now)

    def deposited(self, account: str) -> int:
        """What vouchers can still be charged against."""
        return self._deposit(account).balance

    def buy(self, payer: str, order: bytes, *, price: int, hold: int, from_deposit: bool, now: int) -> Bought:
        """Buy once per (payer, order)."""
        if (payer, order) in self.orders:
            raise Refused("LicensesOrderExists")
        if from_deposit:
            if self._deposit(payer).balance < price:
                raise Refused("UsageDepositTooLow")
            self._deposit(payer).balance -= price
        else:
            self._move(payer, -price)
        held_until = -(-(now + hold) // DAY) * DAY if hold else None
        bought = Bought(len(self.orders) + 1, payer, price, held_until)
        self.orders[payer, order] = bought
        return bought

    def refund(self, payer: str, order: bytes, *, now: int) -> None:
        """Give the price back while it is held."""
        bought = self.orders[payer, order]
        if bought.status != "active":
            raise Refused("LicensesNotActive")
        if bought.held_until is None or now >= bought.held_until:
            raise Refused("LicensesHoldOver")
        bought.status = "refunded"
        self._move(payer, bought.price)

    def deposit(self, sender: str, account: str, amount: int) -> None:
        """Put money aside for usage."""
        self._move(sender, -amount)
        self._deposit(account).balance += amount

    def request_withdrawal(self, account: str, amount: int, *, now: int) -> None:
        """Ask for some of it back."""
        deposit = self._deposit(account)
        if amount > deposit.balance:
            raise Refused("UsageDepositTooLow")
        deposit.requested, deposit.due = amount, now + NOTICE

    def withdraw(self, account: str, *, now: int) -> None:
        """Take what was asked for, or what is left."""
        deposit = self._deposit(account)
        if deposit.due is None:
            raise Refused("UsageNoWithdrawal")
        if now < deposit.due:
            raise Refused("UsageWithdrawalNotice")
        if now >= deposit.due + NOTICE:
            raise Refused("UsageWithdrawalLapsed")
        amount = min(deposit.requested, deposit.balance)
        deposit.balance -= amount
        deposit.requested, deposit.due = 0, None
        self._move(account, amount)

    def charge(self, payer: str, order: bytes, *, units: int, amount: int) -> int:
        """Move what a cumulative voucher adds, as far as the deposit goes."""
        bought, deposit = self.orders[payer, order], self._deposit(payer)
        if units < bought.units or amount < bought.charged or (units, amount) == (bought.units, bought.charged):
            raise Refused("UsageVoucherNotNewer")
        moved = min(amount - bought.charged, deposit.balance)
        if moved == 0 and units == bought.units:
            raise Refused("UsageDepositTooLow")
        deposit.balance -= moved
        bought.units, bought.charged = units, bought.charged + moved
        self.usage_revenue += moved
        return moved

    def propose(self, epoch: int, total: int, amounts: dict[int, int], *, now: int) -> None:
        """Propose cumulative amounts; whether they add up to the total is for the auditors."""
        if self.pending is not None:
            raise Refused("PayoutsRootPending")
        if epoch <= self.live.epoch:
            raise Refused("PayoutsEpochNotNewer")
        if total < self.live.total:
            raise Refused("PayoutsTotalLowered")
        if total > self.released(now):
            raise Refused("PayoutsTotalExceedsRevenue")
        self.pending = Root(epoch, total, amounts, now + WINDOW)

    def veto(self) -> None:
        """Strike the pending root down."""
        if self.pending is None:
            raise Refused("PayoutsNoRootPending")
        self.pending = None

    def accept(self, *, now: int) -> None:
        """Accept it after its window."""
        if self.pending is None:
            raise Refused("PayoutsNoRootPending")
        if now < self.pending.accept_at:
            raise Refused("PayoutsWindowOpen")
        self.owed += self.pending.total - self.live.total
        self.live, self.pending = self.pending, None

    def claim(self, payee: int, wallet: str) -> int:
        """Pay one payee what the live root adds."""
        if payee in self.waiting:
            raise Refused("PayoutsPayeeNotAccepted")
        amount = self.live.amounts[payee] - self.paid.get(payee, 0)
        if amount <= 0:
            raise Refused("PayoutsNothingDue")
        if amount > self.owed:
            raise Refused("PayoutsExceedsTotal")
        self._pay(payee, wallet, amount)
        return amount

    def push(self, wallets: dict[int, str]) -> int:
        """Pay several, passing over who waits; all or nothing where the root promises more than its total."""
        due = [(payee, self.live.amounts[payee] - self.paid.get(payee, 0)) for payee in wallets]
        spent = 0
        for payee, amount in due:
            if amount > 0:
                if spent + amount > self.owed:
                    raise Refused("PayoutsExceedsTotal")
                spent += 0 if payee in self.waiting else amount
        for payee, amount in due:
            if amount > 0 and payee not in self.waiting:
                self._pay(payee, wallets[payee], amount)
        return spent

    def _pay(self, payee: int, wallet: str, amount: int) -> None:
        self.paid[payee] = self.paid.get(payee, 0) + amount
        self.owed -= amount
        self._move(wallet, amount)

    def _deposit(self, account: str) -> Deposit:
        return self.deposits.setdefault(account, Deposit())

    def _move(self, wallet: str, amount: int) -> None:
        self.wallets[wallet] = self.wallets.get(wallet, 0) + amount
        self.balance -= amount
