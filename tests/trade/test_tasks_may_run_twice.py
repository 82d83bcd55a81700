"""Celery's side: every ring finds its task, every task may run twice, and one poison stops none of the others."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from marketplace import tasks
from marketplace.celery import app
from marketplace.models import PeriodRun
from marketplace.queries.operations import operations
from provenance.models import Deployment
from tests.trade.conftest import NOW


def test_every_ring_of_beat_finds_its_task_on_its_queue():
    app.loader.import_default_modules()
    for entry in app.conf.beat_schedule.values():
        assert entry["task"] in app.tasks
        assert entry["options"]["expires"] == entry["schedule"]
    signer = {name for name, entry in app.conf.beat_schedule.items() if entry["options"]["queue"] == "signer"}
    assert signer == {"provenance.tasks.sign", "marketplace.tasks.derive_addresses"}


def test_nothing_is_kept_outside_the_database():
    assert app.conf.result_backend is None
    assert app.conf.task_ignore_result


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["advance", "settle", "reconcile", "keep_house"])
def test_tasks_of_an_empty_register_run_twice(name):
    task = getattr(tasks, name)
    task()
    task()


@pytest.mark.django_db
def test_house_is_kept_once_an_hour_however_many_beats_ring():
    """Fault 5."""
    for _ in range(3):
        tasks.keep_house()
    run = PeriodRun.objects.get(job="keep-house")
    assert run.finished is not None


@pytest.mark.django_db
def test_sessions_that_have_ended_are_forgotten_and_others_go_on():
    for name, lasts in (("ended", timedelta(seconds=-1)), ("lasting", timedelta(days=1))):
        Session.objects.create(session_key=name, session_data="", expire_date=timezone.now() + lasts)
    tasks.keep_house()
    assert [session.session_key for session in Session.objects.all()] == ["lasting"]


@pytest.mark.django_db
def test_one_thing_that_cannot_be_done_does_not_stop_the_others(monkeypatch, caplog):
    """Fault 6: logged with its cause, tried again by the next ring."""
    done: list[str] = []

    def poison(**_):
        raise RuntimeError("a row that nobody can read")

    monkeypatch.setattr(tasks.offers, "advance_offers", poison)
    monkeypatch.setattr(tasks.vouchers, "advance_vouchers", lambda **_: done.append("vouchers"))
    tasks.advance()
    assert done == ["vouchers"]
    assert "could not advance offers" in caplog.text


@pytest.mark.django_db
def test_the_dashboard_says_what_demands_a_person():
    assert operations(now=NOW).healthy
    Deployment.objects.create(
        chain_id=1, registry="0x" + "11" * 20, market="0x" + "22" * 20, anchor="0x" + "33" * 20, first_block=0,
        halted="Block 7 was final here.", created_at=NOW,
    )  # fmt: skip
    assert not operations(now=NOW).healthy
