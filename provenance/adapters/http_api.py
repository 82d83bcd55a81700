"""The HTTP connection of the command line and the Python client to a Cadastre site."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

import httpx

from provenance.core.refusal import Refusal

TRIES = 5
FIRST_PAUSE = 0.3
TIMEOUT = httpx.Timeout(75.0, connect=10.0)
"""Longer than the longest `Prefer: wait` that the API grants."""

LOOPBACK = {"127.0.0.1", "::1", "localhost"}
REPEATABLE = {"GET", "HEAD", "OPTIONS", "DELETE"}
PASSING = {502, 503, 504}


class ApiRefusal(Refusal):
    """The site refused a request (`status` is its HTTP status), or could not be reached (`status` 0)."""

    status: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: status, headers with lower-case names, and the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON. Raises ApiRefusal when it is not."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise ApiRefusal(
                "api.not_json", "The site answered with something that is not JSON.", actual=self.body[:80].decode("latin-1")
            ) from error


class ApiConnection:
    """Speaks to one site. The API key goes to that site only: redirects and links to other hosts are refused."""

    def __init__(self, url: str, *, api_key: str | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ApiRefusal("api.address", f"{url!r} is not the address of a site.", todo="Give http(s)://host.")
        if api_key and parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise ApiRefusal(
                "api.plain", "An API key is never sent without encryption.", actual=url, todo="Use the https address."
            )
        self.url = url.rstrip("/")
        self._sleep = sleep
        headers = {"User-Agent": "cadastre-client/1"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self._http = httpx.Client(headers=headers, timeout=TIMEOUT, follow_redirects=False, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        document: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request and return its reply.

        A request that may be repeated (by its method, or because it carries an Idempotency-Key) is repeated when the
        connection breaks or the site is starting again. Raises ApiRefusal for every status of 400 and above.
        """
        sent = dict(headers or {})
        if document is not None:
            content = json.dumps(document).encode()
            sent["Content-Type"] = "application/json"
        repeatable = method in REPEATABLE or "Idempotency-Key" in sent
        url = self._own_address(path)
        for attempt in range(TRIES):
            last = attempt == TRIES - 1 or not repeatable
            try:
                answer = self._http.request(method, url, params=query, content=content, headers=sent)
            except httpx.HTTPError as error:
                if last:
                    raise ApiRefusal(
                        "api.unreachable",
                        f"{self.url} does not answer: {type(error).__name__}.",
                        todo="Check the address with --site, and that the site is running.",
                    ) from error
            else:
                conflict = answer.status_code == 409 and "retry-after" in answer.headers
                if last or not (answer.status_code in PASSING or conflict):
                    return self._reply(answer)
            self._sleep(FIRST_PAUSE * 2**attempt)
        raise AssertionError  # the loop always returns or raises

    def download(self, path: str, *, start: int = 0) -> Iterator[bytes]:
        """Yield the body in pieces, from byte `start` on. Raises ApiRefusal."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        with self._http.stream("GET", self._own_address(path), headers=headers) as answer:
            if answer.status_code >= 400:
                answer.read()
            self._refuse(answer)
            yield from answer.iter_bytes(1 << 20)

    def upload(self, location: str, file: BinaryIO, *, size: int, progress: Callable[[int], None]) -> None:
        """Send `file` by tus 1.0, going on where the site is, until all `size` bytes are there.

        `progress` gets the number of bytes that the site has. Raises ApiRefusal.
        """
        piece_size = 4 * 1024 * 1024
        failures = 0
        while True:
            offset = int(self.request("HEAD", location, headers={"Tus-Resumable": "1.0.0"}).headers["upload-offset"])
            progress(offset)
            try:
                while offset < size:
                    file.seek(offset)
                    piece = file.read(piece_size)
                    headers = {
                        "Tus-Resumable": "1.0.0",
                        "Upload-Offset": str(offset),
                        "Content-Type": "application/offset+octet-stream",
                    }
                    reply = self.request("PATCH", location, content=piece, headers=headers)
                    offset = int(reply.headers["upload-offset"])
                    progress(offset)
            except ApiRefusal as refusal:
                failures += 1
                if refusal.status not in {0, 409, *PASSING} or failures == TRIES:
                    raise
                self._sleep(FIRST_PAUSE * 2**failures)
            else:
                return

    def _own_address(self, path: str) -> str:
        address = urljoin(self.url + "/", path)
        if urlsplit(address)[:2] != urlsplit(self.url)[:2]:
            raise ApiRefusal("api.foreign", f"{self.url} points to another site; it is not followed.", actual=address)
        return address

    def _reply(self, answer: httpx.Response) -> Reply:
        self._refuse(answer)
        return Reply(status=answer.status_code, headers=dict(answer.headers), body=answer.content)

    def _refuse(self, answer: httpx.Response) -> None:
        if answer.status_code < 300 or answer.status_code == 304:
            return
        problem: dict[str, Any] = {}
        if "json" in answer.headers.get("content-type", ""):
            try:
                found = answer.json()
                problem = found if isinstance(found, dict) else {}
            except ValueError:
                problem = {}
        refusal = ApiRefusal(
            str(problem.get("code", f"api.status_{answer.status_code}")),
            str(problem.get("title") or f"The site answered {answer.status_code} to {answer.request.method} {answer.request.url.path}."),
            limit=problem.get("limit"),
            actual=problem.get("actual"),
            todo=problem.get("todo"),
        )
        refusal.status = answer.status_code
        raise refusal
