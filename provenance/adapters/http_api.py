"""The HTTP connection of the command line and the Python client to a Cadastre site.

1. The API key goes to that site only, and never unencrypted to another machine.
2. What may be repeated is repeated when the connection breaks, the site is starting, or it asks to wait: requests whose
   method changes nothing, and those that carry an Idempotency-Key. Nothing else is ever sent twice.
3. Uploads go on from where the site is (tus 1.0).
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Self
from urllib.parse import SplitResult, urljoin, urlsplit

from provenance.core.refusal import Refusal

if TYPE_CHECKING:
    import httpx

TRIES = 5
FIRST_PAUSE = 0.3
LONGEST_PAUSE = 60.0
ANSWER_SECONDS, CONNECT_SECONDS = 75.0, 10.0
"""How long an answer may take, longer than the longest `Prefer: wait` that the API grants; and a connection."""

PIECE_BYTES = 4 * 1_048_576
UNREACHABLE = "api.unreachable"
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
PASSING = frozenset({502, 503, 504})
UNDER_WAY = "idempotency.under_way"
# Of an upload: broken connection, another offset than ours, a piece that is still being written, damaged on its way.
GOES_ON = frozenset({0, 409, 423, 460, *PASSING})


class ApiRefusal(Refusal):
    """The site refused a request (`status` is its HTTP status), or there is none (`status` 0)."""

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
            shown = self.body[:80].decode("latin-1")
            raise ApiRefusal("api.not_json", "The site's answer is not JSON.", actual=shown) from error

    def header(self, name: str) -> str:
        """Return a header that the protocol demands. Raises ApiRefusal without it."""
        if name not in self.headers:
            raise ApiRefusal("api.header", f"The site's answer lacks the header {name}.", actual=self.status)
        return self.headers[name]


class ApiConnection:
    """Speaks to one site: the origin of `url`. Redirects and links to other origins are refused. Safe with threads."""

    def __init__(self, url: str, *, api_key: str | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        parts = _site(url)
        if api_key and not (api_key.isascii() and api_key.isprintable()):
            raise ApiRefusal(
                "api.key", "That is no API key: keys are one line of plain letters.",
                todo="Copy it again from the site's page “API keys”.",
            )  # fmt: skip
        if api_key and parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise ApiRefusal(
                "api.plain", "An API key is never sent without encryption.", actual=url, todo="Use the https address."
            )
        self.url = f"{parts.scheme}://{parts.netloc}"
        self._sleep = sleep
        headers = {"User-Agent": "cadastre-client/1"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        # Here, because it takes longer to load than commands to run that ask no site.
        import httpx

        timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        # Nothing from the environment: a proxy set there would see the key of a site on this machine.
        self._http = httpx.Client(headers=headers, timeout=timeout, follow_redirects=False, trust_env=False)
        self._broken: type[Exception] = httpx.HTTPError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
        """Send one request and return its reply. Raises ApiRefusal for every status of 300 and above."""
        sent = dict(headers or {})
        if document is not None:
            content = json.dumps(document).encode()
            sent["Content-Type"] = "application/json"
        tries = TRIES if method in REPEATABLE or "Idempotency-Key" in sent else 1
        url = self._own_address(path)
        for attempt in range(1, tries + 1):
            pause = FIRST_PAUSE * 2 ** (attempt - 1)
            try:
                answer = self._http.request(method, url, params=query, content=content, headers=sent)
            except self._broken as error:
                if attempt == tries:
                    raise _unreachable(self.url, error) from error
            else:
                wanted = _wanted_pause(answer)
                if wanted is None or attempt == tries:
                    return _reply(answer)
                pause = max(pause, wanted)
            self._sleep(pause)
        raise AssertionError("the last try returns or raises")

    def upload(self, location: str, file: BinaryIO, *, size: int, progress: Callable[[int], None]) -> None:
        """Send `file` by tus 1.0, going on where the site is, until all `size` bytes are there.

        `progress` gets the number of bytes that the site has. Raises ApiRefusal after five failures without progress.
        """
        failures, furthest = 0, -1
        while True:
            offset = _offset(self.request("HEAD", location, headers={"Tus-Resumable": "1.0.0"}))
            if offset > furthest:
                failures, furthest = 0, offset
            try:
                while offset < size:
                    progress(offset)
                    offset = self._send_piece(location, file, offset)
            except ApiRefusal as refusal:
                failures += 1
                if refusal.status not in GOES_ON or failures == TRIES:
                    raise
                self._sleep(FIRST_PAUSE * 2 ** (failures - 1))
            else:
                progress(offset)
                return

    def _send_piece(self, location: str, file: BinaryIO, offset: int) -> int:
        file.seek(offset)
        piece = file.read(PIECE_BYTES)
        if not piece:
            raise ApiRefusal(
                "api.file_changed", "The file became shorter while it was sent.", actual=offset, todo="Send it again."
            )
        digest = base64.b64encode(hashlib.sha256(piece).digest()).decode()
        headers = {
            "Tus-Resumable": "1.0.0",
            "Upload-Offset": str(offset),
            "Upload-Checksum": f"sha256 {digest}",
            "Content-Type": "application/offset+octet-stream",
        }
        return _offset(self.request("PATCH", location, content=piece, headers=headers))

    def _own_address(self, path: str) -> str:
        address = urljoin(f"{self.url}/", path)
        if urlsplit(address)[:2] != urlsplit(self.url)[:2]:
            raise ApiRefusal("api.foreign", f"{self.url} points to another site; it is not followed.", actual=address)
        return address


def _site(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_site = parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
        if is_site and (parts.port is None or parts.port):
            return parts
    except ValueError:
        pass  # a port or an IPv6 address that is none
    raise ApiRefusal("api.address", f"{url!r} is not the address of a site.", todo="Give http(s)://host.")


def _wanted_pause(answer: httpx.Response) -> float | None:
    """Return the seconds to wait before the same request is sent again; None: this is the answer."""
    status = answer.status_code
    asked = answer.headers.get("retry-after", "")
    seconds = float(asked) if asked.isdecimal() else None
    if seconds is not None and seconds > LONGEST_PAUSE:
        return None
    if status in PASSING:
        return seconds or 0.0
    if status == 409 and _problem(answer).get("code") == UNDER_WAY:
        return seconds or 0.0
    return seconds if status in {409, 429} else None


def _reply(answer: httpx.Response) -> Reply:
    if answer.status_code < 300:
        return Reply(status=answer.status_code, headers=dict(answer.headers), body=answer.content)
    problem = _problem(answer)
    asked = f"{answer.request.method} {answer.request.url.path}"
    refusal = ApiRefusal(
        str(problem.get("code", f"api.status_{answer.status_code}")),
        str(problem.get("title") or f"The site answered {answer.status_code} to {asked}."),
        limit=problem.get("limit"),
        actual=problem.get("actual") or answer.headers.get("location"),
        todo=problem.get("todo"),
    )
    refusal.status = answer.status_code
    raise refusal


def _problem(answer: httpx.Response) -> dict[str, Any]:
    """Return the problem document (RFC 9457) of an answer, empty when it is none."""
    try:
        found = answer.json() if "json" in answer.headers.get("content-type", "") else None
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _offset(reply: Reply) -> int:
    text = reply.header("upload-offset")
    if not text.isdecimal():
        raise ApiRefusal("api.header", "The site's Upload-Offset is no number.", actual=text[:40])
    return int(text)


def _unreachable(url: str, error: Exception) -> ApiRefusal:
    return ApiRefusal(
        UNREACHABLE,
        f"{url} does not answer: {type(error).__name__}.",
        todo="Check the address with --site, and that the site is running.",
    )
