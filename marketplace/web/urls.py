"""Addresses of the website. Those of datasets, licenses, entries, CIDs and digests are permanent (docs/formats.md)."""

from __future__ import annotations

from django.urls import path

from marketplace.web import datasets, docs, evidence, explore, look_up, publishing, verifying

urlpatterns = [
    path("", explore.home, name="home"),
    path("explore", explore.explore, name="explore"),
    path("find", explore.find, name="find"),
    path("look-up", look_up.look_up_page, name="look-up"),
    path("d/<slug:slug>", datasets.dataset, name="dataset"),
    path("d/<slug:slug>/v/<int:number>", datasets.version, name="dataset-version"),
    path("d/<slug:slug>/<str:tab>", datasets.dataset, name="dataset-tab"),
    path("preview/<uuid:file>", datasets.preview, name="preview"),
    path("l/<slug:slug>", evidence.license_page, name="license"),
    path("e/<int:index>", evidence.entry, name="entry"),
    path("cid/<str:cid>", evidence.by_cid, name="cid"),
    path("sha256/<str:digest>", evidence.by_sha256, name="sha256"),
    path("s/<int:epoch>", evidence.settlement, name="settlement"),
    path("publish", publishing.publish, name="publish"),
    path("publish/start", publishing.start, name="publish-start"),
    path("publish/<uuid:draft>/files", publishing.files, name="publish-files"),
    path("publish/<uuid:draft>/describe", publishing.describe, name="publish-describe"),
    path("publish/<uuid:draft>/terms", publishing.terms, name="publish-terms"),
    path("publish/<uuid:draft>/contributors", publishing.add_contributor, name="publish-contributor"),
    path("publish/<uuid:draft>/contributors/<uuid:contributor>/remove", publishing.remove_contributor, name="publish-contributor-remove"),
    path("publish/<uuid:draft>/checks", publishing.checks, name="publish-checks"),
    path("publish/<uuid:draft>/review", publishing.review, name="publish-review"),
    path("publish/<uuid:draft>/discard", publishing.discard, name="publish-discard"),
    path("contribution/<str:token>", publishing.contribution, name="contribution"),
    path("audit", evidence.audit, name="audit"),
    path("verify", verifying.verify_page, name="verify"),
    path("log", evidence.log, name="log"),
    path("log/<path:path>", evidence.log_file, name="log-file"),
    path("docs", docs.docs, name="docs"),
    path("docs/<path:name>", docs.docs, name="docs-page"),
    path("api-docs", docs.docs, {"name": "api"}, name="api-docs"),
]
