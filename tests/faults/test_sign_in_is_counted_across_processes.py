"""A limit of N is N in all, however many web processes there are: Mallory gains nothing by asking another one."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.cache import cache, caches
from django.test import Client
from django.utils import timezone

from marketplace import limits
from marketplace.models import CacheRow
from tests.api.test_uploads_survive_dropped_connections import database_url
from tests.trade.conftest import person
from tests.trade.test_journal_moves_money_once import in_threads

ROOT = Path(__file__).parent.parent.parent
PASSWORD = "Ada-keeps-a-secret"
SIGNED_OUT = 200
SIGN_IN = """
import django
django.setup()
from django.test import Client
right = {"login": "ada@example.org", "password": "Ada-keeps-a-secret"}
answer = Client(headers={"Host": "localhost"}).post("/account/login/", right)
print(answer.status_code, "Too many failed login attempts" in answer.content.decode())
"""
ADD = """
import django
django.setup()
from django.core.cache import cache
print(cache.add("a-used-code", "y", timeout=3_000), cache.add("another-code", "y", timeout=3_000))
"""


def elsewhere(program: str) -> str:
    """Run a program in another process on the test's database, and return what it prints."""
    environment = {**os.environ, "DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "tests.settings"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.django_db(transaction=True)
def test_wrong_passwords_here_are_known_to_every_other_web_process() -> None:
    ada = person("Ada")
    assert elsewhere(SIGN_IN) == "302 False", "the right password signs in"
    wrong = {"login": ada.membership.user.email, "password": "not hers"}
    assert [Client().post("/account/login/", wrong).status_code for _ in range(5)] == [SIGNED_OUT] * 5
    assert elsewhere(SIGN_IN) == "200 True"


@pytest.mark.django_db
def test_wrong_passwords_count_together_whatever_name_of_the_site_was_asked() -> None:
    ada = person("Ada")
    wrong = {"login": ada.membership.user.email, "password": "not hers"}
    for _ in range(5):
        Client(headers={"Host": "localhost"}).post("/account/login/", wrong)
    answer = Client(headers={"Host": "127.0.0.1"}).post("/account/login/", {**wrong, "password": PASSWORD})
    assert (answer.status_code, "Too many failed login attempts" in answer.content.decode()) == (SIGNED_OUT, True)


@pytest.mark.django_db(transaction=True)
def test_a_code_that_was_used_here_is_used_everywhere() -> None:
    assert cache.add("a-used-code", "y", timeout=3_000)
    assert elsewhere(ADD) == "False True"


@pytest.mark.django_db(transaction=True)
def test_of_all_who_add_at_the_same_moment_one_wins() -> None:
    assert in_threads(12, lambda number: cache.add("lock", number, timeout=3_000)).count(True) == 1


@pytest.mark.django_db
def test_what_has_expired_is_gone_can_be_added_again_and_is_forgotten_by_the_hour() -> None:
    assert cache.add("kept", [1.5], timeout=3_000)
    assert cache.add("over", [1.5], timeout=-1)
    assert (cache.get("kept"), cache.get("over", "nothing")) == ([1.5], "nothing")
    assert not cache.add("kept", [2.5], timeout=3_000)
    assert cache.add("over", [2.5], timeout=3_000)
    cache.set("over", [3.5], timeout=-1)
    assert cache.get("over") is None
    assert not cache.touch("over", 3_000)
    assert cache.touch("kept", 3_000)
    assert limits.forget_before(timezone.now()) == 1
    assert limits.forget_before(timezone.now() + timedelta(hours=1)) == 1
    assert not CacheRow.objects.exists()


@pytest.mark.django_db
def test_nothing_is_pushed_out_by_what_others_store_and_nothing_is_kept_for_ever() -> None:
    cache.set("hers", "first", timeout=3_000)
    for number in range(400):
        cache.set(f"mallory-{number}", "y", timeout=3_000)
    assert cache.get("hers") == "first"
    with pytest.raises(ValueError, match="expire"):
        cache.set("hers", "second", timeout=None)
    assert cache.delete("hers")
    assert not cache.delete("hers")
    cache.clear()
    assert cache.get("mallory-1") is None


def test_what_differs_between_processes_has_a_cache_of_its_own() -> None:
    caches["process"].set("here", "only", timeout=3_000)
    assert caches["process"].get("here") == "only"
