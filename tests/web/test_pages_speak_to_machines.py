"""Croissant and schema.org, RSL, Link headers, robots, JSON by `Accept`, security headers."""

from __future__ import annotations

import json
import re
from xml.etree.ElementTree import XML

import mlcroissant
import pytest
from django.test import Client

from marketplace.core.presets import PRESETS
from marketplace.core.rsl import NAMESPACE
from marketplace.web.structured_data import as_script
from tests.api.conftest import Person, Site, table
from tests.web.town import Story

# The reference reader uses a class that rdflib is about to rename.
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning"),
]
SCRIPT = re.compile(r'<script type="application/ld\+json">(.*?)</script>', re.DOTALL)


def json_ld(visitor: Client, slug: str) -> dict:
    return json.loads(SCRIPT.search(visitor.get(f"/d/{slug}").content.decode())[1])


def checked(document: dict) -> mlcroissant.Metadata:
    """Read it with the reference reader; its errors are exceptions."""
    return mlcroissant.Dataset(jsonld=document).metadata


def test_croissant_of_sealed_data_names_the_manifest_and_no_file(story: Story, visitor: Client):
    document = json_ld(visitor, story.paths["photographs"])
    found = checked(document)
    assert found.name == "Tide-pool photographs, Cornwall 2019–2025"
    assert [each["name"] for each in document["distribution"]] == ["manifest.json"]
    assert document["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert document["offers"]["price"] == "240.00"
    assert "pools/" not in json.dumps(document)
    assert not found.issues.errors


def test_croissant_of_open_data_names_each_file_with_its_digest(site: Site, ada: Person, visitor: Client):
    terms = PRESETS["open-cc-by-4.0"].terms
    site.publish(ada, visibility="open", terms=terms, files={"a/b c.csv": table("one"), "d.csv": table("two")})
    slug = "31337-" + "11" * 20 + "-1"
    document = json_ld(visitor, slug)
    checked(document)
    assert [each["description"] for each in document["distribution"][1:]] == ["a/b c.csv", "d.csv"]
    assert document["license"] == "https://spdx.org/licenses/CC-BY-4.0.html"
    assert document["isAccessibleForFree"] is True


def test_a_derived_dataset_says_what_it_is_based_on(story: Story, visitor: Client):
    document = json_ld(visitor, story.paths["derived"])
    assert document["isBasedOn"][0].endswith(f"/d/{story.paths['photographs']}")


def test_a_title_cannot_leave_its_script():
    written = as_script({"name": "</script><script>alert(1)</script>&"})
    assert "<" not in written
    assert json.loads(written)["name"] == "</script><script>alert(1)</script>&"


def test_licenses_are_told_to_crawlers(story: Story, visitor: Client):
    one = XML(visitor.get(f"/d/{story.paths['photographs']}/license.xml").content)
    assert one.tag == f"{{{NAMESPACE}}}rsl"
    everything = XML(visitor.get("/license.xml").content)
    assert len(everything.findall(f"{{{NAMESPACE}}}content")) == 2
    robots = visitor.get("/robots.txt").content.decode()
    assert "License: http://127.0.0.1:8000/license.xml" in robots
    assert "Disallow: /disclosed/" in robots


def test_link_headers_lead_to_manifest_terms_and_json(story: Story, visitor: Client):
    links = visitor.get(f"/d/{story.paths['photographs']}")["Link"]
    for relation in ('rel="alternate"', 'rel="describedby"', 'rel="license"'):
        assert relation in links


@pytest.mark.parametrize("path", ["d", "l", "e"])
def test_permanent_addresses_answer_json_to_those_who_ask_for_it(story: Story, visitor: Client, path: str):
    address = {"d": f"/d/{story.paths['photographs']}", "l": f"/l/{story.slug(story.license.pk)}", "e": "/e/0"}[path]
    answer = visitor.get(address, headers={"Accept": "application/json"})
    assert answer.status_code == 302
    assert answer["Location"].startswith("/api/v1/")
    assert visitor.get(address, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}).status_code == 200


@pytest.mark.parametrize(
    "address",
    [
        f"/d/31337-{'00' * 20}-1", f"/d/31337-{'00' * 20}-1/v/2", f"/l/31337-{'00' * 20}-1", "/e/99999",
        f"/sha256/{'00' * 32}", "/cid/bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", "/nobody/nothing",
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_in_the_form_that_was_asked_for(story: Story, visitor: Client, address: str):
    told = visitor.get(address, headers={"Accept": "application/json"})
    assert (told.status_code, told["Content-Type"]) == (404, "application/problem+json")
    problem = told.json()
    assert (problem["status"], problem["type"]) == (404, f"/problems/{problem['code']}")
    assert problem["title"]
    assert "Accept" in told["Vary"]
    page = visitor.get(address, headers={"Accept": "text/html,*/*;q=0.8"})
    assert (page.status_code, page["Content-Type"]) == (404, "text/html; charset=utf-8")


def test_a_cid_and_a_digest_lead_programs_to_the_datasets_that_hold_the_bytes(story: Story, visitor: Client):
    shown = visitor.get(f"/api/v1/datasets/{story.paths['photographs']}").json()
    found = visitor.get(f"/cid/{shown['package']['root']}", headers={"Accept": "application/json"}).json()
    assert [(row["id"], row["title"]) for row in found["datasets"]] == [(shown["id"], shown["title"])]


def test_a_public_document_is_its_exact_bytes(story: Story, visitor: Client):
    from provenance.core.digest import Sha256

    answer = visitor.get(f"/sha256/{story.license.terms}", headers={"Accept": "application/json"})
    assert Sha256.of(answer.content).hex == story.license.terms


def test_every_answer_is_closed_to_foreign_script_frames_and_sniffing(story: Story, visitor: Client):
    for address in ("/", f"/d/{story.paths['photographs']}", "/nothing/here", "/account/login/"):
        answer = visitor.get(address)
        policy = answer["Content-Security-Policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["X-Frame-Options"] == "DENY"


def test_the_search_box_leads_to_what_was_typed(story: Story, visitor: Client):
    cases = {
        story.paths["photographs"]: f"/d/{story.paths['photographs']}",
        story.slug(story.license.pk): f"/l/{story.slug(story.license.pk)}",
        story.license.tx: f"/audit?tx={story.license.tx}",
        story.license.terms: f"/sha256/{story.license.terms}",
        "0": "/e/0",
        "tide pools": "/explore?q=tide+pools",
    }
    for typed, target in cases.items():
        assert visitor.get("/find", {"q": typed})["Location"] == target


def test_log_files_are_served_and_nothing_beside_them(story: Story, visitor: Client):
    assert visitor.get("/log/checkpoint").content.decode().startswith("register.example/log\n")
    for path in ("/log/../secret_key", "/log/.lock/../../secret_key", "/log/%2e%2e/secret_key"):
        assert visitor.get(path).status_code == 404
