"""Whoever uses the contracts directly writes events as they like: the register reads them all, and goes on."""

from __future__ import annotations

import pytest

from marketplace.models import LicenseRow, Listing
from provenance.models import IntakeStatement
from tests.trade.register import Register
from tests.trade.stranger import Stranger

pytestmark = pytest.mark.django_db
DAY = 86_400


def own_licenses(stranger: Stranger) -> list[LicenseRow]:
    return list(LicenseRow.objects.filter(payer=stranger.address).order_by("number"))


@pytest.mark.parametrize(("mask", "known"), [(0xFFFF, 7), (1 | 128, 1), (0x8000, 0)])
def test_uses_without_a_meaning_grant_nothing_and_stop_nothing(register: Register, ada, cleo, mask: int, known: int):
    stranger = Stranger(register)
    stranger.sell_to_self(stranger.publish(), uses=mask)
    order = register.buy_funded(cleo, register.publish(ada))
    assert order.state == "final"
    (row,) = own_licenses(stranger)
    assert (row.final, len(row.uses), row.account, row.order) == (True, known, None, None)
    register.check_books()


def test_a_license_that_names_an_offer_of_somebody_else_is_certified_for_nobody_or_as_it_is(register: Register, ada):
    listing = register.publish(ada)
    stranger = Stranger(register)
    dataset = stranger.publish()
    for number, changes in enumerate(({"uses": 0x8000}, {"uses": 0xFFFF, "termSeconds": 2**32 - 1})):
        stranger.sell_to_self(
            dataset, document=bytes.fromhex(str(listing.offer_id)), order=bytes([9, number]) * 16, **changes
        )
    register.run()
    assert [row.final for row in own_licenses(stranger)] == [True, True]


def test_a_revocation_for_a_ground_without_a_name_is_recorded_as_such(register: Register, ada):
    stranger = Stranger(register)
    dataset = stranger.publish()
    order = b"\x02" * 32
    stranger.sell_to_self(dataset, order=order, grounds=0xFFFF, cureDays=1)
    number = register.world.chain.read("Market", "purchaseOf", stranger.address, order)["license"]  # type: ignore[index]
    stranger.call("Market", "announceRevocation", stranger.address, order, 1 << 15, b"\x03" * 32, 0, b"")
    register.world.development.advance(DAY + 1)
    stranger.call("Market", "executeRevocation", number)
    assert register.publish(ada).state == Listing.State.LISTED
    (row,) = own_licenses(stranger)
    assert row.state == LicenseRow.State.REVOKED
    (told,) = IntakeStatement.objects.filter(type="license.revoked", subject=row.pk)
    assert '"ground":"ground-32768"' in told.statement


def test_charges_without_money_and_payees_of_nobody_stop_nothing(register: Register, ada, cleo):
    stranger = Stranger(register)
    dataset = stranger.publish(splits=b"\x11" * 32)
    stranger.sell_to_self(dataset, order=b"\x04" * 32)
    stranger.call("Market", "enrollOwner", dataset)
    stranger.call("Market", "invitePayee", "0x" + "00" * 19 + "01")
    stranger.call("DatasetRegistry", "setSplits", dataset, b"\xff" * 32)
    stranger.call("DatasetRegistry", "setDeriveTerms", dataset, 10_000, True)
    stranger.call("DatasetRegistry", "transferFrom", stranger.address, "0x" + "00" * 19 + "01", dataset)
    order = register.buy_funded(cleo, register.publish(ada))
    assert order.state == "final"
    register.check_books()
