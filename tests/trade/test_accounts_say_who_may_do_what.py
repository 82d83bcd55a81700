"""Accounts, members, invitations and API keys."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from marketplace.actions.accounts import AccountRefusal, create_organization, rename_account, sign_up
from marketplace.actions.api_keys import create_api_key, note_use, revoke_api_key
from marketplace.actions.members import accept_invitation, change_member, invite_member, remove_member
from marketplace.models import Account, AccountAddress, ApiKey, Membership
from marketplace.queries.actors import AccessRefusal, Act, actor_of_key, actor_of_user
from marketplace.queries.catalog import account_at
from tests.trade.conftest import NOW, person

pytestmark = pytest.mark.django_db
Role = Membership.Role


def organization(owner, slug="lab"):
    create_organization(by=owner.membership.user, slug=slug, display_name="The Lab", now=NOW)
    return actor_of_user(owner.membership.user, slug)


def join(owner, member, role, **limits):
    _, token = invite_member(by=owner, email=member.membership.user.email, role=role, now=NOW, **limits)
    accept_invitation(by=member.membership.user, token=token, now=NOW)
    return actor_of_user(member.membership.user, owner.account.slug)


def test_signing_up_makes_an_account_and_asks_for_its_address(ada):
    assert ada.account.slug == "ada"
    assert ada.account.display_name == "Ada"
    wanted = AccountAddress.objects.get(account=ada.account)
    assert (wanted.state, wanted.address, wanted.key_path) == ("wanted", None, f"owner/{ada.account.id}")
    assert ada.may(Act.FINANCE)


def test_the_same_e_mail_address_cannot_sign_up_twice(ada):
    with pytest.raises(AccountRefusal, match="has signed up"):
        sign_up(email="ADA@example.org", password="another-secret", display_name="Ada", now=NOW)


def test_two_people_with_the_same_name_get_two_slugs(ada):
    other = sign_up(email="ada@example.com", password="another-secret", display_name="Ada", now=NOW)
    assert other.account.slug.startswith("ada-")


@pytest.mark.parametrize("slug", ["d", "api", "Ada", "-ada", "ada-", "a b", "", "x" * 41])
def test_slugs_that_would_break_addresses_are_refused(ada, slug):
    with pytest.raises(AccountRefusal):
        create_organization(by=ada.membership.user, slug=slug, display_name="The Lab", now=NOW)


@pytest.mark.parametrize("name", ["Ada\u200b", "\u200eAda", "\u3164", "A\u00adda", "Ada\u202e", "\ufeff", "A\nda"])
def test_a_name_that_looks_like_anothers_or_like_none_is_refused(ada, mallory, name):
    with pytest.raises(AccountRefusal) as refused:
        rename_account(by=mallory, display_name=name)
    assert refused.value.code == "account.display_name"
    joined = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 👩‍🔬"
    assert rename_account(by=mallory, display_name=joined).display_name == joined, "joiners that scripts need"


def test_a_taken_slug_is_refused_and_a_free_one_renames(ada, ben):
    with pytest.raises(AccountRefusal, match="taken"):
        rename_account(by=ada, display_name="Ada L.", slug="ben")
    assert rename_account(by=ada, display_name="Ada L.", slug="ada-l").slug == "ada-l"


def test_a_name_that_was_given_up_leads_to_its_account_and_nobody_else_can_take_it(ada, ben, mallory):
    rename_account(by=ada, display_name="Ada L.", slug="ada-l")
    assert account_at("ada") == account_at("ada-l") == ada.account
    assert actor_of_user(ada.membership.user, "ada").account == ada.account
    with pytest.raises(AccessRefusal):
        actor_of_user(mallory.membership.user, "ada")
    with pytest.raises(AccountRefusal, match="taken"):
        rename_account(by=mallory, display_name="Ada", slug="ada")
    with pytest.raises(AccountRefusal, match="taken"):
        create_organization(by=mallory.membership.user, slug="ada", display_name="Ada", now=NOW)
    assert (
        sign_up(email="ada@example.com", password="another-secret", display_name="Ada", now=NOW).account.slug != "ada"
    )
    assert rename_account(by=ada, display_name="Ada", slug="ada").slug == "ada"
    assert account_at("ada-l") == ada.account
    assert account_at("ada-the-third") is None


def test_a_stranger_finds_no_organization(ada, mallory):
    organization(ada)
    with pytest.raises(AccessRefusal) as refused:
        actor_of_user(mallory.membership.user, "lab")
    assert refused.value.code == "account.not_found"


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        (Role.PUBLISHER, Act.PUBLISH, Act.BUY),
        (Role.BUYER, Act.BUY, Act.PUBLISH),
        (Role.FINANCE, Act.FINANCE, Act.BUY),
        (Role.VIEWER, Act.READ, Act.USE),
    ],
)
def test_each_role_may_do_its_own_and_nothing_else(ada, ben, role, may, may_not):
    member = join(organization(ada), ben, role)
    member.require(may)
    with pytest.raises(AccessRefusal) as refused:
        member.require(may_not)
    assert refused.value.code == "access.role"
    assert refused.value.actual == role


def test_an_invitation_is_for_one_person_once_and_in_time(ada, ben, mallory):
    lab = organization(ada)
    _, token = invite_member(by=lab, email="ben@example.org", role=Role.BUYER, now=NOW)
    with pytest.raises(AccountRefusal, match="another e-mail"):
        accept_invitation(by=mallory.membership.user, token=token, now=NOW)
    with pytest.raises(AccountRefusal, match="expired"):
        accept_invitation(by=ben.membership.user, token=token, now=NOW + timedelta(days=15))
    accept_invitation(by=ben.membership.user, token=token, now=NOW)
    with pytest.raises(AccountRefusal, match="used"):
        accept_invitation(by=ben.membership.user, token=token, now=NOW)


def test_only_an_owner_invites_and_only_into_an_organization(ada, ben):
    member = join(organization(ada), ben, Role.VIEWER)
    with pytest.raises(AccessRefusal):
        invite_member(by=member, email="m@example.org", role=Role.OWNER, now=NOW)
    with pytest.raises(AccountRefusal, match="one member"):
        invite_member(by=ada, email="m@example.org", role=Role.VIEWER, now=NOW)


def test_the_last_owner_can_neither_leave_nor_step_down(ada, ben):
    lab = organization(ada)
    with pytest.raises(AccountRefusal, match="at least one owner"):
        remove_member(by=lab, membership=lab.membership, now=NOW)
    with pytest.raises(AccountRefusal, match="at least one owner"):
        change_member(by=lab, membership=lab.membership, role=Role.VIEWER)
    join(lab, ben, Role.OWNER)
    remove_member(by=lab, membership=lab.membership, now=NOW)
    assert Membership.objects.filter(account=lab.account).count() == 1


def test_a_member_of_another_account_does_not_exist(ada, ben):
    lab, other = organization(ada), organization(ben, "other")
    with pytest.raises(AccessRefusal) as refused:
        change_member(by=lab, membership=other.membership, role=Role.VIEWER)
    assert refused.value.code == "membership.not_found"


def test_an_api_key_is_shown_once_and_stored_as_a_digest(cleo):
    key, token = create_api_key(by=cleo, name="notebook", scopes=["read", "buy"], days=30, now=NOW, spend_limit=10)
    row = ApiKey.objects.get()
    assert token not in str(row.__dict__)
    assert row.digest == hashlib.sha256(token.encode()).hexdigest()
    actor = actor_of_key(token, now=NOW)
    assert (actor.account, actor.spend_limit, actor.key) == (cleo.account, 10, key)
    actor.require(Act.BUY)
    with pytest.raises(AccessRefusal) as refused:
        actor.require(Act.PUBLISH)
    assert refused.value.code == "access.scope"


def test_owners_hear_of_a_new_key_and_not_of_its_secret(ada, ben, mailoutbox, django_capture_on_commit_callbacks):
    lab = organization(ada)
    buyer = join(lab, ben, Role.BUYER)
    with django_capture_on_commit_callbacks(execute=True):
        _, token = create_api_key(by=buyer, name="trainer", scopes=["read", "buy"], days=30, now=NOW)
    (letter,) = mailoutbox
    assert letter.to == [ada.membership.user.email]
    assert "trainer" in letter.body
    assert "buy, read" in letter.body
    assert token not in letter.body


@pytest.mark.parametrize("spoil", ["wrong", "expired", "revoked", "empty"])
def test_a_wrong_expired_or_revoked_key_is_refused_in_the_same_words(cleo, spoil):
    key, token = create_api_key(by=cleo, name="notebook", scopes=["read"], days=30, now=NOW)
    now = NOW + timedelta(days=30) if spoil == "expired" else NOW
    if spoil == "revoked":
        revoke_api_key(by=cleo, key=key, now=NOW)
    sent = {"wrong": token[:-1] + ("A" if token[-1] != "A" else "B"), "empty": ""}.get(spoil, token)
    with pytest.raises(AccessRefusal) as refused:
        actor_of_key(sent, now=now)
    assert refused.value.code == "access.key"
    assert refused.value.message == "This API key is unknown, revoked or expired."


@pytest.mark.parametrize(
    ("scopes", "days"), [([], 30), (["manage"], 30), (["nonsense"], 30), (["read"], 0), (["read"], 367)]
)
def test_keys_without_scopes_with_too_much_or_without_end_are_refused(cleo, scopes, days):
    with pytest.raises(AccountRefusal):
        create_api_key(by=cleo, name="notebook", scopes=scopes, days=days, now=NOW)


def test_a_key_cannot_make_keys_and_cannot_do_more_than_its_maker(ada, ben):
    lab = organization(ada)
    buyer = join(lab, ben, Role.BUYER, spend_limit=100, needs_approval=True)
    with pytest.raises(AccountRefusal, match="cannot give"):
        create_api_key(by=buyer, name="k", scopes=["publish"], days=1, now=NOW)
    _, token = create_api_key(by=buyer, name="k", scopes=["read", "buy"], days=1, now=NOW, spend_limit=500)
    actor = actor_of_key(token, now=NOW)
    assert (actor.spend_limit, actor.needs_approval) == (100, True)
    with pytest.raises(AccessRefusal, match="cannot do this"):
        create_api_key(by=actor, name="k2", scopes=["read"], days=1, now=NOW)
    change_member(by=lab, membership=buyer.membership, role=Role.VIEWER)
    assert actor_of_key(token, now=NOW).acts == {Act.READ}, "a lost role is lost for keys, too"
    remove_member(by=lab, membership=buyer.membership, now=NOW)
    with pytest.raises(AccessRefusal):
        actor_of_key(token, now=NOW)


def test_a_key_is_revoked_by_its_maker_or_an_owner_and_by_nobody_else(ada, ben, cleo):
    lab = organization(ada)
    maker, other = join(lab, ben, Role.BUYER), join(lab, cleo, Role.BUYER)
    key, _ = create_api_key(by=maker, name="k", scopes=["read"], days=1, now=NOW)
    with pytest.raises(AccessRefusal):
        revoke_api_key(by=other, key=key, now=NOW)
    with pytest.raises(AccessRefusal):
        revoke_api_key(by=person("Eve"), key=key, now=NOW)
    revoke_api_key(by=lab, key=key, now=NOW)


def test_use_of_a_key_is_noted_to_the_minute(cleo):
    key, _ = create_api_key(by=cleo, name="k", scopes=["read"], days=1, now=NOW)
    for seconds, noted in ((0, NOW), (30, NOW), (90, NOW + timedelta(seconds=90))):
        note_use(key=key, now=NOW + timedelta(seconds=seconds))
        key.refresh_from_db()
        assert key.last_used == noted


def test_signing_up_on_the_page_creates_account_and_membership(client, db):
    told = {"display_name": "Dora", "email": "dora@example.org", "password1": "Dora-keeps-a-secret"}
    answer = client.post("/account/signup/", told)
    assert answer.status_code == 302
    account = Account.objects.get(slug="dora")
    assert account.memberships.get().user.email == "dora@example.org"
    assert account.addresses.get().state == "wanted"
