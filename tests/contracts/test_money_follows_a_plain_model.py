"""The deployed contracts, driven in any order, against a model that knows nothing of how they are built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from contracts import payout_tree
from contracts.devnet import Devnet, Person, Reverted, split_signature, struct, struct_hash
from tests.contracts.market_model import DAY, FEE_BPS, MarketModel, Refused

NOBODY = "0x" + "00" * 20
FAR = 2**40
PEOPLE = 6
CLEO, TREASURY, ADA, BEN = map(Person.named, ("cleo", "treasury", "ada", "ben"))
PAYERS = (CLEO, TREASURY)
WALLETS = {payee: Person.named(f"payee {payee}").address for payee in range(1, PEOPLE + 1)}
MONEY = 10**12
MOST = 10**9


class MarketMachine(RuleBasedStateMachine):
    """Cleo and the treasury buy from Ada, Ben uses, six payees are paid; the last of them never accepts."""

    net: ClassVar[Devnet]
    stage: ClassVar[str]

    @initialize()
    def begin(self) -> None:
        """Everybody has money; payees have their numbers."""
        self.net.rpc("evm_revert", type(self).stage)
        type(self).stage = self.net.rpc("evm_snapshot")
        self.token = self.net.contracts["TestUSD"]
        self.model = MarketModel(waiting={PEOPLE}, wallets={person.address: MONEY for person in PAYERS})
        self.signed: dict[tuple[str, bytes], tuple[int, int]] = {}
        self.tree: list[bytes] = []
        self.leaves: list[payout_tree.Leaf] = []
        self.placed = 0

    @rule(
        payer=st.sampled_from(PAYERS),
        price=st.integers(0, MOST),
        hold=st.sampled_from([0, 0, 1, DAY, 3 * DAY, 20 * DAY]),
        how=st.sampled_from(["buyWithAuthorization", "buy", "buyFromDeposit"]),
    )
    def buy(self, payer: Person, price: int, hold: int, how: str) -> None:
        self.placed += 1
        how = "buy" if price == 0 else how
        self._buy(payer, keccak(text=f"order {self.placed}"), price, hold, how)

    @precondition(lambda self: self.model.orders)
    @rule(data=st.data(), price=st.integers(1, MOST))
    def buy_the_same_order_again(self, data: st.DataObject, price: int) -> None:
        (address, order), bought = data.draw(st.sampled_from(list(self.model.orders.items())))
        payer = next(person for person in PAYERS if person.address == address)
        refusal = self._buy(payer, order, price, 0, "buyWithAuthorization")
        assert refusal is not None
        assert refusal.arguments[2] == bought.number

    @precondition(lambda self: self.model.orders)
    @rule(data=st.data())
    def refund(self, data: st.DataObject) -> None:
        payer, order = data.draw(st.sampled_from(list(self.model.orders)))
        self._both(
            lambda now: self.model.refund(payer, order, now=now),
            lambda: self.net.transact(self.net.operator, "Market", "refund", payer, order),
        )

    @rule(sender=st.sampled_from(PAYERS), account=st.sampled_from(PAYERS), amount=st.integers(1, MOST))
    def deposit(self, sender: Person, account: Person, amount: int) -> None:
        self._both(
            lambda _: self.model.deposit(sender.address, account.address, amount),
            lambda: self.net.transact(sender.address, "Market", "deposit", self.token, account.address, amount),
        )

    @rule(person=st.sampled_from(PAYERS), amount=st.integers(1, MOST))
    def ask_for_a_deposit_back(self, person: Person, amount: int) -> None:
        self._both(
            lambda now: self.model.request_withdrawal(person.address, amount, now=now),
            lambda: self.net.transact(person.address, "Market", "requestWithdrawal", self.token, amount),
        )

    @rule(person=st.sampled_from(PAYERS))
    def withdraw(self, person: Person) -> None:
        self._both(
            lambda now: self.model.withdraw(person.address, now=now),
            lambda: self.net.transact(person.address, "Market", "withdraw", self.token),
        )

    @rule(person=st.sampled_from(PAYERS))
    def withdraw_after_the_notice(self, person: Person) -> None:
        self.ask_for_a_deposit_back(person, max(1, self.model.deposited(person.address) // 2))
        self.net.advance(36 * DAY)
        self.withdraw(person)

    @precondition(lambda self: self.model.orders)
    @rule(data=st.data(), units=st.integers(0, 5), more=st.integers(0, MOST))
    def charge(self, data: st.DataObject, units: int, more: int) -> None:
        key = data.draw(st.sampled_from(list(self.model.orders)))
        before = self.signed.get(key, (0, 0))
        self.signed[key] = (before[0] + units, before[1] + more)
        self._charge(key, *self.signed[key])

    @precondition(lambda self: self.signed)
    @rule(data=st.data(), less=st.integers(0, 10))
    def charge_an_old_or_lowered_voucher(self, data: st.DataObject, less: int) -> None:
        key = data.draw(st.sampled_from(list(self.signed)))
        units, amount = self.signed[key]
        self._charge(key, units, max(0, amount - less))

    @rule(seconds=st.sampled_from([3600, DAY, 2 * DAY, 4 * DAY, 36 * DAY]))
    def wait(self, seconds: int) -> None:
        self.net.advance(seconds)

    @precondition(lambda self: self.model.pending is None or self.placed % 7 == 0)
    @rule(share=st.integers(0, 100), extra=st.sampled_from([0, 0, 1]), shuffle=st.integers(0, 1000))
    def propose(self, share: int, extra: int, shuffle: int) -> None:
        """Mostly what may be proposed; sometimes a unit too much, sometimes amounts that add up to something else."""
        released = self.model.released(self._next())
        total = self.model.live.total + (released - self.model.live.total) * share // 100 + extra * released
        cut = total // PEOPLE
        amounts = dict.fromkeys(WALLETS, cut) | {1 + shuffle % PEOPLE: total - cut * (PEOPLE - 1)}
        if shuffle % 11 == 0:
            amounts[1] += 1 + shuffle
        leaves = sorted(amounts.items())
        tree = payout_tree.build(self.token, leaves)
        block = self.net.rpc("eth_getBlockByNumber", "latest", False)
        place = (int(block["number"], 16), bytes.fromhex(block["hash"][2:]), tree[0])
        epoch = self.model.live.epoch + 1
        arguments = (self.token, epoch, *place, total, keccak(text="settlement"))
        if not self._both(
            lambda now: self.model.propose(epoch, total, amounts, now=now),
            lambda: self.net.transact(self.net.operator, "Market", "propose", *arguments),
        ):
            self.next_tree, self.next_leaves = tree, leaves

    @precondition(lambda self: self.model.pending or self.placed % 7 == 0)
    @rule()
    def veto(self) -> None:
        epoch = self.model.live.epoch + 1
        self._both(
            lambda _: self.model.veto(),
            lambda: self.net.transact(self.guardian, "Market", "veto", self.token, epoch, bytes(32)),
        )

    @precondition(lambda self: self.model.pending or self.placed % 7 == 0)
    @rule()
    def accept(self) -> None:
        epoch = self.model.live.epoch + 1
        if not self._both(
            lambda now: self.model.accept(now=now),
            lambda: self.net.transact(self.net.operator, "Market", "accept", self.token, epoch),
        ):
            self.tree, self.leaves = self.next_tree, self.next_leaves

    @rule(share=st.integers(50, 100), shuffle=st.integers(0, 1000))
    def settle(self, share: int, shuffle: int) -> None:
        """Three steps that chance seldom takes in a row."""
        self.propose(share, 0, shuffle)
        self.net.advance(4 * DAY)
        self.accept()

    @precondition(lambda self: self.leaves)
    @rule(payee=st.sampled_from(sorted(WALLETS)))
    def claim(self, payee: int) -> None:
        proof = payout_tree.prove(self.tree, payee - 1)
        self._both(
            lambda _: self.model.claim(payee, WALLETS[payee]),
            lambda: self.net.transact(
                self.net.operator, "Market", "claim", self.token, payee, dict(self.leaves)[payee], proof
            ),
        )

    @precondition(lambda self: self.leaves)
    @rule(payee=st.sampled_from(sorted(WALLETS)), more=st.integers(1, MOST))
    def claim_more_than_the_root_says(self, payee: int, more: int) -> None:
        proof = payout_tree.prove(self.tree, payee - 1)
        amount = dict(self.leaves)[payee] + more
        with pytest.raises(Reverted, match="PayoutsInvalidProof"):
            self.net.transact(self.net.operator, "Market", "claim", self.token, payee, amount, proof)

    @precondition(lambda self: self.leaves)
    @rule(first=st.integers(0, PEOPLE - 1), count=st.integers(1, PEOPLE))
    def push(self, first: int, count: int) -> None:
        pushed = self.leaves[first : first + count]
        proof = payout_tree.prove_range(self.tree, first, len(pushed))
        arguments = (self.token, PEOPLE, first, payout_tree.pack(pushed), proof)
        self._both(
            lambda _: self.model.push({payee: WALLETS[payee] for payee, _ in pushed}),
            lambda: self.net.transact(self.net.operator, "Market", "push", *arguments),
        )

    @invariant()
    def chain_and_model_agree(self) -> None:
        if not hasattr(self, "model"):
            return
        model, now, market = self.model, self.net.now(), self.net.contracts["Market"]
        books, releasable, balance, *rest = self.net.call_many(
            [
                ("Market", "books", self.token),
                ("Market", "releasable", self.token),
                ("TestUSD", "balanceOf", market),
                *(("Market", "depositOf", self.token, person.address) for person in PAYERS),
                *(("Market", "paid", self.token, payee) for payee in WALLETS),
                *(("TestUSD", "balanceOf", wallet) for wallet in model.wallets),
            ]
        )
        deposits, paid, wallets = rest[:2], rest[2 : 2 + PEOPLE], rest[2 + PEOPLE :]
        _, accepted, owed, epoch, _, _, pending, *_ = books
        assert (accepted, owed, epoch) == (model.live.total, model.owed, model.live.epoch)
        assert pending == (model.pending.total if model.pending else 0)
        assert releasable == model.released(now)
        assert balance == model.balance
        assert [d[0] for d in deposits] == [model.deposited(person.address) for person in PAYERS]
        assert paid == [model.paid.get(payee, 0) for payee in WALLETS]
        assert wallets == list(model.wallets.values())
        # What is owed to anybody is there: deposits, held and unsettled revenue, accepted payouts.
        revenue = model.usage_revenue + sum(b.price for b in model.orders.values() if b.status != "refunded")
        deposited = sum(deposit.balance for deposit in model.deposits.values())
        assert model.balance == deposited + revenue - sum(model.paid.values())

    @property
    def guardian(self) -> str:
        return str(self.net.rpc("eth_accounts")[1])

    def _both(self, expect: Callable[[int], object], act: Callable[[], object]) -> Reverted | None:
        """Do one thing in the model and on the chain; both do it, or both refuse it for the same reason."""
        try:
            expect(self._next())
        except Refused as refused:
            with pytest.raises(Reverted, match=str(refused)) as caught:
                act()
            return caught.value
        act()
        return None

    def _next(self) -> int:
        return self.net.now() + 1

    def _buy(self, payer: Person, order: bytes, price: int, hold: int, how: str) -> Reverted | None:
        offer = {
            "dataset": 1, "version": 0, "terms": keccak(text="terms"), "document": keccak(text="offer"), "uses": 127,
            "price": price, "token": self.token, "feeBps": FEE_BPS, "holdSeconds": hold, "termSeconds": 0,
            "expiry": FAR - 1, "maxLicenses": 0, "licensee": NOBODY, "grounds": 0, "cureDays": 0, "unitPrice": 0,
            "nonce": 1,
        }  # fmt: skip
        owner_signature = self.net.sign(ADA, "Offer", offer)
        digest = struct_hash("Offer", offer)
        placed = (payer.address, BEN.address, order, FAR)
        arguments: tuple[Any, ...]
        if how == "buyWithAuthorization":
            where = (self.net.chain_id, self.net.contracts["Market"], digest, BEN.address, order)
            nonce = keccak(encode(["uint256", "address", "bytes32", "address", "bytes32"], where))
            message = {
                "from": payer.address, "to": self.net.contracts["Market"], "value": price, "validAfter": 0,
                "validBefore": FAR, "nonce": nonce,
            }  # fmt: skip
            signed = self.net.sign(payer, "ReceiveWithAuthorization", message, domain="TestUSD")
            arguments = split_signature(signed)
        else:
            message = dict(zip(("offer", "payer", "licensee", "order", "validBefore"), (digest, *placed), strict=True))
            arguments = (self.net.sign(payer, "Order", message),)
        wanted = (struct("Offer", offer), owner_signature, placed, *arguments)
        return self._both(
            lambda now: self.model.buy(
                payer.address, order, price=price, hold=hold, from_deposit=how == "buyFromDeposit", now=now
            ),
            lambda: self.net.transact(self.net.operator, "Market", how, *wanted),
        )

    def _charge(self, key: tuple[str, bytes], units: int, amount: int) -> None:
        payer, order = key
        voucher = {
            "license": self.model.orders[key].number, "cumulativeUnits": units, "cumulativeAmount": amount,
            "reportsRoot": keccak(text="reports"),
        }  # fmt: skip
        signature = self.net.sign(BEN, "Voucher", voucher)
        self._both(
            lambda _: self.model.charge(payer, order, units=units, amount=amount),
            lambda: self.net.transact(
                self.net.operator, "Market", "charge", struct("Voucher", voucher), payer, order, signature
            ),
        )


def test_any_sequence_of_actions_leaves_every_sum_as_the_model_says(devnet: Devnet) -> None:
    _set_the_stage(devnet)
    MarketMachine.net = devnet
    MarketMachine.stage = devnet.rpc("evm_snapshot")
    run_state_machine_as_test(
        MarketMachine,
        settings=settings(
            max_examples=20, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def _set_the_stage(net: Devnet) -> None:
    guardian = net.rpc("eth_accounts")[1]
    net.transact(net.operator, "AccessManager", "grantRole", 1, guardian, 0)
    message = {
        "owner": ADA.address, "manifest": keccak(text="manifest"), "package": keccak(text="package"), "packageKind": 1,
        "openDerive": False, "deriveBps": 500, "splits": bytes(32), "parents": [], "parentLicenses": [],
        "maxStackBps": 0, "deadline": FAR,
    }  # fmt: skip
    signature = net.sign(ADA, "Registration", message, domain="DatasetRegistry")
    net.transact(net.operator, "DatasetRegistry", "registerWithSig", struct("Registration", message), [], signature)
    for person in PAYERS:
        net.impersonate(person.address)
        net.transact(net.operator, "TestUSD", "mint", person.address, MONEY)
        net.transact(person.address, "TestUSD", "approve", net.contracts["Market"], 2**256 - 1)
    for payee, wallet in WALLETS.items():
        net.impersonate(wallet)
        sender, function, arguments = (wallet, "acceptPayee", (wallet, 0, b""))
        if payee == PEOPLE:
            sender, function, arguments = (net.operator, "invitePayee", (wallet,))
        net.transact(sender, "Market", function, *arguments)
        assert net.call("Market", "payeeOf", wallet) == payee
