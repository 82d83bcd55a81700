"""Search, datasets, versions, files, lineage, trail, entries, documents: no key, plain answers, kept by caches."""

import hashlib

import pytest

from marketplace.actions.accounts import rename_account
from marketplace.api.names import id_of
from marketplace.models import Listing
from provenance.core.canonical import parse_canonical
from provenance.core.tlogproof import TlogProof
from provenance.models import ContentAct, DatasetRecord, Document, LogEntry, Submission
from tests.api.conftest import PRICE, table

pytestmark = pytest.mark.django_db


def titles(answer) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [row["title"] for row in answer.json()["results"]]


@pytest.fixture
def market(site, ada, ben):
    """Three listed datasets: a locked table, an open one, and one built from the first."""
    first = site.publish(ada, title="Sunspots since 1700", languages=["en"])
    site.publish(ben, title="Open sunspots", visibility="open")
    site.publish(ada, title="Sunspots, smoothed", parents=[first.dataset], price=PRICE // 10)
    return first


def test_search_finds_by_words_and_narrows_by_filters(market, visitor):
    assert titles(visitor.get("/datasets")) == ["Sunspots, smoothed", "Open sunspots", "Sunspots since 1700"]
    assert titles(visitor.get("/datasets", q="sunspots since")) == ["Sunspots since 1700"]
    assert titles(visitor.get("/datasets", visibility="open")) == ["Open sunspots"]
    assert titles(visitor.get("/datasets", max_price=str(PRICE // 10))) == ["Sunspots, smoothed", "Open sunspots"]
    assert titles(visitor.get("/datasets", max_price="9" * 20)) == titles(visitor.get("/datasets"))
    assert titles(visitor.get("/datasets", use="redistribute")) == []
    assert titles(visitor.get("/datasets", kind="image")) == []
    assert titles(visitor.get("/datasets", language="en")) == ["Sunspots since 1700"]


def test_words_also_mean_kinds_uses_access_and_price_and_plurals_their_singular(site, ben, market, visitor):
    site.publish(ben, title="Free as the sun", price=0, visibility="open")
    everything = titles(visitor.get("/datasets"))
    assert titles(visitor.get("/datasets", q="tables")) == titles(visitor.get("/datasets", q="table")) == everything
    assert titles(visitor.get("/datasets", q="open")) == ["Open sunspots", "Free as the sun"]
    assert titles(visitor.get("/datasets", q="locked sunspots")) == ["Sunspots, smoothed", "Sunspots since 1700"]
    assert titles(visitor.get("/datasets", q="sun free")) == ["Free as the sun", "Open sunspots"]
    assert len(titles(visitor.get("/datasets", q="derive"))) == len(everything)
    assert titles(visitor.get("/datasets", q="redistribute")) == titles(visitor.get("/datasets", q="pictures")) == []


def test_words_in_a_title_come_before_the_same_words_elsewhere(site, ben, market, visitor):
    site.publish(ben, title="Weather", description="Compared with sunspots since 1700.")
    assert titles(visitor.get("/datasets", q="sunspots since")) == ["Sunspots since 1700", "Weather"]
    assert titles(visitor.get("/datasets", q="sunspots since", sort="newest")) == ["Weather", "Sunspots since 1700"]
    seen, address = [], "/datasets?q=sunspots&limit=1"
    while address:
        page = visitor.get(address)
        seen += titles(page)
        address = page.json()["next"]
    assert seen == titles(visitor.get("/datasets", q="sunspots"))
    assert seen[-1] == "Weather"


@pytest.mark.parametrize(
    ("sort", "wanted"),
    [
        ("price", ["Open sunspots", "Sunspots, smoothed", "Sunspots since 1700"]),
        ("title", ["Open sunspots", "Sunspots since 1700", "Sunspots, smoothed"]),
        ("newest", ["Sunspots, smoothed", "Open sunspots", "Sunspots since 1700"]),
        ("closest", ["Sunspots, smoothed", "Open sunspots", "Sunspots since 1700"]),
    ],
)
def test_a_search_is_sorted_as_asked_and_its_pages_fit(market, visitor, sort, wanted):
    assert titles(visitor.get("/datasets", sort=sort)) == wanted
    seen, address = [], f"/datasets?sort={sort}&limit=1"
    while address:
        page = visitor.get(address)
        seen += titles(page)
        address = page.json()["next"]
    assert seen == wanted
    assert visitor.get("/datasets", sort="random").status_code == 400


def test_a_search_that_finds_nothing_says_what_was_perhaps_meant(market, visitor):
    assert visitor.get("/datasets", q="sunspts smothed").json() == {
        "results": [], "next": None, "meant": "sunspots smoothed",
    }  # fmt: skip
    assert visitor.get("/datasets", q="zebra").json()["meant"] is None
    assert visitor.get("/datasets", q="sunspots").json()["meant"] is None


def test_a_name_leads_to_the_dataset_also_after_a_renaming(site, ada, market, visitor):
    from marketplace.actions.listings import rename_dataset

    assert titles(visitor.get("/datasets", name=f"ada/{market.slug}")) == ["Sunspots since 1700"]
    rename_dataset(by=ada.actor, dataset=market.dataset, slug="wolf-numbers", now=site.now)
    assert titles(visitor.get("/datasets", name=f"ada/{market.slug}")) == ["Sunspots since 1700"]
    assert titles(visitor.get("/datasets", name="ada/nothing")) == titles(visitor.get("/datasets", name="x")) == []


def test_pages_neither_skip_nor_repeat(market, visitor):
    seen, address = [], "/datasets?limit=1"
    while address:
        page = visitor.get(address)
        seen += titles(page)
        address = page.json()["next"]
    assert seen == titles(visitor.get("/datasets"))


def test_a_dataset_says_what_it_is_what_it_costs_and_where_it_stands_on_chain(market, visitor):
    shown = visitor.get(f"/datasets/{id_of(market.dataset)}").json()
    assert (shown["title"], shown["name"], shown["state"], shown["checked"]) == (
        "Sunspots since 1700", "ada/sunspots-since-1700", "listed", True,
    )  # fmt: skip
    assert shown["price"] == {
        "amount": "240000000",
        "token": f"eip155:31337/erc20:0x{'44' * 20}",
        "text": "240.00 TUSD",
    }
    assert (shown["offer"], shown["caip"]) == (market.offer_id, market.dataset)
    submission = Submission.objects.get(dataset=market.dataset)
    assert (shown["manifest"], shown["package"]["root"]) == (submission.manifest, submission.package_root)
    assert shown["tx"] == shown["registered"]["tx"]
    assert shown["delivery_stopped"] is None


def test_registered_on_chain_but_never_checked_says_so(site, market, visitor):
    first = DatasetRecord.objects.order_by("pk").first()
    direct = DatasetRecord.objects.create(
        deployment=site.deployment, token=77, owner="0x" + "ee" * 20, creator="0x" + "ee" * 20, derive_bps=0,
        versions=1,
        manifest=first.manifest, tx="0x" + "77" * 32, block_number=9, block_hash="0x" + "99" * 32,
        registered_at=site.now,
    )  # fmt: skip
    shown = visitor.get(f"/datasets/{direct.slug}").json()
    assert (shown["state"], shown["checked"], shown["price"], shown["account"]) == ("unlisted", False, None, None)
    assert len(titles(visitor.get("/datasets"))) == 3


def test_delisted_data_leaves_the_search_and_keeps_its_page(ada, market, visitor):
    dataset = id_of(market.dataset)
    done = ada.api().post(f"/datasets/{dataset}/listing", {"state": "delisted", "reason": "quality"})
    assert done.json() == {"state": "delisted", "reason": "quality", "offer": None, "wanted": None}
    assert "Sunspots since 1700" not in titles(visitor.get("/datasets"))
    shown = visitor.get(f"/datasets/{dataset}").json()
    assert (shown["state"], shown["reason"], shown["price"]) == ("delisted", "quality", None)
    again = ada.api().post(f"/datasets/{dataset}/listing", {"state": "listed"})
    assert (again.status_code, again.json()["wanted"] is not None) == (200, True)


def test_the_version_is_the_manifest_and_its_bytes_can_be_had(market, visitor):
    dataset = id_of(market.dataset)
    version = visitor.get(f"/datasets/{dataset}/versions/1").json()
    raw = visitor.get(f"/documents/{version['manifest']}")
    assert hashlib.sha256(raw.content).hexdigest() == version["manifest"]
    assert raw.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert version["document"] == parse_canonical(raw.content)
    missing = visitor.get(f"/datasets/{dataset}/versions/2")
    assert (missing.status_code, missing.json()["limit"]) == (404, 1)


def test_files_of_open_data_are_listed_and_names_of_locked_data_are_not(market, visitor):
    opened = Listing.objects.get(visibility="open")
    files = visitor.get(f"/datasets/{id_of(opened.dataset)}/files").json()
    assert [file["path"] for file in files["results"]] == ["sunspots.csv"]
    locked = visitor.get(f"/datasets/{id_of(market.dataset)}/files")
    assert (locked.json()["results"], locked.json()["totals"]["files"]) == ([], 1)
    assert b"sunspots.csv" not in locked.content


def test_private_documents_are_not_served_by_their_digest(site, market, visitor):
    hidden = Document.create_from_bytes(b'{"schema":"cadastre.grant/1"}', schema="cadastre.grant/1", public=False)
    answer = visitor.get(f"/documents/{hidden.pk}")
    assert (answer.status_code, answer.json()["code"]) == (404, "document.not_found")


def test_the_lineage_names_everything_above_and_what_was_built_from_it(market, visitor):
    child = Listing.objects.get(title="Sunspots, smoothed")
    above = visitor.get(f"/datasets/{id_of(child.dataset)}/lineage").json()
    assert [(edge["child"], edge["parent"], edge["bps"]) for edge in above["ancestors"]] == [
        (id_of(child.dataset), id_of(market.dataset), 1000)
    ]
    below = visitor.get(f"/datasets/{id_of(market.dataset)}/lineage").json()
    assert [edge["child"] for edge in below["children"]] == [id_of(child.dataset)]
    assert {node["title"] for node in below["nodes"]} == {"Sunspots since 1700", "Sunspots, smoothed"}
    newest = {record.slug: record.manifest for record in DatasetRecord.objects.select_related("deployment")}
    assert all(node["manifest"] == newest[node["id"]] for node in below["nodes"])


def test_offers_carry_terms_sentences_and_what_a_wallet_buys_with(market, visitor):
    (offer,) = visitor.get(f"/datasets/{id_of(market.dataset)}/offers").json()["results"]
    assert (offer["digest"], offer["price"]["text"], offer["fee"]["text"]) == (
        market.offer_id,
        "240.00 TUSD",
        "6.00 TUSD",
    )
    assert offer["terms"]["title"] == "Training license, commercial, two years"
    assert any("metered" in sentence for sentence in offer["sentences"])
    assert offer["document"]["schema"] == "cadastre.offer/1"
    assert offer["signature"].startswith("0x")


def test_the_trail_and_the_entries_are_the_log(site, market, visitor):
    site.sequence()
    trail = visitor.get(f"/datasets/{id_of(market.dataset)}/trail").json()["results"]
    types = [entry["type"] for entry in trail]
    assert {"rights.attested", "gate.passed", "dataset.registered", "version.published", "offer.made"} <= set(types)
    assert [entry["index"] for entry in trail] == sorted(entry["index"] for entry in trail)
    listed = visitor.get("/entries", subject=market.dataset, type="dataset.registered").json()["results"]
    assert len(listed) == 1
    index = listed[0]["index"]
    envelope = visitor.get(f"/entries/{index}").content
    assert envelope == bytes(LogEntry.objects.get(index=index).envelope)
    assert parse_canonical(envelope) == listed[0]["envelope"]
    proof = visitor.get(f"/entries/{index}/proof")
    assert proof.headers["Content-Type"].startswith("text/plain")
    assert TlogProof.parse(proof.content.decode()).index == index


def test_an_unchanged_answer_is_not_sent_again(site, market, visitor):
    address = f"/datasets/{id_of(market.dataset)}"
    first = visitor.get(address)
    same = visitor.get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", first.headers["ETag"])
    Listing.objects.filter(pk=market.dataset).update(title="Another title", changed=site.now)
    changed = visitor.get(address, headers={"If-None-Match": f'"x", W/{first.headers["ETag"]}'})
    assert (changed.status_code, changed.json()["title"]) == (200, "Another title")


def test_a_datasets_answer_changes_with_everything_that_it_is_made_of(site, ada, market, visitor):
    address = f"/datasets/{id_of(market.dataset)}"

    def shown(name: str) -> object:
        return visitor.get(address).json()[name]

    assert (shown("delivery_stopped"), shown("derive_bps")) == (None, 1000)
    DatasetRecord.objects.filter(token=1).update(derive_bps=7)
    assert shown("derive_bps") == 7
    rename_account(by=ada.actor, display_name="Countess")
    assert shown("account")["display_name"] == "Countess"
    ContentAct.objects.create(
        dataset=market.dataset, act="withheld", reason="law", by=ada.actor.account.pk, created=site.now
    )
    assert shown("delivery_stopped") == {"act": "withheld", "reason": "law"}
    ada.api().post(f"{address}/listing", {"state": "delisted"})
    assert (shown("state"), shown("offer")) == ("delisted", None)


def test_what_an_account_sees_is_not_kept_by_shared_caches(ada, market, visitor):
    assert ada.api().get("/me").headers["Cache-Control"] == "private, no-cache"
    assert visitor.get("/datasets").headers["Cache-Control"].startswith("public")
    assert {"Authorization", "Cookie"} <= set(visitor.get("/datasets").headers["Vary"].split(", "))


def test_the_deployment_is_what_a_verifier_pins(site, visitor):
    pins = visitor.get("/deployment").json()
    assert pins["deployment"] == {
        "chain": 31337, "registry": "0x" + "11" * 20, "market": "0x" + "22" * 20, "anchor": "0x" + "33" * 20,
        "first_block": 1,
    }  # fmt: skip
    assert pins["log"]["origin"] == "register.example/log"
    assert pins["service_key"] == site.ring.ed25519_public("service").hex()
    assert pins["network"] == "test"


def test_a_file_is_looked_up_by_digest_or_by_itself_and_nothing_of_it_is_kept(market, visitor, var):
    opened = Listing.objects.get(visibility="open")
    data = table("ben1")
    by_digest = visitor.post("/look-up", {"sha256": hashlib.sha256(data).hexdigest()}).json()
    assert (by_digest["result"], [row["id"] for row in by_digest["datasets"]]) == ("exact", [id_of(opened.dataset)])
    by_file = visitor.post("/look-up", data, headers={"Content-Type": "application/octet-stream"}).json()
    assert by_file["result"] == "exact"
    assert by_file["searched"]["datasets"] >= 1
    none = visitor.post("/look-up", b"something else entirely", headers={"Content-Type": "application/octet-stream"})
    assert none.json()["result"] == "none"
    assert list((var / "uploads").glob("look-up-*")) == []


def test_a_file_that_is_too_large_to_be_looked_up_is_refused_unread(market, visitor, monkeypatch):
    monkeypatch.setattr("marketplace.api.look_up.FILE_BYTES", 10)
    answer = visitor.post("/look-up", b"x" * 11, headers={"Content-Type": "application/octet-stream"})
    assert (answer.status_code, answer.json()["code"], answer.json()["limit"]) == (413, "look_up.too_large", 10)
