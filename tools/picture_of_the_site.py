"""Take docs/images/dataset.png, the picture in README.md, from a running site that has the demo story.

usage: .venv/bin/python tools/picture_of_the_site.py [URL]     (http://127.0.0.1:8000, as `make run` starts it)
"""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

IMAGE = Path(__file__).parents[1] / "docs" / "images" / "dataset.png"
WIDTH, HEIGHT = 1280, 900
CHROMIUM = "/usr/bin/chromium"


def main() -> int:
    """Find the story's photographs and keep what their page shows at first."""
    site = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
    with urllib.request.urlopen(f"{site}/api/v1/datasets?q=photographs") as answer:  # noqa: S310  # the operator's own site
        found = json.load(answer)["results"]
    if not found:
        print(f"{site} lists no photographs. Start it with `make run`, which loads the demo story.")
        return 1
    with sync_playwright() as playwright:
        own = {"executable_path": CHROMIUM} if Path(CHROMIUM).exists() else {}
        browser = playwright.chromium.launch(args=["--no-sandbox"], **own)
        page = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light", reduced_motion="reduce",
            locale="en-US", timezone_id="UTC",
        )  # fmt: skip
        page.goto(f"{site}/d/{found[-1]['id']}", wait_until="networkidle")
        page.screenshot(path=IMAGE)
        browser.close()
    print(f"{IMAGE} shows “{found[-1]['title']}”.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
