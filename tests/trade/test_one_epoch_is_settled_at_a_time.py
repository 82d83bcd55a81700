"""Of one token one settlement is under way: two would count the same revenue."""

from __future__ import annotations

import pytest

from marketplace.models import SettlementRow
from marketplace.queries.settlements import SettlingRefusal
from marketplace.settling import closing
from marketplace.settling.closing import close_due, close_epoch
from tests.trade.register import Register
from tests.trade.test_an_epoch_pays_everybody_once import PRICE, close, pay

pytestmark = pytest.mark.django_db


def closed(register: Register) -> SettlementRow:
    """Compute the settlement of the running epoch, and nothing more."""
    register.world.development.advance(61)
    register.world.development.mine(3)
    register.follow()
    row = close_due(register.token, now=register.now)
    assert row is not None
    return row


def test_of_one_token_one_epoch_is_settled_at_a_time(register: Register, ada, cleo):
    """An operator's `close_epoch` and the clock's at the same moment: the contract has one pending root."""
    listing = register.publish(ada)
    register.buy_funded(cleo, listing)
    first = closed(register)
    register.buy(cleo, listing)
    with pytest.raises(SettlingRefusal) as refused:
        close_epoch(register.token, 2, register.deployment.finalized, register.now)
    assert refused.value.code == "settling.under_way"
    pay(register)
    first.refresh_from_db()
    assert (first.state, SettlementRow.objects.count()) == (SettlementRow.State.ACCEPTED, 1)
    assert close(register).revenue == PRICE
    register.check_books()


def test_two_epochs_computed_at_the_same_moment_are_written_once(register: Register, ada, cleo, monkeypatch):
    register.buy_funded(cleo, register.publish(ada))
    computed = closing.write_documents

    def outrun(settlement, *, root):
        monkeypatch.undo()
        close_epoch(register.token, 1, register.deployment.finalized, register.now)
        return computed(settlement, root=root)

    register.world.development.mine(3)
    register.follow()
    monkeypatch.setattr(closing, "write_documents", outrun)
    with pytest.raises(SettlingRefusal) as refused:
        close_epoch(register.token, 2, register.deployment.finalized, register.now)
    assert refused.value.code == "settling.under_way"
    assert SettlementRow.objects.get().epoch == 1
