"""Whatever is typed into a form, or sent to it without one, the answer is an answer and never a fault of ours."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest
from django.core import mail
from django.test import TestCase

from marketplace.actions.money import add_withdrawal_address
from marketplace.api.names import id_of
from tests.api.conftest import Api, Person, Site
from tests.web.town import browser, buy, prove_second_factor

pytestmark = pytest.mark.django_db
UUID = "00000000-0000-4000-8000-000000000000"
HOSTILE = (
    "", "0", "-1", "1e3", "１２", "5.", "NaN", "9223372036854775808", "18446744073709551615", "a\x00b", "a\nb: c",
    "\u202ex", "../../etc", "é" * 300, "9999-12-31",
)  # fmt: skip
# Address → fields with values that are fine; {d} is the dataset, {l} the license. What ends a dataset comes last.
FORMS = {
    "/settings/rename": {"display_name": "Ada", "slug": "ada"},
    "/settings/organizations": {"display_name": "Lab", "slug": "lab"},
    "/settings/members": {"email": "x@example.org", "role": "buyer", "spend_limit": "5"},
    "/settings/switch": {"account": "ada", "next": "/"},
    "/settings/keys": {"name": "k", "scopes": "read", "days": "90", "spend_limit": "5"},
    "/settings/key/exports": {"recipient": "age1"},
    "/settings/key/wallet/connect": {"address": "0x" + "5a" * 20, "deadline": "1", "signature": "0x00"},
    "/settings/key/hand-over": {"dataset": "{d}", "address": "0x" + "5a" * 20},
    "/balance/collect": {"amount": "1"},
    "/balance/addresses": {"address": "0x" + "5a" * 20},
    "/balance/withdraw": {"destination": "{a}", "amount": "1"},
    "/d/{d}/manage/offer": {
        "preset": "train-commercial", "price": "9", "rate_unit": "run", "rate_price": "1", "allowance": "1",
    },
    "/d/{d}/manage/private-offer": {"preset": "train-commercial", "price": "9", "buyer": "cleo", "days": "9"},
    "/d/{d}/manage/sales": {"reason": "quality"},
    "/d/{d}/manage/name": {"slug": "other"},
    "/d/{d}/manage/shares": {"email": "x@example.org", "role": "editor", "percent": "5"},
    "/d/{d}/manage/derive-share": {"percent": "5", "derive_bps": "5", "share": "5"},
    "/orders/" + UUID + "/judge": {"cause": "no"},
    "/licenses/{l}": {
        "version": "1", "first": "2026-11-29", "last": "2026-11-29", "use": "fine-tune", "quantity": "5", "model": "m",
        "run": "r", "corrects": "", "report": "1", "report_key": "k",
    },
    "/licenses/{l}/readers": {"reader": "Dora", "days": "5"},
    "/licenses/{l}/recipients": {"recipient": "age1"},
    "/verify": {},
    "/look-up": {"sha256": "0" * 64},
    "/d/{d}/manage/stop": {"reason": "owner-request", "act": "withhold"},
}  # fmt: skip


ADDRESSES = (
    "/audit?tx={v}", "/log?type={v}", "/log?subject={v}", "/log?page={v}", "/explore?q={v}", "/explore?price={v}",
    "/explore?page={v}", "/find?q={v}", "/sha256/{v}", "/cid/{v}", "/checkout/{v}", "/docs/{v}", "/log/{v}",
    "/disclosed/{v}", "/invitation/{v}", "/contribution/{v}", "/balance/statement/{v}", "/licenses/{v}", "/d/{v}",
    "/l/{v}", "/licenses/{{l}}?corrects={v}", "/d/{{d}}/files?page={v}", "/earnings?token={v}",
)  # fmt: skip


@pytest.fixture
def places(site: Site, ada: Person) -> dict[str, str]:
    listing = site.publish(ada)
    site.give(ada, 1_000_000_000)
    row, _order = buy(site, ada, listing)
    proved = replace(ada.actor, second_factor=True)
    address = add_withdrawal_address(by=proved, address="0x" + "5b" * 20, now=site.now)
    return {"d": id_of(listing.dataset), "l": id_of(row.pk), "a": str(address.pk)}


def test_every_field_of_every_form_takes_everything(places: dict[str, str], ada: Person, cleo: Person):
    client = browser(ada)
    prove_second_factor(client, ada)
    for form, fields in FORMS.items():
        address = form.format(**places)
        good = {name: value.format(**places) for name, value in fields.items()}
        sent = [{**good, name: value} for name in good for value in HOSTILE]
        for data in (*sent, *(dict.fromkeys(good, value) for value in HOSTILE), {}):
            assert client.post(address, data).status_code < 500, (address, data)


def test_every_address_takes_everything(places: dict[str, str], ada: Person):
    client = browser(ada)
    for address in ADDRESSES:
        for value in HOSTILE:
            asked = address.format(v=quote(value, safe="")).format(**places)
            assert client.get(asked).status_code < 500, asked


@pytest.mark.parametrize(
    "address", ["0", "home", "//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
def test_a_form_leads_back_to_addresses_of_this_site_only(ada: Person, address: str):
    answer = browser(ada).post("/settings/switch", {"account": "ada", "next": address})
    assert (answer.status_code, answer["Location"]) == (302, "/settings")
    there = browser(ada).post("/settings/switch", {"account": "ada", "next": "/explore?q=a"})
    assert there["Location"] == "/explore?q=a"


def test_owners_hear_of_a_new_withdrawal_address_whichever_way_it_came(site: Site, ada: Person):
    site.give(ada, 1_000_000)
    client = browser(ada)
    prove_second_factor(client, ada)
    wish = {"address": "0x" + "5c" * 20, "amount": "5"}
    with TestCase.captureOnCommitCallbacks(execute=True):
        asked = Api(client=client).post("/withdrawals", wish, key="w")
    assert asked.status_code == 202, asked.content
    assert [letter.subject for letter in mail.outbox] == ["A new withdrawal address at Cadastre"]
    assert wish["address"] in mail.outbox[0].body
