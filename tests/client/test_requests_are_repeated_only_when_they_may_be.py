import pytest

from provenance.adapters.http_api import TRIES, UNREACHABLE, ApiConnection, ApiRefusal
from tests.client.site import Answer, problem

LOST = Answer(lost=True)


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def connection(site, pauses):
    with ApiConnection(site.url, sleep=pauses.append) as made:
        yield made


def test_a_read_whose_reply_is_lost_is_sent_again(site, connection):
    site.in_turn("GET", "/api/v1/me", LOST, LOST, {"account": "cleo"})
    assert connection.request("GET", "/api/v1/me").json() == {"account": "cleo"}
    assert len(site.asked) == 3


def test_a_write_without_a_key_is_sent_once(site, connection):
    site.on("POST", "/api/v1/look-up", LOST)
    with pytest.raises(ApiRefusal) as refused:
        connection.request("POST", "/api/v1/look-up", document={})
    assert refused.value.code == UNREACHABLE
    assert len(site.asked) == 1


def test_a_patch_is_never_repeated(site, connection):
    site.on("PATCH", "/api/v1/drafts/1", Answer(status=503))
    with pytest.raises(ApiRefusal):
        connection.request("PATCH", "/api/v1/drafts/1", document={})
    assert len(site.asked) == 1


def test_a_write_whose_reply_is_lost_is_sent_again_with_the_same_key_and_body(site, connection):
    site.in_turn("POST", "/api/v1/orders", LOST, {"id": "1"})
    reply = connection.request("POST", "/api/v1/orders", document={"offer": "x"}, headers={"Idempotency-Key": "k-1"})
    assert reply.json() == {"id": "1"}
    first, second = site.asked
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] == "k-1"
    assert first.body == second.body


def test_a_site_that_is_starting_is_asked_again_and_later_each_time(site, connection, pauses):
    site.on("GET", "/api/v1/me", Answer(status=503))
    with pytest.raises(ApiRefusal) as refused:
        connection.request("GET", "/api/v1/me")
    assert refused.value.status == 503
    assert len(site.asked) == TRIES
    assert pauses == sorted(set(pauses))
    assert len(pauses) == TRIES - 1


def test_a_conflict_that_asks_to_wait_is_waited_for(site, connection, pauses):
    waiting = problem(409, "bundle.waiting", "The key is not granted yet.", {"Retry-After": "7"})
    site.in_turn("GET", "/api/v1/licenses/1/bundle", waiting, {"schema": "cadastre.bundle/1"})
    assert connection.request("GET", "/api/v1/licenses/1/bundle").json() == {"schema": "cadastre.bundle/1"}
    assert pauses == [7.0]


def test_a_request_that_is_still_under_way_is_waited_for(site, connection):
    site.in_turn("POST", "/api/v1/orders", problem(409, "idempotency.under_way", "Under way."), {"id": "1"})
    assert connection.request("POST", "/api/v1/orders", headers={"Idempotency-Key": "k"}).json() == {"id": "1"}


def test_any_other_conflict_is_a_refusal_at_once(site, connection):
    site.on("GET", "/api/v1/me", problem(409, "draft.revision", "Somebody else saved it.", limit=3, actual=2))
    with pytest.raises(ApiRefusal) as refused:
        connection.request("GET", "/api/v1/me")
    assert (refused.value.code, refused.value.limit, refused.value.actual) == ("draft.revision", 3, 2)
    assert len(site.asked) == 1


@pytest.mark.parametrize(("after", "times"), [("2", 2), ("3600", 1)])
def test_a_rate_limit_is_waited_for_when_it_is_short(site, connection, after, times):
    limited = problem(429, "limit.rate", "Too many requests.", {"Retry-After": after})
    site.in_turn("GET", "/api/v1/datasets", limited, {"results": []})
    if times == 1:
        with pytest.raises(ApiRefusal, match="Too many requests"):
            connection.request("GET", "/api/v1/datasets")
    else:
        assert connection.request("GET", "/api/v1/datasets").json() == {"results": []}
    assert len(site.asked) == times


def test_an_answer_that_is_no_json_is_refused_by_name(site, connection):
    site.on("GET", "/api/v1/me", Answer(b"<html>"))
    with pytest.raises(ApiRefusal) as refused:
        connection.request("GET", "/api/v1/me").json()
    assert refused.value.code == "api.not_json"


def test_a_page_of_html_as_an_error_still_says_its_status(site, connection):
    site.on("GET", "/api/v1/me", Answer(b"<html>", status=500, headers={"Content-Type": "text/html"}))
    with pytest.raises(ApiRefusal, match="answered 500 to GET /api/v1/me"):
        connection.request("GET", "/api/v1/me")
