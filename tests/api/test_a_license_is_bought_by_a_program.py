"""Quotes, orders, approvals, refunds, usage, earnings over REST; each with the refusals next to it."""

import uuid
from datetime import timedelta

import pytest

from cadastre.client import Client as Program
from cadastre.client import ClientRefusal
from marketplace.actions.accounts import create_organization
from marketplace.actions.api_keys import create_api_key
from marketplace.actions.members import accept_invitation, invite_member
from marketplace.api.names import id_of
from marketplace.models import Membership, OfferRow, Order, PayoutRow, SettlementRow
from marketplace.queries.actors import actor_of_user
from marketplace.queries.addresses import owner_signing
from provenance.models import Document, Intent
from tests.api.conftest import PRICE, RECIPIENT, TOKEN, Api, Person

pytestmark = pytest.mark.django_db


def wish(listing, **changes) -> dict:
    listing.refresh_from_db()
    return {"offer": listing.offer_id, "recipient": RECIPIENT, **changes}


def test_a_quote_says_total_fee_terms_and_what_use_would_cost(cleo, listing, dataset):
    answer = cleo.api("buy").post("/quotes", {"dataset": dataset, "units": 10})
    quote = answer.json()
    assert (answer.status_code, quote["total"]["text"], quote["fee"]["text"], quote["usage"]["text"]) == (
        201, "240.00 TUSD", "6.00 TUSD", "8.00 TUSD",
    )  # fmt: skip
    assert (quote["offer"], quote["dataset"]) == (listing.offer_id, dataset)
    assert quote["sentences"][0].startswith("You may")
    assert cleo.api().post("/quotes", {"dataset": dataset}).json()["usage"] is None


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"dataset": f"31337-{'11' * 20}-99"}, 404, "dataset.not_found"),
        ({"dataset": "12"}, 400, "request.body"),
        ({}, 400, "request.body"),
        ({"offer": "0" * 64}, 422, "offer.none"),
        ({"offer": "xyz"}, 400, "request.body"),
        ({"units": -1}, 400, "request.body"),
    ],
)
def test_a_quote_for_what_is_not_there_is_refused(cleo, dataset, body, status, code):
    asked = {"dataset": dataset, **body} if body else {}
    answer = cleo.api().post("/quotes", asked)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_quote_is_ordered_once(site, cleo, dataset):
    site.give(cleo, 3 * PRICE)
    api = cleo.api()
    quote = api.post("/quotes", {"dataset": dataset}).json()["id"]
    order = api.post("/orders", {"quote": quote, "recipient": RECIPIENT}, key="a")
    assert (order.status_code, order.json()["state"], order.json()["total"]["amount"]) == (202, "placed", str(PRICE))
    again = api.post("/orders", {"quote": quote, "recipient": RECIPIENT}, key="b")
    assert (again.status_code, again.json()["code"]) == (409, "order.quote")
    stranger = api.get(f"/orders/{uuid.uuid4()}")
    assert (stranger.status_code, stranger.json()["code"]) == (404, "order.not_found")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"recipient": "age1short"}, 400, "request.body"),
        ({"recipient": "AGE-SECRET-KEY-1" + "Q" * 58}, 400, "request.body"),
        ({"offer": "f" * 64}, 404, "offer.not_found"),
        ({"offer": None}, 422, "order.what"),
        ({"quote": str(uuid.uuid4())}, 422, "order.what"),
        ({"offer": None, "quote": str(uuid.uuid4())}, 404, "quote.not_found"),
        ({"offer": None, "quote": "7"}, 400, "request.body"),
    ],
)
def test_an_order_that_names_nothing_buyable_is_refused(site, cleo, listing, changes, status, code):
    site.give(cleo, PRICE)
    answer = cleo.api().post("/orders", wish(listing, **changes), key="k")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not Order.objects.exists()


def test_an_offer_that_ended_is_refused_with_its_state(site, cleo, listing):
    site.give(cleo, PRICE)
    body = wish(listing)
    OfferRow.objects.update(state=OfferRow.State.SUPERSEDED)
    answer = cleo.api().post("/orders", body, key="k")
    assert (answer.status_code, answer.json()["code"], answer.json()["actual"]) == (409, "offer.not_live", "superseded")


def test_waiting_ends_when_the_order_settles_or_the_time_is_over(site, cleo, listing):
    site.give(cleo, PRICE)
    api = cleo.api()
    moving = api.post("/orders", wish(listing), key="k", headers={"Prefer": "respond-async, wait=1"})
    assert (moving.status_code, moving.json()["state"], moving.headers["Preference-Applied"]) == (
        202,
        "placed",
        "wait=1",
    )
    order = moving.json()["id"]
    Intent.objects.filter(kind="market.purchase").update(tx="0x" + "ab" * 32)
    Order.objects.update(state=Order.State.FAILED, cause="The node refused it.")
    settled = api.get(f"/orders/{order}", headers={"Prefer": "wait=60"})
    assert settled.json() | {"changed": ""} == moving.json() | {
        "state": "failed", "cause": "The node refused it.", "tx": "0x" + "ab" * 32, "changed": "",
    }  # fmt: skip
    assert settled.headers["Preference-Applied"] == "wait=60"
    assert "Preference-Applied" not in api.get(f"/orders/{order}").headers
    assert api.get(f"/orders/{order}", headers={"Prefer": "wait=9999999"}).headers["Preference-Applied"] == "wait=60"


def test_orders_and_licenses_are_narrowed_by_state_and_dataset(site, cleo, listing, dataset):
    site.give(cleo, 3 * PRICE)
    api = cleo.api()
    placed, failed = (api.post("/orders", wish(listing), key=f"k{number}").json()["id"] for number in range(2))
    Order.objects.filter(pk=failed).update(state=Order.State.FAILED)
    found = {
        state: [row["id"] for row in api.get("/orders", state=state).json()["results"]]
        for state in ("placed", "failed")
    }
    assert found == {"placed": [placed], "failed": [failed]}
    assert len(api.get("/orders", dataset=dataset).json()["results"]) == 2
    license_id = id_of(site.license(cleo, listing).pk)
    elsewhere = f"{dataset}9"
    for path, state in (("/orders", "approval"), ("/licenses", "revoked")):
        assert api.get(path, state=state).json()["results"] == api.get(path, dataset=elsewhere).json()["results"] == []
        assert api.get(path, state="lost").status_code == 400
    shown = api.get("/licenses", state="active", dataset=dataset).json()["results"]
    assert [(row["id"], row["title"]) for row in shown] == [(license_id, listing.title)]


def test_orders_are_listed_newest_first(site, cleo, listing):
    site.give(cleo, 3 * PRICE)
    api = cleo.api()
    made = [api.post("/orders", wish(listing), key=f"k{number}").json()["id"] for number in range(3)]
    first = api.get("/orders", limit=2).json()
    second = api.get(first["next"]).json()
    assert [row["id"] for row in first["results"] + second["results"]] == made[::-1]
    assert second["next"] is None


def member(site, owner, person: Person, role, **limits) -> None:
    _, token = invite_member(by=owner, email=person.actor.membership.user.email, role=role, now=site.now, **limits)
    accept_invitation(by=person.actor.membership.user, token=token, now=site.now)


def test_an_order_over_a_members_limit_is_refused_and_one_to_approve_waits(site, ada, ben, cleo, listing):
    create_organization(by=cleo.actor.membership.user, slug="lab", display_name="The Lab", now=site.now)
    owner = actor_of_user(cleo.actor.membership.user, "lab")
    site.give(Person(owner, site.now), 10 * PRICE)
    member(site, owner, ben, Membership.Role.BUYER, needs_approval=True)
    buyer = ben.browser()
    session = buyer.http.session
    session["account"] = "lab"
    session.save()
    order = buyer.post("/orders", wish(listing), key="k").json()
    assert order["state"] == "approval"
    own = buyer.post(f"/orders/{order['id']}/approve")
    assert (own.status_code, own.json()["code"]) == (403, "access.role")
    chief = cleo.browser()
    session = chief.http.session
    session["account"] = "lab"
    session.save()
    approved = chief.post(f"/orders/{order['id']}/approve", key="yes")
    assert (approved.status_code, approved.json()["state"]) == (202, "placed")
    late = chief.post(f"/orders/{order['id']}/decline", {"cause": "too late"})
    assert (late.status_code, late.json()["code"]) == (409, "order.state")
    other = buyer.post("/orders", wish(listing), key="k2").json()
    declined = buyer.post(f"/orders/{other['id']}/decline", {"cause": "Not needed after all."})
    assert (declined.status_code, declined.json()["state"], declined.json()["cause"]) == (
        200, "declined", "Not needed after all.",
    )  # fmt: skip
    Membership.objects.filter(user=ben.actor.membership.user, account__slug="lab").update(
        spend_limit=PRICE - 1, needs_approval=False
    )
    over = buyer.post("/orders", wish(listing), key="k3")
    assert (over.status_code, over.json()["code"], over.json()["limit"]) == (422, "order.over_limit", PRICE - 1)


def test_a_license_shows_what_the_chain_says(site, cleo, listing, dataset):
    row = site.license(cleo, listing)
    site.deliver(row)
    api = cleo.api("read")
    (listed,) = api.get("/licenses").json()["results"]
    shown = api.get(f"/licenses/{listed['id']}").json()
    assert listed.items() <= shown.items()
    assert (shown["dataset"], shown["state"], shown["final"], shown["delivery"]) == (dataset, "active", True, "granted")
    assert (shown["price"]["text"], shown["tx"], shown["terms"]) == ("240.00 TUSD", row.tx, listing.offer.terms_id)


@pytest.mark.parametrize("name", ["31337-" + "22" * 20 + "-999", "31337-" + "99" * 20 + "-1"])
def test_an_unknown_license_is_404(cleo, name):
    answer = cleo.api().get(f"/licenses/{name}")
    assert (answer.status_code, answer.json()["code"]) == (404, "license.not_found")


def test_a_refund_is_asked_for_once_and_only_while_the_price_is_held(site, cleo, listing):
    site.give(cleo, PRICE)
    api = cleo.api()
    api.post("/orders", wish(listing), key="k")
    row = site.license(cleo, listing, order=Order.objects.get())
    address = f"/licenses/{id_of(row.pk)}/refund"
    first = api.post(address, key="r")
    assert first.status_code == 202
    assert api.post(address, key="r").content == first.content
    assert Intent.objects.filter(kind="market.refund").count() == 1
    row.hold_until = site.now - timedelta(seconds=1)
    row.save()
    late = api.post(address, key="r2")
    assert (late.status_code, late.json()["code"]) == (422, "license.hold_over")


# Usage


@pytest.fixture
def licensed(site, cleo, listing):
    site.give(cleo, PRICE)
    cleo.api().post("/orders", wish(listing), key="bought")
    row = site.license(cleo, listing, order=Order.objects.get())
    site.deliver(row)
    return row


def report(site, row, **changes) -> dict:
    today = site.now.date().isoformat()
    body = {
        "license": id_of(row.pk), "version": 1, "period": {"from": today, "to": today}, "use": "fine-tune",
        "quantity": "25000", "model": {"id": "vision-1"}, "run": {"commitment": "ab" * 32},
    }  # fmt: skip
    return {**body, **changes}


def test_a_report_costs_what_the_frozen_terms_say(site, cleo, licensed):
    site.give(cleo, 10 * PRICE)
    api = cleo.api("use")
    first = api.post("/usage", report(site, licensed), key="u1")
    assert first.status_code == 201, first.content
    shown = first.json()
    assert (shown["unit"], shown["quantity"], shown["amount"]["text"]) == ("records-1000", "25000", "20.00 TUSD")
    assert (shown["cumulative_units"], shown["cumulative_amount"]["text"]) == ("25000", "20.00 TUSD")
    assert shown["state"] == "wanted"
    second = api.post("/usage", report(site, licensed, quantity="5000"), key="u2").json()
    assert (second["amount"]["text"], second["cumulative_amount"]["text"]) == ("4.00 TUSD", "24.00 TUSD")
    assert api.post("/usage", report(site, licensed), key="u1").json() == shown
    listed = api.get("/usage", license=id_of(licensed.pk)).json()["results"]
    assert [row["quantity"] for row in listed] == ["5000", "25000"]
    fixed = api.post("/usage", report(site, licensed, quantity="24000", corrects=shown["digest"]), key="u3").json()
    assert (fixed["corrects"], fixed["amount"]["amount"]) == (shown["digest"], "0")
    assert api.get("/usage").json()["results"][-1]["corrected"] is True


def test_a_key_with_a_limit_spends_no_more_by_reporting_and_its_owner_lets_the_rest_enter(site, cleo, licensed):
    site.give(cleo, 10 * PRICE)
    _, token = create_api_key(
        by=cleo.actor, name="cluster", scopes=["use"], days=30, spend_limit=20_000_000, now=site.now
    )
    api, person = Api(token), cleo.browser()
    assert api.post("/usage", report(site, licensed), key="u1").json()["state"] == "wanted", "20.00, as much as it may"
    waiting = api.post("/usage", report(site, licensed, quantity="5000"), key="u2")
    shown = waiting.json()
    assert (waiting.status_code, shown["state"], shown["amount"]["text"]) == (201, "approval", "4.00 TUSD")
    assert (shown["cumulative_amount"]["text"], shown["reports_root"]) == ("20.00 TUSD", "")
    assert api.post(f"/usage/{shown['digest']}/approve").status_code == 403, "no key approves"
    approved = person.post(f"/usage/{shown['digest']}/approve", key="yes")
    assert (approved.status_code, approved.json()["cumulative_amount"]["text"]) == (202, "24.00 TUSD")
    again = person.post(f"/usage/{shown['digest']}/decline", {"cause": "too late"})
    assert (again.status_code, again.json()["code"]) == (409, "usage.state")
    other = api.post("/usage", report(site, licensed, quantity="5000"), key="u3").json()
    declined = person.post(f"/usage/{other['digest']}/decline", {"cause": "Reported twice."}).json()
    assert (declined["state"], declined["cause"]) == ("declined", "Reported twice.")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"use": "redistribute"}, 422, "usage.use_not_granted"),
        ({"use": "sell"}, 400, "request.body"),
        ({"version": 2}, 422, "usage.version_not_covered"),
        ({"version": 0}, 400, "request.body"),
        ({"quantity": "-1"}, 400, "request.body"),
        ({"quantity": "1.5"}, 400, "request.body"),
        ({"quantity": 25}, 400, "request.body"),
        ({"quantity": str(2**64)}, 422, "usage.quantity"),
        ({"period": {"from": "2026-11-20"}}, 400, "request.body"),
        ({"period": {"from": "2026-02-30", "to": "2026-03-01"}}, 400, "request.body"),
        ({"period": {"from": "2020-01-01", "to": "2020-01-02"}}, 422, "usage.before_license"),
        ({"model": {}}, 422, "usage.subject"),
        ({"model": {"id": "a", "commitment": "ab" * 32}}, 422, "usage.subject"),
        ({"model": {"id": ""}}, 400, "request.body"),
        ({"corrects": "0" * 64}, 422, "usage.corrects_unknown"),
        ({"license": f"31337-{'22' * 20}-999"}, 404, "license.not_found"),
    ],
)
def test_a_report_that_cannot_be_true_is_refused(site, cleo, licensed, changes, status, code):
    answer = cleo.api().post("/usage", report(site, licensed, **changes), key="u")
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
    assert cleo.api().get("/usage").json()["results"] == []


# Income


def test_earnings_say_what_comes_when_and_why(site, ada, cleo, listing):
    site.license(cleo, listing)
    site.license(cleo, listing, hold_until=site.now - timedelta(hours=1))
    earned = ada.api("finance").get("/earnings").json()
    assert (earned["held"]["text"], earned["unsettled"]["text"]) == ("240.00 TUSD", "240.00 TUSD")
    assert (earned["paid"]["amount"], earned["next_payout"]) == ("0", None)
    assert earned["why"]


def test_settlements_and_payouts_lead_to_each_other(site, ada, visitor):
    index = (
        b'{"schema":"cadastre.settlement/1","shards":[{"allocations":3,"balances":2,"bytes":99,"revenue":1,"sha256":"'
        + b"cd" * 32
        + b'"}]}'
    )
    document = Document.create_from_bytes(index, schema="cadastre.settlement/1")
    row = SettlementRow.objects.create(
        token=TOKEN, epoch=1, from_block=0, to_block=9, to_block_hash="0x" + "aa" * 32, ended_at=site.now,
        root="0x" + "bb" * 32, digest=document.pk, revenue=100, fees=3, allocated=97, cumulative=97, payees=1,
        state=SettlementRow.State.ACCEPTED, accepted_tx="0x" + "cc" * 32, pushed_at=site.now,
    )  # fmt: skip
    payout = PayoutRow.objects.create(
        settlement=row, leaf=0, payee=1, address=owner_signing(ada.actor.account).address, amount=97, cumulative=97,
        state=PayoutRow.State.PUSHING,
    )  # fmt: skip
    (listed,) = visitor.get("/settlements").json()["results"]
    assert (listed["epoch"], listed["state"], listed["tx"]) == (1, "accepted", "0x" + "cc" * 32)
    payout.state = PayoutRow.State.PAID
    payout.save()
    shown = visitor.get("/settlements/1").json()
    assert (shown["state"], shown["lines"], shown["digest"]) == ("paid", 4, document.pk)
    assert visitor.get(f"/documents/{shown['digest']}").content == index
    (paid,) = ada.api().get("/payouts").json()["results"]
    assert (paid["settlement"], paid["amount"]["text"], paid["state"]) == (document.pk, "0.000097 TUSD", "paid")
    assert visitor.get("/settlements", token=f"eip155:1/erc20:0x{'aa' * 20}").json()["results"] == []


@pytest.mark.django_db(transaction=True)
def test_the_python_client_buys_and_reports(live_server, site, ada, cleo, monkeypatch):
    monkeypatch.setattr("cadastre.client.WAIT", {"Prefer": "wait=1"})
    listing = site.publish(ada)
    site.give(cleo, 10 * PRICE)
    with Program(live_server.url, api_key=cleo.key()) as program:
        (found,) = program.search("sunspots", kind="table")
        quote = program.quote(found["id"])
        (offer,) = program.offers(found["id"])
        assert quote["offer"] == offer["digest"]
        with pytest.raises(ClientRefusal) as slow:
            program.buy(offer=offer["digest"], recipient=RECIPIENT, key="k", seconds=0)
        assert slow.value.code == "order.slow"
        row = site.license(cleo, listing, order=Order.objects.get())
        Order.objects.update(state=Order.State.FINAL, license=row.pk)
        order = program.buy(offer=offer["digest"], recipient=RECIPIENT, key="k")
        assert order["license"] == id_of(row.pk)
        site.deliver(row)
        assert b"cadastre.bundle/1" in program.bundle(order["license"])
        done = program.report_usage(report(site, row))
        assert done["amount"]["text"] == "20.00 TUSD"
        assert program.report_usage(report(site, row))["digest"] == done["digest"]
    assert Order.objects.count() == 1
