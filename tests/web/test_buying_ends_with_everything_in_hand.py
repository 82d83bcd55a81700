"""Checkout, the order's page, licenses, certificates, readers, use, refunds."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.test import Client

from marketplace import journal
from marketplace.models import Disclosure, LicenseRow, Membership, Order, TopUp, UsageReport
from provenance.core.digest import Sha256
from provenance.models import GrantRow
from tests.api.conftest import RECIPIENT, TOKEN, Person
from tests.web.town import Story, browser, buy

pytestmark = pytest.mark.django_db


def text_of(answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def checkout(story: Story) -> str:
    return f"/checkout/{story.photographs.offer_id}"


def pay(client: Client, story: Story, **changes: str):
    return client.post(checkout(story), {"order_key": "once", "recipient": RECIPIENT, **changes}, follow=True)


def test_terms_total_and_fee_come_first(story: Story):
    shown = text_of(browser(story.cleo).get(checkout(story)))
    for part in ("You may", "Market fee, inside the price 6.00 TUSD", "To the owner 234.00 TUSD", "Pay 240.00 TUSD"):
        assert part in shown, part


def test_an_empty_balance_offers_one_way_out(story: Story, mallory: Person):
    client = browser(mallory)
    page = client.get(checkout(story))
    assert "240.00 TUSD are missing" in text_of(page)
    assert b"Pay 240.00" not in page.content
    back = client.post("/balance/faucet", {"next": checkout(story)})
    assert back["Location"] == checkout(story)
    assert TopUp.objects.get().source == "faucet"


def test_paying_without_money_says_what_is_missing_in_money(story: Story, mallory: Person):
    answer = pay(browser(mallory), story)
    assert "It is 240.00 TUSD; at most 0.00 TUSD is possible" in text_of(answer)
    assert not Order.objects.filter(account=mallory.actor.account).exists()


def test_sending_the_form_twice_is_one_order(story: Story):
    client = browser(story.cleo)
    before = journal.balance_of(story.cleo.actor.account.pk, TOKEN).available
    first, second = pay(client, story), pay(client, story)
    assert first.redirect_chain == second.redirect_chain
    assert "Your payment is under way" in text_of(first)
    assert journal.balance_of(story.cleo.actor.account.pk, TOKEN).available == before - 240_000_000


def test_a_recipient_that_is_none_is_refused_in_words(story: Story):
    answer = pay(browser(story.cleo), story, recipient="my-password")
    assert "not an age public key" in text_of(answer)
    assert Order.objects.filter(account=story.cleo.actor.account).count() == 1


def test_a_price_of_nothing_is_an_order_like_any_other(story: Story, mallory: Person):
    free = story.site.publish(story.ada, price=0, title="Free samples", files={"free.csv": b"a,b\n1,2\n3,4\n"})
    client = browser(mallory)
    address = f"/checkout/{free.offer_id}"
    assert "Get the license" in text_of(client.get(address))
    client.post(address, {"order_key": "k", "recipient": RECIPIENT})
    assert Order.objects.get(account=mallory.actor.account).total == 0


def test_an_offer_that_ended_is_not_found(story: Story):
    assert browser(story.cleo).get("/checkout/" + "00" * 32).status_code == 404


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("placed", "Your payment is under way. It is safe to close this page."),
        ("paying", "Your payment is under way."),
        ("mined", "Paid. Your license is valid. The key follows in a moment."),
        ("failed", "Not bought. Nothing was paid."),
        ("refunded", "Refunded. The license has ended."),
    ],
)
def test_the_order_page_says_where_it_stands(story: Story, state: str, words: str):
    Order.objects.filter(pk=story.order.pk).update(state=state)
    assert words in text_of(browser(story.cleo).get(f"/orders/{story.order.pk}"))


def test_the_poll_answers_with_the_part_that_changes(story: Story):
    client = browser(story.cleo)
    part = client.get(f"/orders/{story.order.pk}", headers={"HX-Request": "true"})
    assert b"<html" not in part.content
    assert "Everything is ready" in text_of(part)
    assert b"hx-trigger" not in part.content, "what is settled is not asked about again"


def test_failed_delivery_is_still_a_valid_license(story: Story):
    GrantRow.objects.update(state="refused", cause="The key service was away.")
    client = browser(story.cleo)
    shown = text_of(client.get(f"/orders/{story.order.pk}"))
    assert "Paid. Your license is valid." in shown
    assert "Retry download" in shown
    client.post(f"/orders/{story.order.pk}/retry")
    assert GrantRow.objects.get().state == "wanted"
    assert Order.objects.filter(account=story.cleo.actor.account).count() == 1, "nothing is paid again"


def test_orders_of_others_do_not_exist(story: Story, mallory: Person):
    client = browser(mallory)
    for path in ("", "/retry", "/take-back", "/judge"):
        ask = client.get if not path else client.post
        assert ask(f"/orders/{story.order.pk}{path}").status_code == 404, path


def test_the_certificate_prints_every_figure_and_its_json_is_the_signed_one(story: Story):
    license_id = story.slug(story.license.pk)
    client = browser(story.cleo)
    page = client.get(f"/licenses/{license_id}/certificate")
    shown = text_of(page)
    for part in (
        "TEST: no legal or monetary value",
        "Cleo",
        "Ben Okafor",
        story.license.tx,
        story.license.terms,
        "cadastre verify license-",
    ):
        assert part in shown, part
    assert b'class="qr"' in page.content
    twin = client.get(f"/licenses/{license_id}/certificate?json")
    assert Sha256.of(twin.content).hex == story.license.certificate
    assert json.loads(twin.content)["schema"] == "cadastre.certificate/1"


def test_the_public_page_of_a_license_names_no_holder(story: Story, visitor: Client):
    page = visitor.get(f"/l/{story.slug(story.license.pk)}")
    assert "This license is valid" in text_of(page)
    assert b"Cleo" not in page.content
    assert story.license.licensee.encode() not in page.content


def test_private_documents_are_not_told_by_their_digest(story: Story, visitor: Client):
    grant = GrantRow.objects.get()
    for digest in (grant.document, story.license.certificate):
        assert visitor.get(f"/sha256/{digest}").status_code == 404
        assert visitor.get(f"/sha256/{digest}", headers={"Accept": "application/json"}).status_code == 404


def test_a_link_shows_the_license_to_one_reader_until_taken_back(story: Story, visitor: Client):
    license_id = story.slug(story.license.pk)
    client = browser(story.cleo)
    made = client.post(f"/licenses/{license_id}/readers", {"reader": "AI Office", "days": "30"}, follow=True)
    token = re.search(r"/disclosed/([\w-]+)", made.content.decode())[1]
    shown = visitor.get(f"/disclosed/{token}")
    assert "Shown to AI Office by the holder" in text_of(shown)
    assert "Cleo" in text_of(shown)
    assert shown["Referrer-Policy"] == "no-referrer"
    client.post(f"/licenses/{license_id}/readers/{Disclosure.objects.get().pk}")
    assert visitor.get(f"/disclosed/{token}").status_code == 404


def ten_thousand_records(story: Story) -> dict[str, str]:
    day = (story.license.start + timedelta(days=1)).date().isoformat()
    said = {"version": "1", "first": day, "last": day, "use": "fine-tune", "quantity": "10000"}
    return {**said, "model": "m", "run": "r"}


def test_use_is_previewed_by_the_frozen_terms_then_reported_once(story: Story):
    license_id = story.slug(story.license.pk)
    client = browser(story.cleo)
    used = {**ten_thousand_records(story), "report_key": "k1"}
    preview = client.post(f"/licenses/{license_id}", {**used, "preview": ""})
    assert "This report costs 8.00 TUSD" in text_of(preview)
    assert UsageReport.objects.count() == 1
    for _ in range(2):
        client.post(f"/licenses/{license_id}", {**used, "report": ""})
    assert UsageReport.objects.count() == 2
    assert UsageReport.objects.order_by("-sequence")[0].cumulative_amount == 28_000_000


def test_use_that_was_not_licensed_is_refused_in_words(story: Story):
    license_id = story.slug(story.license.pk)
    day = (story.license.start - timedelta(days=9)).date().isoformat()
    used = {
        "version": "1",
        "first": day,
        "last": day,
        "use": "fine-tune",
        "quantity": "1",
        "model": "m",
        "run": "r",
        "preview": "",
    }
    assert "The period begins before the license" in text_of(browser(story.cleo).post(f"/licenses/{license_id}", used))


def test_a_correction_replaces_the_report_it_names(story: Story):
    license_id = story.slug(story.license.pk)
    first = UsageReport.objects.get()
    client = browser(story.cleo)
    assert "This replaces report" in text_of(client.get(f"/licenses/{license_id}?corrects={first.pk}"))
    day = first.period_to.isoformat()
    said = {"version": "1", "first": day, "last": day, "use": "fine-tune", "quantity": "20000", "model": "m"}
    used = {**said, "run": "r", "report_key": "k2", "corrects": first.pk, "report": ""}
    client.post(f"/licenses/{license_id}", used)
    first.refresh_from_db()
    assert first.corrected
    assert client.get(f"/licenses/{license_id}?corrects={first.pk}").status_code == 404, "once"


def test_a_report_beyond_the_limit_waits_is_taken_back_or_approved(story: Story):
    license_id, client = story.slug(story.license.pk), browser(story.cleo)
    membership = Membership.objects.filter(pk=story.cleo.actor.membership.pk)
    membership.update(spend_limit=20_000_000)
    used = ten_thousand_records(story)
    assert "it waits until somebody approves it" in text_of(client.post(f"/licenses/{license_id}", used))
    for key in ("k1", "k2"):
        client.post(f"/licenses/{license_id}", {**used, "report_key": key, "report": ""})
    first, second = UsageReport.objects.filter(state="approval").order_by("created")
    assert client.get(f"/licenses/{license_id}?corrects={first.pk}").status_code == 404, "what counts for nothing"
    here = {"decline": "", "next": f"/licenses/{license_id}"}
    assert "Take back" in text_of(client.get(f"/licenses/{license_id}"))
    assert client.post(f"/licenses/reports/{first.pk}/judge", here).url == f"/licenses/{license_id}"
    assert "Somebody else has to approve" in text_of(
        client.post(f"/licenses/reports/{second.pk}/judge", {"approve": ""}, follow=True)
    )
    membership.update(spend_limit=None)
    page = text_of(client.get("/settings"))
    assert "Reports of use that wait for approval" in page
    assert "8.00 TUSD" in page
    client.post(f"/licenses/reports/{second.pk}/judge", {"approve": "", "next": "/settings"})
    states = UsageReport.objects.order_by("created").values_list("state", "cumulative_amount")
    assert list(states) == [("entered", 20_000_000), ("declined", 20_000_000), ("entered", 28_000_000)]
    assert browser(story.ada).post(f"/licenses/reports/{second.pk}/judge", {"approve": ""}).status_code == 404


def test_what_is_held_can_be_given_back_and_what_is_not_cannot(story: Story):
    license_id = story.slug(story.license.pk)
    client = browser(story.cleo)
    client.post(f"/licenses/{license_id}/refund")
    story.order.refresh_from_db()
    assert story.order.refund_wanted is not None
    row, _ = buy(story.site, story.cleo, story.photographs)
    LicenseRow.objects.filter(pk=row.pk).update(hold_until=row.start)
    late = client.post(f"/licenses/{story.slug(row.pk)}/refund", follow=True)
    assert "The price is not held any more" in text_of(late)


def test_another_key_of_the_holder_is_asked_for_and_a_wrong_one_refused(story: Story):
    import pyrage

    license_id = story.slug(story.license.pk)
    client = browser(story.cleo)
    other = str(pyrage.x25519.Identity.generate().to_public())
    client.post(f"/licenses/{license_id}/recipients", {"recipient": other})
    assert GrantRow.objects.filter(recipient=other, state="wanted").exists()
    refused = client.post(f"/licenses/{license_id}/recipients", {"recipient": "age1nonsense"}, follow=True)
    assert "not an age public key" in text_of(refused)
