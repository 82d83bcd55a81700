"""Epochs on a real chain: close, propose, accept, push; amounts to the base unit, once, and never past an alarm."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from marketplace import alarms, journal
from marketplace.actions.contributors import accept_contribution, invite_contributor
from marketplace.actions.money import collect_income
from marketplace.core.payout_tree import PayoutTree
from marketplace.core.settlement_documents import read_documents
from marketplace.core.splits import Share, Splits
from marketplace.models import Contributor, Draft, PaidTotal, PayeeRow, PayoutRow, SettlementRow
from marketplace.queries.earnings import earnings_of, explain_payout, payouts_of
from marketplace.queries.settlements import SettlingRefusal, document_digests, pending_roots, read_settlement
from marketplace.settling.closing import advance_settlements, close_due, close_epoch, is_stopped
from marketplace.settling.paying import push_due
from marketplace.settling.reconciling import GRACE, check_journal, reconcile
from marketplace.settling.vetoing import veto_settlement
from provenance.core.canonical import document_bytes
from provenance.core.digest import Sha256
from provenance.models import Deployment, Document, IntakeStatement, Intent
from tests.trade.register import Register, document, terms
from tests.trade.stranger import Stranger

pytestmark = pytest.mark.django_db
PRICE = 240_000_000


def close(register: Register) -> SettlementRow:
    """Close the running epoch at the newest final block and let it be paid."""
    register.world.development.advance(61)
    register.world.development.mine(3)
    register.follow()
    row = close_due(register.token, now=register.now)
    assert row is not None
    pay(register)
    row.refresh_from_db()
    return row


def pay(register: Register) -> None:
    register.run()
    register.world.development.advance(10)
    register.world.development.mine(2)
    register.follow()
    register.run()
    register.run()


def test_a_sale_is_settled_proposed_accepted_and_pushed(register: Register, ada, cleo):
    listing = register.publish(ada)
    register.buy_funded(cleo, listing)
    row = close(register)
    fee = PRICE * 250 // 10_000
    assert (row.state, row.epoch) == (SettlementRow.State.ACCEPTED, 1)
    assert (row.revenue, row.fees, row.allocated, row.cumulative) == (PRICE, fee, PRICE - fee, PRICE)
    assert register.on_chain(register.owner_address(ada)) == PRICE - fee
    assert register.on_chain("treasury") == 1_000_000_000 - PRICE + fee
    assert set(PayoutRow.objects.values_list("state", flat=True)) == {PayoutRow.State.PAID}
    assert journal.pot_balance(journal.REGISTER, register.token) == fee
    made = IntakeStatement.objects.filter(type="payout.made").values_list("subject", flat=True)
    assert register.deployment.account_caip(register.owner_address(ada)) in made
    assert IntakeStatement.objects.filter(type="settlement.accepted").count() == 1
    register.check_books()


def test_the_published_documents_say_what_was_paid(register: Register, ada, cleo):
    register.buy_funded(cleo, register.publish(ada))
    row = close(register)
    index, *shards = document_digests(row.digest)
    found = read_documents(document(index), [document(shard) for shard in shards], digest=Sha256.from_hex(row.digest))
    assert found == read_settlement(row.digest)
    assert "0x" + found.payout_tree().root.hex() == row.root
    with pytest.raises(SettlingRefusal):
        read_settlement("00" * 32)


def test_ancestors_are_paid_their_share_of_what_children_earn(register: Register, ada, ben, cleo):
    parent = register.publish(ada, with_terms=terms(derive_bps=1_000))
    order = register.buy_funded(ben, parent)
    license_number = int(order.license.rpartition("/")[2])
    number = int(parent.pk.rpartition("/")[2])
    child = register.publish(
        ben,
        title="Faces in Delft",
        price=100_000_000,
        with_terms=terms(derive_bps=500),
        parents=[
            {
                "dataset": number,
                "license": license_number,
                "source": 0,
                "derivation": {"signer": f"licensee/{order.pk}"},
            }
        ],
    )
    register.buy_funded(cleo, child)
    row = close(register)
    settlement = read_settlement(row.digest)
    by_reason = {(line.dataset, line.reason.value): line.amount for line in settlement.allocations}
    net_parent, net_child = PRICE - PRICE * 250 // 10_000, 100_000_000 - 2_500_000
    child_number = int(child.pk.rpartition("/")[2])
    assert by_reason[number, "owner"] == net_parent
    assert by_reason[child_number, "ancestor"] == net_child // 10
    assert by_reason[child_number, "owner"] == net_child - net_child // 10
    assert register.on_chain(register.owner_address(ada)) == net_parent + net_child // 10
    register.check_books()


def test_a_second_epoch_pays_only_what_came_in_since(register: Register, ada, cleo):
    listing = register.publish(ada)
    register.buy_funded(cleo, listing)
    first = close(register)
    register.buy(cleo, listing)
    second = close(register)
    net = PRICE - PRICE * 250 // 10_000
    assert (first.epoch, second.epoch, second.revenue, second.cumulative) == (1, 2, PRICE, 2 * PRICE)
    assert read_settlement(second.digest).previous == Sha256.from_hex(first.digest)
    assert register.on_chain(register.owner_address(ada)) == 2 * net
    assert sum(PaidTotal.objects.values_list("paid", flat=True)) == 2 * PRICE
    register.check_books()


def test_closing_twice_and_pushing_twice_is_once(register: Register, ada, cleo):
    """Faults 1, 5, 12: two beats, two payout workers."""
    register.buy_funded(cleo, register.publish(ada))
    register.world.development.advance(61)
    register.world.development.mine(3)
    register.follow()
    block = register.deployment.finalized
    first = close_epoch(register.token, 1, block, register.now)
    again = close_epoch(register.token, 1, block, register.now)
    assert first == again
    assert close_due(register.token, now=register.now) is None, "one is under way"
    pay(register)
    SettlementRow.objects.update(pushed_at=None)
    push_due(now=register.now)
    register.run()
    assert Intent.objects.filter(kind="market.push").count() == 1
    assert register.on_chain(register.owner_address(ada)) == PRICE - PRICE * 250 // 10_000


def test_nothing_is_due_before_the_epoch_is_over_by_the_chains_clock(register: Register, ada, cleo, settings):
    """Fault 58: a clock of ours that jumps pays nobody early."""
    register.buy_funded(cleo, register.publish(ada))
    chain, began = register.world.chain, register.deployment.first_block - 1
    age = chain.header("finalized").timestamp - chain.header(began).timestamp
    settings.CADASTRE_EPOCH_SECONDS = age + 3_600
    assert close_due(register.token, now=register.now + timedelta(days=365)) is None
    register.world.development.advance(3_601)
    register.world.development.mine(3)
    register.follow()
    assert close_due(register.token, now=register.now) is not None


def test_held_money_waits_for_the_epoch_after_its_hold(register: Register, ada, cleo):
    register.buy_funded(cleo, register.publish(ada, hold_seconds=36_000))
    register.world.development.advance(61)
    register.world.development.mine(3)
    register.follow()
    assert close_due(register.token, now=register.now) is None
    register.world.development.advance(45_000)
    row = close(register)
    assert row.revenue == PRICE


def test_only_final_blocks_are_settled(register: Register, ada, cleo):
    register.buy_funded(cleo, register.publish(ada))
    with pytest.raises(SettlingRefusal) as refused:
        close_epoch(register.token, 1, register.deployment.finalized + 1, register.now)
    assert refused.value.code == "settling.not_final"


def test_below_the_threshold_a_payout_waits_to_be_claimed(register: Register, ada, cleo, settings):
    settings.CADASTRE_PUSH_THRESHOLD = 10 * PRICE
    register.buy_funded(cleo, register.publish(ada))
    close(register)
    assert set(PayoutRow.objects.values_list("state", flat=True)) == {PayoutRow.State.CLAIMABLE}
    assert register.on_chain(register.owner_address(ada)) == 0
    report = earnings_of(ada.account, register.token, now=register.now)
    assert (report.claimable, report.paid) == (PRICE - PRICE * 250 // 10_000, 0)


def test_the_share_of_an_invited_contributor_waits_until_it_is_accepted(register: Register, ada, ben, cleo):
    draft = Draft.objects.create(account=ada.account, created=register.now)
    contributor, token = invite_contributor(
        by=ada, draft=draft.pk, email="ben@example.org", role="photographer", bps=2_000, now=register.now
    )
    register.sign()
    contributor.refresh_from_db()
    share = Share(register.deployment.account_caip(str(contributor.address)), 2_000, "photographer")
    splits = Splits(register.deployment.account_caip(register.owner_address(ada)), (share,), draft.pk.hex)
    Document.create_from_bytes(document_bytes(splits.to_document()), schema="cadastre.splits/1")
    listing = register.publish(ada, splits=splits.digest.hex, draft=draft)
    register.buy_funded(cleo, listing)
    close(register)
    net = PRICE - PRICE * 250 // 10_000
    assert register.on_chain(register.owner_address(ada)) == net - net // 5
    assert register.on_chain(str(contributor.address)) == 0
    assert not PayeeRow.objects.get(address=contributor.address).accepted
    accept_contribution(by=ben, token=token, now=register.now)
    register.run()
    assert PayeeRow.objects.get(address=contributor.address).accepted
    register.buy(cleo, listing)
    close(register)
    assert register.on_chain(str(contributor.address)) == 2 * (net // 5)
    assert Contributor.objects.get().account == ben.account
    assert earnings_of(ben.account, register.token, now=register.now).paid == 2 * (net // 5)
    register.check_books()


def test_income_can_be_collected_into_the_balance_and_spent(register: Register, ada, ben, cleo):
    register.buy_funded(cleo, register.publish(ada))
    close(register)
    net = PRICE - PRICE * 250 // 10_000
    collect_income(by=ada, amount=net, now=register.now)
    register.run()
    assert register.balance(ada).available == net
    assert register.on_chain(register.owner_address(ada)) == 0
    register.check_books()


def test_a_journal_that_does_not_sum_to_zero_stops_settling(register: Register, ada, cleo):
    from marketplace.models import JournalAccount

    register.buy_funded(cleo, register.publish(ada))
    assert check_journal(now=register.now) == []
    JournalAccount.objects.filter(name=journal.UNSETTLED).update(balance=1)
    assert check_journal(now=register.now)
    assert is_stopped(register.deployment)
    with pytest.raises(SettlingRefusal) as refused:
        close_epoch(register.token, 1, register.deployment.finalized, register.now)
    assert refused.value.code == "settling.alarm"


def test_a_shortage_on_chain_that_stays_is_an_alarm_and_a_surplus_stops_nothing(register: Register, ada, cleo):
    register.buy_funded(cleo, register.publish(ada))
    rows = reconcile(register.deployment, now=register.now, chain=register.world.chain)
    assert [row.differs_since for row in rows] == [None, None]
    assert not alarms.open_alarms()
    # Somebody books money that is not there …
    journal.move(
        source=journal.OUTSIDE, target=journal.available(ada.account.pk), token=register.token, amount=5,
        effect="forged", now=register.now,
    )  # fmt: skip
    reconcile(register.deployment, now=register.now, chain=register.world.chain)
    assert not alarms.open_alarms(), "it may only be a moment"
    later = register.now + GRACE
    reconcile(register.deployment, now=later, chain=register.world.chain)
    assert [alarm.code for alarm in alarms.open_alarms()] == ["journal.shortage"]
    assert is_stopped(register.deployment)
    # … and takes it back; a person clears the alarm.
    journal.move(
        source=journal.available(ada.account.pk), target=journal.OUTSIDE, token=register.token, amount=5,
        effect="undone", now=register.now,
    )  # fmt: skip
    alarms.clear_alarm(code="journal.shortage", subject=f"treasury {register.token}", now=later, by="operator")
    assert not is_stopped(register.deployment)


def test_a_vetoed_root_pays_nothing_and_the_next_epoch_takes_it_up(register: Register, ada, cleo):
    """Fault 64."""
    register.world.development.fund(register.ring.address("guardian"), 10**18)
    register.buy_funded(cleo, register.publish(ada))
    register.world.development.advance(61)
    register.world.development.mine(3)
    register.follow()
    assert close_due(register.token, now=register.now) is not None
    register.run()
    assert SettlementRow.objects.get().state == SettlementRow.State.PROPOSED
    veto_settlement(by="dora", token=register.token, epoch=1, reason="The key was stolen.", now=register.now)
    register.run()
    assert SettlementRow.objects.get().state == SettlementRow.State.VETOED
    with pytest.raises(SettlingRefusal):
        veto_settlement(by="dora", token=register.token, epoch=1, reason="Again.", now=register.now)
    assert register.on_chain(register.owner_address(ada)) == 0
    row = close(register)
    assert (row.epoch, row.revenue, row.state) == (2, PRICE, SettlementRow.State.ACCEPTED)
    assert register.on_chain(register.owner_address(ada)) == PRICE - PRICE * 250 // 10_000
    register.check_books()


def test_a_reorg_past_finality_stops_settling(register: Register, ada, cleo):
    """Faults 15 and 67."""
    register.buy_funded(cleo, register.publish(ada))
    Deployment.objects.update(halted="Block 7 was final here as 0x…; the chain now has 0x….")
    with pytest.raises(SettlingRefusal) as refused:
        close_epoch(register.token, 1, register.deployment.finalized, register.now)
    assert refused.value.code == "settling.halted"
    Deployment.objects.update(halted="")
    assert close_epoch(register.token, 1, register.deployment.finalized, register.now) is not None


def test_a_payout_is_explained_by_the_purchase_behind_it(register: Register, ada, cleo):
    order = register.buy_funded(cleo, register.publish(ada))
    close(register)
    payout = payouts_of(ada.account).get()
    explained = explain_payout(payout)
    assert [line.license for line in explained.revenue] == [int(order.license.rpartition("/")[2])]
    assert sum(line.amount for line in explained.allocations) == payout.amount
    assert not payouts_of(cleo.account).exists()


def thief(register: Register) -> Stranger:
    """Whoever has the proposer's key."""
    return Stranger(register, key=register.ring._derived_account("lane/operator").key.hex())


def propose_as(stranger: Stranger, register: Register, epoch: int, cumulative: int) -> None:
    block = register.world.chain.header("latest")
    end = (block.number, bytes.fromhex(block.hash.removeprefix("0x")))
    token = register.world.deployed.token
    stranger.call("Market", "propose", token, epoch, *end, b"\x01" * 32, cumulative, b"\x02" * 32)
    register.follow()


def test_a_number_that_a_thief_proposed_far_ahead_is_left_out_and_epochs_go_on(register: Register, ada, cleo):
    register.world.development.fund(register.ring.address("guardian"), 10**18)
    register.buy_funded(cleo, register.publish(ada))
    for epoch in (1024, 1, 1):
        propose_as(thief(register), register, epoch, PRICE)
        veto_settlement(by="dora", token=register.token, epoch=epoch, reason="The key was stolen.", now=register.now)
        register.run()
        assert pending_roots() == []
    row = close(register)
    assert (row.epoch, row.revenue, row.state) == (2, PRICE, SettlementRow.State.ACCEPTED)
    register.check_books()


def test_a_root_that_was_not_computed_here_is_an_alarm_while_it_is_pending(register: Register, ada, cleo):
    register.buy_funded(cleo, register.publish(ada))
    close(register)
    assert not alarms.open_alarms()
    propose_as(thief(register), register, 2, PRICE)
    register.world.development.mine(3)
    register.follow()
    (root,) = pending_roots()
    assert (root.token, root.epoch, root.cumulative, root.is_ours) == (register.token, 2, PRICE, False)
    (alarm,) = alarms.open_alarms("root.unknown")
    assert root.tx in alarm.message
    with pytest.raises(SettlingRefusal) as refused:
        veto_settlement(by="dora", token=register.token, epoch=3, reason="Another one.", now=register.now)
    assert (refused.value.code, refused.value.limit) == ("settling.not_pending", 2)


def test_a_settlement_that_could_not_be_proposed_in_its_time_is_taken_up_by_the_next(register: Register, ada, cleo):
    register.world.development.fund(register.ring.address("guardian"), 10**18)
    register.buy_funded(cleo, register.publish(ada))
    propose_as(thief(register), register, 9, PRICE)
    register.world.development.advance(61)
    register.world.development.mine(3)
    register.follow()
    ours = close_due(register.token, now=register.now)
    assert ours is not None
    for _ in range(3):
        register.work()
        register.sign()
        register.world.development.mine()
        register.follow()
    intent = Intent.objects.get(kind="market.propose")
    assert (intent.state, intent.nonce) == ("wanted", None), "it waits until the other root is gone"
    Intent.objects.filter(pk=intent.pk).update(valid_until=register.now)
    register.world.development.advance(1)
    register.run()
    ours.refresh_from_db()
    assert ours.state == SettlementRow.State.VETOED
    (alarm,) = alarms.open_alarms("settlement.")
    assert alarm.code == "settlement.stuck"
    veto_settlement(by="dora", token=register.token, epoch=9, reason="The key was stolen.", now=register.now)
    register.run()
    alarms.clear_alarm(code=alarm.code, subject=alarm.subject, now=register.now, by="operator")
    row = close(register)
    assert (row.epoch, row.revenue, row.state) == (2, PRICE, SettlementRow.State.ACCEPTED)
    register.check_books()


def test_an_acceptance_that_ran_out_of_time_is_tried_again_once_somebody_has_looked(register: Register, ada, cleo):
    register.buy_funded(cleo, register.publish(ada))
    register.world.development.advance(61)
    register.world.development.mine(3)
    register.follow()
    row = close_due(register.token, now=register.now)
    assert row is not None
    register.run()
    register.world.development.advance(6)
    register.world.development.mine(1)
    register.follow()
    advance_settlements(now=register.now)
    Intent.objects.filter(kind="market.accept").update(valid_until=register.now)
    register.world.development.advance(1)
    register.run()
    row.refresh_from_db()
    assert (row.state, Intent.objects.get(kind="market.accept").state) == (SettlementRow.State.PROPOSED, "expired")
    (alarm,) = alarms.open_alarms("settlement.")
    alarms.clear_alarm(code=alarm.code, subject=alarm.subject, now=register.now, by="operator")
    register.run()
    row.refresh_from_db()
    assert row.state == SettlementRow.State.ACCEPTED
    assert sorted(Intent.objects.filter(kind="market.accept").values_list("state", flat=True)) == ["expired", "final"]
    register.check_books()


def test_a_root_of_somebody_else_accepted_under_our_number_ends_our_try(register: Register, ada, cleo):
    register.buy_funded(cleo, register.publish(ada))
    register.world.development.advance(61)
    register.world.development.mine(3)
    register.follow()
    ours = close_due(register.token, now=register.now)
    assert ours is not None
    propose_as(thief(register), register, ours.epoch, PRICE)
    register.world.development.advance(6)
    thief(register).call("Market", "accept", register.world.deployed.token, ours.epoch)
    register.follow()
    ours.refresh_from_db()
    assert (ours.state, ours.accepted_tx) == (SettlementRow.State.VETOED, "")
    register.world.development.mine(3)
    register.follow()
    assert push_due(now=register.now) == 0


def shared(register: Register, ada, cleo) -> tuple[SettlementRow, list[PayoutRow]]:
    """Return an accepted settlement that nobody has pushed, and two payees of equal amounts who are siblings in it."""
    holders = [Stranger(register, key="0x" + f"{number:02x}" * 32) for number in range(1, 5)]
    accounts = sorted(register.deployment.account_caip(holder.address) for holder in holders)
    owner = register.deployment.account_caip(register.owner_address(ada))
    splits = Splits(owner, tuple(Share(account, 1_000, "photographs") for account in accounts), "00" * 16)
    Document.create_from_bytes(document_bytes(splits.to_document()), schema="cadastre.splits/1")
    for holder in holders:
        holder.call("Market", "acceptPayee", holder.address, 0, b"")
    register.buy_funded(cleo, register.publish(ada, splits=splits.digest.hex))
    register.world.development.advance(61)
    register.world.development.mine(3)
    register.follow()
    row = close_due(register.token, now=register.now)
    assert row is not None
    register.run()
    register.world.development.advance(10)
    holders[0].call("Market", "accept", register.world.deployed.token, row.epoch)
    register.follow()
    leaves = list(PayoutRow.objects.filter(settlement=row).order_by("leaf"))
    top = 2 * len(leaves) - 2
    siblings = next(
        [one, other]
        for one, other in pairwise(leaves)
        if one.cumulative == other.cumulative and (top - one.leaf) % 2 == 0
    )
    return row, siblings


def test_a_push_that_lies_about_its_position_books_whom_it_paid(register: Register, ada, cleo):
    row, (one, other) = shared(register, ada, cleo)
    token = register.world.deployed.token
    leaves = list(PayoutRow.objects.filter(settlement=row).order_by("leaf").values_list("payee", "cumulative"))
    tree = PayoutTree.of(token, leaves)
    # The sibling's position has the same proof, so the contract takes it.
    Stranger(register).call(
        "Market", "push", token, len(leaves), other.leaf, tree.packed(one.leaf, 1), tree.proof(one.leaf)
    )
    register.world.development.mine(3)
    register.follow()
    one.refresh_from_db()
    other.refresh_from_db()
    assert register.on_chain(one.address) == one.cumulative
    assert register.on_chain(other.address) == 0
    assert one.state == PayoutRow.State.PAID
    assert other.state != PayoutRow.State.PAID
    (made,) = IntakeStatement.objects.filter(type="payout.made")
    assert made.subject == register.deployment.account_caip(one.address)
    register.run()
    assert register.on_chain(other.address) == other.cumulative
    assert not alarms.open_alarms()
    register.check_books()


def test_a_payee_that_moved_since_the_settlement_is_named_where_it_was_paid(register: Register, ada, cleo):
    _, (one, _) = shared(register, ada, cleo)
    keys = {
        stranger.address: stranger for stranger in (Stranger(register, key="0x" + f"{n:02x}" * 32) for n in range(1, 5))
    }
    home, away = keys[one.address], "0x" + "0a" * 20
    home.call("Market", "announcePayeeChange", one.payee, away, 0, b"")
    register.world.development.advance(3 * 86_400)
    home.call("Market", "applyPayeeChange", one.payee)
    register.follow()
    register.run()
    assert (register.on_chain(one.address), register.on_chain(away)) == (0, one.cumulative)
    made = IntakeStatement.objects.filter(type="payout.made").values_list("subject", flat=True)
    assert register.deployment.account_caip(away) in made
    assert register.deployment.account_caip(one.address) not in made
    register.check_books()
