"""Rate windows, period keys and idempotency keys: exact under threads (faults 5, 7, 8, 52)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace import idempotency, limits
from marketplace.idempotency import IdempotencyRefusal
from marketplace.limits import LimitRefusal
from marketplace.models import IdempotencyRecord, PeriodRun, RateWindow
from tests.trade.conftest import NOW
from tests.trade.test_journal_moves_money_once import in_threads


@pytest.mark.django_db
def test_a_limit_counts_down_and_says_when_there_is_more():
    assert limits.take("lookup:a", limit=2, seconds=60, now=NOW).remaining == 1
    assert limits.take("lookup:a", limit=2, seconds=60, now=NOW).remaining == 0
    with pytest.raises(LimitRefusal) as refused:
        limits.take("lookup:a", limit=2, seconds=60, now=NOW)
    assert refused.value.limit == 2
    assert refused.value.allowance is not None
    assert refused.value.allowance.reset == NOW + timedelta(minutes=1)
    assert limits.take("lookup:b", limit=2, seconds=60, now=NOW).remaining == 1, "each name has its own"
    assert limits.take("lookup:a", limit=2, seconds=60, now=NOW + timedelta(minutes=1)).remaining == 1


@pytest.mark.django_db
def test_a_cost_that_does_not_fit_takes_nothing():
    limits.take("gas:a", limit=10, seconds=60, now=NOW, cost=7)
    with pytest.raises(LimitRefusal):
        limits.take("gas:a", limit=10, seconds=60, now=NOW, cost=4)
    assert limits.take("gas:a", limit=10, seconds=60, now=NOW, cost=3).remaining == 0


@pytest.mark.django_db(transaction=True)
def test_a_burst_gets_exactly_the_limit():
    def knock(_: int) -> int:
        return sum(_taken() for _ in range(10))

    def _taken() -> bool:
        try:
            limits.take("burst", limit=37, seconds=3600, now=NOW)
        except LimitRefusal:
            return False
        return True

    assert sum(in_threads(12, knock)) == 37  # type: ignore[arg-type]


@pytest.mark.django_db(transaction=True)
def test_of_two_beats_one_runs_the_period():
    results = in_threads(8, lambda _: limits.begin_period("close-epoch", "7", now=NOW))
    assert results.count(True) == 1
    assert not limits.begin_period("close-epoch", "7", now=NOW)
    assert limits.begin_period("close-epoch", "8", now=NOW)


@pytest.mark.django_db
def test_old_windows_and_periods_are_forgotten():
    limits.take("lookup:a", limit=2, seconds=60, now=NOW)
    limits.begin_period("sweep", "1", now=NOW)
    assert limits.forget_before(NOW) == 0
    assert limits.forget_before(NOW + timedelta(days=91)) == 2
    assert not RateWindow.objects.exists()
    assert not PeriodRun.objects.exists()


def ask(actor, key: str = "k1", body: object = "body", effects: list[int] | None = None):
    def effect():
        if effects is not None:
            effects.append(1)
        return 201, {"made": "once"}

    return idempotency.once(account=actor.account.id, key=key, request=["act", body], effect=effect, now=NOW)


@pytest.mark.django_db
def test_the_same_request_again_gets_the_same_answer_without_a_second_effect(cleo):
    effects: list[int] = []
    first, again = ask(cleo, effects=effects), ask(cleo, effects=effects)
    assert (first.status, first.response, first.replayed) == (201, {"made": "once"}, False)
    assert (again.status, again.response, again.replayed) == (201, {"made": "once"}, True)
    assert effects == [1]


@pytest.mark.django_db
def test_the_same_key_with_another_body_is_refused(cleo, mallory):
    ask(cleo)
    with pytest.raises(IdempotencyRefusal) as refused:
        ask(cleo, body="other")
    assert refused.value.code == "idempotency.other_body"
    assert not ask(mallory, body="other").replayed, "keys of two accounts have nothing to do with each other"


@pytest.mark.django_db
def test_a_refused_effect_leaves_the_key_free(cleo):
    def refuse():
        raise LimitRefusal("limit.rate", "no")

    with pytest.raises(LimitRefusal):
        idempotency.once(account=cleo.account.id, key="k1", request=["act", "body"], effect=refuse, now=NOW)
    assert not ask(cleo).replayed


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb"])
def test_keys_that_are_empty_too_long_or_unprintable_are_refused(cleo, key):
    with pytest.raises(IdempotencyRefusal):
        ask(cleo, key=key)


@pytest.mark.django_db
def test_records_are_kept_for_30_days(cleo):
    ask(cleo)
    assert idempotency.forget_before(NOW + timedelta(days=30)) == 0
    assert idempotency.forget_before(NOW + timedelta(days=30, seconds=1)) == 1
    assert not IdempotencyRecord.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_fifty_at_once_have_one_effect_and_one_body():
    from tests.trade.conftest import person

    cleo = person("Cleo")
    effects: list[int] = []
    results = in_threads(50, lambda _: ask(cleo, effects=effects))
    assert effects == [1]
    assert {str(result.response) for result in results} == {"{'made': 'once'}"}  # type: ignore[attr-defined]
    assert sum(not result.replayed for result in results) == 1  # type: ignore[attr-defined]
