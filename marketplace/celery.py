"""The Celery application: queues `work` and `signer`, and what beat rings and how often.

Beat only rings doorbells. A ring that is lost is made good by the next one; a doubled ring finds nothing due.
"""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")

app = Celery("cadastre")
# For every thread: web servers ring from threads that did not import this module.
app.set_default()
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["provenance", "marketplace"])
app.autodiscover_tasks(["provenance"], related_name="content_tasks")

# Seconds between rings. A message that waits for longer than the next ring is worth nothing: it expires.
_RINGS = {
    "provenance.tasks.sign": (1.0, "signer"),
    "marketplace.tasks.derive_addresses": (5.0, "signer"),
    "provenance.tasks.follow": (2.0, "work"),
    "provenance.tasks.anchor": (20.0, "work"),
    "provenance.content_tasks.work": (5.0, "work"),
    "provenance.content_tasks.sweep_content": (60.0, "work"),
    "provenance.content_tasks.tend_copies": (10.0, "work"),
    "marketplace.tasks.advance": (3.0, "work"),
    "marketplace.tasks.settle": (5.0, "work"),
    "marketplace.tasks.reconcile": (60.0, "work"),
    "marketplace.tasks.keep_house": (300.0, "work"),
}
app.conf.beat_schedule = {
    task: {"task": task, "schedule": seconds, "options": {"queue": queue, "expires": seconds}}
    for task, (seconds, queue) in _RINGS.items()
}
# A ring by name alone (`provenance.doorbell`) has to find the signer, too: workers hold no keys.
app.conf.task_routes = {task: {"queue": queue} for task, (_, queue) in _RINGS.items()}
