"""Sign-up, organizations, members, invitations, approvals, keys for programs, and taking over the signing key."""

from __future__ import annotations

import re

import pyrage
import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from marketplace.actions.custody import seal_key_exports
from marketplace.models import Account, ApiKey, Invitation, KeyExport, Membership, Order, User
from tests.api.conftest import RECIPIENT, Api, Person, Site
from tests.web.town import Story, browser, prove_second_factor

pytestmark = pytest.mark.django_db


def text_of(answer) -> str:
    return answer.content.decode()


def organization(client: Client, slug: str = "shorelab") -> Account:
    answer = client.post("/settings/organizations", {"display_name": "Shore Lab", "slug": slug}, follow=True)
    assert "Shore Lab was created" in text_of(answer)
    return Account.objects.get(slug=slug)


def invite(client: Client, email: str, role: str = "buyer", **limits: object) -> str:
    """Invite, and return the token of the link in the letter."""
    client.post("/settings/members", {"email": email, "role": role, **limits})
    return re.search(r"/invitation/(\S+)", mail.outbox[-1].body)[1]


def test_signing_up_asks_for_a_name_and_shows_nothing_of_the_address(site: Site, visitor: Client):
    answer = visitor.post(
        reverse("account_signup"),
        {"display_name": "Vera of the Cliffs", "email": "secret.name@example.org", "password1": "kelp-and-wrack-12"},
        follow=True,
    )
    assert answer.status_code == 200
    account = Account.objects.get()
    assert (account.display_name, account.slug) == ("Vera of the Cliffs", "vera-of-the-cliffs")
    assert "secret" not in account.slug


def test_signing_up_without_a_name_is_refused(site: Site, visitor: Client):
    answer = visitor.post(reverse("account_signup"), {"email": "a@example.org", "password1": "kelp-and-wrack-12"})
    assert "This field is required" in text_of(answer)
    assert not Account.objects.exists()


def test_too_many_wrong_passwords_lock_for_a_while(site: Site, ada: Person, visitor: Client, settings):
    settings.AXES_FAILURE_LIMIT = 3
    settings.ACCOUNT_RATE_LIMITS = False
    for _ in range(3):
        answer = visitor.post(reverse("account_login"), {"login": "ada@example.org", "password": "wrong-wrong-wrong"})
    assert answer.status_code == 429
    assert "Too many wrong passwords" in text_of(answer)
    right = visitor.post(reverse("account_login"), {"login": "ada@example.org", "password": "Ada-keeps-a-secret"})
    assert right.status_code == 429
    visitor.post(reverse("account_reset_password"), {"email": "ada@example.org"})
    link = re.search(r"/account/password/reset/key/\S+", mail.outbox[-1].body)[0]
    form = visitor.get(link, follow=True).request["PATH_INFO"]
    assert visitor.post(form, {"password1": "kelp-and-wrack-12", "password2": "kelp-and-wrack-12"}).status_code == 302
    answer = visitor.post(reverse("account_login"), {"login": "ada@example.org", "password": "kelp-and-wrack-12"})
    assert answer.status_code == 302, "a new password unlocks at once"


def test_a_form_from_elsewhere_changes_nothing(site: Site, ada: Person):
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada.actor.membership.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    answer = client.post("/settings/rename", {"display_name": "Mallory", "slug": "ada"})
    assert answer.status_code == 403
    assert "too old to be trusted" in text_of(answer)
    assert Account.objects.get(slug="ada").display_name == "Ada"


def test_an_owner_renames_the_account_and_a_reserved_name_is_refused(site: Site, ada: Person):
    client = browser(ada)
    client.post("/settings/rename", {"display_name": "Ada F.", "slug": "ada-f"})
    assert Account.objects.get(slug="ada-f").display_name == "Ada F."
    answer = client.post("/settings/rename", {"display_name": "Ada F.", "slug": "publish"}, follow=True)
    assert "This name is taken" in text_of(answer)


def test_an_invited_person_joins_and_acts_for_the_organization(site: Site, ada: Person, ben: Person, mallory: Person):
    owner = browser(ada)
    lab = organization(owner)
    token = invite(owner, "ben@example.org", spend_limit="100.00", needs_approval="on")
    stranger = browser(mallory).post(f"/invitation/{token}", follow=True)
    assert "another e-mail address" in text_of(stranger)
    member = browser(ben)
    joined = member.post(f"/invitation/{token}", follow=True)
    assert "Shore Lab" in text_of(joined)
    membership = Membership.objects.get(user=ben.actor.membership.user, account=lab)
    assert (membership.role, membership.spend_limit, membership.needs_approval) == ("buyer", 100_000_000, True)
    assert Api(client=member).get("/me").json()["account"]["slug"] == "shorelab", (
        "pages and API act for the same account"
    )
    again = member.post(f"/invitation/{token}", follow=True)
    assert "unknown, used, revoked or expired" in text_of(again)


def test_switching_back_acts_for_oneself_and_never_for_strangers(site: Site, ada: Person, mallory: Person):
    client = browser(ada)
    organization(client)
    client.post("/settings/switch", {"account": "ada"})
    assert Api(client=client).get("/me").json()["account"]["slug"] == "ada"
    assert browser(mallory).post("/settings/switch", {"account": "shorelab"}).status_code == 404
    away = client.post("/settings/switch", {"account": "ada", "next": "https://evil.example/"})
    assert away["Location"] == "/settings"


def test_roles_are_changed_and_the_last_owner_stays(site: Site, ada: Person, ben: Person):
    owner = browser(ada)
    lab = organization(owner)
    browser(ben).post(f"/invitation/{invite(owner, 'ben@example.org')}")
    member = Membership.objects.get(account=lab, user=ben.actor.membership.user)
    owner.post(f"/settings/members/{member.pk}", {"role": "finance"})
    member.refresh_from_db()
    assert member.role == "finance"
    own = Membership.objects.get(account=lab, user=ada.actor.membership.user)
    refused = owner.post(f"/settings/members/{own.pk}", {"role": "viewer"}, follow=True)
    assert "at least one owner" in text_of(refused)
    owner.post(f"/settings/members/{member.pk}/remove")
    assert not Membership.objects.filter(pk=member.pk).exists()


def test_members_of_other_accounts_are_out_of_reach(site: Site, ada: Person, mallory: Person):
    organization(browser(ada))
    foreign = Membership.objects.get(account__slug="shorelab")
    client = browser(mallory)
    assert client.post(f"/settings/members/{foreign.pk}", {"role": "viewer"}).status_code == 404
    assert client.post(f"/settings/members/{foreign.pk}/remove").status_code == 404


def test_a_revoked_invitation_leads_nowhere(site: Site, ada: Person, ben: Person):
    owner = browser(ada)
    organization(owner)
    token = invite(owner, "ben@example.org")
    owner.post(f"/settings/invitations/{Invitation.objects.get().pk}/revoke")
    answer = browser(ben).post(f"/invitation/{token}", follow=True)
    assert "unknown, used, revoked or expired" in text_of(answer)


def test_a_buyer_who_needs_approval_waits_for_another_member(story: Story, mallory: Person):
    site, owner = story.site, browser(story.ada)
    lab = organization(owner)
    client = browser(mallory)
    client.post(f"/invitation/{invite(owner, 'mallory@example.org', needs_approval='on')}")
    offer = story.photographs.offer_id
    page = client.post(f"/checkout/{offer}", {"order_key": "k1", "recipient": RECIPIENT}, follow=True)
    assert "has to approve this order" in text_of(page)
    order = Order.objects.get(account=lab)
    assert "own" not in client.post(f"/orders/{order.pk}/judge", {"approve": ""}).content.decode()
    order.refresh_from_db()
    assert order.state == "approval"
    assert "wait for approval" in text_of(owner.get("/settings"))
    site.give(
        Person(story.ada.actor.__class__(lab, order.placed_by, frozenset(), None, needs_approval=False), site.now),
        10**9,
    )
    owner.post(f"/orders/{order.pk}/judge", {"approve": ""})
    order.refresh_from_db()
    assert order.state == "placed"


def test_a_declined_order_says_so(story: Story, mallory: Person):
    owner = browser(story.ada)
    lab = organization(owner)
    client = browser(mallory)
    client.post(f"/invitation/{invite(owner, 'mallory@example.org', needs_approval='on')}")
    client.post(f"/checkout/{story.photographs.offer_id}", {"order_key": "k1", "recipient": RECIPIENT})
    order = Order.objects.get(account=lab)
    owner.post(f"/orders/{order.pk}/judge", {"decline": "", "cause": "Too dear."})
    assert "Declined. Nothing was paid. Too dear." in text_of(client.get(f"/orders/{order.pk}"))


def test_an_api_key_is_shown_once_and_works_until_revoked(site: Site, ada: Person):
    client = browser(ada)
    made = client.post("/settings/keys", {"name": "cluster", "scopes": ["read", "buy"], "days": "30"})
    secret = re.search(r">(cad_[\w-]+)<", text_of(made))[1]
    assert made["Cache-Control"] == "no-store"
    assert secret not in text_of(client.get("/settings/keys"))
    assert Api(secret).get("/me").status_code == 200
    assert Api(secret).post("/drafts", {}, key="k").status_code == 403
    client.post(f"/settings/keys/{ApiKey.objects.get().pk}/revoke")
    assert Api(secret).get("/me").status_code == 401


def test_a_key_without_anything_to_do_is_refused(site: Site, ada: Person):
    answer = browser(ada).post("/settings/keys", {"name": "empty", "days": "30"})
    assert "This field is required" in text_of(answer)
    assert not ApiKey.objects.exists()


def test_keys_of_others_are_out_of_reach(site: Site, ada: Person, mallory: Person):
    ada.key()
    assert browser(mallory).post(f"/settings/keys/{ApiKey.objects.get().pk}/revoke").status_code == 404
    assert ApiKey.objects.get().revoked is None


def test_taking_over_the_key_needs_a_second_factor_and_a_delay(
    site: Site, ada: Person, django_capture_on_commit_callbacks
):
    identity = pyrage.x25519.Identity.generate()
    client = browser(ada)
    refused = client.post("/settings/key/exports", {"recipient": str(identity.to_public())}, follow=True)
    assert "needs a second factor" in text_of(refused)
    prove_second_factor(client, ada)
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/settings/key/exports", {"recipient": str(identity.to_public())})
    assert mail.outbox[-1].to == ["ada@example.org"]
    export = KeyExport.objects.get()
    assert client.get(f"/settings/key/exports/{export.pk}").status_code == 404
    assert seal_key_exports(ring=site.ring, now=timezone.now()) == 0
    assert seal_key_exports(ring=site.ring, now=export.due) == 1
    sealed = client.get(f"/settings/key/exports/{export.pk}")
    key = pyrage.decrypt(sealed.content, [identity]).decode()
    assert key == site.ring.export_key(f"owner/{ada.actor.account.pk}")


def test_an_owner_stops_an_export_in_time_and_a_stranger_cannot(site: Site, ada: Person, mallory: Person):
    client = browser(ada)
    prove_second_factor(client, ada)
    client.post("/settings/key/exports", {"recipient": RECIPIENT})
    export = KeyExport.objects.get()
    assert browser(mallory).post(f"/settings/key/exports/{export.pk}/cancel").status_code == 404
    client.post(f"/settings/key/exports/{export.pk}/cancel")
    assert seal_key_exports(ring=site.ring, now=export.due) == 0


def test_a_wallet_is_connected_by_its_own_signature(site: Site, ada: Person):
    from eth_keys import keys

    from marketplace.actions.custody import wallet_link

    wallet = keys.PrivateKey(b"\x07" * 32)
    address = wallet.public_key.to_address()
    client = browser(ada)
    asked = client.get(f"/settings/key/wallet?address={address}").json()
    digest = wallet_link(by=ada.actor, address=address, deadline=asked["deadline"]).digest
    made = wallet.sign_msg_hash(digest)
    signature = "0x" + (made.r.to_bytes(32) + made.s.to_bytes(32) + bytes([made.v + 27])).hex()
    answer = client.post(
        "/settings/key/wallet/connect",
        {"address": address, "deadline": asked["deadline"], "signature": signature},
        follow=True,
    )
    assert "Connected" in text_of(answer)
    forged = client.post(
        "/settings/key/wallet/connect",
        {"address": "0x" + "99" * 20, "deadline": asked["deadline"], "signature": signature},
        follow=True,
    )
    assert "signed by another key" in text_of(forged)


def test_a_user_without_an_account_is_asked_for_a_name(site: Site):
    user = User.objects.create_superuser("root@example.org", "operator-of-all-1")
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert client.get("/balance")["Location"] == "/settings/begin"
    assert client.get("/operator").status_code == 200
    client.post("/settings/begin", {"display_name": "Root", "slug": "root"})
    assert client.get("/balance").status_code == 200
