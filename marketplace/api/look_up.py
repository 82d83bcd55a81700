"""`POST /look-up`: is this registered here? By digest, or by the file itself, of which nothing is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.api.names import Sha256Hex, id_of
from marketplace.api.problems import RequestRefusal
from marketplace.api.rates import LOOK_UPS
from marketplace.api.reading import Body
from marketplace.api.resource import JSON, Resource
from marketplace.api.schema import Raw, operation
from provenance import look_up
from provenance.look_up import FILE_BYTES, LookUp, LookUpRefusal

FILE = "application/octet-stream"


class LookUpQuestion(Body):
    """The SHA-256 of a file."""

    sha256: Sha256Hex


class LookedUp(msgspec.Struct):
    """A dataset that holds it, or something like it. Never which file."""

    id: str
    caip: str
    title: str
    likeness: Literal["exact", "near"]


class Searched(msgspec.Struct):
    """What the answer covers: only what is registered here was searched."""

    datasets: int
    index_version: int
    algorithms: list[str]
    time: datetime


class LookUpAnswer(msgspec.Struct):
    """`none` means: no match found in what was searched."""

    result: Literal["exact", "near", "none"]
    datasets: list[LookedUp]
    searched: Searched


class LookUpResource(Resource):
    acts = {"POST": None}
    rate = LOOK_UPS

    @operation("Look a file up", answer=LookUpAnswer, body=(LookUpQuestion, Raw(FILE)))
    def post(self, request: Request) -> HttpResponse:
        if self.http.content_type == FILE:
            return self.answer(_shown(self._by_file()))
        if self.http.content_type != JSON:
            raise RequestRefusal(
                "request.media_type", "A look-up is a digest in JSON, or the file itself.", limit=f"{JSON}, {FILE}",
                actual=(self.http.content_type or "none")[:80],
            )  # fmt: skip
        return self.answer(_shown(look_up.look_up_digest(self.body(LookUpQuestion).sha256, now=self.now)))

    def _by_file(self) -> LookUp:
        announced = int(self.http.META.get("CONTENT_LENGTH") or 0)
        if announced > FILE_BYTES:
            raise LookUpRefusal(
                "look_up.too_large", "The file is too large to be looked up.", limit=FILE_BYTES, actual=announced,
                todo="Ask by its SHA-256, or for a part of it.",
            )  # fmt: skip
        return look_up.look_up_file(self.http, now=self.now)


def _shown(found: LookUp) -> LookUpAnswer:
    searched = found.searched
    return LookUpAnswer(
        result=found.result.value,
        datasets=[
            LookedUp(id_of(each.dataset), each.dataset, each.title, each.likeness.value)  # type: ignore[arg-type]
            for each in found.found
        ],
        searched=Searched(searched.datasets, searched.index_version, list(searched.algorithms), searched.time),
    )
