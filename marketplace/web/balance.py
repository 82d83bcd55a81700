"""The balance: what an account has, play money, paying in, withdrawing, and a statement for each month."""

from __future__ import annotations

from uuid import UUID

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from marketplace import journal
from marketplace.actions import money
from marketplace.core.money import Amount
from marketplace.models import AccountAddress
from marketplace.queries.account_statements import account_statement
from marketplace.queries.actors import Act, Actor
from marketplace.queries.addresses import owner_addresses, withdrawal_addresses
from marketplace.queries.deployments import payment_token
from marketplace.web.acting import attempt, back_to, for_account
from marketplace.web.fields import AmountField
from marketplace.web.spreadsheet import csv_response


class WithdrawalForm(forms.Form):
    """How much, and where to."""

    destination = forms.TypedChoiceField(label=_("To"), coerce=int)
    amount = AmountField(label=_("Amount"))

    def __init__(self, *args: object, destinations: list[tuple[int, str]], **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]  # Django's own
        field = self.fields["destination"]
        assert isinstance(field, forms.TypedChoiceField)
        field.choices = destinations


@for_account
def balance(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What is there, what is held, what is under way."""
    actor.require(Act.READ)
    token = payment_token()
    addresses = withdrawal_addresses(actor.account)
    custodial = next((row for row in owner_addresses(actor.account) if row.key_path != "wallet"), None)
    now = timezone.now()
    return render(
        request,
        "web/balance.html",
        {
            "has": journal.balance_of(actor.account.pk, token.caip),
            "token": token.caip,
            "faucet": not settings.LIVE,
            "faucet_amount": settings.CADASTRE_FAUCET_AMOUNT,
            "custodial": custodial,
            "top_ups": actor.account.top_ups.order_by("-created")[:10],
            "addresses": addresses,
            "withdrawals": actor.account.withdrawals.select_related("destination").order_by("-created")[:20],
            "form": WithdrawalForm(destinations=_choices(addresses)),
            "second_factor": actor.second_factor,
            "may_move": actor.may(Act.FINANCE),
            "delay": settings.CADASTRE_WITHDRAWAL_DELAY,
            "now": now,
            "month": f"{now:%Y-%m}",
        },
    )


@for_account
@require_POST
def faucet(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Draw play money on a development chain."""
    attempt(
        request,
        lambda: money.draw_faucet(by=actor, now=timezone.now()),
        done=_("Play money is on its way. It is in your balance when it can no longer be undone, in a few seconds."),
    )
    return back_to(request, "balance")


@for_account
@require_POST
def collect(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Move income from the account's own address to its balance."""
    units = _amount(request)
    if units is not None:
        attempt(
            request,
            lambda: money.collect_income(by=actor, amount=units, now=timezone.now()),
            done=_("On its way to the balance."),
        )
    return redirect("balance")


@for_account
@require_POST
def add_address(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Name an address to withdraw to; owners hear of it."""
    address = request.POST.get("address", "").strip()

    def add() -> None:
        money.add_withdrawal_address(by=actor, address=address, now=timezone.now())

    attempt(request, add, done=_("Added. It can be used after the delay; we have written to all owners."))
    return redirect("balance")


@for_account
@require_POST
def withdraw(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Withdraw; what is taken is held at once."""
    form = WithdrawalForm(request.POST, destinations=_choices(withdrawal_addresses(actor.account)))
    if not form.is_valid():
        attempt(request, lambda: _raise_form(form))
        return redirect("balance")
    attempt(
        request,
        lambda: money.withdraw(by=actor, now=timezone.now(), **form.cleaned_data),
        done=_("Held for withdrawal. It is sent when the address can be used."),
    )
    return redirect("balance")


@for_account
@require_POST
def cancel(request: HttpRequest, actor: Actor, withdrawal: UUID) -> HttpResponse:
    """Take a withdrawal back in time."""
    attempt(
        request,
        lambda: money.cancel_withdrawal(by=actor, withdrawal=withdrawal, now=timezone.now()),
        done=_("Cancelled."),
    )
    return redirect("balance")


@for_account
def statement(request: HttpRequest, actor: Actor, month: str) -> HttpResponse:
    """A month's money, as a page or as CSV."""
    actor.require(Act.FINANCE)
    year, _dash, number = month.partition("-")
    if not (year.isdecimal() and number.isdecimal() and 2020 <= int(year) <= 2200 and 1 <= int(number) <= 12):
        raise Http404
    token = payment_token()
    found = account_statement(actor.account, token.caip, year=int(year), month=int(number))
    if "csv" in request.GET:
        rows = [
            (f"{each.time:%Y-%m-%dT%H:%M:%SZ}", each.what, _signed(each.amount), token.symbol, where, each.effect)
            for where, movements in (("balance", found.movements), ("chain", found.arrived))
            for each in movements
        ]
        head = ("time", "what", "amount", "currency", "where", "cause")
        return csv_response(f"cadastre-{actor.account.slug}-{month}.csv", head, rows)
    before = f"{int(year) - (number == '01')}-{(int(number) - 2) % 12 + 1:02d}"
    return render(
        request, "web/statement.html", {"statement": found, "month": month, "before": before, "token": token.caip}
    )


def _choices(addresses: list[AccountAddress]) -> list[tuple[int, str]]:
    return [(row.pk, row.address or "") for row in addresses]


def _signed(units: int) -> str:
    written = Amount(abs(units), payment_token()).written
    return f"-{written}" if units < 0 else written


def _amount(request: HttpRequest) -> int | None:
    found: list[int] = []
    attempt(request, lambda: found.append(Amount.parse(request.POST.get("amount", ""), payment_token()).units))
    return found[0] if found else None


def _raise_form(form: forms.Form) -> None:
    words = " ".join(str(problem) for problems in form.errors.values() for problem in problems)
    raise money.MoneyRefusal("withdrawal.form", words)
