"""On chain anybody may name the digest of anything as their own: this register shows and serves only what is theirs."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace.actions.quotes import make_private_offer
from marketplace.api.names import id_of
from marketplace.models import LicenseRow, Listing
from provenance.core.cid import Cid
from provenance.models import ContentAct, DatasetRecord, Document, GrantRow, PackageRecord, Submission, VersionRecord
from tests.api.conftest import PRICE, RECIPIENT, Person, Site
from tests.api.test_nobody_holds_up_the_others import metered, work

pytestmark = pytest.mark.django_db


def registered_by(site: Site, owner: str, *, manifest: str, package: str, kind: str, splits: str = "") -> DatasetRecord:
    """What the follower writes about somebody who registered on chain, with digests of their choice."""
    number = DatasetRecord.objects.count() + 1
    place = {"tx": f"0x{number:064x}", "block_number": number, "block_hash": f"0x{number:064x}"}
    record = DatasetRecord.objects.create(
        deployment=site.deployment, token=number, owner=owner, creator=owner, derive_bps=0, versions=1,
        manifest=manifest, splits=splits, registered_at=site.now, final=True, **place,
    )  # fmt: skip
    about = {"deployment": site.deployment, "dataset": record, "token": number, "version": 1, **place}
    VersionRecord.objects.create(manifest=manifest, published_at=site.now, **about)
    PackageRecord.objects.create(package=1, digest=package, kind=kind, **about)
    return record


def stolen(site: Site, listing: Listing, *, kind: str = "open", splits: str = "") -> DatasetRecord:
    """Somebody else's manifest and package, registered by Mallory."""
    theirs = Submission.objects.get(dataset=listing.dataset)
    return registered_by(
        site, "0x" + "4d" * 20, manifest=theirs.manifest, package=theirs.package, kind=kind, splits=splits
    )


@pytest.mark.parametrize("visibility", ["sealed", "open"])
def test_blocks_of_somebody_elses_package_are_not_served_under_another_name(site, ada, visitor, visibility):
    listing = site.publish(ada, visibility=visibility)
    record = stolen(site, listing)
    root = Cid.parse(Submission.objects.get(dataset=listing.dataset).package_root)
    # Withheld by its register, and still not to be had by the back door.
    ContentAct.objects.create(
        dataset=listing.dataset, act="withheld", reason="court-order", by=ada.actor.account.pk, created=site.now
    )
    # Not even once the thief has given the dataset to the owner whom the package names.
    DatasetRecord.objects.filter(pk=record.pk).update(owner=DatasetRecord.objects.get(token=1).owner)
    answer = visitor.get(f"/datasets/{record.slug}/blocks/{root}")
    assert (answer.status_code, answer.json()["code"]) == (404, "block.not_found")


def bundle_of(site: Site, person: Person, record: DatasetRecord, **changes: Any) -> Any:
    """The bundle of a license that its holder sold to themselves on chain."""
    offer = site.publish(person, title="Mine").offer
    assert offer is not None
    number = LicenseRow.objects.count() + 1
    row = LicenseRow.objects.create(
        **{
            "id": site.deployment.license_caip(number), "chain": 31337, "market": site.deployment.market,
            "number": number, "dataset": record.caip, "version": 1, "offer": offer.digest, "terms": offer.terms_id,
            "price": 0, "fee": 0, "token": offer.token, "licensee": "0x" + "c1" * 20, "payer": "0x" + "4d" * 20,
            "uses": ["derive"], "start": site.now, "hold_until": site.now, "block": 5, "block_hash": "0x" + "bb" * 32,
            "tx": f"0x{number:064x}", "log": number, "final": True, "account": person.actor.account, **changes,
        }
    )  # fmt: skip
    site.deliver(row)
    return person.api().get(f"/licenses/{id_of(row.pk)}/bundle")


def test_a_bundle_shows_no_private_document_that_its_dataset_or_license_merely_names(site, ada, cleo, mallory, listing):
    quote = make_private_offer(
        by=ada.actor, dataset=listing.dataset, buyer="cleo", terms=metered(), price=7, hold_seconds=0, now=site.now
    )
    work(site)
    quote.refresh_from_db()
    private = str(quote.offer_id)
    bought = site.license(cleo, listing)
    site.deliver(bought)
    grant = str(GrantRow.objects.get(license=bought.pk).document)
    assert not Document.objects.filter(pk__in=(private, grant), public=True).exists()
    record = registered_by(
        site, "0x" + "4d" * 20, manifest=Submission.objects.get().manifest, package="ab" * 32, kind="open", splits=grant
    )
    answer = bundle_of(site, mallory, record, offer=private)
    assert answer.status_code == 200, answer.content
    assert not {private, grant} & set(answer.json()["documents"])
    assert b"sealed_key" not in answer.content


def test_whoever_was_offered_it_finds_the_private_offer_in_their_bundle(site, ada, cleo, listing):
    quote = make_private_offer(
        by=ada.actor, dataset=listing.dataset, buyer="cleo", terms=metered(), price=7, hold_seconds=0, now=site.now
    )
    work(site)
    quote.refresh_from_db()
    row = site.license(cleo, listing, offer=str(quote.offer_id), price=7, fee=0)
    site.deliver(row)
    answer = cleo.api().get(f"/licenses/{id_of(row.pk)}/bundle")
    assert answer.status_code == 200, answer.content
    assert str(quote.offer_id) in answer.json()["documents"]


def test_a_private_offer_is_shown_to_its_buyer_alone_and_ordered_once_it_is_signed(site, ada, cleo, mallory, listing):
    site.give(cleo, PRICE)
    made = make_private_offer(
        by=ada.actor, dataset=listing.dataset, buyer="cleo", terms=metered(), price=7, hold_seconds=0, now=site.now
    )
    api = cleo.api()
    (quote,) = api.get("/quotes").json()["results"]
    assert (quote["id"], quote["private"], quote["state"], quote["offer"]) == (str(made.pk), True, "wanted", None)
    assert (quote["total"]["amount"], quote["title"], quote["sentences"][0][:7]) == ("7", listing.title, "You may")
    early = api.post("/orders", {"quote": quote["id"], "recipient": RECIPIENT}, key="a")
    assert (early.status_code, early.json()["code"]) == (409, "order.quote_wanted")
    assert api.get(f"/quotes/{quote['id']}/offer").json()["code"] == "offer.not_found"
    work(site)
    signed = api.get(f"/quotes/{quote['id']}").json()
    offer = api.get(f"/quotes/{quote['id']}/offer").json()
    assert (signed["state"], signed["offer"], signed["terms"]) == ("ready", offer["digest"], offer["terms_digest"])
    assert mallory.api().get("/quotes").json()["results"] == []
    for path in (f"/quotes/{quote['id']}", f"/quotes/{quote['id']}/offer"):
        hidden = mallory.api().get(path)
        assert (hidden.status_code, hidden.json()["code"]) == (404, "quote.not_found")
    assert api.post("/orders", {"quote": quote["id"], "recipient": RECIPIENT}, key="b").status_code == 202
    assert api.get("/quotes").json()["results"] == []
    assert api.get(f"/quotes/{quote['id']}").json()["state"] == "ordered"


def test_a_manifest_that_names_another_owner_does_not_speak_for_whoever_registered_it(site, ada, ben, visitor):
    listing = site.publish(ada, visibility="open", title="Tide pools", creator="Ada Fenwick")
    record = stolen(site, listing)
    shown = visitor.get(f"/datasets/{record.slug}").json()
    assert (shown["title"], shown["creator"], shown["checked"]) == (f"Dataset {record.token}", "", False)
    assert visitor.get(f"/datasets/{record.slug}/files").json()["results"] == []
    for tab in ("preview", "files", "provenance"):
        page = visitor.http.get(f"/d/{record.slug}/{tab}")
        assert page.status_code == 200
        assert "Tide pools" not in page.content.decode()
        assert "Ada Fenwick" not in page.content.decode()
    true = visitor.get(f"/datasets/{id_of(listing.dataset)}").json()
    assert (true["title"], true["creator"]) == ("Tide pools", "Ada Fenwick")


@pytest.mark.parametrize("schema", ["cadastre.terms/1", "cadastre.offer/1", "cadastre.package/1"])
def test_a_dataset_whose_documents_are_no_manifest_and_no_package_is_shown_all_the_same(site, ada, visitor, schema):
    site.publish(ada, visibility="open")
    digest = Document.objects.filter(schema=schema, public=True).values_list("pk", flat=True)[0]
    record = registered_by(site, "0x" + "4d" * 20, manifest=digest, package=digest, kind="open", splits=digest)
    for path in ("", "/files", "/versions/1", "/lineage", "/trail"):
        assert visitor.get(f"/datasets/{record.slug}{path}").status_code == 200, path
    for tab in ("preview", "files", "license", "provenance", "versions", "activity"):
        assert visitor.http.get(f"/d/{record.slug}/{tab}").status_code == 200, tab
    assert visitor.get(f"/datasets/{record.slug}/blocks/{Cid.of(b'nothing')}").status_code == 404


def test_open_blocks_are_served_by_whoever_knows_the_documents_alone(site, ada, visitor):
    listing = site.publish(ada, visibility="open")
    root = Submission.objects.get(dataset=listing.dataset).package_root
    # A register that was rebuilt from chain and stores knows no submission.
    Submission.objects.update(dataset="")
    assert visitor.get(f"/datasets/{id_of(listing.dataset)}/blocks/{root}").status_code == 200
