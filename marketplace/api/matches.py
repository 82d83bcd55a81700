"""`/drafts/{id}/matches` and `/matches/{id}/answer`: what the copy check found, for the uploader's eyes only."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.api.drafts import Draft, shown_draft
from marketplace.api.names import Id, id_of, license_caip
from marketplace.api.pages import Page, PageQuery, page_of_list
from marketplace.api.reading import Body
from marketplace.api.resource import Resource
from marketplace.api.schema import IDEMPOTENT, operation
from marketplace.core.money import percent
from marketplace.models import Draft as DraftRow
from marketplace.queries.actors import Act
from marketplace.queries.drafts import own_draft, submission_of
from provenance.answers import EVIDENCE_CHARACTERS, answer_match
from provenance.content_queries import matches_for_uploader
from provenance.models import Answer
from provenance.models import Match as MatchRow

RECORDS_SHOWN = 1000


class Match(msgspec.Struct):
    """A dataset that shares records with the draft.

    `records` are the uploader's own; of the other side only id and title are shown. `dataset` is null while the other
    one is still being published.
    """

    id: str
    dataset: str | None
    title: str
    kind: str
    share_percent: str
    threshold_percent: str
    exact: int
    near: int
    total: int
    stops: bool
    records: list[dict[str, Any]]
    answer: str | None
    review: str | None


class MatchAnswer(Body):
    """One of the four answers. `evidence`: the source, or proof of authorship; `license`: permits `built-from`."""

    answer: Literal["built-from", "same-source", "author", "remove"]
    evidence: Annotated[str, msgspec.Meta(max_length=EVIDENCE_CHARACTERS)] | None = None
    license: Id | None = None


class MatchesResource(Resource):
    acts = {"GET": Act.PUBLISH}

    @operation("What the copy check found", answer=Page[Match], query=PageQuery)
    def get(self, request: Request, draft: UUID) -> HttpResponse:
        submission = submission_of(own_draft(self.actor.account, draft))
        found = [_shown(match) for match in matches_for_uploader(submission)]
        return self.answer(page_of_list(found, query=self.query(PageQuery), request=self.http))


class MatchAnswerResource(Resource):
    acts = {"POST": Act.PUBLISH}

    @operation("Answer a match", answer=Draft, body=MatchAnswer, parameters=(IDEMPOTENT,))
    def post(self, request: Request, match: int) -> HttpResponse:
        wish = self.body(MatchAnswer)
        permit = "" if wish.license is None else license_caip(wish.license)
        account = self.actor.account

        def effect() -> tuple[int, Draft]:
            submission = answer_match(
                by=account.pk, match=match, answer=Answer(wish.answer), evidence=wish.evidence or "", permit=permit,
                now=self.now,
            )  # fmt: skip
            draft = DraftRow.objects.get(account=account, submission=submission.pk)
            return 200, shown_draft(draft, now=self.now)

        return self.once(effect, request=wish)


def _shown(row: MatchRow) -> Match:
    return Match(
        id=str(row.pk),
        dataset=id_of(row.matched_dataset) if row.matched_dataset else None,
        title=row.matched_title,
        kind=row.kind,
        share_percent=percent(row.share_bps),
        threshold_percent=percent(row.threshold_bps),
        exact=row.exact,
        near=row.near,
        total=row.total,
        stops=row.stops,
        records=list(row.records)[:RECORDS_SHOWN],
        answer=row.answer or None,
        review=row.review or None,
    )
