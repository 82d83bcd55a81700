"""The documentation, from the files under docs/ that tests keep true."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from marketplace.web.markdown import render_markdown

PAGES = {
    "creators": "For creators",
    "builders": "For model builders",
    "auditors": "For auditors",
    "cli": "The command line",
    "api": "API",
    "formats": "Formats",
    "chain": "Contracts and events",
    "architecture": "Architecture",
    "operators": "For operators",
    "algorithms/content": "Content and CIDs",
    "algorithms/log": "The log",
    "algorithms/gate": "The copy check",
    "algorithms/compatibility": "Terms that fit together",
    "algorithms/royalties": "Royalties",
    "algorithms/settlement": "Settlement",
    "algorithms/lanes-and-reorgs": "Lanes and reorganizations",
}


def docs(request: HttpRequest, name: str = "") -> HttpResponse:
    """The list of pages, or one of them."""
    if not name:
        return render(request, "web/docs.html", {"pages": PAGES})
    if name not in PAGES:
        raise Http404
    content = render_markdown(name)
    if content is None:
        raise Http404
    return render(
        request, "web/docs_page.html", {"pages": PAGES, "name": name, "heading": PAGES[name], "content": content}
    )
