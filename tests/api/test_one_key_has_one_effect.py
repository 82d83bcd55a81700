"""`Idempotency-Key`: fifty at once are one order, a lost reply is no second one, another body is refused."""

import pytest

from marketplace import journal
from marketplace.models import Draft, IdempotencyRecord, Order
from tests.api.conftest import PRICE, RECIPIENT, TOKEN, at_once


def wish(listing):
    listing.refresh_from_db()
    return {"offer": listing.offer_id, "recipient": RECIPIENT}


@pytest.mark.django_db(transaction=True)
def test_fifty_at_once_are_one_order_with_one_answer(site, ada, cleo):
    listing = site.publish(ada)
    site.give(cleo, 10 * PRICE)
    body, token = wish(listing), cleo.key()
    from tests.api.conftest import Api

    answers = at_once(50, lambda _: Api(token).post("/orders", body, key="once"))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert Order.objects.count() == 1
    assert [answer.headers.get("Idempotency-Replayed") for answer in answers].count(None) == 1
    balance = journal.balance_of(cleo.actor.account.pk, TOKEN)
    assert (balance.available, balance.held) == (9 * PRICE, PRICE)


@pytest.mark.django_db
def test_a_lost_reply_and_a_second_try_give_the_same_license(site, cleo, listing):
    site.give(cleo, 10 * PRICE)
    api = cleo.api()
    first = api.post("/orders", wish(listing), key="lost")
    row = site.license(cleo, listing, order=Order.objects.get())
    Order.objects.update(state=Order.State.FINAL, license=row.pk)
    again = api.post("/orders", wish(listing), key="lost", headers={"Prefer": "wait=1"})
    assert (again.status_code, again.json()["id"], again.json()["state"]) == (201, first.json()["id"], "final")
    assert again.json()["license"] == f"31337-{'22' * 20}-1"
    assert again.headers["Preference-Applied"] == "wait=1"
    assert again.headers["Location"] == first.headers["Location"]
    plain = api.post("/orders", wish(listing), key="lost")
    assert (plain.status_code, plain.content) == (first.status_code, first.content)
    assert Order.objects.count() == 1


@pytest.mark.django_db
def test_the_key_with_another_body_or_at_another_address_is_refused(site, cleo, listing):
    site.give(cleo, 10 * PRICE)
    api = cleo.api()
    assert api.post("/orders", wish(listing), key="k").status_code == 202
    other = api.post("/orders", {**wish(listing), "recipient": "age1" + "q" * 58}, key="k")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.other_body")
    elsewhere = api.post("/drafts", {}, key="k")
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (422, "idempotency.other_body")
    assert (Order.objects.count(), Draft.objects.filter(account=cleo.actor.account).count()) == (1, 0)


@pytest.mark.django_db
def test_the_same_key_of_another_account_is_another_key(site, cleo, ben, listing):
    for person in (cleo, ben):
        site.give(person, PRICE)
        assert person.api().post("/orders", wish(listing), key="k").status_code == 202
    assert Order.objects.count() == 2


@pytest.mark.django_db
def test_a_refused_request_leaves_the_key_free(site, cleo, listing):
    api = cleo.api()
    poor = api.post("/orders", wish(listing), key="k")
    assert (poor.status_code, poor.json()["code"]) == (422, "balance.too_low")
    site.give(cleo, PRICE)
    assert api.post("/orders", wish(listing), key="k").status_code == 202


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("key", "status", "code"),
    [(None, 400, "request.idempotency_key"), ("x" * 256, 400, "idempotency.key"), ("x" * 255, 202, None)],
)
def test_what_costs_money_needs_a_key_of_at_most_255_characters(site, cleo, listing, key, status, code):
    site.give(cleo, PRICE)
    answer = cleo.api().post("/orders", wish(listing), key=key)
    assert (answer.status_code, answer.json().get("code")) == (status, code)


@pytest.mark.django_db
def test_what_makes_something_takes_a_key_but_needs_none(ada):
    api = ada.api()
    first, second = api.post("/drafts", {}, key="d"), api.post("/drafts", {}, key="d")
    assert first.json()["id"] == second.json()["id"] != api.post("/drafts").json()["id"]
    assert second.headers["Idempotency-Replayed"] == "true"
    assert IdempotencyRecord.objects.count() == 1


@pytest.mark.django_db
def test_a_faucet_draw_is_drawn_once(cleo):
    api = cleo.api()
    first = api.post("/faucet", {"amount": "5000000"}, key="f")
    assert (first.status_code, first.json()["amount"]["text"], first.json()["state"]) == (202, "5.00 TUSD", "sending")
    assert api.post("/faucet", {"amount": "5000000"}, key="f").json() == first.json()
    assert first.headers["Location"] == "/api/v1/me"
    for number in range(4):
        assert api.post("/faucet", key=f"g{number}").status_code == 202
    over = api.post("/faucet", key="h")
    assert (over.status_code, over.json()["code"]) == (429, "limit.rate")
    assert int(over.headers["Retry-After"]) >= 1
