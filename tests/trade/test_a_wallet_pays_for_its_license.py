"""A license paid from a wallet of one's own, on a real chain: the register holds no money and asks for a signature."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from marketplace import journal
from marketplace.actions.licenses import add_recipient, grant_refund, request_refund
from marketplace.actions.orders import OrderRefusal, approve_order, place_order
from marketplace.actions.quotes import make_private_offer
from marketplace.actions.usage import report_usage
from marketplace.actions.vouchers import retry_voucher
from marketplace.actions.wallet_signatures import advance_requests, give_signature
from marketplace.idempotency import IdempotencyRefusal
from marketplace.market_kinds import order_reference
from marketplace.models import LicenseRow, OfferRow, Order, VoucherRow, WalletRequest
from marketplace.projections.events import purchased_order
from marketplace.queries.actors import AccessRefusal
from marketplace.queries.catalog import offer_terms, offer_value
from marketplace.queries.orders import delivery_of, visible_of
from provenance.core.refusal import Refusal
from provenance.core.typed_data import Domain, TypedData, TypedDataRefusal
from provenance.models import ChainEvent, Intent
from tests.trade.register import RECIPIENT, Register, terms
from tests.trade.test_use_is_reported_and_charged import RATE, used
from tests.trade.wallets import STRANGER, WALLET, address, answer, connect, fund, send, sign_all, signed, waiting

pytestmark = pytest.mark.django_db
PRICE = 240_000_000


def order(register: Register, actor, listing, *, key: str = "", fresh: bool = False) -> Order:
    listing.refresh_from_db()
    placed = place_order(
        by=actor, key=key or str(uuid4()), recipient=RECIPIENT, offer=str(listing.offer_id), payer=WALLET.address,
        fresh_licensee=fresh, now=register.now,
    )  # fmt: skip
    register.run()
    placed.refresh_from_db()
    return placed


def bought(register: Register, actor, listing, *, fresh: bool = False) -> Order:
    connect(register, actor)
    fund(register, PRICE)
    placed = order(register, actor, listing, fresh=fresh)
    sign_all(register, actor)
    placed.refresh_from_db()
    assert placed.state == Order.State.FINAL, placed.cause
    return placed


def test_the_wallet_pays_and_holds_the_license_and_no_balance_moves(register: Register, ada, cleo):
    listing = register.publish(ada)
    connect(register, cleo)
    fund(register, PRICE + 7)
    placed = order(register, cleo, listing)
    assert placed.state == Order.State.SIGNING
    asked = waiting("purchase")
    assert asked.typed_data["primaryType"] == "ReceiveWithAuthorization"
    assert asked.typed_data["message"]["to"] == register.deployment.market
    assert asked.typed_data["message"]["value"] == str(PRICE)
    answer(register, cleo, asked)
    assert answer(register, cleo, asked).state == "signed", "the same signature twice is one"
    register.run()
    placed.refresh_from_db()
    assert placed.state == Order.State.FINAL, placed.cause
    row = LicenseRow.objects.get()
    assert (row.payer, row.licensee, row.account, row.order) == (address(), address(), cleo.account, placed)
    assert register.on_chain(address()) == 7
    assert register.balance(cleo) == journal.Balance(available=0, held=0)
    assert (delivery_of(row).state, bool(row.certificate)) == ("granted", True)
    assert address() in str(visible_of(placed))
    register.check_books()


def test_a_fresh_licensee_hides_the_wallet_from_the_license_but_not_from_the_payment(register: Register, ada, cleo):
    placed = bought(register, cleo, register.publish(ada), fresh=True)
    row = LicenseRow.objects.get()
    assert row.licensee == register.ring.address(f"licensee/{placed.pk}")
    assert row.payer == address()
    assert "fresh address" in str(visible_of(placed))
    assert delivery_of(row).state == "granted"
    register.check_books()


def test_a_price_of_zero_needs_the_wallets_consent_and_no_money(register: Register, ada, cleo):
    listing = register.publish(ada, price=0)
    connect(register, cleo)
    placed = order(register, cleo, listing)
    assert waiting("purchase").typed_data["primaryType"] == "Order"
    sign_all(register, cleo)
    placed.refresh_from_db()
    assert placed.state == Order.State.FINAL, placed.cause


def test_the_same_key_is_the_same_order_and_another_payer_is_another_request(register: Register, ada, cleo):
    listing = register.publish(ada)
    connect(register, cleo)
    first = order(register, cleo, listing, key="k1")
    assert order(register, cleo, listing, key="k1") == first
    with pytest.raises(IdempotencyRefusal):
        place_order(by=cleo, key="k1", recipient=RECIPIENT, offer=str(listing.offer_id), now=register.now)
    assert WalletRequest.objects.filter(act="purchase").count() == 1


def test_only_a_connected_wallet_of_the_account_itself_can_pay(register: Register, ada, cleo, mallory):
    listing = register.publish(ada)
    connect(register, cleo)
    with pytest.raises(OrderRefusal) as refused:
        order(register, mallory, listing)
    assert refused.value.code == "order.payer"
    with pytest.raises(OrderRefusal):
        place_order(
            by=cleo, key="k", recipient=RECIPIENT, offer=str(listing.offer_id), now=register.now,
            payer=register.owner_address(cleo),
        )  # fmt: skip
    assert not Order.objects.exists()


def test_a_strangers_signature_is_refused_and_the_order_goes_on_waiting(register: Register, ada, cleo, mallory):
    listing = register.publish(ada)
    connect(register, cleo)
    fund(register, PRICE)
    placed = order(register, cleo, listing)
    asked = waiting("purchase")
    with pytest.raises(TypedDataRefusal) as refused:
        answer(register, cleo, asked, STRANGER)
    assert (refused.value.code, refused.value.limit) == ("signature.signer", address())
    with pytest.raises(AccessRefusal) as absent:
        answer(register, mallory, asked)
    assert absent.value.code == "signature.not_found"
    placed.refresh_from_db()
    assert placed.state == Order.State.SIGNING
    sign_all(register, cleo)
    placed.refresh_from_db()
    assert placed.state == Order.State.FINAL, placed.cause


@pytest.mark.parametrize("change", [{"chain": 1}, {"contract": "0x" + "12" * 20}, {"name": "Another Dollar"}], ids=str)
def test_a_signature_for_another_chain_or_token_is_refused(register: Register, ada, cleo, change):
    listing = register.publish(ada)
    connect(register, cleo)
    order(register, cleo, listing)
    asked = waiting("purchase")
    typed = TypedData.from_json(asked.typed_data)
    domain = {"name": typed.domain.name, "chain": typed.domain.chain, "contract": typed.domain.contract, **change}
    other = TypedData(Domain(**domain, version=typed.domain.version), typed.struct, typed.message)
    with pytest.raises(TypedDataRefusal):
        give_signature(by=cleo, request=asked.pk, signature=signed(other), now=register.now)
    assert not Intent.objects.filter(kind="wallet.purchase").exists()


def test_a_signature_for_another_order_is_refused(register: Register, ada, cleo):
    listing = register.publish(ada)
    connect(register, cleo)
    order(register, cleo, listing)
    first = waiting("purchase")
    taken = signed(first.typed_data)
    order(register, cleo, listing)
    second = WalletRequest.objects.filter(act="purchase", state="wanted").exclude(pk=first.pk).get()
    with pytest.raises(TypedDataRefusal):
        give_signature(by=cleo, request=second.pk, signature=taken, now=register.now)


def test_an_order_that_nobody_signs_in_time_fails_and_says_so(register: Register, ada, cleo):
    listing = register.publish(ada)
    connect(register, cleo)
    placed = order(register, cleo, listing)
    asked = waiting("purchase")
    later = register.now + timedelta(minutes=31)
    with pytest.raises(Refusal, match="too late"):
        give_signature(by=cleo, request=asked.pk, signature=signed(asked.typed_data), now=later)
    assert advance_requests(now=later) == 1
    assert advance_requests(now=later) == 0
    placed.refresh_from_db()
    assert (placed.state, placed.cause) == (Order.State.FAILED, "The wallet did not sign in time.")
    assert OfferRow.objects.get().sold == 0
    with pytest.raises(Refusal) as refused:
        give_signature(by=cleo, request=asked.pk, signature=signed(asked.typed_data), now=register.now)
    assert refused.value.code == "signature.state"


def test_an_underfunded_wallet_buys_nothing_and_the_cause_names_the_balance(register: Register, ada, cleo):
    listing = register.publish(ada)
    connect(register, cleo)
    fund(register, PRICE - 1)
    placed = order(register, cleo, listing)
    sign_all(register, cleo)
    placed.refresh_from_db()
    assert placed.state == Order.State.FAILED
    assert "ERC20InsufficientBalance" in placed.cause
    assert str(PRICE) in placed.cause
    assert register.on_chain(address()) == PRICE - 1
    assert OfferRow.objects.get().sold == 0
    register.check_books()


def test_a_cancelled_authorization_buys_nothing(register: Register, ada, cleo):
    listing = register.publish(ada)
    connect(register, cleo)
    fund(register, PRICE)
    placed = order(register, cleo, listing)
    asked = waiting("purchase")
    nonce = bytes.fromhex(asked.typed_data["message"]["nonce"][2:])
    cancel = {
        "types": {
            "EIP712Domain": asked.typed_data["types"]["EIP712Domain"],
            "CancelAuthorization": [{"name": "authorizer", "type": "address"}, {"name": "nonce", "type": "bytes32"}],
        },
        "primaryType": "CancelAuthorization",
        "domain": asked.typed_data["domain"],
        "message": {"authorizer": address(), "nonce": "0x" + nonce.hex()},
    }
    raw = bytes.fromhex(signed(cancel)[2:])
    send(register, "TestUSD", "cancelAuthorization", WALLET.address, nonce, raw[64], raw[:32], raw[32:64])
    answer(register, cleo, asked)
    register.run()
    placed.refresh_from_db()
    assert placed.state == Order.State.FAILED
    assert "Authorization" in placed.cause
    assert not LicenseRow.objects.exists()
    assert register.on_chain(address()) == PRICE
    register.check_books()


def test_an_authorization_presented_by_the_wallet_itself_buys_its_order_too(register: Register, ada, cleo):
    listing = register.publish(ada)
    connect(register, cleo)
    fund(register, PRICE)
    placed = order(register, cleo, listing)
    asked = waiting("purchase")
    offer = OfferRow.objects.select_related("terms").get()
    domain = Domain("Cadastre Market", register.deployment.chain_id, register.deployment.market)
    raw = bytes.fromhex(signed(asked.typed_data)[2:])
    struct = [address(), address(), order_reference(placed.pk), int(asked.call["valid_before"])]
    # Given up here, and still valid on chain: paid means entitled.
    assert advance_requests(now=register.now + timedelta(minutes=31)) == 1
    send(
        register, "Market", "buyWithAuthorization", offer_value(offer).typed_data(domain, offer_terms(offer)).message,
        bytes.fromhex(offer.signature[2:]), struct, raw[64], raw[:32], raw[32:64],
    )  # fmt: skip
    register.run()
    placed.refresh_from_db()
    assert (placed.state, placed.cause) == (Order.State.FINAL, "")
    register.run()
    assert delivery_of(LicenseRow.objects.get()).state == "granted"
    register.check_books()


def test_somebody_elses_purchase_under_the_orders_reference_is_not_the_order(register: Register, ada, cleo):
    placed = bought(register, cleo, register.publish(ada))
    event = ChainEvent.objects.get(name="LicensePurchased")
    assert purchased_order(event) == placed
    for name, value in (("payer", address(STRANGER)), ("licensee", address(STRANGER)), ("document", "0x" + "11" * 32)):
        event.args = {**event.args, name: value}
        assert purchased_order(event) is None, name
        event.refresh_from_db()


def test_what_the_wallet_paid_goes_back_to_the_wallet(register: Register, ada, cleo):
    listing = register.publish(ada, hold_seconds=7200)
    placed = bought(register, cleo, listing)
    assert register.on_chain(address()) == 0
    request_refund(by=cleo, license_id=placed.license, now=register.now)
    grant_refund(by=ada, license_id=placed.license, now=register.now)
    register.run()
    placed.refresh_from_db()
    assert placed.state == Order.State.REFUNDED
    assert register.on_chain(address()) == PRICE
    assert register.balance(cleo).available == 0
    register.check_books()


def test_an_order_that_needs_approval_asks_the_wallet_only_when_it_is_approved(register: Register, ada, cleo):
    listing = register.publish(ada)
    connect(register, cleo)
    fund(register, PRICE)
    placed = order(register, replace(cleo, needs_approval=True), listing)
    assert placed.state == Order.State.APPROVAL
    assert not WalletRequest.objects.exists()
    Order.objects.update(placed_by=None)
    approve_order(by=cleo, order=placed.pk, now=register.now)
    sign_all(register, cleo)
    placed.refresh_from_db()
    assert placed.state == Order.State.FINAL, placed.cause


def test_a_private_offer_is_held_by_its_fresh_address_whoever_pays(register: Register, ada, cleo):
    listing = register.publish(ada)
    connect(register, cleo)
    fund(register, 1_000_000)
    quote = make_private_offer(
        by=ada, dataset=listing.pk, buyer="cleo", terms=terms(), price=1_000_000, hold_seconds=0, now=register.now
    )
    register.run()
    wish = {"by": cleo, "recipient": RECIPIENT, "quote": quote.pk, "payer": address(), "now": register.now}
    with pytest.raises(OrderRefusal) as refused:
        place_order(key="k1", **wish)
    assert refused.value.code == "order.licensee"
    placed = place_order(key="k2", fresh_licensee=True, **wish)
    sign_all(register, cleo)
    placed.refresh_from_db()
    assert placed.state == Order.State.FINAL, placed.cause
    assert LicenseRow.objects.get().payer == address()


def metered(register: Register, ada, cleo, *, fresh: bool = False) -> str:
    listing = register.publish(ada, price=PRICE, with_terms=terms(rate=RATE, report_use=True))
    return bought(register, cleo, listing, fresh=fresh).license


def test_the_wallet_signs_voucher_and_deposit_and_exactly_that_is_charged(register: Register, ada, cleo):
    license_id = metered(register, ada, cleo)
    fund(register, 8_000_000)
    report_usage(by=cleo, license_id=license_id, key="r1", used=used(register), now=register.now)
    register.run()
    assert {row.act for row in WalletRequest.objects.filter(state="wanted")} == {"voucher", "deposit"}
    answer(register, cleo, waiting("voucher"))
    register.run()
    assert VoucherRow.objects.get().state == VoucherRow.State.SIGNED, "it waits for its deposit"
    with pytest.raises(TypedDataRefusal):
        answer(register, cleo, waiting("deposit"), STRANGER)
    sign_all(register, cleo)
    voucher = VoucherRow.objects.get()
    assert voucher.state == VoucherRow.State.CHARGED, voucher.cause
    assert LicenseRow.objects.get().charged == 8_000_000
    assert register.on_chain(address()) == 0
    assert register.balance(cleo) == journal.Balance(available=0, held=0)
    register.check_books()


def test_a_wallet_that_sends_its_voucher_before_it_deposits_has_not_paid(register: Register, ada, cleo):
    license_id = metered(register, ada, cleo)
    fund(register, 8_000_000)
    report_usage(by=cleo, license_id=license_id, key="r1", used=used(register), now=register.now)
    answer(register, cleo, waiting("voucher"))
    register.run()
    row, voucher = LicenseRow.objects.get(pk=license_id), VoucherRow.objects.get()
    struct = (row.number, voucher.cumulative_units, voucher.cumulative_amount, bytes.fromhex(voucher.reports_root))
    proof = (bytes.fromhex(row.order_reference[2:]), bytes.fromhex(voucher.signature[2:]))
    send(register, "Market", "charge", struct, row.payer, *proof)
    register.run()
    voucher.refresh_from_db()
    assert voucher.state == VoucherRow.State.SIGNED, "it waits for its deposit"
    answer(register, cleo, waiting("deposit"))
    register.run()
    voucher.refresh_from_db()
    assert voucher.state == VoucherRow.State.CHARGED, voucher.cause
    assert LicenseRow.objects.get(pk=license_id).charged == voucher.cumulative_amount
    register.check_books()


def test_a_later_voucher_asks_once_for_the_sum(register: Register, ada, cleo):
    license_id = metered(register, ada, cleo, fresh=True)
    fund(register, 7_000_000)
    for number in range(3):
        report_usage(by=cleo, license_id=license_id, key=f"r{number}", used=used(register, 1_500), now=register.now)
    register.run()
    assert waiting("deposit").call["amount"] == "7000000"
    assert not WalletRequest.objects.filter(act="voucher").exists(), "the fresh licensee's key is ours"
    sign_all(register, cleo)
    assert VoucherRow.objects.get(sequence=3).state == VoucherRow.State.CHARGED
    register.check_books()


def test_a_deposit_that_fails_can_be_signed_again(register: Register, ada, cleo):
    license_id = metered(register, ada, cleo)
    report_usage(by=cleo, license_id=license_id, key="r1", used=used(register), now=register.now)
    sign_all(register, cleo)
    voucher = VoucherRow.objects.get()
    assert voucher.state == VoucherRow.State.FAILED
    assert "ERC20InsufficientBalance" in voucher.cause
    fund(register, 8_000_000)
    retry_voucher(by=cleo, license_id=license_id, sequence=1, now=register.now)
    sign_all(register, cleo)
    voucher.refresh_from_db()
    assert voucher.state == VoucherRow.State.CHARGED, voucher.cause
    register.check_books()


def test_a_voucher_that_nobody_signed_fails_and_is_asked_for_again(register: Register, ada, cleo):
    license_id = metered(register, ada, cleo)
    report_usage(by=cleo, license_id=license_id, key="r1", used=used(register), now=register.now)
    register.run()
    assert advance_requests(now=register.now + timedelta(days=31)) == 2
    assert VoucherRow.objects.get().state == VoucherRow.State.FAILED
    fund(register, 8_000_000)
    retry_voucher(by=cleo, license_id=license_id, sequence=1, now=register.now)
    sign_all(register, cleo)
    assert VoucherRow.objects.get().state == VoucherRow.State.CHARGED


def test_a_license_bought_on_chain_by_a_connected_wallet_gets_its_key_and_reports_its_use(
    register: Register, ada, cleo
):
    listing = register.publish(ada, with_terms=terms(rate=RATE, report_use=True))
    connect(register, cleo)
    fund(register, PRICE + 8_000_000)
    offer = OfferRow.objects.select_related("terms").get()
    domain = Domain("Cadastre Market", register.deployment.chain_id, register.deployment.market)
    message = offer_value(offer).typed_data(domain, offer_terms(offer)).message
    market, token = register.deployment.market, register.world.deployed.token
    send(register, "TestUSD", "approve", market, PRICE + 8_000_000)
    struct = [address(), address(), b"\x07" * 32, int(register.now.timestamp()) + 600]
    send(register, "Market", "buy", message, bytes.fromhex(offer.signature[2:]), struct, b"")
    register.run()
    row = LicenseRow.objects.get()
    assert (row.account, row.order, row.dataset) == (cleo.account, None, listing.pk)
    add_recipient(by=cleo, license_id=row.pk, recipient=RECIPIENT, now=register.now)
    register.run()
    assert delivery_of(row).state == "granted"
    send(register, "Market", "deposit", token, WALLET.address, 8_000_000)
    report_usage(by=cleo, license_id=row.pk, key="r1", used=used(register), now=register.now)
    register.run()
    assert {each.act for each in WalletRequest.objects.all()} == {"voucher"}, "its deposit is its own business"
    sign_all(register, cleo)
    assert VoucherRow.objects.get().state == VoucherRow.State.CHARGED
    register.check_books()
