"""A program with a wallet, by REST alone: connect, publish, offer, buy, report; and what is refused on the way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.utils import timezone

from marketplace.actions.api_keys import create_api_key
from marketplace.api.names import id_of
from marketplace.models import Listing, WalletRequest
from marketplace.queries.actors import Actor
from provenance.models import DatasetRecord
from tests.api.conftest import RECIPIENT, Api
from tests.trade.register import Register, terms
from tests.trade.test_a_draft_becomes_a_listing import CSV, RIGHTS, Workshop
from tests.trade.test_use_is_reported_and_charged import RATE
from tests.trade.wallets import STRANGER, WALLET, address, fund, signed

pytestmark = pytest.mark.django_db
PRICE = 240_000_000


def program(actor: Actor, *scopes: str) -> Api:
    wanted = scopes or ("read", "publish", "buy", "use")
    return Api(create_api_key(by=actor, name="agent", scopes=wanted, days=30, now=timezone.now())[1])


def told(answer: Any, status: int) -> Any:
    assert answer.status_code == status, answer.content
    return answer.json()


def connected(api: Api, key=WALLET) -> str:
    link = told(api.get("/wallets/link", address=key.address), 200)
    given = {"address": key.address, "deadline": link["deadline"], "signature": signed(link["typed_data"], key)}
    return told(api.post("/wallets", given), 201)["address"]


def sign_wanted(api: Api, register: Register, key=WALLET) -> list[str]:
    """What an agent's loop does: look, sign, look again."""
    acts = []
    for _ in range(5):
        register.run()
        asked = told(api.get("/signatures", state="wanted", wallet=key.address), 200)["results"]
        if not asked:
            break
        for each in asked:
            answer = api.post(f"/signatures/{each['id']}", {"signature": signed(each["typed_data"], key)})
            assert told(answer, 200)["state"] == "signed"
            acts.append(each["act"])
    return acts


@pytest.fixture(autouse=True)
def by_the_clock(register: Register) -> None:
    """Requests are judged by the clock on the wall, the chain has its own: let both say about the same."""
    behind = int(timezone.now().timestamp() - register.now.timestamp())
    if behind > 0:
        register.world.development.advance(behind)


def test_a_wallet_is_connected_once_and_listed(register: Register, ada, mallory):
    api = program(ada)
    assert connected(api) == connected(api) == address()
    (shown,) = told(api.get("/wallets"), 200)["results"]
    assert (shown["address"], shown["owns"]) == (address(), False)
    assert told(program(mallory).get("/wallets"), 200)["results"] == []


def test_a_link_that_another_key_signed_or_another_account_got_connects_nothing(register: Register, ada, mallory):
    link = told(program(ada).get("/wallets/link", address=WALLET.address), 200)
    given = {"address": WALLET.address, "deadline": link["deadline"], "signature": signed(link["typed_data"])}
    assert told(program(mallory).post("/wallets", given), 422)["code"] == "signature.signer"
    wrong = {**given, "signature": signed(link["typed_data"], STRANGER)}
    assert told(program(ada).post("/wallets", wrong), 422)["code"] == "signature.signer"
    late = {**given, "deadline": link["deadline"] + 7200}
    assert told(program(ada).post("/wallets", late), 422)["code"] == "wallet.deadline"
    assert told(program(ada, "read").post("/wallets", given), 403)["code"] == "access.scope"
    told(program(ada).post("/wallets", given), 201)
    other = told(program(mallory).get("/wallets/link", address=WALLET.address), 200)
    taken = {"address": WALLET.address, "deadline": other["deadline"], "signature": signed(other["typed_data"])}
    assert told(program(mallory).post("/wallets", taken), 422)["code"] == "wallet.taken"
    assert told(program(ada).get("/wallets/link", address="0x12"), 400)["code"] == "request.query"


def test_a_program_publishes_under_its_wallet_and_offers(shop: Workshop, ada, mallory):
    register, api = shop.register, program(ada)
    register.sign()
    connected(api)
    refused = told(program(mallory).post("/drafts", {"owner": WALLET.address}), 422)
    assert refused["code"] == "account.address_unknown"
    name = told(api.post("/drafts", {"owner": WALLET.address}), 201)["id"]
    draft = shop.fill(ada, ada.account.drafts.get(pk=name), CSV, rights=RIGHTS)
    changes = {"revision": draft.revision, "terms": {**terms().to_document()}, "price": "5.00"}
    changes["terms"].pop("schema", None)
    told(api.patch(f"/drafts/{name}", changes), 200)
    review = told(api.get(f"/drafts/{name}/review"), 200)
    asked = review["wallet"]
    assert (asked["owner"], asked["derivations"]) == (address(), [])
    assert (
        told(api.post(f"/drafts/{name}/confirm", {"digest": review["digest"]}), 409)["code"] == "draft.wallet_signature"
    )
    wallet = {
        "deadline": asked["deadline"], "registration": signed(asked["registration"]),
        "attestation": signed(asked["attestation"], STRANGER),
    }  # fmt: skip
    body = {"digest": review["digest"], "wallet": wallet}
    assert told(api.post(f"/drafts/{name}/confirm", body), 422)["code"] == "signature.signer"
    wallet["attestation"] = signed(asked["attestation"])
    told(api.post(f"/drafts/{name}/confirm", body), 202)
    told(api.post(f"/drafts/{name}/confirm", body), 202)
    shop.publish(draft)
    assert DatasetRecord.objects.get().owner == address()
    assert told(api.get(f"/drafts/{name}/review"), 200)["wallet"] is None
    assert sign_wanted(api, register) == ["offer"]
    dataset = id_of(Listing.objects.get().pk)
    (offer,) = told(Api().get(f"/datasets/{dataset}/offers"), 200)["results"]
    assert offer["price"]["amount"] == "5000000"
    told(api.post(f"/datasets/{dataset}/listing", {"price": "6.00"}), 200)
    assert sorted(sign_wanted(api, register)) == ["cancel-offer", "offer"]


def test_a_program_buys_with_its_wallet_and_pays_for_use(register: Register, ada, cleo, mallory):
    listing = register.publish(ada, price=PRICE, with_terms=terms(rate=RATE, report_use=True))
    api = program(cleo)
    connected(api)
    fund(register, PRICE + 8_000_000)
    wish = {"offer": listing.offer_id, "recipient": RECIPIENT, "payer": WALLET.address}
    placed = told(api.post("/orders", wish, key="o1"), 202)
    assert (placed["state"], placed["payer"], placed["licensee"]) == ("signing", address(), address())
    assert "Everybody can see" in placed["visible"]
    register.run()
    asked = told(api.get(f"/orders/{placed['id']}"), 200)["signature"]
    assert (asked["act"], asked["state"], asked["subject"]) == ("purchase", "wanted", placed["id"])
    stranger = program(mallory)
    assert told(stranger.get(f"/signatures/{asked['id']}"), 404)["code"] == "signature.not_found"
    given = {"signature": signed(asked["typed_data"])}
    assert told(stranger.post(f"/signatures/{asked['id']}", given), 404)["code"] == "signature.not_found"
    assert told(program(cleo, "read").post(f"/signatures/{asked['id']}", given), 403)["code"] == "access.scope"
    wrong = {"signature": signed(asked["typed_data"], STRANGER)}
    assert told(api.post(f"/signatures/{asked['id']}", wrong), 422)["code"] == "signature.signer"
    assert sign_wanted(api, register) == ["purchase"]
    final = told(api.get(f"/orders/{placed['id']}"), 200)
    assert (final["state"], final["signature"]) == ("final", None)
    seen = told(api.get(f"/signatures/{asked['id']}"), 200)
    assert (seen["transaction"]["state"], seen["transaction"]["tx"]) == ("final", final["tx"])
    again = told(api.post("/orders", wish, key="o1"), 202)
    assert again["id"] == placed["id"]
    other = {**wish, "licensee": "fresh"}
    assert told(api.post("/orders", other, key="o1"), 422)["code"] == "idempotency.other_body"
    shown = told(api.get(f"/licenses/{final['license']}"), 200)
    assert (shown["licensee"], shown["payer"], shown["delivery"]) == (address(), address(), "granted")
    day = register.now.date().isoformat()
    report = {
        "license": final["license"], "version": 1, "period": {"from": day, "to": day}, "use": "fine-tune",
        "quantity": "5000", "model": {"id": "m"}, "run": {"id": "r"},
    }  # fmt: skip
    told(api.post("/usage", report, key="u1"), 201)
    assert sorted(sign_wanted(api, register)) == ["deposit", "voucher"]
    (said,) = told(api.get("/usage"), 200)["results"]
    assert (said["state"], said["amount"]["amount"]) == ("charged", "8000000")
    register.check_books()


def test_orders_name_only_wallets_that_are_connected(register: Register, ada, cleo, mallory):
    listing = register.publish(ada)
    connected(program(cleo))
    wish = {"offer": listing.offer_id, "recipient": RECIPIENT, "payer": WALLET.address}
    assert told(program(mallory).post("/orders", wish, key="o1"), 422)["code"] == "order.payer"
    assert not WalletRequest.objects.exists()


def test_what_the_wallet_is_asked_is_typed_data_as_wallets_take_it(register: Register, ada, cleo):
    listing = register.publish(ada)
    api = program(cleo)
    connected(api)
    wish = {"offer": listing.offer_id, "recipient": RECIPIENT, "payer": WALLET.address, "licensee": "fresh"}
    placed = told(api.post("/orders", wish, key="o1"), 202)
    assert (placed["signature"], placed["licensee"]) == (None, None), "the fresh address is still being made"
    register.run()
    typed = told(api.get(f"/orders/{placed['id']}"), 200)["signature"]["typed_data"]
    assert json.loads(json.dumps(typed)) == typed
    assert set(typed) == {"types", "domain", "primaryType", "message"}
    assert typed["types"]["EIP712Domain"][0] == {"name": "name", "type": "string"}
    assert {"from", "to", "value", "validAfter", "validBefore", "nonce"} == set(typed["message"])
