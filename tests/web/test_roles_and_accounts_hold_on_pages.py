"""Pages ask the same as the API: who is a member with which role, and for whom a form was filled in."""

from __future__ import annotations

import pytest
from django.core import mail
from django.test import Client

from marketplace.actions.accounts import create_organization
from marketplace.actions.custody import derive_addresses
from marketplace.actions.members import accept_invitation, invite_member
from marketplace.models import Draft, Membership, Order
from marketplace.queries.actors import Actor, actor_of_user
from provenance.models import DatasetRecord, Submission, SubmissionState, SubmittedFile
from tests.api.conftest import PRICE, RECIPIENT, Person, Site, table
from tests.web.town import browser

pytestmark = pytest.mark.django_db
Role = Membership.Role


def lab(site: Site, owner: Person) -> Person:
    user = owner.actor.membership.user
    create_organization(by=user, slug="lab", display_name="The Lab", now=site.now)
    derive_addresses(ring=site.ring, now=site.now)
    return Person(actor_of_user(user, "lab"), site.now)


def join(site: Site, organization: Person, person: Person, role: Membership.Role) -> Actor:
    user = person.actor.membership.user
    _, token = invite_member(by=organization.actor, email=user.email, role=role, now=site.now)
    accept_invitation(by=user, token=token, now=site.now)
    return actor_of_user(user, "lab")


def acting_for_lab(person: Person):
    client = browser(person)
    client.post("/settings/switch", {"account": "lab"})
    return client


@pytest.mark.parametrize("role", [Role.VIEWER, Role.BUYER, Role.FINANCE])
def test_only_publishers_see_and_work_on_drafts(site: Site, ada: Person, mallory: Person, role: Membership.Role):
    organization = lab(site, ada)
    draft = site.draft(organization, {"a.csv": table("a"), "b.csv": table("b")}, checked=False)
    join(site, organization, mallory, role)
    client = acting_for_lab(mallory)
    for step in ("files", "describe", "terms", "checks", "review"):
        address = f"/publish/{draft.pk}/{step}"
        assert client.get(address).status_code == 403, step
        for words in ({}, {"visibility": "open"}, {"again": "1"}, {"answer": "remove", "match": "1"}):
            assert client.post(address, words).status_code == 403, (step, words)
    assert client.post(f"/publish/{draft.pk}/discard").status_code in {302, 403}
    assert Submission.objects.get().state == SubmissionState.UPLOADING
    assert (SubmittedFile.objects.count(), Draft.objects.get().state) == (2, Draft.State.OPEN)
    Membership.objects.filter(user=mallory.actor.membership.user, account__slug="lab").update(role=Role.PUBLISHER)
    assert client.get(f"/publish/{draft.pk}/files").status_code == 200


def test_a_form_of_another_account_than_the_one_that_acts_now_does_nothing(site: Site, ada: Person, cleo: Person):
    listing = site.publish(ada)
    organization = lab(site, cleo)
    for buyer in (cleo, organization):
        site.give(buyer, 10 * PRICE)
    client = acting_for_lab(cleo)
    address = f"/checkout/{listing.offer_id}"
    page = client.get(address)
    assert f'name="acting" value="{organization.actor.account.pk}"' in page.content.decode()
    # In another tab.
    client.post("/settings/switch", {"account": "cleo"})
    form = {"order_key": "k", "recipient": RECIPIENT, "acting": str(organization.actor.account.pk)}
    refused = client.post(address, form)
    assert refused.status_code == 403
    assert "You are acting for Cleo now." in refused.content.decode()
    assert not Order.objects.exists()
    client.post("/settings/switch", {"account": "lab"})
    assert client.post(address, form).status_code == 302
    assert Order.objects.get().account == organization.actor.account


def test_a_share_promised_to_an_account_does_not_tell_its_e_mail_address(site: Site, ada: Person, mallory: Person):
    draft = site.draft(mallory, {"a.csv": table("a")}, checked=False)
    named = {"splits": [{"account": "ada", "role": "editor", "bps": 500}], "revision": draft.revision}
    answer = mallory.api().patch(f"/drafts/{draft.pk}", named)
    assert answer.status_code == 200, answer.content
    client = browser(mallory)
    for address in (f"/publish/{draft.pk}/terms", f"/publish/{draft.pk}/review", f"/publish/{draft.pk}/checks"):
        page = client.get(address, follow=True).content.decode()
        assert ada.actor.membership.user.email not in page, address
    assert "ada@example.org" not in mallory.api().get(f"/drafts/{draft.pk}").content.decode()
    assert "<td>ada</td>" in client.get(f"/publish/{draft.pk}/terms").content.decode()


def test_the_review_shows_what_the_data_it_was_built_from_gets(site: Site, ada: Person, ben: Person):
    parent = site.publish(ada, title="Sunspots")
    draft = site.draft(ben, {"b.csv": table("b")}, parents=[parent.dataset])
    address = f"/publish/{draft.pk}/review"
    for own, above, words in (
        (0, 0, ("<dd>Sunspots</dd>",)),
        (500, 250, ("Sunspots, which gets 5 % of what this one earns", "at most 7.5 % of what this one earns")),
    ):
        DatasetRecord.objects.update(derive_bps=own, stack_bps=above)
        page = browser(ben).get(address).content.decode()
        assert all(word in page for word in words), page
        assert ("of what this one earns" in page) == bool(own)


def test_nobodys_letter_box_is_filled_by_inviting_again_and_again(site: Site, ada: Person, monkeypatch):
    monkeypatch.setattr("marketplace.actions.letters.LETTERS_PER_DAY", 2)
    organization = lab(site, ada)
    client = acting_for_lab(ada)
    for _ in range(4):
        client.post("/settings/members", {"email": "victim@example.org", "role": "viewer"})
        organization.actor.account.invitations.update(state="revoked")
    assert [letter.to for letter in mail.outbox] == [["victim@example.org"]] * 2
    assert organization.actor.account.invitations.count() == 2


def test_no_shared_cache_may_keep_what_a_session_was_answered(site: Site, ada: Person):
    client = browser(ada)
    for address in ("/", "/settings", "/balance", "/licenses", "/earnings", "/settings/key", "/nothing-here"):
        assert client.get(address)["Cache-Control"] == "private, no-cache", address
    assert client.get("/settings/keys")["Cache-Control"] == "no-store", "what a page says itself stays"
    assert "Cache-Control" not in Client().get("/").headers, "what everybody is answered may be kept"


def test_signing_in_greets_with_the_address_and_not_with_a_number_that_counts_the_others(site: Site, ada: Person):
    right = {"login": "ada@example.org", "password": "Ada-keeps-a-secret"}
    answer = Client().post("/account/login/", right, follow=True)
    assert "Successfully signed in as ada@example.org." in answer.content.decode()
