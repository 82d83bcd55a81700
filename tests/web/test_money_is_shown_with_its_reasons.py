"""Earnings, payouts down to the sale, statements, exports, withdrawals."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from marketplace import journal
from marketplace.models import AccountAddress, PayoutRow, Withdrawal
from marketplace.web.spreadsheet import csv_response, safe_cell
from tests.api.conftest import TOKEN, Person, Site
from tests.web.town import Story, browser, prove_second_factor

pytestmark = pytest.mark.django_db
TARGET = "0x" + "9a" * 20


def text_of(answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def test_a_payout_leads_to_the_share_the_sale_and_the_transaction(story: Story):
    client = browser(story.ada)
    assert "23.40 TUSD" in text_of(client.get("/earnings"))
    page = client.get(f"/earnings/payouts/{story.payout.pk}")
    shown = text_of(page)
    assert "It was built from “Tide-pool photographs, Cornwall 2019–2025”, which is owed 10 %." in shown
    assert "240.00 TUSD 6.00 TUSD" in shown
    assert f"/audit?tx={story.license.tx}".encode() in page.content


def test_a_payout_of_somebody_else_does_not_exist(story: Story):
    assert browser(story.cleo).get(f"/earnings/payouts/{story.payout.pk}").status_code == 404


def test_a_settlement_without_its_documents_says_so(story: Story):
    from provenance.models import Document

    Document.objects.filter(pk=story.payout.settlement.digest).delete()
    page = browser(story.ada).get(f"/earnings/payouts/{story.payout.pk}")
    assert page.status_code == 200
    assert "not known here" in text_of(page)


def test_the_export_has_a_line_per_share(story: Story):
    answer = browser(story.ada).get("/earnings/export.csv")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert [(row["title"], row["why"], row["amount"]) for row in rows] == [("Shoreline survey", "ancestor", "23.40")]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1+1"])
def test_a_cell_that_a_spreadsheet_would_run_becomes_text(cell: str):
    assert safe_cell(cell) == f"'{cell}"
    assert next(csv.reader(io.StringIO(csv_response("x.csv", ("a",), [(cell,)]).content.decode().split("\n", 1)[1])))[
        0
    ].startswith("'")


@pytest.mark.parametrize("cell", ["Sunspots", "2026-11-20", 12, -12, "a=b", None])
def test_other_cells_stay_as_they_are(cell: object):
    assert safe_cell(cell) == ("" if cell is None else str(cell))


def test_a_statement_opens_moves_and_closes(story: Story):
    month = f"{timezone.now():%Y-%m}"
    client = browser(story.cleo)
    shown = text_of(client.get(f"/balance/statement/{month}"))
    assert "Balance at the beginning 0.00 TUSD" in shown
    assert "Balance at the end 1,000.00 TUSD" in shown
    rows = list(csv.DictReader(io.StringIO(client.get(f"/balance/statement/{month}?csv").content.decode())))
    assert [row["amount"] for row in rows] == ["1000.00"]


def test_a_statement_tells_what_was_paid_to_addresses_from_the_balance(story: Story):
    now, tx = timezone.now(), "0x" + "5d" * 32
    PayoutRow.objects.filter(pk=story.payout.pk).update(state=PayoutRow.State.PAID, tx=tx, changed=now)
    client, address = browser(story.ada), f"/balance/statement/{now:%Y-%m}"
    shown = text_of(client.get(address))
    assert "Nothing came or went." in shown
    assert "Paid to your own addresses" in shown
    assert f"Income of period {story.payout.settlement.epoch}" in shown
    rows = list(csv.DictReader(io.StringIO(client.get(f"{address}?csv").content.decode())))
    assert [(row["amount"], row["where"], row["cause"]) for row in rows] == [("23.40", "chain", tx)]
    assert "Paid to your own addresses" not in text_of(browser(story.cleo).get(address))
    PayoutRow.objects.filter(pk=story.payout.pk).update(amount=0)
    assert "Paid to your own addresses" not in text_of(client.get(address)), "a period in which nothing was earned"


@pytest.mark.parametrize("month", ["2026-13", "x", "2026-00", "1999-01", "2026-1²"])
def test_months_that_are_none_do_not_exist(site: Site, ada: Person, month: str):
    assert browser(ada).get(f"/balance/statement/{month}").status_code == 404


def test_money_leaves_with_a_second_factor_to_an_address_that_has_waited(
    site: Site, ada: Person, django_capture_on_commit_callbacks
):
    site.give(ada, 50_000_000)
    client = browser(ada)
    refused = client.post("/balance/addresses", {"address": TARGET}, follow=True)
    assert "needs a second factor" in text_of(refused)
    prove_second_factor(client, ada)
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/balance/addresses", {"address": TARGET})
    assert "new withdrawal address" in mail.outbox[-1].subject
    row = AccountAddress.objects.get(purpose="withdrawal")
    client.post("/balance/withdraw", {"destination": row.pk, "amount": "20.00"})
    waiting = Withdrawal.objects.get()
    assert waiting.due == row.usable_from > timezone.now() + timedelta(hours=23)
    assert journal.balance_of(ada.actor.account.pk, TOKEN) == journal.Balance(30_000_000, 20_000_000)
    assert "is sent on" in text_of(client.get("/balance"))
    client.post(f"/balance/withdrawals/{waiting.pk}/cancel")
    assert journal.balance_of(ada.actor.account.pk, TOKEN) == journal.Balance(50_000_000, 0)


def test_more_than_there_is_cannot_be_withdrawn(site: Site, ada: Person):
    client = browser(ada)
    prove_second_factor(client, ada)
    client.post("/balance/addresses", {"address": TARGET})
    row = AccountAddress.objects.get(purpose="withdrawal")
    answer = client.post("/balance/withdraw", {"destination": row.pk, "amount": "1.00"}, follow=True)
    assert "It is 1.00 TUSD; at most 0.00 TUSD is possible" in text_of(answer)
    assert not Withdrawal.objects.exists()


def test_an_amount_with_seven_decimals_is_refused(site: Site, ada: Person):
    client = browser(ada)
    prove_second_factor(client, ada)
    client.post("/balance/addresses", {"address": TARGET})
    row = AccountAddress.objects.get(purpose="withdrawal")
    answer = client.post("/balance/withdraw", {"destination": row.pk, "amount": "0.0000001"}, follow=True)
    assert "TUSD has 6 decimals" in text_of(answer)


def test_withdrawals_of_others_are_out_of_reach(site: Site, ada: Person, mallory: Person):
    site.give(ada, 50_000_000)
    client = browser(ada)
    prove_second_factor(client, ada)
    client.post("/balance/addresses", {"address": TARGET})
    row = AccountAddress.objects.get(purpose="withdrawal")
    client.post("/balance/withdraw", {"destination": row.pk, "amount": "20.00"})
    thief = browser(mallory)
    prove_second_factor(thief, mallory)
    assert thief.post(f"/balance/withdrawals/{Withdrawal.objects.get().pk}/cancel").status_code == 404
    taken = thief.post("/balance/withdraw", {"destination": row.pk, "amount": "1.00"}, follow=True)
    assert "not one of the available choices" in text_of(taken)
