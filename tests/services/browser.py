"""Chromium, as the distribution installs it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from tests.services.presence import missing

NAMES = ("chromium", "chromium-browser", "google-chrome")

QUIET = (
    # A browser that calls home would fail behind a closed network, and tests must not depend on an open one.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
)


def find() -> str:
    """The path of Chromium: `CADASTRE_CHROMIUM`, else on PATH."""
    found = next(filter(None, (os.environ.get("CADASTRE_CHROMIUM"), *map(shutil.which, NAMES))), None)
    if found is None:
        missing("Chromium", "install the package `chromium`")
    return found


def arguments() -> list[str]:
    """Start options; as root Chromium refuses its own sandbox."""
    return [*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]


@contextmanager
def launched() -> Iterator[Browser]:
    """Run headless Chromium for as long as the block lasts."""
    executable = find()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=arguments())
        try:
            yield browser
        finally:
            browser.close()
