"""Terms and price, sales, names, private offers, shares of the income, refunds, leaving; and the operator's acts."""

from __future__ import annotations

import itertools
import re

import pytest
from django.core import mail
from django.test import Client

from marketplace.actions.accounts import rename_account
from marketplace.actions.contributors import accept_contribution
from marketplace.actions.custody import derive_addresses
from marketplace.actions.offers import advance_offers
from marketplace.actions.quotes import advance_quotes
from marketplace.models import Alarm, Contributor, Listing, OfferRow, Order, Quote
from provenance import signing
from provenance.models import Answer, ChainEvent, ContentAct, ContentKey, Document, Intent, Match
from tests.api.conftest import RECIPIENT, Person, Site, table
from tests.web.town import Story, browser

pytestmark = pytest.mark.django_db


def text_of(answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def manage(story: Story, part: str = "") -> str:
    return f"/d/{story.paths['photographs']}/manage{part}"


def sign(site: Site) -> None:
    signing.sign_due(site.ring, site.now)
    advance_offers(now=site.now)


def test_another_price_is_a_new_offer_and_the_old_one_ends(story: Story):
    client, before = browser(story.ada), story.photographs.offer_id
    client.post(manage(story, "/offer"), {"preset": "train-commercial", "price": "99.50"})
    sign(story.site)
    story.photographs.refresh_from_db()
    assert story.photographs.offer_id != before
    assert OfferRow.objects.get(pk=before).state == "superseded"
    assert "For sale at 99.50 TUSD" in text_of(client.get(manage(story)))
    assert Intent.objects.filter(kind="market.cancel_offer").exists()


def test_a_price_with_seven_decimals_is_refused_beside_its_field(story: Story):
    answer = browser(story.ada).post(manage(story, "/offer"), {"preset": "train-commercial", "price": "0.0000001"})
    assert answer.status_code == 422
    assert "TUSD has 6 decimals" in text_of(answer)


def test_sales_end_with_a_reason_and_begin_again(story: Story):
    client = browser(story.ada)
    refused = client.post(manage(story, "/sales"), {"reason": "boredom"}, follow=True)
    assert "Say why sales end" in text_of(refused)
    client.post(manage(story, "/sales"), {"reason": "quality"})
    story.photographs.refresh_from_db()
    assert (story.photographs.state, story.photographs.offer) == ("delisted", None)
    assert "This dataset is not for sale here now" in text_of(client.get(f"/d/{story.paths['photographs']}"))
    client.post(manage(story, "/sales"), {"relist": ""})
    sign(story.site)
    story.photographs.refresh_from_db()
    assert story.photographs.state == "listed"


def test_an_offer_is_withdrawn_by_its_owner_only(story: Story, mallory: Person):
    digest = story.photographs.offer_id
    assert browser(mallory).post(manage(story, f"/offer/{digest}/withdraw")).status_code == 404
    browser(story.ada).post(manage(story, f"/offer/{digest}/withdraw"))
    assert OfferRow.objects.get(pk=digest).state == "withdrawn"


def test_a_renamed_dataset_is_found_under_both_names(story: Story, visitor: Client):
    old = story.photographs.slug
    browser(story.ada).post(manage(story, "/name"), {"slug": "tide-pools"})
    for name in ("tide-pools", old):
        assert visitor.get(f"/ada/{name}")["Location"] == f"/d/{story.paths['photographs']}"
    rename_account(by=story.ada.actor, display_name="Ada Fenwick", slug="fenwick")
    for account, name in itertools.product(("ada", "fenwick"), ("tide-pools", old)):
        assert visitor.get(f"/{account}/{name}")["Location"] == f"/d/{story.paths['photographs']}"
    assert visitor.get("/ada")["Location"] == "/fenwick"
    assert visitor.get("/ada/cornwall").status_code == 404
    refused = browser(story.ada).post(manage(story, "/name"), {"slug": "Not A Slug"}, follow=True)
    assert "lower-case letters" in text_of(refused)


def test_one_buyer_gets_a_price_of_their_own(story: Story, mallory: Person):
    site = story.site
    browser(story.ada).post(
        manage(story, "/private-offer"), {"buyer": "cleo", "preset": "train-commercial", "price": "10.00", "days": "7"}
    )
    for _ in range(2):
        derive_addresses(ring=site.ring, now=site.now)
        advance_quotes(now=site.now)
        sign(site)
    quote = Quote.objects.get()
    assert quote.state == "ready"
    client = browser(story.cleo)
    assert "Offers made to you" in text_of(client.get("/licenses"))
    assert "Pay 10.00 TUSD" in text_of(client.get(f"/checkout/quote/{quote.pk}"))
    assert browser(mallory).get(f"/checkout/quote/{quote.pk}").status_code == 404
    client.post(f"/checkout/quote/{quote.pk}", {"order_key": "q", "recipient": RECIPIENT})
    assert Order.objects.get(quote=quote).total == 10_000_000


def test_an_offer_to_nobody_is_refused(story: Story):
    answer = browser(story.ada).post(
        manage(story, "/private-offer"), {"buyer": "nobody", "preset": "train-commercial", "price": "1", "days": "7"}
    )
    assert answer.status_code == 404


def test_shares_are_promised_changed_and_put_into_force(story: Story, mallory: Person):
    site, client = story.site, browser(story.ada)
    client.post(manage(story, "/shares"), {"email": "dora@example.org", "role": "labels", "percent": "20"})
    assert re.search(r"/contribution/\S+", mail.outbox[-1].body)
    row = Contributor.objects.get()
    waiting = client.post(manage(story, "/shares/apply"), follow=True)
    assert "still being made" in text_of(waiting)
    derive_addresses(ring=site.ring, now=site.now)
    client.post(manage(story, f"/shares/{row.pk}"), {"percent": "12.5"})
    client.post(manage(story, "/shares/apply"))
    wanted = Intent.objects.get(kind="registry.set_splits")
    document = Document.objects.get(pk=wanted.payload["splits"])
    row.refresh_from_db()
    assert f'"account":"eip155:31337:{row.address}","bps":1250' in document.content.decode()
    assert Intent.objects.filter(kind="market.invite_payee").count() == 1
    too_much = client.post(
        manage(story, "/shares"), {"email": "e@example.org", "role": "x", "percent": "90"}, follow=True
    )
    assert "more than 100 %" in text_of(too_much)
    assert browser(mallory).post(manage(story, f"/shares/{row.pk}"), {"percent": "99"}).status_code == 404


def test_a_share_that_ends_is_no_longer_in_the_document(story: Story):
    site, client = story.site, browser(story.ada)
    client.post(manage(story, "/shares"), {"email": "dora@example.org", "role": "labels", "percent": "20"})
    client.post(manage(story, f"/shares/{Contributor.objects.get().pk}"), {"percent": "0"})
    client.post(manage(story, "/shares/apply"))
    assert Intent.objects.get(kind="registry.set_splits").payload["splits"] is None
    assert site.deployment.pk


@pytest.mark.parametrize("percent", ["", "abc", "12.345", "1000", "-5"])
def test_what_is_no_percentage_changes_nothing(story: Story, percent: str):
    answer = browser(story.ada).post(manage(story, "/derive-share"), {"percent": percent}, follow=True)
    assert "not a percentage" in text_of(answer)
    assert not Intent.objects.filter(kind="registry.set_derive_terms").exists()


def test_what_builds_on_it_owes_another_share_from_now_on(story: Story):
    browser(story.ada).post(manage(story, "/derive-share"), {"percent": "7.25"})
    assert Intent.objects.get(kind="registry.set_derive_terms").payload["derive_bps"] == 725


def test_an_invited_contributor_accepts_by_the_link(story: Story):
    site, client = story.site, browser(story.ada)
    client.post(manage(story, "/shares"), {"email": "ben@example.org", "role": "labels", "percent": "20"})
    token = re.search(r"/contribution/(\S+)", mail.outbox[-1].body)[1]
    answer = browser(story.ben).post(f"/contribution/{token}", {"accept": ""}, follow=True)
    assert "Accepted" in text_of(answer)
    assert Contributor.objects.get().account == story.ben.actor.account
    assert accept_contribution.__name__
    assert site.now


def test_the_owner_gives_a_buyer_the_money_back(story: Story):
    license_id = story.slug(story.license.pk)
    browser(story.cleo).post(f"/licenses/{license_id}/refund")
    path = f"/d/{story.paths['derived']}/manage"
    client = browser(story.ben)
    assert "Buyers ask for their money back" in text_of(client.get(path))
    assert browser(story.ada).post(f"{path}/refund/{license_id}").status_code == 404
    client.post(f"{path}/refund/{license_id}")
    assert Intent.objects.filter(kind="market.refund").exists()


def test_erasing_needs_the_word_and_then_destroys_the_key(story: Story):
    client = browser(story.ada)
    client.post(manage(story, "/stop"), {"reason": "owner-request", "erase": ""})
    assert not ContentAct.objects.exists()
    client.post(manage(story, "/stop"), {"reason": "owner-request", "erase": "", "sure": "erase"})
    assert set(ContentAct.objects.values_list("act", flat=True)) == {"withheld", "erased"}
    assert ContentKey.objects.filter(state="destroyed").exists()
    page = client.get(f"/d/{story.paths['photographs']}")
    assert "Erased" in text_of(page)
    assert Listing.objects.get(pk=story.photographs.pk).state == "withheld"


def test_an_owner_cannot_claim_a_court_order(story: Story):
    answer = browser(story.ada).post(manage(story, "/stop"), {"reason": "court-order", "withhold": ""}, follow=True)
    assert "Only an operator can give this reason" in text_of(answer)
    assert not ContentAct.objects.exists()


def test_an_operator_withholds_for_any_reason_and_others_cannot(story: Story, mallory: Person):
    asked = {"dataset": story.paths["photographs"], "reason": "court-order", "withhold": "", "order": "0f" * 32}
    assert browser(mallory).post("/operator/take-down", asked).status_code == 404
    client = browser(story.ben, operator=True)
    client.post("/operator/take-down", asked)
    assert ContentAct.objects.get().reason == "court-order"
    assert "court-order" in text_of(client.get("/operator"))


def test_an_operator_judges_an_answer_to_the_copy_check(story: Story, mallory: Person):
    site = story.site
    draft = site.draft(story.cleo, {"new.csv": table("new")}, title="Kelp counts")
    match = Match.objects.create(
        submission_id=draft.submission, matched_party=story.ada.actor.account.pk, kind="table", share_bps=9_000,
        threshold_bps=500, stops=True, created=site.now, matched_title="Shoreline survey", answer=Answer.AUTHOR,
        review="waiting", evidence={"text": "doi:10.5281/zenodo.1"},
    )  # fmt: skip
    match.submission.state = "held"
    match.submission.save()
    assert browser(mallory).post(f"/operator/matches/{match.pk}", {"accept": ""}).status_code == 404
    client = browser(story.ben, operator=True)
    assert "doi:10.5281/zenodo.1" in text_of(client.get("/operator"))
    client.post(f"/operator/matches/{match.pk}", {"accept": ""})
    match.refresh_from_db()
    assert match.review == "accepted"


def test_an_alarm_demands_a_person_until_its_cause_is_removed(story: Story):
    Alarm.objects.create(
        code="journal.shortage", subject="market", message="The market holds less.", raised=story.site.now
    )
    client = browser(story.ben, operator=True)
    assert "Something demands a person" in text_of(client.get("/operator"))
    client.post("/operator/alarms/clear", {"code": "journal.shortage", "subject": "market"})
    assert Alarm.objects.get().cleared_by == "ben@example.org"
    assert "Nothing demands a person" in text_of(client.get("/operator"))


def test_an_operator_strikes_down_a_root_that_somebody_else_proposed(story: Story, mallory: Person):
    site = story.site
    token = site.deployment.tokens[0]["address"]
    args = {
        "token": token, "epoch": "9", "root": "0x" + "01" * 32, "settlement": "0x" + "02" * 32,
        "cumulativeTotal": "240000000",
    }  # fmt: skip
    event = ChainEvent.objects.create(
        deployment=site.deployment, block_number=7, block_hash="0x" + "07" * 32, block_time=int(site.now.timestamp()),
        tx="0x" + "08" * 32, log_index=0, contract=site.deployment.market, name="RootProposed",
        subject=f"settlement/{token}/9", args=args,
    )  # fmt: skip
    asked = {"token": site.deployment.token_caip(token), "epoch": "9", "reason": "The key was stolen."}
    client = browser(story.ben, operator=True)
    assert "Proposed, but not computed here" in text_of(client.get("/operator"))
    assert browser(mallory).post("/operator/settlements/veto", asked).status_code == 404
    for wrong in ({"epoch": "8"}, {"epoch": "nine"}, {"token": "gold"}):
        client.post("/operator/settlements/veto", asked | wrong)
    assert not Intent.objects.filter(kind="market.veto").exists()
    client.post("/operator/settlements/veto", asked)
    assert Intent.objects.get(kind="market.veto").key == f"veto:{event.fact}"


def test_a_halted_chain_is_said_first(story: Story):
    site = story.site
    site.deployment.halted = "Block 12 was replaced after it had become final."
    site.deployment.save()
    assert "Block 12 was replaced" in text_of(browser(story.ben, operator=True).get("/operator"))


def test_roles_that_may_not_publish_are_told_so(story: Story):
    membership = story.ada.actor.membership
    membership.role = "viewer"
    membership.save()
    client = browser(story.ada)
    session = client.session
    session["account"] = "ada"
    session.save()
    answer = client.get(manage(story))
    assert answer.status_code == 403
    assert "Your role in ada does not allow this" in text_of(answer)
