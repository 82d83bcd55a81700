"""Drafts over REST: describe, price, share, check, answer, review, confirm; and what is refused on the way."""

import pytest
from django.core import mail

from cadastre.client import Client as Program
from cadastre.folder import files_of
from marketplace.api.names import id_of
from marketplace.core.presets import PRESETS
from marketplace.models import Contributor, Draft
from provenance.models import DatasetRecord, Match, Submission, SubmittedFile
from tests.api.conftest import PRICE, TABLE, metered, table

pytestmark = pytest.mark.django_db

TERMS = metered().to_document()
RIGHTS = [{"source": "my own instruments", "basis": "own-work"}]
DESCRIPTION = {
    "title": "Tide gauge readings", "creator": "Ada Fenwick", "description": "Three stations.", "kind": "table",
    "languages": ["en"], "collected": {"from": "2020-01-01", "to": "2024-12-31"}, "rights": RIGHTS, "terms": TERMS,
    "price": "240.00", "hold_seconds": 3600, "slug": "tide-gauges", "preview_public": True,
}  # fmt: skip


def begin(api) -> dict:
    answer = api.post("/drafts", {})
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/v1/drafts/{answer.json()['id']}"
    return answer.json()


def change(api, draft: dict, **changes):
    revision = api.get(f"/drafts/{draft['id']}").json()["revision"]
    return api.patch(f"/drafts/{draft['id']}", {"revision": revision, **changes})


def test_a_new_draft_is_open_and_empty(ada):
    draft = begin(ada.api())
    assert (draft["state"], draft["revision"], draft["files"], draft["dataset"], draft["price"]) == (
        "open",
        0,
        0,
        None,
        None,
    )
    assert draft["stages"][0]["name"] == "upload"


def test_everything_that_describes_it_is_saved_at_once(ada):
    api = ada.api()
    saved = change(api, begin(api), **DESCRIPTION)
    assert saved.status_code == 200, saved.content
    shown = saved.json()
    same = (
        "title",
        "creator",
        "description",
        "kind",
        "languages",
        "collected",
        "hold_seconds",
        "slug",
        "preview_public",
    )
    assert {name: shown[name] for name in same} == {name: DESCRIPTION[name] for name in same}
    assert shown["terms"] == TERMS
    assert shown["derive_bps"] == 1000
    assert shown["price"]["amount"] == str(PRICE)
    assert shown["worked_example"] == (
        "Of each license sold for 240.00 TUSD: 6.00 TUSD are the market's fee, 234.00 TUSD are yours."
    )


def test_what_the_api_showed_can_be_sent_back(ada):
    api = ada.api()
    draft = begin(api)
    shown = change(api, draft, **DESCRIPTION).json()
    same = {name: shown[name] for name in DESCRIPTION}
    again = change(api, draft, **same)
    assert again.status_code == 200, again.content
    assert {name: again.json()[name] for name in DESCRIPTION} == same


def test_two_programs_cannot_overwrite_each_other(ada):
    api = ada.api()
    draft = begin(api)
    assert api.patch(f"/drafts/{draft['id']}", {"revision": 0, "title": "First"}).status_code == 200
    late = api.patch(f"/drafts/{draft['id']}", {"revision": 0, "title": "Second"})
    assert (late.status_code, late.json()["code"], late.json()["limit"]) == (409, "draft.revision", 1)
    assert api.get(f"/drafts/{draft['id']}").json()["title"] == "First"


def test_a_change_that_is_refused_in_part_is_refused_whole(ada):
    api = ada.api()
    draft = begin(api)
    refused = change(api, draft, title="Saved?", price="1.00")
    assert (refused.status_code, refused.json()["code"]) == (422, "draft.price_without_terms")
    assert api.get(f"/drafts/{draft['id']}").json()["title"] == ""


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"price": "1.1234567"}, 422, "amount.decimals"),
        ({"price": "-1"}, 422, "amount.negative"),
        ({"price": "free"}, 422, "amount.text"),
        ({"price": "1e3"}, 422, "amount.text"),
        ({"price": "9" * 30}, 422, "amount.too_large"),
        ({"price": str(2**63)}, 422, "amount.too_large"),
        ({"price": {"amount": str(2**63)}}, 422, "amount.too_large"),
        ({"price": {"amount": "1.5"}}, 400, "request.body"),
        ({"price": {"amount": "1", "token": f"eip155:1/erc20:0x{'aa' * 20}"}}, 422, "amount.token"),
        ({"price": 240}, 400, "request.body"),
        ({"kind": "sound"}, 400, "request.body"),
        ({"title": "x" * 201}, 422, None),
        ({"title": "two\nlines"}, 422, None),
        ({"languages": ["not a tag"]}, 422, None),
        ({"rights": []}, 200, None),
        ({"rights": [{"source": "x", "basis": "licensed"}]}, 422, None),
        ({"rights": [{"source": "x", "basis": "stolen"}]}, 400, "request.body"),
        ({"rights": [{"source": "x", "basis": "own-work", "extra": 1}]}, 400, "request.body"),
        ({"collected": {"from": "2024-13-01"}}, 400, "request.body"),
        ({"collected": {"from": "2024-02-01", "to": "2024-01-01"}}, 422, None),
        ({"parents": [{"dataset": f"31337-{'11' * 20}-99"}]}, 422, "submission.parent_unknown"),
        ({"parents": [{"dataset": "nonsense"}]}, 400, "request.body"),
        ({"terms": {"title": "x"}}, 400, "request.body"),
        ({"terms": {**TERMS, "uses": []}}, 422, "terms.uses"),
        ({"terms": {**TERMS, "derive_bps": 10_001}}, 422, "share.over_100_percent"),
        ({"terms": {**TERMS, "term_days": 0}}, 422, "terms.term_days"),
        ({"terms": {**TERMS, "surprise": True}}, 400, "request.body"),
        ({"derive_bps": 10_001}, 422, "share.over_100_percent"),
        ({"hold_seconds": 366 * 86_400}, 422, "draft.hold"),
        ({"slug": "../up"}, 400, "request.body"),
        ({"splits": [{"email": "noor@example.org", "bps": 10_001}]}, 422, "share.over_100_percent"),
        ({"splits": [{"email": f"p{n}@example.org", "bps": 5_001} for n in range(2)]}, 422, "splits.over_100_percent"),
        ({"splits": [{"email": "noor@example.org", "bps": 0}]}, 422, "splits.zero"),
        ({"splits": [{"email": "noor@example.org", "bps": 5}] * 2}, 422, "splits.twice"),
        ({"splits": [{"bps": 5}]}, 422, "splits.person"),
        ({"splits": [{"account": "nobody-here", "bps": 5}]}, 404, "account.not_found"),
        ({"splits": [{"email": "not an address", "bps": 5}]}, 400, "request.body"),
        ({"visibility": "open", "price": "1.00"}, 422, "draft.open_price"),
        ({"revision": "0"}, 400, "request.body"),
        ({"state": "published"}, 400, "request.body"),
    ],
)
def test_what_cannot_be_is_refused_by_name_and_nothing_is_saved(ada, changes, status, code):
    api = ada.api()
    draft = begin(api)
    change(api, draft, terms=TERMS)
    before = api.get(f"/drafts/{draft['id']}").json()
    answer = change(api, draft, **changes)
    assert answer.status_code == status, answer.content
    assert code is None or answer.json()["code"] == code
    if status != 200:
        assert api.get(f"/drafts/{draft['id']}").json() == before
        assert mail.outbox == []


def test_a_price_of_zero_gives_licenses_away(ada):
    api = ada.api()
    saved = change(api, begin(api), terms=TERMS, price="0").json()
    assert (saved["price"]["amount"], saved["worked_example"][:26]) == ("0", "Licenses are given away: n")


def test_shares_are_kept_added_and_taken_back_and_only_the_new_are_written_to(ada, ben):
    api = ada.api()
    draft = begin(api)
    noor = {"email": "noor@example.org", "bps": 1500, "role": "retouching"}
    change(api, draft, terms=TERMS, price="100.00", splits=[noor, {"account": "ben", "bps": 500}])
    assert sorted(letter.to[0] for letter in mail.outbox) == ["ben@example.org", "noor@example.org"]
    assert "/contribution/" in mail.outbox[0].body
    shown = api.get(f"/drafts/{draft['id']}").json()
    assert [(each["account"], each["email"], each["bps"]) for each in shown["splits"]] == [
        ("ben", None, 500), (None, "noor@example.org", 1500),
    ]  # fmt: skip
    assert "14.62" in shown["worked_example"] or "14.63" in shown["worked_example"]
    kept = Contributor.objects.get(email="noor@example.org").pk
    change(api, draft, splits=[noor])
    assert [each.pk for each in Contributor.objects.all()] == [kept]
    assert len(mail.outbox) == 2


def test_checked_work_is_ready_and_the_review_shows_all_that_becomes_public(site, ada):
    api = ada.api()
    draft = site.draft(ada, {"tides.csv": TABLE}, checked=False)
    begun = api.post(f"/drafts/{draft.pk}/check", key="c")
    assert (begun.status_code, begun.json()["state"], begun.headers["Location"]) == (
        202, "checking", f"/api/v1/drafts/{draft.pk}",
    )  # fmt: skip
    site.work(draft)
    shown = api.get(f"/drafts/{draft.pk}", headers={"Prefer": "wait=1"})
    assert shown.headers["Preference-Applied"] == "wait=1"
    assert (shown.json()["state"], shown.json()["refusal"]) == ("ready", None)
    stages = {stage["name"]: stage["state"] for stage in shown.json()["stages"]}
    assert stages["hash"] == stages["seal"] == "done"
    assert stages["register"] == "waiting"
    review = api.get(f"/drafts/{draft.pk}/review").json()
    assert (review["conflicts"], review["missing"]) == ([], [])
    assert review["public"]["manifest"]["title"] == "Sunspots"
    assert review["public"]["package"]["kind"] == "sealed"
    assert b"tides.csv" not in api.get(f"/drafts/{draft.pk}/review").content


def test_confirming_publishes_exactly_what_was_shown(site, ada):
    api = ada.api()
    draft = site.draft(ada, {"tides.csv": TABLE})
    change(api, {"id": draft.pk}, terms=TERMS, price="240.00")
    digest = api.get(f"/drafts/{draft.pk}/review").json()["digest"]
    change(api, {"id": draft.pk}, price="241.00")
    stale = api.post(f"/drafts/{draft.pk}/confirm", {"digest": digest})
    assert (stale.status_code, stale.json()["code"]) == (409, "draft.changed_since_review")
    digest = api.get(f"/drafts/{draft.pk}/review").json()["digest"]
    for _ in range(2):
        done = api.post(f"/drafts/{draft.pk}/confirm", {"digest": digest})
        assert (done.status_code, done.json()["state"]) == (202, "publishing")
    late = change(api, {"id": draft.pk}, title="Too late")
    assert (late.status_code, late.json()["code"]) == (409, "draft.state")
    draft.refresh_from_db()
    site.register(draft)
    shown = api.get(f"/drafts/{draft.pk}").json()
    assert (shown["state"], shown["dataset"]) == ("published", f"31337-{'11' * 20}-1")


def test_a_draft_without_a_description_is_ready_and_says_what_is_missing(site, ada):
    api = ada.api()
    draft = site.draft(ada, {"tides.csv": TABLE}, rights=[], title="")
    assert api.get(f"/drafts/{draft.pk}").json()["state"] == "ready"
    review = api.get(f"/drafts/{draft.pk}/review").json()
    assert {"title", "rights", "manifest"} <= set(review["missing"])
    refused = api.post(f"/drafts/{draft.pk}/confirm", {"digest": review["digest"]})
    assert (refused.status_code, refused.json()["code"]) == (422, "draft.incomplete")


def test_terms_that_promise_more_than_the_parent_allows_are_all_listed(site, ada, ben):
    parent = site.publish(ada)
    draft = site.draft(ben, {"derived.csv": table("derived")}, parents=[parent.dataset])
    api = ben.api()
    change(api, {"id": draft.pk}, terms=TERMS, price="10.00")
    shown = api.get(f"/drafts/{draft.pk}").json()
    assert len(shown["conflicts"]) == 1
    assert "no license for it is held" in shown["conflicts"][0]
    assert shown["parents"] == [{"dataset": id_of(parent.dataset), "license": None}]
    digest = api.get(f"/drafts/{draft.pk}/review").json()["digest"]
    refused = api.post(f"/drafts/{draft.pk}/confirm", {"digest": digest})
    assert (refused.status_code, refused.json()["code"]) == (422, "draft.conflicts")
    license_row = site.license(ben, parent)
    named = [{"dataset": id_of(parent.dataset), "license": id_of(license_row.pk)}]
    assert change(api, {"id": draft.pk}, parents=named).json()["parents"] == named
    assert not any("no license" in text for text in api.get(f"/drafts/{draft.pk}").json()["conflicts"])


def test_the_review_says_what_the_parents_get_and_a_share_that_rose_is_reviewed_again(site, ada):
    api = ada.api()
    parent = site.publish(ada)
    draft = site.draft(ada, {"derived.csv": table("derived")}, parents=[parent.dataset])
    DatasetRecord.objects.update(derive_bps=500, stack_bps=300)
    seen = api.get(f"/drafts/{draft.pk}/review").json()
    assert (seen["conflicts"], seen["missing"]) == ([], [])
    assert seen["public"]["parents"] == [{"dataset": id_of(parent.dataset), "share_bps": 500}]
    assert seen["public"]["max_stack_bps"] == 800
    DatasetRecord.objects.update(derive_bps=501)
    stale = api.post(f"/drafts/{draft.pk}/confirm", {"digest": seen["digest"]})
    assert (stale.status_code, stale.json()["code"]) == (409, "draft.changed_since_review")
    digest = api.get(f"/drafts/{draft.pk}/review").json()["digest"]
    assert api.post(f"/drafts/{draft.pk}/confirm", {"digest": digest}).status_code == 202
    assert Submission.objects.get(pk=draft.submission).max_stack_bps == 801


def test_a_copy_is_held_and_only_its_uploader_sees_which_records_match(site, ada, mallory):
    original = site.publish(ada, files={"sunspots.csv": TABLE})
    copy = site.draft(mallory, {"mine.csv": TABLE + b"zzz,1\n"}, title="All mine")
    api = mallory.api()
    shown = api.get(f"/drafts/{copy.pk}").json()
    assert (shown["state"], shown["matches"]) == ("held", 1)
    (match,) = api.get(f"/drafts/{copy.pk}/matches").json()["results"]
    assert (match["dataset"], match["title"], match["kind"], match["stops"]) == (
        id_of(original.dataset), "Sunspots", "table", True,
    )  # fmt: skip
    assert match["share_percent"].endswith(" %")
    assert all(record["path"] == "mine.csv" for record in match["records"])
    stranger = ada.api().post(f"/matches/{match['id']}/answer", {"answer": "author", "evidence": "doi:10/1"})
    assert (stranger.status_code, stranger.json()["code"]) == (404, "match.not_found")
    bare = api.post(f"/matches/{match['id']}/answer", {"answer": "author"})
    assert (bare.status_code, bare.json()["code"]) == (422, "match.evidence")
    for wrong in ({"answer": "mine"}, {"answer": "author", "evidence": "x" * 3000}, {}):
        assert api.post(f"/matches/{match['id']}/answer", wrong).status_code == 400
    answered = api.post(f"/matches/{match['id']}/answer", {"answer": "author", "evidence": "doi:10/1"})
    assert (answered.status_code, answered.json()["state"]) == (200, "held")
    assert Match.objects.get().review == "waiting"
    again = api.get(f"/drafts/{copy.pk}/matches").json()["results"][0]
    assert (again["answer"], again["review"]) == ("author", "waiting")


def test_files_that_are_refused_stop_the_draft_with_the_reason(site, ada):
    draft = site.draft(ada, {"header-only.csv": b"a,b\n"})
    shown = ada.api().get(f"/drafts/{draft.pk}").json()
    assert shown["state"] == "stopped"
    assert shown["refusal"]["code"].startswith("submission.")
    assert shown["refusal"]["todo"]


@pytest.mark.parametrize(
    ("files", "code"), [({}, "submission.no_files"), ({"a.csv": b""}, "submission.only_empty_files")]
)
def test_an_empty_folder_and_empty_files_are_refused_before_any_work(site, ada, files, code):
    draft = site.draft(ada, files, checked=False)
    answer = ada.api().post(f"/drafts/{draft.pk}/check")
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert ada.api().get(f"/drafts/{draft.pk}").json()["state"] == "open"


def test_a_discarded_draft_frees_what_it_held(site, ada):
    draft = site.draft(ada, {"tides.csv": TABLE}, checked=False)
    api = ada.api()
    assert api.delete(f"/drafts/{draft.pk}").status_code == 204
    assert api.get(f"/drafts/{draft.pk}").json()["state"] == "discarded"
    assert api.get("/drafts").json()["results"] == []
    assert api.delete(f"/drafts/{draft.pk}").json()["code"] == "draft.state"
    assert not SubmittedFile.objects.exclude(scratch="").exists()


def test_a_new_version_begins_where_the_last_one_ended(site, ada, listing, dataset):
    draft = ada.api().post("/drafts", {"dataset": dataset}).json()
    assert (draft["dataset"], draft["version"], draft["terms"]["title"]) == (dataset, 2, TERMS["title"])
    assert draft["price"]["amount"] == str(PRICE)


@pytest.mark.django_db(transaction=True)
def test_the_python_client_publishes_a_folder(live_server, site, ada, tmp_path):
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.csv").write_bytes(table("a"))
    (folder / "deep" / "ü.csv").write_bytes(table("b"))
    with Program(live_server.url, api_key=ada.key("read", "publish")) as program:
        assert program.me()["account"]["display_name"] == "Ada"
        draft = program.open_draft()["id"]
        program.change_draft(draft, {**DESCRIPTION, "terms": PRESETS["train-only"].terms.to_document()})
        program.upload(draft, files_of(folder))
        program.upload(draft, files_of(folder))
        assert program.check_draft(draft)["state"] == "checking"
        row = Draft.objects.get(pk=draft)
        site.work(row)
        assert program.draft(draft, wait=True)["state"] == "ready"
        program.confirm(draft, program.review(draft)["digest"])
        row.refresh_from_db()
        site.register(row)
        published = program.draft(draft)
        assert published["state"] == "published"
        shown = program.dataset(published["dataset"])
        assert (shown["title"], shown["files"]) == ("Tide gauge readings", 2)
        assert program.dataset("ada/tide-gauges")["id"] == published["dataset"]
        assert program.look_up(SubmittedFile.objects.get(path="a.csv").sha256)["result"] == "exact"
        assert [row["id"] for row in program.search("tide gauge")] == []
    assert Submission.objects.get().state == "final"
