"""A lane against a chain that drops, reorganizes, forgets, and a process that dies between any two steps."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from provenance.core import lane as core
from provenance.core.lane import (
    Broadcast,
    ChainState,
    Expire,
    Fee,
    Fill,
    Intent,
    Lane,
    LaneRefusal,
    MarkFailed,
    MarkMined,
    MarkSettled,
    MarkUnmined,
    Mined,
    Pause,
    Replace,
    State,
    Take,
    Transaction,
    bumped,
    plan_lane,
)

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MARKET = Fee(100, 10)
ADA = UUID(int=1)
BEN = UUID(int=2)


def intent(identity=ADA, state=State.WANTED, **options):
    return Intent(identity, state, NOW, NOW + 10 * MINUTE, **options)


def sent(name="0x01", at=NOW, fee=MARKET, **options):
    return Transaction(name, fee, at, at, **options)


def chain(nonce=0, final_nonce=0, finalized=0, **options):
    said = {"receipts": {}, "known": (), "market": MARKET, **options}
    return ChainState(nonce, final_nonce, finalized, **said)


def plan(*intents, next_nonce=None, now=NOW, on=None, **options):
    held = [each.nonce for each in intents if each.nonce is not None]
    following = (max(held) + 1 if held else 0) if next_nonce is None else next_nonce
    return plan_lane(Lane(following, **options), intents, on or chain(), now=now)


def test_wanted_intents_are_taken_oldest_first_with_nonces_in_a_row():
    younger = replace(intent(BEN), wanted_at=NOW + MINUTE)
    first_two = [Take(ADA, 7, MARKET), Take(BEN, 8, MARKET)]
    assert plan(younger, intent(ADA), next_nonce=7, on=chain(nonce=7)) == first_two


def test_a_paused_lane_takes_nothing_and_still_sends_what_it_has():
    assert plan(intent(), paused=True) == []
    signed = intent(state=State.SIGNED, nonce=0, transactions=(Transaction("0x01", MARKET, NOW),))
    assert plan(signed, intent(BEN), paused=True) == [Broadcast(ADA, 0, "0x01")]


def test_an_intent_that_was_refused_for_now_waits_its_time():
    later = replace(intent(), not_before=NOW + MINUTE)
    assert plan(later) == []
    assert plan(later, now=NOW + MINUTE) == [Take(ADA, 0, MARKET)]


def test_a_full_line_takes_nothing_new():
    assert plan(intent(), next_nonce=16, on=chain(nonce=0)) == []
    assert plan(intent(), next_nonce=16, on=chain(nonce=1)) == [Take(ADA, 16, MARKET)]


def test_no_more_are_taken_than_the_line_has_room_for():
    many = [replace(intent(UUID(int=number)), wanted_at=NOW + number * MINUTE) for number in range(1, 30)]
    taken = plan(*many, next_nonce=10, on=chain(nonce=6))
    assert taken == [Take(UUID(int=number), 9 + number, MARKET) for number in range(1, 13)]


def test_an_intent_without_a_nonce_simply_expires():
    assert plan(intent(), now=NOW + 11 * MINUTE) == [Expire(ADA)]


def test_an_expired_intent_with_a_nonce_is_filled_and_not_sent_again():
    signed = intent(state=State.SIGNED, nonce=0, transactions=(Transaction("0x01", MARKET, NOW),))
    assert plan(signed, now=NOW + 11 * MINUTE) == [Fill(ADA, 0, Fee(110, 11))]
    filling = replace(signed, state=State.BROADCAST, transactions=(*signed.transactions, sent("0x02", filler=True)))
    assert plan(filling, now=NOW + 11 * MINUTE) == [Broadcast(ADA, 0, "0x02")]


def test_dropped_bytes_are_sent_again_in_nonce_order():
    first = intent(ADA, State.BROADCAST, nonce=4, transactions=(sent("0x04"),))
    second = intent(BEN, State.BROADCAST, nonce=5, transactions=(sent("0x05"),))
    steps = plan(second, first, on=chain(nonce=4))
    assert steps == [Broadcast(ADA, 4, "0x04"), Broadcast(BEN, 5, "0x05")]


def test_the_head_of_the_line_is_replaced_at_its_nonce_for_ten_percent_more():
    head = intent(ADA, State.BROADCAST, nonce=4, transactions=(sent("0x04"),))
    behind = intent(BEN, State.BROADCAST, nonce=5, transactions=(sent("0x05"),))
    on = chain(nonce=4, known={"0x04", "0x05"})
    assert plan(head, behind, on=on, now=NOW + 59 * MINUTE / 60) == []
    assert plan(head, behind, on=on, now=NOW + MINUTE) == [Replace(ADA, 4, Fee(110, 11), filler=False)]


def test_a_fee_is_not_raised_past_150_percent_of_the_market():
    head = intent(ADA, State.BROADCAST, nonce=4, transactions=(sent("0x04", fee=Fee(136, 10)),))
    on = chain(nonce=4, known={"0x04"})
    assert plan(head, on=on, now=NOW + MINUTE) == [Replace(ADA, 4, Fee(150, 11), filler=False)]
    dearer = replace(head, transactions=(sent("0x04", fee=Fee(137, 10)),))
    assert plan(dearer, on=on, now=NOW + MINUTE) == []


def test_a_replacement_rounds_up_so_that_it_is_never_below_ten_percent():
    assert bumped(Fee(11, 1), Fee(1, 1)) == Fee(13, 2)
    assert bumped(Fee(10, 10), Fee(500, 3)) == Fee(500, 11)
    with pytest.raises(LaneRefusal):
        Fee(1, 2)


def test_a_mined_transaction_is_seen_then_settled_below_finality():
    waiting = intent(state=State.BROADCAST, nonce=0, transactions=(sent("0x01"),))
    mined = Mined(8, "0xb8", succeeded=True)
    at_head = chain(nonce=1, finalized=7, receipts={"0x01": mined})
    assert plan(waiting, on=at_head) == [MarkMined(ADA, "0x01", mined)]
    seen = replace(waiting, state=State.MINED, tx="0x01")
    assert plan(seen, on=at_head) == []
    below = replace(at_head, finalized=8, final_nonce=1)
    assert plan(seen, on=below) == [MarkSettled(ADA, State.FINAL, "0x01", mined)]


@pytest.mark.parametrize(
    ("filler", "succeeded", "state", "code"),
    [(False, False, State.FAILED, "lane.reverted"), (True, True, State.EXPIRED, "lane.filled")],
)
def test_a_reverted_or_filled_nonce_ends_without_effect(filler, succeeded, state, code):
    mined = Mined(8, "0xb8", succeeded)
    waiting = intent(state=State.BROADCAST, nonce=0, transactions=(sent("0x01", filler=filler),))
    on = chain(nonce=1, final_nonce=1, finalized=8, receipts={"0x01": mined})
    assert plan(waiting, on=on) == [MarkSettled(ADA, state, "0x01", mined, code)]


def test_whichever_of_the_replacements_was_mined_counts():
    waiting = intent(state=State.BROADCAST, nonce=0, transactions=(sent("0x01"), sent("0x02", filler=True)))
    mined = Mined(8, "0xb8", succeeded=True)
    on = chain(nonce=1, final_nonce=1, finalized=8, receipts={"0x01": mined})
    assert plan(waiting, on=on, now=NOW + 20 * MINUTE) == [MarkSettled(ADA, State.FINAL, "0x01", mined)]


def test_a_reorganization_takes_the_receipt_and_the_bytes_go_out_again():
    seen = intent(state=State.MINED, nonce=0, transactions=(sent("0x01"), sent("0x02")), tx="0x01")
    assert plan(seen) == [MarkUnmined(ADA), Broadcast(ADA, 0, "0x02")]


def test_a_chain_behind_the_database_gets_even_final_bytes_again():
    final = intent(state=State.FINAL, nonce=0, transactions=(sent("0x01"), sent("0x02", filler=True)), tx="0x01")
    filled = intent(BEN, State.EXPIRED, nonce=1, transactions=(sent("0x03"), sent("0x04", filler=True)), tx="0x04")
    assert plan(final, filled) == [Broadcast(ADA, 0, "0x01"), Broadcast(BEN, 1, "0x04")]


def test_what_was_reported_as_failed_does_not_happen_after_all():
    failed = intent(state=State.FAILED, nonce=0, transactions=(sent("0x01"),), tx="0x01")
    assert plan(failed) == [Fill(ADA, 0, Fee(110, 11))]
    filling = replace(failed, transactions=(*failed.transactions, sent("0x02", filler=True)))
    assert plan(filling) == [Broadcast(ADA, 0, "0x02")]


def test_a_nonce_used_by_a_stranger_fails_the_intent_and_pauses_the_lane():
    waiting = intent(state=State.BROADCAST, nonce=0, transactions=(sent("0x01"),))
    assert plan(waiting, on=chain(nonce=1, final_nonce=0)) == []
    assert plan(waiting, on=chain(nonce=1, final_nonce=1)) == [MarkFailed(ADA, "lane.nonce_taken")]
    assert plan(intent(), next_nonce=3, on=chain(nonce=4)) == [Pause("lane.foreign_nonce", 4, 3)]


def test_a_lagging_node_moves_nothing_back():
    final = intent(state=State.FINAL, nonce=0, transactions=(sent("0x01"),), tx="0x01")
    assert plan(final, intent(BEN), on=chain(nonce=0, known={"0x01"})) == [Take(BEN, 1, MARKET)]


def test_two_intents_on_one_nonce_are_refused():
    rows = [intent(each, State.BROADCAST, nonce=3, transactions=(sent(f"0x{each.int}"),)) for each in (ADA, BEN)]
    with pytest.raises(LaneRefusal, match="one nonce"):
        plan(*rows)


@pytest.mark.parametrize(
    "options",
    [
        {"state": State.SIGNED},
        {"state": State.WANTED, "nonce": 1, "transactions": (sent(),)},
        {"state": State.SIGNED, "nonce": 1},
        {"state": State.WANTED, "transactions": (sent(),)},
    ],
)
def test_a_row_that_contradicts_itself_is_refused(options):
    with pytest.raises(LaneRefusal):
        intent(**options)


def test_a_nonce_that_the_lane_never_assigned_is_refused():
    waiting = intent(state=State.BROADCAST, nonce=5, transactions=(sent("0x01"),))
    with pytest.raises(LaneRefusal, match="not assigned"):
        plan(waiting, next_nonce=5)


class Chain:
    """Blocks of one account's transactions, and a mempool that follows the replacement rule."""

    def __init__(self):
        self.blocks = []
        self.mempool = {}
        self.base_fee = 50

    @property
    def nonce(self):
        return sum(map(len, self.blocks))

    @property
    def finalized(self):
        return max(0, len(self.blocks) - 2)

    def send(self, nonce, name, fee):
        if nonce < self.nonce:
            return
        present = self.mempool.get(nonce)
        if present and present[0] != name and fee.max_fee * 100 < present[1].max_fee * 110:
            return
        self.mempool[nonce] = (name, fee)

    def mine(self, reverts=lambda _: False):
        block = []
        while (waiting := self.mempool.get(self.nonce + len(block))) and waiting[1].max_fee >= self.base_fee:
            block.append((waiting[0], not reverts(waiting[0])))
        for nonce in range(self.nonce, self.nonce + len(block)):
            del self.mempool[nonce]
        self.blocks.append(block)

    def reorganize(self, depth):
        del self.blocks[len(self.blocks) - depth :]

    def receipts(self):
        return {
            name: Mined(number, f"0xb{number}", succeeded)
            for number, block in enumerate(self.blocks, 1)
            for name, succeeded in block
        }

    def state(self):
        receipts = self.receipts()
        final_nonce = sum(map(len, self.blocks[: self.finalized]))
        known = {*receipts, *(name for name, _ in self.mempool.values())}
        market = Fee(2 * self.base_fee, 5)
        return ChainState(self.nonce, final_nonce, self.finalized, receipts, known, market)


class LaneMachine(RuleBasedStateMachine):
    """The shell of a lane, written as plainly as possible, under everything that can go wrong."""

    def __init__(self):
        super().__init__()
        self.chain = Chain()
        self.rows = {}
        self.next_nonce = 0
        self.now = NOW
        self.names = count(1)
        self.signed = {}
        self.reverting = set()

    @rule(minutes=st.integers(2, 30))
    def want(self, minutes):
        identity = UUID(int=len(self.rows) + 1)
        self.rows[identity] = Intent(identity, State.WANTED, self.now, self.now + minutes * MINUTE)

    @rule(steps=st.integers(0, 20), lose_reply=st.booleans(), refused=st.none() | st.integers(1, 6))
    def work(self, steps, lose_reply, refused):
        """Carries out some steps of a plan and dies; perhaps after sending, before writing that it sent.

        Of the new intents one may be refused for now: it takes no nonce and ends the round.
        """
        takes = count(1)
        for step in self.plan()[:steps]:
            if isinstance(step, Take) and next(takes) == refused:
                break
            self.carry_out(step, lose_reply=lose_reply)

    @rule()
    def mine(self):
        self.chain.mine(self.reverts)

    @rule(base_fee=st.integers(10, 300))
    def fees_move(self, base_fee):
        self.chain.base_fee = base_fee

    @rule(seconds=st.integers(1, 900))
    def time_passes(self, seconds):
        self.now += timedelta(seconds=seconds)

    @rule(nonce=st.integers(0, 20))
    def node_drops(self, nonce):
        self.chain.mempool.pop(nonce, None)

    @precondition(lambda self: self.chain.blocks)
    @rule(data=st.data())
    def reorganize(self, data):
        self.chain.reorganize(data.draw(st.integers(1, min(2, len(self.chain.blocks)))))

    @precondition(lambda self: self.chain.blocks)
    @rule(data=st.data())
    def node_restarts_from_an_old_state(self, data):
        self.chain.reorganize(data.draw(st.integers(1, len(self.chain.blocks))))
        self.chain.mempool.clear()

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def contract_begins_to_refuse(self, data):
        """Whether an effect reverts is settled before it is sent: the same transactions again end the same way."""
        open_rows = [row.id for row in self.rows.values() if row.state is State.WANTED]
        self.reverting |= set(data.draw(st.lists(st.sampled_from(open_rows or [None]), max_size=1)))

    def reverts(self, name):
        identity, filler = self.signed[name]
        return not filler and identity in self.reverting

    @rule()
    def everything_calms_down(self):
        for _ in range(200):
            for step in self.plan():
                self.carry_out(step)
            self.chain.mine(self.reverts)
            self.now += MINUTE
            if all(row.state in core._AT_REST for row in self.rows.values()) and self.chain.nonce == self.next_nonce:
                break
        else:
            pytest.fail("The lane never came to rest.")
        receipts = self.chain.receipts()
        happened = [self.signed[name][0] for name in receipts if receipts[name].succeeded and not self.signed[name][1]]
        wanted = {row.id for row in self.rows.values() if row.state is State.FINAL}
        assert len(happened) == len(set(happened))
        assert set(happened) == wanted

    def plan(self):
        on = self.chain.state()
        given = [
            row for row in self.rows.values()
            if row.state not in core._AT_REST or (row.nonce is not None and row.nonce >= on.nonce)
        ]  # fmt: skip
        return plan_lane(Lane(self.next_nonce), given, on, now=self.now)

    def carry_out(self, step, *, lose_reply=False):
        row = self.rows[step.intent]
        match step:
            case MarkMined(tx=tx):
                self.rows[row.id] = replace(row, state=State.MINED, tx=tx)
            case MarkUnmined():
                self.rows[row.id] = replace(row, state=State.BROADCAST)
            case MarkSettled(state=state, tx=tx):
                self.rows[row.id] = replace(row, state=state, tx=tx)
            case Expire():
                self.rows[row.id] = replace(row, state=State.EXPIRED)
            case Take(nonce=nonce, fee=fee):
                assert nonce == self.next_nonce
                self.next_nonce += 1
                self.rows[row.id] = replace(row, state=State.SIGNED, nonce=nonce, transactions=(self.sign(row, fee),))
            case Broadcast(tx=tx):
                self.send(row.id, tx, lose_reply=lose_reply)
            case Fill(fee=fee):
                self.add(row, fee, filler=True, lose_reply=lose_reply)
            case Replace(fee=fee, filler=filler):
                assert fee.max_fee * 100 >= row.transactions[-1].fee.max_fee * 110
                self.add(row, fee, filler=filler, lose_reply=lose_reply)
            case _:
                pytest.fail(f"An unexpected step: {step}")

    def sign(self, row, fee, *, filler=False):
        name = f"0x{next(self.names):04x}"
        self.signed[name] = (row.id, filler)
        return Transaction(name, fee, self.now, filler=filler)

    def add(self, row, fee, *, filler, lose_reply):
        transaction = self.sign(row, fee, filler=filler)
        self.rows[row.id] = replace(row, transactions=(*row.transactions, transaction))
        self.send(row.id, transaction.hash, lose_reply=lose_reply)

    def send(self, identity, name, *, lose_reply):
        row = self.rows[identity]
        chosen = next(each for each in row.transactions if each.hash == name)
        self.chain.send(row.nonce, name, chosen.fee)
        if lose_reply:
            return
        stamped = tuple(replace(each, broadcast_at=self.now) if each is chosen else each for each in row.transactions)
        state = State.BROADCAST if row.state is State.SIGNED else row.state
        self.rows[identity] = replace(row, state=state, transactions=stamped)

    @invariant()
    def no_nonce_is_shared_and_none_is_skipped(self):
        held = sorted(row.nonce for row in self.rows.values() if row.nonce is not None)
        assert held == list(range(self.next_nonce))

    @invariant()
    def no_effect_is_in_the_chain_twice(self):
        effects = [self.signed[name][0] for name in self.chain.receipts()]
        assert len(effects) == len(set(effects))


TestLanes = LaneMachine.TestCase
TestLanes.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
