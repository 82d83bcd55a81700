"""The documentation, from the files under docs/ that tests keep true."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _

from marketplace.web.markdown import render_markdown

GROUPS: tuple[tuple[Any, dict[str, Any]], ...] = (
    (
        _("For people"),
        {
            "creators": _("For creators"),
            "builders": _("For model builders"),
            "auditors": _("For auditors"),
            "operators": _("For operators"),
        },
    ),
    (
        _("For programs"),
        {
            "cli": _("The command line"),
            "api": _("API"),
            "formats": _("Formats"),
            "chain": _("Contracts and events"),
        },
    ),
    (
        _("How it works"),
        {
            "architecture": _("Architecture"),
            "promises": _("Promises"),
            "faults": _("Faults"),
            "algorithms/content": _("Content and CIDs"),
            "algorithms/log": _("The log"),
            "algorithms/gate": _("The copy check"),
            "algorithms/compatibility": _("Terms that fit together"),
            "algorithms/royalties": _("Royalties"),
            "algorithms/settlement": _("Settlement"),
            "algorithms/lanes-and-reorgs": _("Lanes and reorganizations"),
        },
    ),
)
PAGES = {name: heading for _group, pages in GROUPS for name, heading in pages.items()}


def docs(request: HttpRequest, name: str = "") -> HttpResponse:
    """The list of pages, or one of them."""
    if not name:
        return render(request, "web/docs.html", {"groups": GROUPS})
    if name not in PAGES:
        raise Http404
    content = render_markdown(name)
    if content is None:
        raise Http404
    return render(
        request, "web/docs_page.html", {"pages": PAGES, "name": name, "heading": PAGES[name], "content": content}
    )
