"""A dataset of one's own wallet, on a real chain: it registers, offers, changes and hands over by signatures alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from marketplace.actions.contributors import advance_contributors
from marketplace.actions.custody import AccountRefusal, connect_wallet, hand_over_dataset, wallet_link
from marketplace.actions.drafts import confirm_draft, open_draft, set_parent_licenses, wallet_consents
from marketplace.actions.listings import change_derive_share, edit_offer
from marketplace.actions.offers import withdraw_offer
from marketplace.actions.shares import apply_shares, promise_share
from marketplace.actions.wallet_requests import WalletRefusal
from marketplace.actions.wallet_signatures import advance_requests, give_signature
from marketplace.core.terms import Use
from marketplace.models import Draft, Handover, Listing, OfferRow, WalletRequest
from marketplace.queries.actors import AccessRefusal, Act
from marketplace.queries.addresses import AddressRefusal, owner_signing, wallets_of
from marketplace.queries.drafts import DraftRefusal, review_draft
from provenance.core.refusal import Refusal
from provenance.core.typed_data import TypedDataRefusal
from provenance.models import DatasetRecord, IntakeStatement, Intent, ParentEdge
from tests.trade.register import Register
from tests.trade.test_a_draft_becomes_a_listing import CSV, Workshop, priced, shop
from tests.trade.wallets import STRANGER, WALLET, address, answer, connect, fund, sign_all, signed, waiting

__all__ = ["shop"]
pytestmark = pytest.mark.django_db


def wallet_owned(register: Register, ada) -> Listing:
    """A dataset that was handed over to the wallet, on sale again by its signature."""
    listing = register.publish(ada)
    connect(register, ada, owns=True)
    hand_over_dataset(by=replace(ada, second_factor=True), dataset=listing.pk, address=address(), now=register.now)
    sign_all(register, ada)
    listing.refresh_from_db()
    assert DatasetRecord.objects.get().owner == address()
    return listing


def confirmed(shop: Workshop, actor, draft: Draft, key=WALLET) -> Draft:
    now = shop.register.now
    asked = wallet_consents(by=actor, draft=draft.pk, now=now)
    assert asked is not None
    wallet = {
        "deadline": asked.deadline,
        "registration": asked.registration and signed(asked.registration, key),
        "attestation": asked.attestation and signed(asked.attestation, key),
        "derivations": {parent: signed(typed, key) for parent, (_, typed) in asked.derivations.items()},
    }
    digest = review_draft(draft, now=now).digest
    return confirm_draft(by=actor, draft=draft.pk, digest=digest, wallet=wallet, now=now)


def test_a_wallet_registers_offers_and_sells_without_a_key_of_ours(shop: Workshop, ada, cleo):
    register = shop.register
    register.sign()
    connect(register, ada)
    draft = priced(shop, ada, shop.fill(ada, open_draft(by=ada, owner=WALLET.address, now=register.now)))
    with pytest.raises(DraftRefusal) as refused:
        shop.confirm(ada, draft)
    assert (refused.value.code, refused.value.actual) == ("draft.wallet_signature", address())
    with pytest.raises(TypedDataRefusal):
        confirmed(shop, ada, draft, STRANGER)
    assert not Intent.objects.filter(kind="registry.register").exists()
    confirmed(shop, ada, draft)
    shop.publish(draft)
    record = DatasetRecord.objects.get()
    assert record.owner == address()
    said = IntakeStatement.objects.get(type="rights.attested")
    assert said.signatures[0]["signer"] == register.deployment.account_caip(address())
    listing = Listing.objects.get()
    assert listing.offer is None, "it is on sale when the wallet has signed the offer"
    with pytest.raises(TypedDataRefusal):
        answer(register, ada, waiting("offer"), STRANGER)
    answer(register, ada, waiting("offer"))
    register.run()
    listing.refresh_from_db()
    assert (listing.state, listing.offer.state) == (Listing.State.LISTED, OfferRow.State.LIVE)
    register.fund(cleo)
    assert register.buy(cleo, listing).state == "final"


def test_a_draft_of_a_wallet_that_is_not_the_accounts_is_refused(shop: Workshop, ada, mallory):
    shop.register.sign()
    connect(shop.register, ada)
    with pytest.raises(AddressRefusal) as refused:
        open_draft(by=mallory, owner=WALLET.address, now=shop.register.now)
    assert refused.value.code == "account.address_unknown"


def test_a_wallet_that_only_signs_changes_nothing_for_other_drafts(shop: Workshop, ada):
    shop.register.sign()
    connect(shop.register, ada)
    assert owner_signing(ada.account).key_path == f"owner/{ada.account.pk}"
    assert [row.purpose for row in wallets_of(ada.account)] == ["signer"]
    connect(shop.register, ada, owns=True)
    assert owner_signing(ada.account).address == address()
    assert [row.purpose for row in wallets_of(ada.account)] == ["owner"]


def test_a_program_may_connect_a_wallet_that_signs_and_none_that_owns(register: Register, ada):
    program = replace(ada, key=object(), acts=frozenset({Act.READ, Act.BUY}))  # type: ignore[arg-type]
    assert connect(register, program) == address()
    with pytest.raises(AccessRefusal):
        connect(register, program, owns=True)
    with pytest.raises(AccessRefusal):
        connect(register, replace(program, acts=frozenset({Act.READ})), STRANGER)
    deadline = int(register.now.timestamp()) + 600
    typed = wallet_link(by=ada, address=STRANGER.address, deadline=deadline)
    with pytest.raises(TypedDataRefusal):
        connect_wallet(
            by=program, address=WALLET.address, deadline=deadline, signature=signed(typed, STRANGER), owns=False,
            now=register.now,
        )  # fmt: skip


def test_a_next_version_belongs_to_the_owner_of_its_dataset_whatever_was_connected_since(shop: Workshop, ada):
    register = shop.register
    draft = priced(shop, ada, shop.fill(ada, shop.open(ada)))
    shop.confirm(ada, draft)
    shop.publish(draft)
    connect(register, ada, owns=True)
    dataset = Listing.objects.get().pk
    second = open_draft(by=ada, dataset=dataset, now=register.now)
    assert wallet_consents(by=ada, draft=second.pk, now=register.now) is None
    hand_over_dataset(by=replace(ada, second_factor=True), dataset=dataset, address=address(), now=register.now)
    sign_all(register, ada)
    third = priced(
        shop, ada, shop.fill(ada, open_draft(by=ada, dataset=dataset, now=register.now), CSV + b"Koornmarkt,9\n")
    )
    assert wallet_consents(by=ada, draft=third.pk, now=register.now).registration.struct.name == "Version"  # type: ignore[union-attr]
    confirmed(shop, ada, third)
    shop.publish(third)
    assert (DatasetRecord.objects.get().versions, DatasetRecord.objects.get().owner) == (2, address())


def test_after_a_hand_over_the_wallet_signs_the_offer_anew_because_the_old_one_is_worthless(
    register: Register, ada, cleo
):
    listing = register.publish(ada)
    before = str(listing.offer_id)
    connect(register, ada, owns=True)
    hand_over_dataset(by=replace(ada, second_factor=True), dataset=listing.pk, address=address(), now=register.now)
    register.run()
    listing.refresh_from_db()
    assert (listing.state, listing.offer) == (Listing.State.LISTED, None)
    assert OfferRow.objects.get(pk=before).state == OfferRow.State.WITHDRAWN
    assert not WalletRequest.objects.filter(act="cancel-offer").exists(), "nobody can accept it any more"
    sign_all(register, ada)
    listing.refresh_from_db()
    register.fund(cleo)
    assert register.buy(cleo, listing).state == "final"


def test_the_wallet_signs_shares_and_the_share_of_derivatives(register: Register, ada, ben):
    listing = wallet_owned(register, ada)
    promise_share(by=ada, dataset=listing.pk, email="ben@example.org", role="editor", bps=1_000, now=register.now)
    register.run()
    advance_contributors(now=register.now)
    asked = apply_shares(by=ada, dataset=listing.pk, now=register.now)
    assert isinstance(asked, WalletRequest)
    register.run()
    assert not DatasetRecord.objects.get().splits
    with pytest.raises(TypedDataRefusal):
        answer(register, ada, waiting("splits"), STRANGER)
    answer(register, ada, waiting("splits"))
    change_derive_share(by=ada, dataset=listing.pk, derive_bps=2_000, now=register.now)
    register.run()
    assert waiting("derive-terms").typed_data["message"]["nonce"] == "2", "after the hand-over and the splits"
    sign_all(register, ada)
    record = DatasetRecord.objects.get()
    assert (bool(record.splits), record.derive_bps) == (True, 2_000)


def test_a_later_change_takes_the_place_of_an_unsigned_one(register: Register, ada):
    listing = wallet_owned(register, ada)
    change_derive_share(by=ada, dataset=listing.pk, derive_bps=2_000, now=register.now)
    register.run()
    old = waiting("derive-terms")
    register.world.development.advance(2)
    change_derive_share(by=ada, dataset=listing.pk, derive_bps=3_000, now=register.now)
    register.run()
    with pytest.raises(Refusal) as refused:
        answer(register, ada, old)
    assert refused.value.code == "signature.state"
    sign_all(register, ada)
    assert DatasetRecord.objects.get().derive_bps == 3_000


def test_a_change_by_somebody_who_is_not_the_owner_any_more_is_refused(register: Register, ada):
    listing = register.publish(ada)
    DatasetRecord.objects.update(owner=address(STRANGER))
    with pytest.raises(WalletRefusal) as refused:
        change_derive_share(by=ada, dataset=listing.pk, derive_bps=2_000, now=register.now)
    assert refused.value.code == "wallet.owner_elsewhere"


def test_an_edited_and_a_withdrawn_offer_are_cancelled_on_chain_by_the_wallets_signature(register: Register, ada, cleo):
    listing = wallet_owned(register, ada)
    first = OfferRow.objects.get(pk=listing.offer_id)
    edit_offer(by=ada, dataset=listing.pk, terms=None, price=5_000_000, hold_seconds=None, now=register.now)
    sign_all(register, ada)
    listing.refresh_from_db()
    withdraw_offer(by=ada, offer=str(listing.offer_id), now=register.now)
    second = OfferRow.objects.get(pk=listing.offer_id)
    asked = WalletRequest.objects.filter(act="cancel-offer", subject=second.digest).first()
    assert asked is not None
    register.run()
    number = int(listing.pk.rpartition("/")[2])
    state = lambda row: register.world.chain.read("Market", "offerState", number, int(row.nonce))[0]  # type: ignore[index]  # noqa: E731
    assert (state(first), state(second)) == (True, False)
    sign_all(register, ada)
    assert state(second) is True


def test_an_offer_that_nobody_signs_ends_without_being_sold(register: Register, ada):
    listing = wallet_owned(register, ada)
    row = edit_offer(by=ada, dataset=listing.pk, terms=None, price=1, hold_seconds=None, now=register.now)
    late = register.now + timedelta(days=31)
    assert advance_requests(now=late) == 1
    row.refresh_from_db()
    assert (row.state, row.cause) == (OfferRow.State.REFUSED, "The wallet did not sign in time.")
    listing.refresh_from_db()
    assert listing.offer is not None, "what was on sale still is"


def test_an_offer_that_was_withdrawn_meanwhile_takes_no_signature(register: Register, ada):
    listing = wallet_owned(register, ada)
    row = edit_offer(by=ada, dataset=listing.pk, terms=None, price=1, hold_seconds=None, now=register.now)
    asked = WalletRequest.objects.get(subject=row.digest)
    withdraw_offer(by=ada, offer=row.digest, now=register.now)
    with pytest.raises(Refusal) as refused:
        answer(register, ada, asked)
    assert refused.value.code == "signature.state"


def test_a_dataset_comes_back_from_the_wallet_by_its_signature_and_goes_again(register: Register, ada, mallory):
    listing = wallet_owned(register, ada)
    proved = replace(ada, second_factor=True)
    home = register.owner_address(ada)
    with pytest.raises(AccountRefusal) as refused:
        hand_over_dataset(by=proved, dataset=listing.pk, address=address(), now=register.now)
    assert refused.value.code == "handover.there"
    hand_over_dataset(by=proved, dataset=listing.pk, address=home, now=register.now)
    register.run()
    asked = waiting("hand-over")
    with pytest.raises(AccessRefusal):
        answer(register, ada, asked)
    give_signature(by=proved, request=asked.pk, signature=signed(asked.typed_data), now=register.now)
    register.run()
    assert DatasetRecord.objects.get().owner == home
    assert set(Handover.objects.values_list("state", flat=True)) == {"final"}
    listing.refresh_from_db()
    assert listing.offer is not None, "our key has signed the offer anew"
    hand_over_dataset(by=proved, dataset=listing.pk, address=address(), now=register.now)
    register.run()
    assert DatasetRecord.objects.get().owner == address()


def test_what_a_wallet_licensed_may_be_derived_from_with_its_consent(shop: Workshop, ada, ben):
    register = shop.register
    parent = register.publish(ada, price=1_000_000)
    connect(register, ben)
    fund(register, 1_000_000)
    from tests.trade.test_a_wallet_pays_for_its_license import order

    placed = order(register, ben, parent)
    sign_all(register, ben)
    placed.refresh_from_db()
    draft = shop.fill(ben, shop.open(ben), parents=[parent.pk])
    draft = set_parent_licenses(
        by=ben, draft=draft.pk, revision=draft.revision, licenses={parent.pk: placed.license}, now=register.now
    )
    draft = priced(shop, ben, draft, uses=frozenset({Use.FINE_TUNE}), derive_bps=0)
    asked = wallet_consents(by=ben, draft=draft.pk, now=register.now)
    assert asked is not None
    assert (asked.owner, asked.derivations[parent.pk][0]) == (None, address())
    with pytest.raises(DraftRefusal) as refused:
        shop.confirm(ben, draft)
    assert refused.value.code == "draft.wallet_signature"
    with pytest.raises(TypedDataRefusal):
        confirmed(shop, ben, draft, STRANGER)
    confirmed(shop, ben, draft)
    shop.publish(draft)
    assert ParentEdge.objects.get().license == int(placed.license.rpartition("/")[2])
