"""The Celery application: queues `work` and `signer`, and what beat rings and how often.

Beat only rings doorbells. A ring that is lost is made good by the next one; a doubled ring finds nothing due.
"""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")

app = Celery("cadastre")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["provenance", "marketplace"])
