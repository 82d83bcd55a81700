"""A Cadastre site of a few lines, for what a real one does not do on demand: lose replies, stall, lie."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """A request that arrived; header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What is sent back; `lost`: the connection breaks instead."""

    value: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    lost: bool = False


def problem(status: int, code: str, title: str, headers: Mapping[str, str] | None = None, **members: Any) -> Answer:
    """A refusal as the API words it."""
    kind = {"Content-Type": "application/problem+json", **(headers or {})}
    return Answer(
        {"type": f"/problems/{code}", "title": title, "code": code, "status": status, **members}, status, kind
    )


Play = Callable[[Asked], Answer | Any]


class FakeSite:
    """Answers by (method, path); a path that ends with `*` matches what begins like it. Keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._plays: dict[tuple[str, str], Play] = {}
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                return

            def _serve(self) -> None:
                site.serve(self)

            do_GET = do_POST = do_PATCH = do_HEAD = do_DELETE = do_OPTIONS = _serve  # noqa: N815  # its names

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def on(self, method: str, path: str, play: Play | object) -> None:
        """Answer with what `play` returns, or with `play` itself."""
        self._plays[method, path] = play if callable(play) else lambda _asked: play

    def in_turn(self, method: str, path: str, *answers: object) -> None:
        """Give one answer after the other, then the last one for ever."""
        left = list(answers)
        self.on(method, path, lambda _asked: left.pop(0) if len(left) > 1 else left[0])

    def requests(self, method: str, path: str) -> list[Asked]:
        return [each for each in self.asked if (each.method, each.path) == (method, path)]

    def counted(self) -> Counter[str]:
        return Counter(f"{each.method} {each.path}" for each in self.asked)

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        headers = {name.lower(): value for name, value in handler.headers.items()}
        asked = Asked(handler.command, parts.path, query, headers, body)
        self.asked.append(asked)
        found = self._play(asked)
        answer = found if isinstance(found, Answer) else Answer(found)
        if answer.lost:
            handler.close_connection = True
            handler.connection.close()
            return
        raw = answer.value if isinstance(answer.value, bytes) else json.dumps(answer.value).encode()
        handler.send_response(answer.status)
        sent = {"Content-Type": "application/json", "Content-Length": str(len(raw)), **answer.headers}
        for name, value in sent.items():
            handler.send_header(name, value)
        handler.end_headers()
        if asked.method != "HEAD":
            handler.wfile.write(raw)

    def _play(self, asked: Asked) -> Answer | object:
        exact = self._plays.get((asked.method, asked.path))
        if exact is not None:
            return exact(asked)
        for (method, path), play in self._plays.items():
            if method == asked.method and path.endswith("*") and asked.path.startswith(path[:-1]):
                return play(asked)
        return problem(404, "request.not_found", "There is nothing at this address.")
