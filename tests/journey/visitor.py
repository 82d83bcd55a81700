"""Somebody in front of Chromium. Wherever they get, the page is examined; what is wrong is kept and told at the end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, Request, expect

from tests.faults.instance import Newcomer

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
SCHEMES = ("light", "dark")
PASSWORD = "correct horse battery staple"
OWN_SCHEMES = {"blob", "data"}
"""What a page makes in the browser itself."""


class Visitor:
    """`wrong`: what was found so far. `expects`: words of console messages that belong to the journey."""

    def __init__(self, context: BrowserContext, site: str, axe_source: str, *, expects: tuple[str, ...] = ()) -> None:
        self.site, self.context, self.expects = site, context, expects
        self.axe_source = axe_source
        self.wrong: list[str] = []
        context.set_default_timeout(30_000)
        context.on("request", self._asked)
        context.on("console", self._said)
        context.on("weberror", lambda error: self.wrong.append(f"{error.error}"))
        self.page: Page = context.new_page()

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.netloc != urlsplit(self.site).netloc and parts.scheme not in OWN_SCHEMES:
            self.wrong.append(f"{self.page.url} asks somebody else: {request.url}")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not any(words in message.text for words in self.expects):
            self.wrong.append(f"{self.page.url} says: {message.text}")

    def goes(self, path: str) -> None:
        """Open an address of the site and examine the page."""
        answer = self.page.goto(self.site + path)
        assert answer is not None
        self.examines()

    def examines(self) -> None:
        """Let axe look at the page that is shown, in light and in dark."""
        self.page.wait_for_load_state()
        self.page.evaluate(self.axe_source)
        for scheme in SCHEMES:
            self.page.emulate_media(color_scheme=scheme)
            found = self.page.evaluate("rules => axe.run({ runOnly: rules })", RULES)
            for violation in found["violations"]:
                nodes = [node["html"][:160] for node in violation["nodes"][:3]]
                self.wrong.append(f"{self.page.url} {scheme}: {violation['id']} {nodes}")
        self.page.emulate_media(color_scheme="light")

    def clicks(self, name: str, *, role: str = "link", within: Locator | None = None) -> None:
        """Use a link or a button by its words, wait for the page that it leads to, and examine it."""
        with self.leaves():
            self.touches(name, role=role, within=within)
        self.examines()

    @contextmanager
    def leaves(self) -> Iterator[None]:
        """Wait until what is done in the block has led to another page, or to the same one loaded again."""
        with self.page.expect_navigation(wait_until="load"):
            yield

    def presses(self, name: str, *, within: Locator | None = None) -> None:
        self.clicks(name, role="button", within=within)

    def touches(self, name: str, *, role: str = "button", within: Locator | None = None) -> None:
        """Use a button or a link that leaves the page where it is."""
        (within or self.page).get_by_role(role, name=name, exact=True).first.click()  # type: ignore[arg-type]

    def sees(self) -> str:
        """What stands before them, for whoever reads why a test failed."""
        return f"{self.page.url}\n{self.page.locator('main').inner_text()[-2500:]}"

    def fills(self, **fields: str) -> None:
        """Type into the fields of these names."""
        for name, text in fields.items():
            self.page.locator(f"main [name='{name}']").fill(text)

    def reads(self, words: str | re.Pattern[str]) -> None:
        """Wait until the page says so."""
        expect(self.page.locator("main")).to_contain_text(words)

    def reloads_until(self, words: str, *, times: int = 360) -> None:
        """Load the page again until it says so, as a person does where a page does not follow by itself."""
        for _ in range(times):
            if words in self.page.locator("main").inner_text():
                self.examines()
                return
            self.page.wait_for_timeout(500)
            self.page.reload()
        raise AssertionError(f"The page never says {words!r}: {self.sees()}")

    def clicks_until(self, link: str, words: str, *, times: int = 360) -> None:
        """Click again until the page says so: it sends back whoever comes before the signer has answered."""
        for _ in range(times):
            self.clicks(link)
            if words in self.page.locator("main").inner_text():
                return
            self.page.wait_for_timeout(500)
        raise AssertionError(f"The page never says {words!r}: {self.sees()}")

    def signs_up(self, name: str, email: str) -> None:
        """Fill in the form of the page `Sign up` that is shown."""
        self.fills(display_name=name, email=email, password1=PASSWORD)
        self.presses("Sign up")

    def is_signed_in_as(self, person: Newcomer) -> None:
        """Take over the session of somebody who signed up without Chromium."""
        cookies = [{"name": each.name, "value": each.value, "url": self.site} for each in person.http.cookies.jar]
        self.context.add_cookies(cookies)  # type: ignore[arg-type]

    def downloads(self, name: str, to: Path, *, role: str = "link") -> Path:
        """Use a link that gives a file, and keep the file."""
        with self.page.expect_download() as waiting:
            self.page.get_by_role(role, name=name, exact=True).first.click()  # type: ignore[arg-type]
        path = to / waiting.value.suggested_filename
        waiting.value.save_as(path)
        return path
