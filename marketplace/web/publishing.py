"""The publish wizard: files, description, terms, checks, review. Everything is saved as it is typed or sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from marketplace.actions import contributors, drafts
from marketplace.actions.letters import count_letter
from marketplace.core.money import Amount
from marketplace.core.presets import PRESETS
from marketplace.core.sentences import sentences
from marketplace.core.terms_in_brief import terms_in_brief
from marketplace.models import Draft
from marketplace.queries.actors import AccessRefusal, Act, Actor
from marketplace.queries.catalog import listings_of
from marketplace.queries.deployments import payment_token
from marketplace.queries.drafts import draft_terms, drafts_of, own_draft, review_draft, submission_of
from marketplace.queries.orders import licenses_of
from marketplace.queries.publishing import DraftState, state_of
from marketplace.queries.worked_example import Example, worked_example
from marketplace.web.consents import shown_consents, signed_consents
from marketplace.web.context import actor_of
from marketplace.web.ids import dataset_caip, slug_of_caip
from marketplace.web.letters import send_share_letter
from marketplace.web.marks import with_manifests
from marketplace.web.negotiation import wants_part
from marketplace.web.publishing_forms import ContributorForm, DescribeForm, RightsFormSet, TermsForm
from marketplace.web.timeline import BASES
from provenance import submissions
from provenance.answers import answer_match
from provenance.content_queries import matches_for_uploader, progress
from provenance.core.refusal import Refusal
from provenance.models import Answer, Match, Submission

STEPS = (
    ("files", _("Files")),
    ("describe", _("Describe")),
    ("terms", _("Terms and price")),
    ("checks", _("Checks")),
    ("review", _("Review")),
)
STAGE_WORDS = {
    "upload": _("Uploaded"),
    "hash": _("Hashed"),
    "scan": _("Scanned for malware and secrets"),
    "fingerprint": _("Copy check prepared"),
    "preview": _("Samples made"),
    "gate": _("Compared with everything in the register"),
    "seal": _("Locked and stored"),
    "pin": _("Stored in every place"),
    "register": _("Registered"),
}
STATE_WORDS = {
    DraftState.OPEN: _("files are being added"),
    DraftState.CHECKING: _("being checked"),
    DraftState.HELD: _("waits for your answer, or for a person who looks at it"),
    DraftState.READY: _("ready for your review"),
    DraftState.PUBLISHING: _("being published"),
    DraftState.PUBLISHED: _("published"),
    DraftState.STOPPED: _("stopped"),
    DraftState.DISCARDED: _("discarded"),
}
WORKING = {"checking", "passed", "sealing", "packaged", "registering"}


def publish(request: HttpRequest) -> HttpResponse:
    """The account's drafts and datasets, and how publishing works."""
    actor = actor_of(request)
    context: dict[str, Any] = {}
    if actor is not None:
        found = [(draft, _submission(draft)) for draft in drafts_of(actor.account)[:50]]
        rows = [(draft, row, STATE_WORDS[state_of(draft, row)]) for draft, row in found if draft.state != "published"]
        context = {
            "drafts": rows,
            "listings": [(slug_of_caip(each.dataset), each) for each in with_manifests(listings_of(actor.account))],
        }
    return render(request, "web/publish.html", context)


@login_required
@require_POST
def start(request: HttpRequest) -> HttpResponse:
    """Open a draft, or one for the next version of a dataset."""
    actor = _actor(request)
    wanted = request.POST.get("dataset", "")
    try:
        draft = drafts.open_draft(by=actor, now=timezone.now(), dataset=dataset_caip(wanted) if wanted else "")
    except Refusal as refusal:
        messages.error(request, str(refusal))
        return redirect("publish")
    return redirect("publish-files", draft.id)


@login_required
def files(request: HttpRequest, draft: UUID) -> HttpResponse:
    """Add files; when all are there, close the list."""
    found = _own(request, draft)
    submission = submission_of(found)
    if request.method == "POST":
        return _try(
            request, "publish-files", draft, lambda: _close_files(request, found, submission), "publish-describe"
        )
    rows = [
        {
            "id": str(file.id),
            "path": file.path,
            "size": file.size,
            "received": file.received,
            "location": f"/api/v1/uploads/{file.id}",
        }
        for file in submission.files.order_by("path")
    ]
    return _step(request, "files", found, submission, {"files": rows, "total": sum(row["size"] for row in rows)})


@login_required
def describe(request: HttpRequest, draft: UUID) -> HttpResponse:
    """Say what it is and where the rights come from."""
    found = _own(request, draft)
    submission = submission_of(found)
    form = DescribeForm(request.POST or None, initial=_described(submission, found))
    rights = RightsFormSet(
        request.POST or None, prefix="rights", initial=[_rights_initial(row) for row in submission.rights] or [{}]
    )
    if request.method == "POST" and form.is_valid() and rights.is_valid():
        stated = [
            each.statement() for each in rights.forms if each.cleaned_data and not each.cleaned_data.get("DELETE")
        ]
        parents, permits = _parents(request)

        def save() -> None:
            saved = drafts.describe_draft(
                by=_actor(request),
                draft=draft,
                revision=_revision(request),
                now=timezone.now(),
                slug=request.POST.get("slug") or None,
                **form.fields_for_draft(),
                rights=stated,
                **({"parents": parents} if found.dataset == "" else {}),
            )
            drafts.set_parent_licenses(
                by=_actor(request), draft=draft, revision=saved.revision, licenses=permits, now=timezone.now()
            )

        return _try(request, "publish-describe", draft, save, "publish-terms")
    licensed = [row for row in licenses_of(_actor(request).account) if "derive" in row.uses and row.state == "active"]
    own = listings_of(_actor(request).account)
    chosen = {parent["dataset"] for parent in submission.parents}
    return _step(
        request,
        "describe",
        found,
        submission,
        {
            "form": form,
            "rights": rights,
            "licensed": [(row, row.dataset in chosen) for row in licensed],
            "own": [(row, row.dataset in chosen) for row in own if row.dataset != found.dataset],
        },
    )


@login_required
def terms(request: HttpRequest, draft: UUID) -> HttpResponse:
    """Choose terms and a price, see a worked example, share the income."""
    found = _own(request, draft)
    submission = submission_of(found)
    form = TermsForm(request.POST or None, initial=_terms_initial(found))
    if request.method == "POST" and form.is_valid():

        def save() -> None:
            document = {name: value for name, value in form.terms.to_document().items() if name != "schema"}
            drafts.set_terms(
                by=_actor(request),
                draft=draft,
                revision=_revision(request),
                terms=document,
                price=form.price_units,
                now=timezone.now(),
                hold_seconds=settings.CADASTRE_HOLD_SECONDS,
            )

        return _try(
            request, "publish-terms", draft, save, "publish-terms" if "stay" in request.POST else "publish-checks"
        )
    shown = draft_terms(found)
    return _step(
        request,
        "terms",
        found,
        submission,
        {
            "form": form,
            "presets": PRESETS.values(),
            "brief": terms_in_brief(shown, translation) if shown else (),
            "sentences": sentences(shown, payment_token(), translation) if shown else (),
            "example": _example(found, submission),
            "contributors": found.contributors.select_related("account").order_by("created"),
            "contributor_form": ContributorForm(),
        },
    )


@login_required
@require_POST
def add_contributor(request: HttpRequest, draft: UUID) -> HttpResponse:
    """Promise somebody a share, and write to them."""
    form = ContributorForm(request.POST)
    if not form.is_valid():
        for problem in form.errors.values():
            messages.error(request, problem.as_text())
        return redirect("publish-terms", draft)

    def invite() -> None:
        data = form.cleaned_data
        count_letter(by=_actor(request), now=timezone.now())
        _, token = contributors.invite_contributor(
            by=_actor(request), draft=draft, email=data["email"], role=data["role"], bps=form.bps(), now=timezone.now()
        )
        send_share_letter(_actor(request), to=data["email"], percent=data["percent"], token=token)

    return _try(request, "publish-terms", draft, invite, "publish-terms")


@login_required
@require_POST
def remove_contributor(request: HttpRequest, draft: UUID, contributor: UUID) -> HttpResponse:
    """Take a share back before publication."""
    return _try(
        request,
        "publish-terms",
        draft,
        lambda: contributors.remove_contributor(by=_actor(request), draft=draft, contributor=contributor),
        "publish-terms",
    )


@login_required
def checks(request: HttpRequest, draft: UUID) -> HttpResponse:
    """The stages, live; what the copy check found, and the four answers."""
    found = _own(request, draft)
    submission = submission_of(found)
    if request.method == "POST":
        return _try(request, "publish-checks", draft, lambda: _answer(request, submission), "publish-checks")
    context = {
        "stages": [(STAGE_WORDS[stage.name], stage) for stage in progress(submission)],
        "working": submission.state in WORKING or found.state in {"confirmed", "registering"},
        "matches": list(matches_for_uploader(submission)),
        "dataset_id": slug_of_caip(submission.dataset) if submission.dataset and found.state == "published" else "",
        "failed_files": submission.files.exclude(refusal=None)[:20],
        "licensed": [
            row for row in licenses_of(_actor(request).account) if "derive" in row.uses and row.state == "active"
        ],
    }
    if wants_part(request):
        return render(request, "web/parts/checks.html", {**context, "draft": found, "submission": submission})
    return _step(request, "checks", found, submission, context)


@login_required
def review(request: HttpRequest, draft: UUID) -> HttpResponse:
    """Exactly what becomes public and permanent, and the one button that makes it so."""
    found = _own(request, draft)
    submission = submission_of(found)
    if request.method == "POST":
        return _try(
            request,
            "publish-review",
            draft,
            lambda: drafts.confirm_draft(
                by=_actor(request),
                draft=draft,
                digest=request.POST.get("digest", ""),
                now=timezone.now(),
                wallet=signed_consents(request),
            ),
            "publish-checks",
        )
    try:
        shown = review_draft(found, now=timezone.now())
        asked = drafts.wallet_consents(by=_actor(request), draft=draft, now=timezone.now())
    except Refusal as refusal:
        messages.warning(request, str(refusal))
        return redirect("publish-checks", draft)
    chosen = draft_terms(found)
    return _step(
        request,
        "review",
        found,
        submission,
        {
            "review": shown,
            "bases": BASES,
            "wallet": asked and shown_consents(asked),
            "manifest": shown.manifest or {},
            "sentences": sentences(chosen, payment_token(), translation) if chosen else (),
            "example": _example(found, submission),
            "contributors": found.contributors.exclude(state="declined"),
        },
    )


@login_required
@require_POST
def discard(request: HttpRequest, draft: UUID) -> HttpResponse:
    """Give a draft up."""
    return _try(
        request,
        "publish-files",
        draft,
        lambda: drafts.discard_draft(by=_actor(request), draft=draft, now=timezone.now()),
        None,
    )


@login_required
def contribution(request: HttpRequest, token: str) -> HttpResponse:
    """Accept or decline a share of somebody's income."""
    if request.method == "POST":
        try:
            if "accept" in request.POST:
                contributors.accept_contribution(by=_actor(request), token=token, now=timezone.now())
                messages.success(request, _("Accepted. Your share is paid out with every settlement."))
            else:
                contributors.decline_contribution(token=token)
                messages.info(request, _("Declined."))
        except Refusal as refusal:
            messages.error(request, str(refusal))
        return redirect("earnings")
    return render(request, "web/contribution.html", {"token": token})


def _actor(request: HttpRequest) -> Actor:
    actor = actor_of(request)
    if actor is None:
        raise Http404
    return actor


def _own(request: HttpRequest, draft: UUID) -> Draft:
    actor = _actor(request)
    try:
        found = own_draft(actor.account, draft)
    except AccessRefusal as refusal:
        raise Http404 from refusal
    # Uploads and the copy check know the account only: who may publish for it is asked here, as the API asks.
    actor.require(Act.PUBLISH)
    return found


def _example(draft: Draft, submission: Submission) -> Example | None:
    return None if draft.terms is None or draft.price == 0 else worked_example(draft, submission)


def _submission(draft: Draft) -> Submission | None:
    return Submission.objects.filter(pk=draft.submission).first() if draft.submission else None


def _step(
    request: HttpRequest, step: str, draft: Draft, submission: Submission, context: dict[str, Any]
) -> HttpResponse:
    order = [name for name, _ in STEPS]
    done = set(order[: order.index(step)])
    shared = {
        "draft": draft,
        "submission": submission,
        "steps": STEPS,
        "step": step,
        "done": done,
        "section": "publish",
    }
    return render(request, f"web/publish_{step}.html", {**shared, **context})


def _try(request: HttpRequest, back: str, draft: UUID, act: Callable[[], object], forward: str | None) -> HttpResponse:
    """Do one thing; what is refused is said on the page it came from."""
    try:
        act()
    except Refusal as refusal:
        messages.error(request, str(refusal))
        return redirect(back, draft)
    return redirect(forward, draft) if forward else redirect("publish")


def _revision(request: HttpRequest) -> int:
    text = request.POST.get("revision", "")
    return int(text) if text.isdecimal() and len(text) < 10 else -1


def _close_files(request: HttpRequest, draft: Draft, submission: Submission) -> None:
    visibility = "open" if request.POST.get("visibility") == "open" else "sealed"
    if submission.state != "uploading":
        return
    if visibility != submission.visibility:
        drafts.describe_draft(
            by=_actor(request), draft=draft.id, revision=draft.revision, now=timezone.now(), visibility=visibility
        )
    submissions.seal_file_list(by=_actor(request).account.pk, submission=submission.id, now=timezone.now())


def _answer(request: HttpRequest, submission: Submission) -> None:
    by = _actor(request).account.pk
    if "again" in request.POST:
        submissions.recheck_submission(by=by, submission=submission.id, now=timezone.now())
        return
    chosen = request.POST.get("answer", "")
    match = request.POST.get("match", "")
    if (
        chosen not in Answer.values
        or not match.isdecimal()
        or not Match.objects.filter(pk=int(match), submission=submission).exists()
    ):
        raise Http404
    answer_match(
        by=by,
        match=int(match),
        answer=Answer(chosen),
        now=timezone.now(),
        evidence=request.POST.get("evidence", ""),
        permit=request.POST.get("license", ""),
    )


def _parents(request: HttpRequest) -> tuple[list[str], dict[str, str]]:
    """Return the chosen parents, and the license for each that needs one; values are `dataset` or `dataset|license`."""
    parents: list[str] = []
    permits: dict[str, str] = {}
    for value in request.POST.getlist("parent"):
        dataset, _, license_id = value.partition("|")
        parents.append(dataset)
        if license_id:
            permits[dataset] = license_id
    return sorted(set(parents)), permits


def _described(submission: Submission, draft: Draft) -> dict[str, Any]:
    collected = submission.collected or {}
    return {
        "title": submission.title,
        "creator": submission.creator or draft.account.display_name,
        "description": submission.description,
        "kind": submission.kind or "image",
        "languages": ", ".join(submission.languages),
        "collected_from": collected.get("from"),
        "collected_to": collected.get("to"),
        "preview_public": submission.shows_preview,
    }


def _rights_initial(statement: dict[str, Any]) -> dict[str, Any]:
    detail = next((statement[name] for name in ("from", "license", "legal_basis", "model") if statement.get(name)), "")
    sublicensing = statement.get("sublicensing")
    passing = "" if sublicensing is None else "yes" if sublicensing else "no"
    return {
        "source": statement["source"],
        "basis": statement["basis"],
        "detail": detail,
        "sublicensing": passing,
        "evidence": statement.get("evidence") or "",
    }


def _terms_initial(draft: Draft) -> dict[str, Any]:
    chosen = draft_terms(draft)
    if chosen is None:
        return {"preset": "train-commercial", "derive_percent": "10.00"}
    match = next((key for key, each in PRESETS.items() if each.terms.title == chosen.title), "train-commercial")
    rate = chosen.rate
    token = payment_token()
    return {
        "preset": match,
        "price": "" if draft.price is None else Amount(draft.price, token).written,
        "derive_percent": f"{chosen.derive_bps / 100:.2f}",
        "rate_unit": rate.unit if rate else "",
        "rate_price": Amount(rate.price, token).written if rate else "",
        "allowance": rate.allowance if rate else None,
    }
