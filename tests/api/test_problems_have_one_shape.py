"""Every refusal is a problem document that names what, the limit, the actual value and what to do."""

import json
import logging
import re

import pytest
from django.db import OperationalError

from marketplace.api import problems
from marketplace.api.names import ID_PATTERN
from marketplace.api.problems import status_of
from marketplace.api.reading import _FORMS
from marketplace.api.schema import schema_bytes
from marketplace.limits import LimitRefusal
from marketplace.queries.actors import AccessRefusal
from provenance.core.refusal import Refusal
from provenance.ports import ChainDown, StoreRefusal
from provenance.uploads import UploadRefusal
from tests.api.conftest import Api

MEMBERS = {"type", "title", "status", "detail", "code", "limit", "actual", "todo"}


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (AccessRefusal("access.key", "x"), 401),
        (AccessRefusal("access.scope", "x"), 403),
        (AccessRefusal("dataset.not_found", "x"), 404),
        (Refusal("draft.revision", "x"), 409),
        (Refusal("listing.state", "x"), 409),
        (Refusal("idempotency.other_body", "x"), 422),
        (Refusal("balance.too_low", "x"), 422),
        (Refusal("something.new", "x"), 422),
        (LimitRefusal("limit.rate", "x"), 429),
        (StoreRefusal("store.full", "x"), 507),
        (StoreRefusal("store.down", "x"), 503),
        (UploadRefusal("upload.disk_full", "x"), 507),
        (UploadRefusal("upload.checksum", "x"), 460),
        (UploadRefusal("upload.offset", "x"), 409),
        (UploadRefusal("upload.duplicate", "x"), 422),
        (Refusal("document.duplicate_key", "x"), 400),
        (Refusal("document.not_found", "x"), 404),
    ],
)
def test_the_status_follows_from_the_code_alone(refusal, status):
    assert status_of(refusal) == status


def test_every_status_of_the_table_is_explained_in_the_schema():
    from marketplace.api.schema import _REASONS

    said = {*problems.STATUS.values(), *(status for _, status in (*problems.ENDINGS, *problems.BEGINNINGS))}
    assert said <= _REASONS.keys()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "code"),
    [
        ("GET", "/nothing", {}, "", 404, "request.not_found"),
        ("GET", "/datasets/12", {}, "", 404, "request.not_found"),
        ("PUT", "/datasets", {}, "{}", 405, "request.method"),
        ("TRACE", "/datasets", {}, "", 405, "request.method"),
        ("POST", "/look-up", {"Content-Type": "text/plain"}, "x", 415, "request.media_type"),
        ("POST", "/look-up", {"Content-Type": "multipart/form-data"}, "sha256=1", 415, "request.media_type"),
        ("POST", "/look-up", {}, "{", 400, "document.json"),
        ("POST", "/look-up", {}, b"\xff\xfe", 400, "document.utf8"),
        ("POST", "/look-up", {}, '{"sha256": 1.5}', 422, "document.float"),
        ("POST", "/look-up", {}, '{"sha256": NaN}', 422, "document.float"),
        ("POST", "/look-up", {}, '{"sha256": "a", "sha256": "b"}', 400, "document.duplicate_key"),
        ("POST", "/look-up", {}, '{"sha256": "\\u0000"}', 400, "request.nul"),
        ("POST", "/look-up", {}, '{"sha256": "\\ud800"}', 400, "document.surrogate"),
        ("POST", "/look-up", {}, '{"sha256": "abc"}', 400, "request.body"),
        ("POST", "/look-up", {}, '{"sha255": "abc"}', 400, "request.body"),
        ("POST", "/look-up", {}, "[]", 400, "request.body"),
        ("POST", "/look-up", {}, "[" * 100_000, 400, "document.depth"),
        ("GET", "/datasets?limit=101", {}, "", 400, "request.query"),
        ("GET", "/datasets?limit=0", {}, "", 400, "request.query"),
        ("GET", "/datasets?limit=many", {}, "", 400, "request.query"),
        ("GET", "/datasets?visibilty=open", {}, "", 400, "request.query"),
        ("GET", "/datasets?kind=sound", {}, "", 400, "request.query"),
        ("GET", "/datasets?max_price=-1", {}, "", 400, "request.query"),
        ("GET", "/datasets?q=%00", {}, "", 400, "request.nul"),
        ("GET", "/datasets?cursor=!!", {}, "", 422, "request.cursor"),
        ("GET", "/datasets?cursor=WzFd", {}, "", 422, "request.cursor"),
        ("GET", "/datasets?cursor=WyJ5ZXN0ZXJkYXkiLCJ4Il0", {}, "", 422, "request.cursor"),
        ("GET", f"/datasets/31337-{'11' * 20}-5", {}, "", 404, "dataset.unknown"),
        ("GET", "/entries/99999999", {}, "", 404, "log.no_entry"),
        ("GET", f"/documents/{'0' * 64}", {}, "", 404, "document.not_found"),
        ("GET", "/settlements/5", {}, "", 404, "settlement.not_found"),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_answered_says_why(site, visitor, method, path, headers, body, status, code):
    answer = visitor.send(method, path, body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert set(answer.json()) == MEMBERS
    assert answer.json()["type"] == f"/problems/{code}"
    assert answer.json()["status"] == status


@pytest.mark.django_db
def test_a_body_that_is_too_large_is_not_read(site, visitor, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    answer = visitor.post("/look-up", json.dumps({"sha256": "a" * 2000}))
    assert (answer.status_code, answer.json()["code"]) == (413, "request.too_large")


@pytest.mark.django_db
def test_a_fault_of_ours_is_logged_and_tells_strangers_nothing(site, visitor, monkeypatch, caplog):
    def fail(*args, **kwargs):
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr("marketplace.api.datasets.registered", fail)
    with caplog.at_level(logging.ERROR):
        answer = visitor.get(f"/datasets/31337-{'11' * 20}-5")
    assert (answer.status_code, answer.json()["code"]) == (500, "request.failed")
    assert b"hunter2" not in answer.content
    assert "hunter2" in caplog.text


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("error", "code"),
    [(OperationalError("database is locked"), "database.busy"), (ChainDown("chain.x", "x"), "chain.down")],
)
def test_what_passes_by_itself_is_503_with_a_time(site, visitor, monkeypatch, error, code):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr("marketplace.api.datasets.registered", fail)
    answer = visitor.get(f"/datasets/31337-{'11' * 20}-5")
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, code, "1")


@pytest.mark.django_db
def test_a_register_without_contracts_answers_and_says_so(ada_alone):
    answer = ada_alone.get("/me")
    assert (answer.status_code, answer.json()["code"]) == (503, "deployment.none")


@pytest.fixture
def ada_alone(db) -> Api:
    from django.utils import timezone

    from marketplace.actions.accounts import sign_up
    from marketplace.actions.api_keys import create_api_key

    actor = sign_up(email="ada@example.org", password="Ada-keeps-a-secret", display_name="Ada", now=timezone.now())
    return Api(create_api_key(by=actor, name="test", scopes=["read"], days=1, now=timezone.now())[1])


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"sha256": "xyz"}, "a SHA-256 in 64 lower-case hex digits - at `$.sha256`"),
        ({"sha256": 7}, "Expected `str`, got `int` - at `$.sha256`"),
    ],
)
def test_forms_are_said_in_words_and_not_as_patterns(visitor, body, words):
    answer = visitor.post("/look-up", body).json()
    assert words in answer["title"]
    assert "regex" not in answer["title"]


def test_every_form_that_bodies_use_has_words():
    patterns = set(re.findall(r'"pattern":"((?:[^"\\]|\\.)*)"', schema_bytes().decode()))
    forms = {json.loads(f'"{pattern}"') for pattern in patterns}
    shown_only = {"^-?(0|[1-9][0-9]*)$", "^[ -~]+$"}
    assert ID_PATTERN in forms
    assert _FORMS.keys() <= forms | shown_only
