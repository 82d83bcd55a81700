"""Account and members: names, roles, limits, invitations, approvals, and which account one acts for."""

from __future__ import annotations

from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from marketplace.actions import accounts, members, orders
from marketplace.actions.letters import count_letter
from marketplace.models import Account, Membership, User
from marketplace.queries.actors import Act, Actor
from marketplace.queries.members import members_of, memberships_of, open_invitations, own_member
from marketplace.queries.orders import orders_to_approve, own_license, reports_to_approve
from marketplace.session import SESSION_ACCOUNT
from marketplace.web.acting import attempt, back_to, for_account
from marketplace.web.context import actor_of
from marketplace.web.fields import AmountField
from marketplace.web.ids import slug_of_caip
from marketplace.web.letters import send_invitation

ROLES = [
    (Membership.Role.OWNER, _("Owner: everything")),
    (Membership.Role.PUBLISHER, _("Publisher: publish and manage datasets")),
    (Membership.Role.BUYER, _("Buyer: buy licenses, report use")),
    (Membership.Role.FINANCE, _("Finance: balance, earnings, approvals")),
    (Membership.Role.VIEWER, _("Viewer: look, change nothing")),
]

LIMIT_WORDS = _("Use of a license that is reported beyond as much waits for somebody’s approval.")


class MemberForm(forms.Form):
    """Role and limits of a member."""

    role = forms.ChoiceField(label=_("Role"), choices=ROLES)
    spend_limit = AmountField(label=_("Most that one order may cost"), required=False, help_text=LIMIT_WORDS)
    needs_approval = forms.BooleanField(
        label=_("Orders, and reports that cost, need somebody’s approval"), required=False
    )


class InvitationForm(MemberForm):
    """Somebody new."""

    email = forms.EmailField(label=_("E-mail address"))
    field_order = ("email", "role", "spend_limit", "needs_approval")


class NameForm(forms.Form):
    """The name that others read, and the one in addresses."""

    display_name = forms.CharField(label=_("Name"), max_length=accounts.NAME_LIMIT)
    slug = forms.CharField(
        label=_("Name in addresses"),
        max_length=accounts.SLUG_LIMIT,
        help_text=_("Lower-case letters, digits, hyphens."),
    )


@for_account
def account(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Names, members, invitations, orders and reports that wait for approval, other accounts."""
    now = timezone.now()
    names = {"display_name": actor.account.display_name, "slug": actor.account.slug}
    rows = [
        (each, MemberForm(initial=_limits(each), auto_id=f"member-{each.pk}-%s")) for each in members_of(actor.account)
    ]
    return render(
        request,
        "web/account.html",
        {
            "names": NameForm(initial=names),
            "members": rows,
            "invitation": InvitationForm(auto_id="invite-%s"),
            "organization": NameForm(auto_id="organization-%s"),
            "invitations": open_invitations(actor.account, now=now),
            "approvals": orders_to_approve(actor.account),
            "reports": [
                (row, slug_of_caip(row.license), own_license(actor.account, row.license))
                for row in reports_to_approve(actor.account)
            ],
            "may_manage": actor.may(Act.MANAGE),
            "may_approve": actor.may(Act.APPROVE),
            "is_organization": actor.account.kind == Account.Kind.ORGANIZATION,
        },
    )


@for_account
@require_POST
def rename(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Change the names of the account."""
    form = NameForm(request.POST)
    if _valid(request, form):
        data = form.cleaned_data
        attempt(
            request,
            lambda: accounts.rename_account(by=actor, display_name=data["display_name"], slug=data["slug"]),
            done=_("Saved."),
        )
        if SESSION_ACCOUNT in request.session:
            request.session[SESSION_ACCOUNT] = actor.account.slug
    return redirect("account")


@login_required
def begin(request: HttpRequest) -> HttpResponse:
    """Give an account to a user who has none, such as a new operator."""
    user = _person(request)
    if actor_of(request) is not None:
        return redirect("account")
    form = NameForm(request.POST or None)
    if request.method == "POST" and _valid(request, form):
        data, now = form.cleaned_data, timezone.now()

        def create() -> None:
            accounts.create_account(
                kind=Account.Kind.PERSON, slug=data["slug"], display_name=data["display_name"], owner=user, now=now
            )

        if attempt(request, create):
            return redirect("account")
    return render(request, "web/begin.html", {"form": form})


@for_account
@require_POST
def create_organization(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Create an organization, and act for it."""
    form = NameForm(request.POST)
    if not _valid(request, form):
        return redirect("account")
    data, user = form.cleaned_data, _person(request)
    made = attempt(
        request,
        lambda: accounts.create_organization(
            by=user, slug=data["slug"], display_name=data["display_name"], now=timezone.now()
        ),
        done=_("%(display_name)s was created. You are acting for it now.") % data,
    )
    if made:
        request.session[SESSION_ACCOUNT] = data["slug"]
    return redirect("account")


@login_required
@require_POST
def switch(request: HttpRequest) -> HttpResponse:
    """Act for another account from now on."""
    found = get_object_or_404(memberships_of(_person(request)), account__slug=request.POST.get("account", ""))
    request.session[SESSION_ACCOUNT] = found.account.slug
    return back_to(request, "account")


@for_account
@require_POST
def invite(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Invite somebody by e-mail."""
    form = InvitationForm(request.POST)
    if not _valid(request, form):
        return redirect("account")
    data = form.cleaned_data

    def act() -> None:
        count_letter(by=actor, now=timezone.now())
        _, token = members.invite_member(by=actor, now=timezone.now(), **data)
        send_invitation(actor, to=data["email"], token=token)

    attempt(
        request,
        act,
        done=_("We have written to %(email)s. The invitation holds for %(days)s days.")
        % {"email": data["email"], "days": members.INVITATION_DAYS},
    )
    return redirect("account")


@for_account
@require_POST
def revoke_invitation(request: HttpRequest, actor: Actor, invitation: UUID) -> HttpResponse:
    """Make an invitation worthless."""
    found = get_object_or_404(actor.account.invitations, pk=invitation)
    attempt(
        request, lambda: members.revoke_invitation(by=actor, invitation=found), done=_("The invitation holds no more.")
    )
    return redirect("account")


@login_required
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Accept an invitation, or leave it."""
    if request.method != "POST":
        return render(request, "web/invitation.html")
    joined: list[Membership] = []
    attempt(
        request,
        lambda: joined.append(members.accept_invitation(by=_person(request), token=token, now=timezone.now())),
        done=_("Welcome. You are acting for this account now."),
        by_link=True,
    )
    for membership in joined:
        request.session[SESSION_ACCOUNT] = membership.account.slug
    return redirect("account" if joined else "home")


@for_account
@require_POST
def change_member(request: HttpRequest, actor: Actor, membership: int) -> HttpResponse:
    """Change role and limits of a member."""
    found = own_member(actor.account, membership)
    form = MemberForm(request.POST)
    if _valid(request, form):
        attempt(
            request, lambda: members.change_member(by=actor, membership=found, **form.cleaned_data), done=_("Saved.")
        )
    return redirect("account")


@for_account
@require_POST
def remove_member(request: HttpRequest, actor: Actor, membership: int) -> HttpResponse:
    """Take a member out, or leave."""
    found = own_member(actor.account, membership)
    attempt(
        request,
        lambda: members.remove_member(by=actor, membership=found, now=timezone.now()),
        done=_("Removed. Their API keys stopped working."),
    )
    return redirect("account")


@for_account
@require_POST
def judge_order(request: HttpRequest, actor: Actor, order: UUID) -> HttpResponse:
    """Approve or decline another member's order."""
    now = timezone.now()
    if "approve" in request.POST:
        attempt(
            request, lambda: orders.approve_order(by=actor, order=order, now=now), done=_("Approved; it is being paid.")
        )
    else:
        cause = request.POST.get("cause", "")
        attempt(request, lambda: orders.decline_order(by=actor, order=order, now=now, cause=cause), done=_("Declined."))
    return redirect("account")


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _limits(membership: Membership) -> dict[str, object]:
    return {
        "role": membership.role,
        "spend_limit": AmountField.written(membership.spend_limit),
        "needs_approval": membership.needs_approval,
    }


def _valid(request: HttpRequest, form: forms.Form) -> bool:
    if form.is_valid():
        return True
    for name, problems in form.errors.items():
        label = form.fields[name].label if name in form.fields else ""
        messages.error(request, f"{label}: {' '.join(str(problem) for problem in problems)}")
    return False
