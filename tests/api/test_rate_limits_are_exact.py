"""Of a burst of requests exactly as many are answered as the limit says, and every answer says what is left."""

import pytest

from tests.api.conftest import Api, at_once


@pytest.mark.django_db(transaction=True)
def test_of_four_hundred_at_once_exactly_the_allowed_number_is_answered(site, settings):
    settings.CADASTRE_API_RATES = {"general": 100}

    def burst(_: int) -> list[int]:
        api = Api()
        return [api.get("/settlements").status_code for _ in range(10)]

    codes = [code for codes in at_once(40, burst) for code in codes]
    assert sorted(set(codes)) == [200, 429]
    # A burst may straddle one border between two windows of a minute.
    assert codes.count(200) in {100, 200}


@pytest.mark.django_db
def test_every_answer_says_what_is_left(site, visitor, settings):
    settings.CADASTRE_API_RATES = {"general": 3}
    left = []
    for path in ("/datasets", "/nothing-here", "/datasets?limit=0", "/entries/999", "/datasets"):
        answer = visitor.get(path)
        left.append((answer.status_code, answer.headers.get("RateLimit-Remaining")))
    assert left == [(200, "2"), (404, None), (400, "1"), (404, "0"), (429, "0")]
    assert answer.headers["RateLimit-Limit"] == "3"
    assert 0 <= int(answer.headers["RateLimit-Reset"]) <= 60
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.json()["limit"] == 3


@pytest.mark.django_db
def test_an_account_has_its_own_limit_whatever_key_asks(ada, ben, settings):
    settings.CADASTRE_API_RATES = {"general": 2}
    first, second = ada.api("read"), ada.api("read")
    assert [first.get("/me").status_code, second.get("/me").status_code, first.get("/me").status_code] == [
        200,
        200,
        429,
    ]
    assert ben.api("read").get("/me").status_code == 200


@pytest.mark.django_db
def test_guessing_keys_counts_against_the_guessers_address(site, settings):
    settings.CADASTRE_API_RATES = {"general": 2}
    codes = [Api(f"cad_{'x' * 42}{number}").get("/me").status_code for number in range(3)]
    assert codes == [401, 401, 429]


@pytest.mark.django_db
def test_a_claimed_address_does_not_get_a_limit_of_its_own(site, visitor, settings):
    settings.CADASTRE_API_RATES = {"general": 1}
    codes = [
        visitor.get("/datasets", headers={"X-Forwarded-For": f"10.0.0.{number}"}).status_code for number in range(2)
    ]
    assert codes == [200, 429]


@pytest.mark.django_db
def test_behind_a_proxy_the_address_that_the_proxy_saw_counts(site, visitor, settings):
    settings.CADASTRE_API_RATES = {"general": 1}
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    sent = ("1.1.1.1, 10.0.0.1", "2.2.2.2, 10.0.0.1", "3.3.3.3, 10.0.0.2")
    codes = [visitor.get("/datasets", headers={"X-Forwarded-For": each}).status_code for each in sent]
    assert codes == [200, 429, 200]


@pytest.mark.django_db
def test_look_ups_have_a_limit_of_their_own(site, visitor, settings):
    settings.CADASTRE_API_RATES = {"look-ups": 1}
    question = {"sha256": "0" * 64}
    assert [visitor.post("/look-up", question).status_code for _ in range(2)] == [200, 429]
    assert visitor.get("/datasets").status_code == 200
