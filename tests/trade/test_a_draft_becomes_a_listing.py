"""Publishing from the first step to the live listing: real files, real chain, and every refusal on the way."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace.actions.contributors import decline_contribution, invite_contributor, remove_contributor
from marketplace.actions.drafts import (
    confirm_draft,
    describe_draft,
    discard_draft,
    open_draft,
    set_parent_licenses,
    set_terms,
)
from marketplace.actions.listings import (
    DelistReason,
    ListingRefusal,
    change_derive_share,
    delist_dataset,
    edit_offer,
    relist_dataset,
    rename_dataset,
    withhold_listing,
)
from marketplace.actions.offers import OfferRefusal
from marketplace.actions.takedowns import withhold_dataset
from marketplace.core.money import MoneyRefusal
from marketplace.core.terms import Use
from marketplace.models import Draft, Listing, OfferRow
from marketplace.queries.actors import AccessRefusal
from marketplace.queries.addresses import AddressRefusal
from marketplace.queries.catalog import listing_at
from marketplace.queries.drafts import DraftRefusal, review_draft
from marketplace.queries.search import search_listings
from marketplace.queries.worked_example import worked_example
from provenance import ingest, packaging, publication, submissions
from provenance.adapters.blocks_local import LocalBlocks
from provenance.adapters.scanner import SignatureScanner
from provenance.models import DatasetRecord, GrantRow, IntakeStatement, Intent, Submission
from tests.trade.conftest import person
from tests.trade.register import Register, terms

pytestmark = pytest.mark.django_db
RIGHTS = [{"source": "my own camera", "basis": "own-work"}]
CSV = b"street,year\n" + b"".join(b"Oude Delft %d,%d\n" % (n, 1600 + n) for n in range(200))


class Workshop:
    """A register with its content half: workers that inspect, seal and store."""

    def __init__(self, register: Register, folder) -> None:
        self.register = register
        self.stores = {"local": LocalBlocks(folder / "blocks", reserve=0, durable=False)}

    def open(self, actor, **options: Any) -> Draft:
        self.register.sign()
        return open_draft(by=actor, now=self.register.now, **options)

    def fill(self, actor, draft: Draft, data: bytes = CSV, **said: Any) -> Draft:
        assert draft.submission is not None
        by, now = actor.account.pk, self.register.now
        fields = {"title": "Streets of Delft", "creator": "Ada", "rights": RIGHTS, **said}
        draft = describe_draft(by=actor, draft=draft.pk, revision=draft.revision, now=now, **fields)
        file = submissions.add_file(by=by, submission=draft.submission, path="streets.csv", size=len(data), now=now)
        submissions.append_bytes(by=by, file=file.id, offset=0, data=data, now=now)
        submissions.seal_file_list(by=by, submission=draft.submission, now=now)
        self.work(draft)
        return draft

    def work(self, draft: Draft) -> None:
        """What workers and signer do until the submission does not move any more."""
        for _ in range(30):
            submission = Submission.objects.get(pk=draft.submission)
            clock = lambda: self.register.now  # noqa: E731
            done = ingest.inspect_due(clock=clock, limit=100, scanner=SignatureScanner())
            done += packaging.store_due(self.stores["local"], clock=clock, limit=100)
            done += publication.advance(submission, now=self.register.now, stores=self.stores)
            done += self.register.work() + self.register.sign()
            if not done:
                return

    def publish(self, draft: Draft) -> None:
        for _ in range(6):
            self.work(draft)
            self.register.run()

    def confirm(self, actor, draft: Draft) -> Draft:
        review = review_draft(draft, now=self.register.now)
        return confirm_draft(by=actor, draft=draft.pk, digest=review.digest, now=self.register.now)


@pytest.fixture
def shop(register: Register, tmp_path, settings) -> Workshop:
    settings.CADASTRE_UPLOAD_DIR, settings.CADASTRE_VAR = tmp_path / "uploads", tmp_path
    settings.CADASTRE_BLOCK_DIR = tmp_path / "blocks"
    settings.CADASTRE_CONTENT_LIMITS = {"disk_reserve": 0}
    return Workshop(register, tmp_path)


def priced(shop: Workshop, actor, draft: Draft, price: int | None = 5_000_000, **said: Any) -> Draft:
    return set_terms(
        by=actor, draft=draft.pk, revision=draft.revision, terms=terms(**said).to_document(), price=price,
        now=shop.register.now,
    )  # fmt: skip


def derived(shop: Workshop, ada, ben) -> tuple[Listing, Draft]:
    """Ada's dataset, and Ben's draft that is built from it under a license, ready to be reviewed."""
    parent = shop.register.publish(ada, price=1_000_000)
    order = shop.register.buy_funded(ben, parent)
    draft = shop.fill(ben, shop.open(ben), parents=[parent.pk])
    draft = set_parent_licenses(
        by=ben, draft=draft.pk, revision=draft.revision, licenses={parent.pk: order.license}, now=shop.register.now
    )
    return parent, priced(shop, ben, draft, derive_bps=0, uses=frozenset({Use.FINE_TUNE}))


def raise_share(shop: Workshop, actor, parent: Listing, bps: int) -> None:
    change_derive_share(by=actor, dataset=parent.pk, derive_bps=bps, now=shop.register.now)
    shop.register.run()
    assert DatasetRecord.objects.get(token=int(parent.pk.rpartition("/")[2])).derive_bps == bps


def test_a_draft_becomes_a_live_listing_with_exactly_what_was_confirmed(shop: Workshop, ada):
    draft = priced(shop, ada, shop.fill(ada, shop.open(ada), slug="streets"))
    review = review_draft(draft, now=shop.register.now)
    assert review.missing == ()
    assert review.manifest["title"] == "Streets of Delft"  # type: ignore[index,call-overload]
    confirmed = confirm_draft(by=ada, draft=draft.pk, digest=review.digest, now=shop.register.now)
    assert confirmed.state == Draft.State.CONFIRMED
    shop.publish(draft)
    draft.refresh_from_db()
    assert draft.state == Draft.State.PUBLISHED, draft.refusal
    listing = Listing.objects.get()
    assert (listing.state, listing.slug, listing.title, listing.records) == (
        "listed",
        "streets",
        "Streets of Delft",
        200,
    )
    assert listing.offer is not None
    assert listing.offer.price == 5_000_000
    assert DatasetRecord.objects.get().derive_bps == 1_000
    assert confirmed.confirmed == review.document
    kinds = set(IntakeStatement.objects.values_list("type", flat=True))
    assert {"dataset.registered", "rights.attested", "gate.passed", "offer.made", "listing.changed"} <= kinds
    assert listing_at("ada", "streets") == listing
    assert list(search_listings("delft streets", uses=["derive"], max_price=5_000_000)) == [listing]
    assert not search_listings("delft", uses=["pretrain"]).exists()
    assert not search_listings("rotterdam").exists()


def test_a_change_after_the_review_has_to_be_reviewed_again(shop: Workshop, ada):
    draft = priced(shop, ada, shop.fill(ada, shop.open(ada)))
    seen = review_draft(draft, now=shop.register.now).digest
    draft = priced(shop, ada, draft, price=6_000_000)
    with pytest.raises(DraftRefusal) as refused:
        confirm_draft(by=ada, draft=draft.pk, digest=seen, now=shop.register.now)
    assert refused.value.code == "draft.changed_since_review"
    assert shop.confirm(ada, draft).state == Draft.State.CONFIRMED
    with pytest.raises(DraftRefusal) as refused:
        priced(shop, ada, draft)
    assert refused.value.code == "draft.state"


def test_two_tabs_cannot_overwrite_each_other(shop: Workshop, ada):
    draft = shop.open(ada)
    describe_draft(by=ada, draft=draft.pk, revision=0, title="One", now=shop.register.now)
    with pytest.raises(DraftRefusal) as refused:
        describe_draft(by=ada, draft=draft.pk, revision=0, title="Two", now=shop.register.now)
    assert (refused.value.code, refused.value.limit) == ("draft.revision", 1)
    assert Submission.objects.get().title == "One"


def test_an_incomplete_draft_says_what_is_missing(shop: Workshop, ada):
    draft = shop.open(ada)
    with pytest.raises(DraftRefusal) as refused:
        confirm_draft(by=ada, draft=draft.pk, digest="0" * 64, now=shop.register.now)
    assert refused.value.actual == "title, creator, rights, manifest"


def test_somebody_elses_draft_does_not_exist(shop: Workshop, ada, mallory):
    draft = shop.open(ada)
    for act in (
        lambda: describe_draft(by=mallory, draft=draft.pk, revision=0, title="Mine", now=shop.register.now),
        lambda: priced(shop, mallory, draft),
        lambda: discard_draft(by=mallory, draft=draft.pk, now=shop.register.now),
        lambda: open_draft(by=mallory, now=shop.register.now, dataset="eip155:1/erc721:0x" + "11" * 20 + "/1"),
    ):
        with pytest.raises(AccessRefusal):
            shop.register.sign()
            act()


def test_an_account_without_its_address_waits(register: Register):
    newcomer = person("Nora")
    with pytest.raises(AddressRefusal):
        open_draft(by=newcomer, now=register.now)
    register.sign()
    assert open_draft(by=newcomer, now=register.now).state == Draft.State.OPEN


def test_prices_and_terms_that_make_no_sense_are_refused(shop: Workshop, ada):
    draft = shop.open(ada)
    with pytest.raises(MoneyRefusal):
        priced(shop, ada, draft, price=-1)
    with pytest.raises(DraftRefusal) as refused:
        set_terms(by=ada, draft=draft.pk, revision=0, terms=None, price=1, now=shop.register.now)
    assert refused.value.code == "draft.price_without_terms"
    open_data = shop.open(ada, visibility="open")
    with pytest.raises(DraftRefusal) as refused:
        priced(shop, ada, open_data, price=1)
    assert refused.value.code == "draft.open_price"
    assert priced(shop, ada, open_data, price=0).price == 0


def test_shares_over_100_percent_and_doubled_ones_are_refused(shop: Workshop, ada):
    draft = shop.open(ada)

    def invite(name: str, bps: int):
        return invite_contributor(
            by=ada, draft=draft.pk, email=f"{name}@example.org", role="editor", bps=bps, now=shop.register.now
        )

    first, token = invite("ben", 6_000)
    with pytest.raises(DraftRefusal) as refused:
        invite("cleo", 4_001)
    assert (refused.value.limit, refused.value.actual) == (10_000, 10_001)
    with pytest.raises(DraftRefusal) as refused:
        invite("ben", 100)
    assert refused.value.code == "splits.twice"
    decline_contribution(token=token)
    second, _ = invite("cleo", 4_001)
    remove_contributor(by=ada, draft=draft.pk, contributor=second.pk)
    assert [row.state for row in draft.contributors.all()] == ["declined"]
    assert first.pk == draft.contributors.get().pk


def test_all_conflicts_with_the_parent_are_named_and_stop_the_confirmation(shop: Workshop, ada, ben):
    parent = shop.register.publish(ada, price=1_000_000, with_terms=terms(commercial=False, attribution="Ada, Delft"))
    order = shop.register.buy_funded(ben, parent)
    draft = shop.fill(ben, shop.open(ben), parents=[parent.pk])
    draft = priced(shop, ben, draft, derive_bps=500, uses=frozenset({Use.PRETRAIN}))
    review = review_draft(draft, now=shop.register.now)
    assert {conflict.clash.value for conflict in review.conflicts} == {"license-missing"}
    draft = set_parent_licenses(
        by=ben, draft=draft.pk, revision=draft.revision, licenses={parent.pk: order.license}, now=shop.register.now
    )
    review = review_draft(draft, now=shop.register.now)
    assert {"use", "commercial", "attribution"} <= {conflict.clash.value for conflict in review.conflicts}
    with pytest.raises(DraftRefusal) as refused:
        confirm_draft(by=ben, draft=draft.pk, digest=review.digest, now=shop.register.now)
    assert refused.value.actual == len(review.conflicts)
    fitting = terms(commercial=False, attribution="Ada, Delft", derive_bps=500, uses=frozenset({Use.FINE_TUNE}))
    draft = set_terms(
        by=ben, draft=draft.pk, revision=draft.revision, terms=fitting.to_document(), price=2, now=shop.register.now
    )
    assert shop.confirm(ben, draft).state == Draft.State.CONFIRMED
    shop.publish(draft)
    draft.refresh_from_db()
    assert draft.state == Draft.State.PUBLISHED, draft.refusal
    assert DatasetRecord.objects.get(owner=shop.register.owner_address(ben)).ancestors == 1


def test_a_parents_share_that_rose_since_the_review_has_to_be_reviewed_again(shop: Workshop, ada, ben):
    parent, draft = derived(shop, ada, ben)
    seen = review_draft(draft, now=shop.register.now)
    assert (seen.owed.shares, seen.owed.stack_bps) == ({parent.pk: 1_000}, 1_000)
    raise_share(shop, ada, parent, 9_000)
    with pytest.raises(DraftRefusal) as refused:
        confirm_draft(by=ben, draft=draft.pk, digest=seen.digest, now=shop.register.now)
    assert refused.value.code == "draft.changed_since_review"
    assert review_draft(draft, now=shop.register.now).owed.stack_bps == 9_000
    assert not Draft.objects.filter(pk=draft.pk, state=Draft.State.CONFIRMED).exists()


def test_a_parent_that_raises_its_share_after_the_confirmation_binds_nobody_to_it(shop: Workshop, ada, ben):
    parent, draft = derived(shop, ada, ben)
    # Wanted before Ben confirms and mined before he registers: his review could not show it.
    change_derive_share(by=ada, dataset=parent.pk, derive_bps=9_000, now=shop.register.now)
    shop.register.world.development.advance(2)
    shop.confirm(ben, draft)
    intent = Intent.objects.get(key=Submission.objects.get(pk=draft.submission).intent_key)
    assert intent.payload["registration"]["max_stack_bps"] == 1_000
    shop.publish(draft)
    draft.refresh_from_db()
    assert draft.state == Draft.State.OPEN
    assert draft.refusal is not None
    assert [draft.refusal[name] for name in ("code", "limit", "actual")] == ["submission.share_rose", 1_000, 9_000]
    assert DatasetRecord.objects.count() == 1
    raise_share(shop, ada, parent, 500)
    assert review_draft(draft, now=shop.register.now).owed.stack_bps == 500
    shop.confirm(ben, draft)
    shop.publish(draft)
    made = DatasetRecord.objects.get(owner=shop.register.owner_address(ben))
    assert made.stack_bps == 500
    raise_share(shop, ada, parent, 2_000)
    draft.refresh_from_db()
    assert review_draft(draft, now=shop.register.now).owed.stack_bps == 500, "what was registered is fixed"
    example = worked_example(draft, Submission.objects.get(pk=draft.submission))
    assert [line.bps for line in example.ancestors] == [500]


def test_a_registration_that_fails_lets_the_creator_confirm_again(shop: Workshop, ada):
    draft = priced(shop, ada, shop.fill(ada, shop.open(ada)))
    shop.confirm(ada, draft)
    Submission.objects.update(splits="zz")
    Intent.objects.filter(kind="registry.register").update(payload={"registration": {}})
    shop.publish(draft)
    draft.refresh_from_db()
    assert draft.state == Draft.State.OPEN
    assert draft.refusal is not None
    assert not Listing.objects.exists()
    assert shop.confirm(ada, draft).state == Draft.State.CONFIRMED
    shop.publish(draft)
    assert Listing.objects.get().state == Listing.State.LISTED


def test_an_edit_is_a_new_offer_and_the_old_one_ends(shop: Workshop, ada, mallory):
    listing = shop.register.publish(ada)
    old = str(listing.offer_id)
    with pytest.raises(AccessRefusal):
        edit_offer(by=mallory, dataset=listing.pk, terms=None, price=1, hold_seconds=None, now=shop.register.now)
    new = edit_offer(by=ada, dataset=listing.pk, terms=None, price=7_000_000, hold_seconds=None, now=shop.register.now)
    shop.register.run()
    listing.refresh_from_db()
    assert listing.offer_id == new.pk
    assert OfferRow.objects.get(pk=old).state == OfferRow.State.SUPERSEDED
    number = int(listing.pk.rpartition("/")[2])
    nonce = int(OfferRow.objects.get(pk=old).nonce)
    assert shop.register.world.chain.read("Market", "offerState", number, nonce)[0] is True  # type: ignore[index]
    assert DatasetRecord.objects.count() == 1, "editing a price never changes the data's identity"


def test_terms_that_promise_another_share_than_the_registry_are_refused(shop: Workshop, ada):
    listing = shop.register.publish(ada)
    with pytest.raises(Exception, match="another share") as refused:
        edit_offer(
            by=ada, dataset=listing.pk, terms=terms(derive_bps=2_000), price=1, hold_seconds=0, now=shop.register.now
        )
    assert refused.value.code == "offer.derive_bps"  # type: ignore[attr-defined]


def test_delisting_ends_sales_and_relisting_begins_them_again(shop: Workshop, ada, cleo):
    """Fault 56, first act: licensees keep what they have."""
    listing = shop.register.publish(ada)
    order = shop.register.buy_funded(cleo, listing)
    with pytest.raises(ListingRefusal):
        relist_dataset(by=ada, dataset=listing.pk, now=shop.register.now)
    delist_dataset(by=ada, dataset=listing.pk, reason=DelistReason.QUALITY, now=shop.register.now)
    shop.register.run()
    listing.refresh_from_db()
    assert (listing.state, listing.offer_id, listing.reason) == (Listing.State.DELISTED, None, "quality")
    order.refresh_from_db()
    assert order.state == "final"
    relist_dataset(by=ada, dataset=listing.pk, now=shop.register.now)
    shop.register.run()
    listing.refresh_from_db()
    assert listing.state == Listing.State.LISTED
    reasons = [row.statement for row in IntakeStatement.objects.filter(type="listing.changed").order_by("pk")]
    assert ["published" in reasons[0], "quality" in reasons[1], "relisted" in reasons[2]] == [True] * 3


def test_a_withheld_dataset_cannot_be_offered_again(shop: Workshop, ada):
    listing = shop.register.publish(ada)
    withhold_listing(dataset=listing.pk, reason="malware", now=shop.register.now)
    withhold_listing(dataset=listing.pk, reason="malware", now=shop.register.now)
    listing.refresh_from_db()
    assert (listing.state, listing.offer_id) == (Listing.State.WITHHELD, None)
    with pytest.raises(OfferRefusal):
        edit_offer(by=ada, dataset=listing.pk, terms=None, price=1, hold_seconds=0, now=shop.register.now)
    assert IntakeStatement.objects.filter(type="listing.changed").count() == 2


def test_a_renamed_dataset_is_found_under_both_names(shop: Workshop, ada):
    listing = shop.register.publish(ada)
    old = listing.slug
    rename_dataset(by=ada, dataset=listing.pk, slug="delft", now=shop.register.now)
    assert listing_at("ada", "delft") == Listing.objects.get()
    assert listing_at("ada", old) == Listing.objects.get()
    with pytest.raises(ListingRefusal):
        rename_dataset(by=ada, dataset=listing.pk, slug="Delft!", now=shop.register.now)
    with pytest.raises(AccessRefusal):
        listing_at("ada", "rotterdam")


def test_a_withheld_dataset_stops_and_undelivered_buyers_get_their_money_back(shop: Workshop, ada, cleo, mallory):
    """Fault 56, second act."""
    listing = shop.register.publish(ada, hold_seconds=7_200)
    order = shop.register.buy_funded(cleo, listing)
    GrantRow.objects.all().delete()
    now = shop.register.now
    with pytest.raises(AccessRefusal):
        withhold_dataset(by=mallory, dataset=listing.pk, reason="owner-request", now=now)
    with pytest.raises(AccessRefusal) as refused:
        withhold_dataset(by=ada, dataset=listing.pk, reason="malware", now=now)
    assert refused.value.code == "access.operator"
    withhold_dataset(by=ada, dataset=listing.pk, reason="owner-request", now=now)
    shop.register.run()
    order.refresh_from_db()
    listing.refresh_from_db()
    assert (order.state, listing.state) == ("refunded", Listing.State.WITHHELD)
    assert shop.register.balance(cleo).available == 1_000_000_000
    assert IntakeStatement.objects.filter(type="content.withheld").count() == 1


def test_the_share_of_what_comes_after_can_be_changed(shop: Workshop, ada):
    listing = shop.register.publish(ada)
    with pytest.raises(MoneyRefusal):
        change_derive_share(by=ada, dataset=listing.pk, derive_bps=10_001, now=shop.register.now)
    change_derive_share(by=ada, dataset=listing.pk, derive_bps=2_000, now=shop.register.now)
    shop.register.run()
    assert DatasetRecord.objects.get().derive_bps == 2_000
    edit_offer(
        by=ada, dataset=listing.pk, terms=terms(derive_bps=2_000), price=1, hold_seconds=0, now=shop.register.now
    )
