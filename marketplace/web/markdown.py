"""Our own Markdown files as safe HTML."""

from __future__ import annotations

from functools import lru_cache

import nh3
from django.conf import settings
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

TAGS = {
    "a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "hr", "li", "ol", "p", "pre", "strong",
    "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip


@lru_cache(maxsize=64)
def render_markdown(name: str) -> SafeString | None:
    """Return the page docs/{name}.md as HTML, None when there is none. Links between pages lose their `.md`."""
    path = settings.BASE_DIR / "docs" / f"{name}.md"
    if not path.is_file():
        return None
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(path.read_text(encoding="utf-8"))
    html = html.replace('.md"', '"').replace(".md#", "#")
    clean = nh3.clean(html, tags=TAGS, attributes={"a": {"href"}}, url_schemes={"http", "https"}, link_rel=None)
    scrolling = clean.replace("<table>", '<div class="scroll" tabindex="0"><table>').replace(
        "</table>", "</table></div>"
    )
    scrolling = scrolling.replace("<pre>", '<pre tabindex="0">')
    return mark_safe(scrolling)  # noqa: S308 - our own files, cleaned
