"""No key, a wrong key, a missing scope, another account's object, a browser without its token: each has its answer."""

import re
import uuid
from datetime import timedelta

import pytest
from django.urls import get_resolver

from marketplace.actions.accounts import create_organization
from marketplace.actions.members import accept_invitation, invite_member
from marketplace.api.names import id_of
from marketplace.api.resource import Resource
from marketplace.models import ApiKey, Membership
from marketplace.queries.actors import SCOPES, Act, actor_of_user
from tests.api.conftest import PRICE, RECIPIENT, TABLE, Api, Person

pytestmark = pytest.mark.django_db

SOME_UUID = "00000000-0000-4000-8000-000000000000"
SOME_ID = f"31337-{'11' * 20}-99"
KINDS = {
    "uuid": SOME_UUID,
    "dataset": SOME_ID,
    "license": SOME_ID,
    "number": "7",
    "sha256": "0" * 64,
    "cid": "bafkreia" + "a" * 51,
}


def operations() -> list[tuple[str, str, Act | None, bool]]:
    """(method, address, scope, whether a person is needed) of everything below /api/v1."""
    found = []
    api = next(each for each in get_resolver().url_patterns if str(each.pattern) == "api/v1/")
    for pattern in api.url_patterns:
        view = getattr(pattern.callback, "cls", None)
        if view is None or not issubclass(view, Resource):
            continue
        path = re.sub(r"<(\w+):\w+>", lambda part: KINDS[part[1]], "/" + str(pattern.pattern))
        found += [(method, path, act, method in view.persons) for method, act in view.acts.items()]
    return found


OPERATIONS = operations()
GUARDED = [each for each in OPERATIONS if each[2] is not None or each[3]]
SCOPED = [each for each in GUARDED if each[2] in SCOPES and not each[3]]


def names(operation: tuple) -> str:
    return f"{operation[0]} {operation[1]}"


def test_every_address_of_the_reference_exists():
    said = {names(each).replace(SOME_UUID, "{id}").replace(SOME_ID, "{id}") for each in OPERATIONS}
    assert {"GET /me", "POST /drafts/{id}/check", "POST /orders", "GET /licenses/{id}/bundle", "POST /usage"} <= said
    assert len(OPERATIONS) > 50


@pytest.mark.parametrize("operation", GUARDED, ids=names)
def test_without_a_key_nothing_private_answers(site, visitor, operation):
    method, path, _, _ = operation
    answer = visitor.send(method, path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert method == "HEAD" or answer.json()["code"] == "access.missing"


@pytest.mark.parametrize("operation", OPERATIONS, ids=names)
def test_a_wrong_key_is_refused_everywhere_even_where_none_is_needed(site, operation):
    method, path, _, _ = operation
    answer = Api("cad_wrong-wrong-wrong-wrong-wrong-wrong").send(method, path)
    assert answer.status_code == 401
    assert method == "HEAD" or answer.json()["code"] == "access.key"


@pytest.mark.parametrize("operation", SCOPED, ids=names)
def test_a_key_without_the_scope_is_refused(ada, operation):
    method, path, act, _ = operation
    others = sorted(SCOPES - {act})
    answer = ada.api(*others).send(method, path, headers={"Tus-Resumable": "1.0.0"})
    assert answer.status_code == 403
    if method != "HEAD":
        problem = answer.json()
        assert (problem["code"], problem["actual"]) == ("access.scope", act)


@pytest.mark.parametrize("operation", [each for each in GUARDED if each[3]], ids=names)
def test_what_needs_a_person_refuses_every_key(ada, operation):
    method, path, _, _ = operation
    answer = ada.api().send(method, path)
    assert (answer.status_code, answer.json()["code"]) in {(403, "access.person"), (403, "access.scope")}


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "Bearer ", "cad_abc", "Bearer cad_\xff", "bearer cad_x y"])
def test_a_header_that_is_no_bearer_key_is_refused(site, header):
    answer = Api().get("/me", headers={"Authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "access.key")


def test_revoked_and_expired_keys_look_like_unknown_ones(ada, site):
    token = ada.key("read")
    assert Api(token).get("/me").status_code == 200
    ApiKey.objects.update(expires=site.now - timedelta(seconds=1))
    expired = Api(token).get("/me")
    ApiKey.objects.update(expires=site.now + timedelta(days=1), revoked=site.now)
    revoked = Api(token).get("/me")
    unknown = Api("cad_" + "x" * 43).get("/me")
    assert expired.json() == revoked.json() == unknown.json()


def test_another_accounts_objects_do_not_exist(site, ada, mallory):
    listing = site.publish(ada)
    license_row = site.license(ada, listing)
    draft = site.draft(ada, {"more.csv": TABLE + b"2000,1\n"}, checked=False)
    site.give(ada, PRICE)
    own = ada.api()
    order = own.post("/orders", {"offer": listing.offer_id, "recipient": RECIPIENT}, key="one").json()
    files = own.get(f"/drafts/{draft.pk}/files").json()["results"]
    upload = files[0]["upload"].removeprefix("/api/v1")
    dataset, license_id = id_of(listing.dataset), id_of(license_row.pk)
    usage = {
        "license": license_id, "version": 1, "period": {"from": "2026-11-20", "to": "2026-11-20"}, "use": "pretrain",
        "quantity": "1", "model": {"id": "m"}, "run": {"id": "r"},
    }  # fmt: skip
    day = site.now.date().isoformat()
    mine = {**usage, "use": "fine-tune", "period": {"from": day, "to": day}}
    reported = own.post("/usage", mine, key="two").json()["digest"]
    requests = [
        ("GET", f"/drafts/{draft.pk}", None),
        ("PATCH", f"/drafts/{draft.pk}", {"revision": 1, "title": "Mine"}),
        ("DELETE", f"/drafts/{draft.pk}", None),
        ("GET", f"/drafts/{draft.pk}/files", None),
        ("POST", f"/drafts/{draft.pk}/check", None),
        ("GET", f"/drafts/{draft.pk}/matches", None),
        ("GET", f"/drafts/{draft.pk}/review", None),
        ("POST", f"/drafts/{draft.pk}/confirm", {"digest": "0" * 64}),
        ("HEAD", upload, None),
        ("DELETE", upload, None),
        ("POST", "/drafts", {"dataset": dataset}),
        ("POST", f"/datasets/{dataset}/listing", {"state": "delisted"}),
        ("GET", f"/orders/{order['id']}", None),
        ("POST", f"/orders/{order['id']}/decline", None),
        ("GET", f"/licenses/{license_id}", None),
        ("GET", f"/licenses/{license_id}/bundle", None),
        ("POST", f"/licenses/{license_id}/grants", {"recipient": RECIPIENT}),
        ("POST", f"/licenses/{license_id}/refund", None),
        ("GET", f"/licenses/{license_id}/blocks/bafkreia{'a' * 51}", None),
        ("POST", "/usage", usage),
        ("GET", f"/usage?license={license_id}", None),
        ("POST", f"/usage/{reported}/decline", None),
    ]
    stranger = mallory.api()
    for method, path, body in requests:
        answer = stranger.send(method, path, body, key=str(uuid.uuid4()), headers={"Tus-Resumable": "1.0.0"})
        assert answer.status_code == 404, (method, path, answer.content)
        assert method == "HEAD" or answer.json()["code"].endswith(".not_found")
    assert own.get(f"/drafts/{draft.pk}").json()["title"] == "Sunspots"


def test_another_accounts_key_cannot_be_revoked(ada, mallory):
    token = ada.key("read")
    key = ApiKey.objects.get(account=ada.actor.account)
    answer = mallory.browser().delete(f"/keys/{key.pk}")
    assert (answer.status_code, answer.json()["code"]) == (404, "api_key.not_found")
    assert Api(token).get("/me").status_code == 200


def test_lists_hold_only_ones_own(site, ada, mallory, listing):
    site.license(ada, listing)
    site.draft(ada, {"more.csv": TABLE}, checked=False)
    for path in ("/drafts", "/orders", "/licenses", "/usage", "/payouts"):
        assert mallory.api().get(path).json() == {"results": [], "next": None}


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (
            Membership.Role.PUBLISHER,
            {"/drafts": 200, "/orders": 403, "/licenses": 200, "/earnings": 403, "/usage": 403},
        ),
        (Membership.Role.BUYER, {"/drafts": 403, "/orders": 200, "/licenses": 200, "/earnings": 403, "/usage": 200}),
        (Membership.Role.FINANCE, {"/drafts": 403, "/orders": 403, "/licenses": 200, "/earnings": 200, "/usage": 403}),
        (Membership.Role.VIEWER, {"/drafts": 403, "/orders": 403, "/licenses": 200, "/earnings": 403, "/usage": 403}),
    ],
)
def test_a_members_role_bounds_what_their_browser_may_do(site, ada, ben, role, allowed):
    create_organization(by=ada.actor.membership.user, slug="lab", display_name="The Lab", now=site.now)
    owner = actor_of_user(ada.actor.membership.user, "lab")
    _, token = invite_member(by=owner, email="ben@example.org", role=role, now=site.now)
    accept_invitation(by=ben.actor.membership.user, token=token, now=site.now)
    browser = ben.browser()
    session = browser.http.session
    session["account"] = "lab"
    session.save()
    for path, status in allowed.items():
        answer = browser.get(path)
        assert answer.status_code == status, path
        assert status == 200 or answer.json()["code"] == "access.role"
    assert browser.get("/me").json()["account"]["slug"] == "lab"


def test_a_browser_needs_its_csrf_token_to_change_anything(ada):
    browser = ada.browser(csrf=True)
    assert browser.get("/me").status_code == 200
    refused = browser.post("/drafts")
    assert (refused.status_code, refused.json()["code"]) == (403, "access.csrf")
    token = "c" * 32
    browser.http.cookies["cadastre_csrf"] = token
    assert browser.post("/drafts", headers={"X-CSRFToken": token}).status_code == 201


def test_a_session_whose_membership_ended_speaks_for_the_person_alone(ada):
    browser = ada.browser()
    session = browser.http.session
    session["account"] = "somebody-else"
    session.save()
    assert browser.get("/me").json()["account"]["slug"] == "ada"


def test_a_key_is_made_by_a_person_and_its_secret_is_shown_once(ada):
    browser = ada.browser()
    made = browser.post("/keys", {"name": "ci", "scopes": ["read"], "days": 7})
    assert made.status_code == 201
    assert made.headers["Cache-Control"] == "no-store"
    secret = made.json()["secret"]
    assert Api(secret).get("/me").json()["scopes"] == ["read"]
    listed = browser.get("/keys").json()["results"]
    assert [key["name"] for key in listed] == ["ci"]
    assert secret not in browser.get("/keys").content.decode()
    assert browser.delete(f"/keys/{made.json()['id']}").status_code == 204
    assert Api(secret).get("/me").status_code == 401


def test_a_key_cannot_be_given_what_its_maker_may_not(ada):
    answer = ada.browser().post("/keys", {"name": "ci", "scopes": ["manage"], "days": 7})
    assert (answer.status_code, answer.json()["code"]) == (422, "api_key.scopes")


def test_withdrawing_needs_a_second_factor(site, ada: Person):
    site.give(ada, 1_000)
    wish = {"address": "0x" + "ab" * 20, "amount": "1000"}
    refused = ada.browser().post("/withdrawals", wish, key="w1")
    assert (refused.status_code, refused.json()["code"]) == (403, "access.second_factor")
    browser = ada.browser()
    session = browser.http.session
    user = ada.actor.membership.user
    session["account_authentication_methods"] = [{"method": "mfa", "at": site.now.timestamp(), "type": "totp"}]
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()
    done = browser.post("/withdrawals", wish, key="w1")
    assert (done.status_code, done.json()["amount"]["amount"], done.json()["state"]) == (202, "1000", "waiting")
    again = browser.post("/withdrawals", wish, key="w1")
    assert again.json() == done.json()
    assert browser.get("/withdrawals").json()["results"] == [done.json()]
    assert ada.api().get("/me").json()["balance"]["held"]["amount"] == "1000"
    for amount, code in (("0", "withdrawal.amount"), (str(2**63), "withdrawal.amount"), ("1", "balance.too_low")):
        answer = browser.post("/withdrawals", {**wish, "amount": amount}, key=f"wish-{amount}")
        assert (answer.status_code, answer.json()["code"]) == (422, code)
