"""The Python client: one method per thing that a program does with a Cadastre site."""

from __future__ import annotations

import base64
import hashlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from cadastre.folder import LocalFile
from provenance.adapters.http_api import ApiConnection, ApiRefusal
from provenance.core.cid import Cid
from provenance.core.refusal import Refusal

Document = dict[str, Any]
WAIT = {"Prefer": "wait=20"}
ORDER_SETTLED = frozenset({"final", "failed", "declined", "refunded", "approval"})


class ClientRefusal(Refusal):
    """Something that was asked of the site did not come to pass."""


class Client:
    """A Cadastre site, seen by an account (with an API key) or by anyone (without).

    Ids are those of the site's addresses (`31337-<40 hex>-12`). Amounts are `{"amount", "token", "text"}`.
    Every method raises `ApiRefusal` when the site refuses, with the site's own reason.
    """

    def __init__(self, site: str, *, api_key: str | None = None) -> None:
        self.connection = ApiConnection(site, api_key=api_key)

    def get(self, path: str, **query: str | int | None) -> Any:
        """Return the JSON at a path below `/api/v1`."""
        wanted = {name: str(value) for name, value in query.items() if value is not None}
        return self.connection.request("GET", f"/api/v1{path}", query=wanted or None).json()

    def post(self, path: str, document: Document | None = None, *, key: str | None = None, wait: bool = False) -> Any:
        """Send a document, at most once per `key`, and return the JSON of the answer."""
        headers = {**({"Idempotency-Key": key} if key else {}), **(WAIT if wait else {})}
        reply = self.connection.request("POST", f"/api/v1{path}", document=document or {}, headers=headers)
        return reply.json() if reply.body else None

    def every(self, path: str, **query: str | int | None) -> Iterator[Document]:
        """Yield all results of a list, page by page."""
        page = self.get(path, **query)
        while True:
            yield from page["results"]
            if not page["next"]:
                return
            page = self.connection.request("GET", page["next"]).json()

    def me(self) -> Document:
        """Account, scopes and balance of the API key."""
        return dict(self.get("/me"))

    def deployment(self) -> Document:
        """Chain, contracts, log and service keys of the site: what a verifier pins."""
        return dict(self.get("/deployment"))

    def search(self, words: str = "", *, kind: str | None = None, use: str | None = None) -> Iterator[Document]:
        """Yield the listed datasets that match."""
        return self.every("/datasets", q=words or None, kind=kind, use=use)

    def dataset(self, dataset: str) -> Document:
        """One dataset by id, or by `{account}/{name}`, its version after `@` (`ada/tide-pools@3`)."""
        name = dataset.partition("@")[0]
        return dict(self.get("/datasets", name=name)["results"][0] if "/" in name else self.get(f"/datasets/{name}"))

    def offers(self, dataset: str) -> list[Document]:
        """The public offers of a dataset."""
        return list(self.get(f"/datasets/{dataset}/offers")["results"])

    def look_up(self, sha256: str) -> Document:
        """Ask whether a file is registered here, by its SHA-256 alone."""
        return dict(self.post("/look-up", {"sha256": sha256}))

    def look_up_file(self, path: Path) -> Document:
        """Ask whether a file, or something close to it, is registered here. Sends the file; the site keeps nothing."""
        headers = {"Content-Type": "application/octet-stream"}
        reply = self.connection.request("POST", "/api/v1/look-up", content=path.read_bytes(), headers=headers)
        return dict(reply.json())

    def quote(self, dataset: str, *, offer: str | None = None) -> Document:
        """A price that stands for some minutes: total, fee, terms."""
        return dict(self.post("/quotes", {"dataset": dataset, "offer": offer}))

    def buy(
        self,
        *,
        quote: str | None = None,
        offer: str | None = None,
        recipient: str,
        key: str | None = None,
        say: Callable[[str], None] = lambda _state: None,
        seconds: float = 600,
    ) -> Document:
        """Order a license and wait until it is final. `recipient` is the age recipient that the data is opened for.

        With the same `key` a second call, also from another machine, returns the same order: nothing is paid twice.
        Raises ClientRefusal when the order fails or is not final within `seconds`.
        """
        wanted = {"quote": quote} if quote else {"offer": offer}
        order = self.post("/orders", {**wanted, "recipient": recipient}, key=key or str(uuid.uuid4()), wait=True)
        deadline = time.monotonic() + seconds
        while order["state"] not in ORDER_SETTLED:
            say(order["state"])
            if time.monotonic() > deadline:
                raise ClientRefusal(
                    "order.slow",
                    f"Order {order['id']} is still {order['state']}. It goes on without you.",
                    limit=f"{seconds:g} s",
                    todo=f"Ask again: cadastre order {order['id']}",
                )
            order = self.connection.request("GET", f"/api/v1/orders/{order['id']}", headers=WAIT).json()
        say(order["state"])
        if order["state"] in {"failed", "declined"}:
            raise ClientRefusal("order.failed", f"The order {order['state']}: {order['cause']}", todo="Nothing was charged.")
        return dict(order)

    def order(self, order: str) -> Document:
        """One order by id."""
        return dict(self.get(f"/orders/{order}"))

    def bundle(self, license_id: str, *, seconds: float = 300) -> bytes:
        """The license bundle: certificate, terms, proofs and the key grant. Waits until the grant is made.

        Raises ClientRefusal when it is not within `seconds`.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.connection.request("GET", f"/api/v1/licenses/{license_id}/bundle", headers=WAIT).body
            except ApiRefusal as refusal:
                if refusal.status != 409 or time.monotonic() > deadline:
                    raise
            time.sleep(0.5)

    def trail(self, dataset: str) -> bytes:
        """The bundle of a dataset's trail, for anyone to verify."""
        return self.connection.request("GET", f"/api/v1/datasets/{dataset}/trail", query={"format": "bundle"}).body

    def block(self, owner: str, cid: Cid) -> bytes:
        """One stored block; `owner` is `licenses/{id}` or `datasets/{id}`. The caller checks it against its CID."""
        return self.connection.request("GET", f"/api/v1/{owner}/blocks/{cid}").body

    def report_usage(self, report: Document, *, key: str | None = None) -> Document:
        """Report use of a license: `license, version, period, use, quantity, model, run` (docs/formats.md).

        The key defaults to the digest of the report, so that the same report counts once.
        """
        default = hashlib.sha256(urlencode(sorted((name, repr(value)) for name, value in report.items())).encode()).hexdigest()
        return dict(self.post("/usage", report, key=key or default))

    def open_draft(self, *, dataset: str | None = None) -> Document:
        """Start to publish a dataset, or a new version of one."""
        return dict(self.post("/drafts", {"dataset": dataset} if dataset else {}, key=str(uuid.uuid4())))

    def change_draft(self, draft: str, changes: Mapping[str, Any]) -> Document:
        """Describe a draft: any of the fields that docs/api.md names."""
        current = self.get(f"/drafts/{draft}")
        body = {**changes, "revision": current["revision"]}
        return dict(self.connection.request("PATCH", f"/api/v1/drafts/{draft}", document=body).json())

    def upload(self, draft: str, file: LocalFile, *, progress: Callable[[int], None] = lambda _bytes: None) -> None:
        """Send one file of a draft; one that is there already, whole or in part, is not sent again."""
        metadata = ",".join(
            f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in (("path", file.path),)
        )
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(file.size), "Upload-Metadata": metadata}
        reply = self.connection.request(
            "POST", f"/api/v1/drafts/{draft}/files", headers={**headers, "Idempotency-Key": file.key(draft)}
        )
        with file.location.open("rb") as stream:
            self.connection.upload(reply.headers["location"], stream, size=file.size, progress=progress)

    def check_draft(self, draft: str) -> Document:
        """Close the list of files: hashing, scan and copy check begin."""
        return dict(self.post(f"/drafts/{draft}/check", key=f"check-{draft}"))

    def draft(self, draft: str, *, wait: bool = False) -> Document:
        """State, stages and refusal of a draft."""
        return dict(self.connection.request("GET", f"/api/v1/drafts/{draft}", headers=WAIT if wait else {}).json())

    def matches(self, draft: str) -> list[Document]:
        """What the copy check found."""
        return list(self.get(f"/drafts/{draft}/matches")["results"])

    def answer_match(self, match: str, answer: str, *, evidence: str | None = None, license_id: str | None = None) -> None:
        """Answer a match: `built-from`, `same-source`, `author` or `remove`."""
        body = {"answer": answer, "evidence": evidence, "license": license_id}
        self.post(f"/matches/{match}/answer", body, key=f"{match}-{answer}")

    def review(self, draft: str) -> Document:
        """Exactly what becomes public and permanent, and its digest."""
        return dict(self.get(f"/drafts/{draft}/review"))

    def confirm(self, draft: str, digest: str) -> Document:
        """Publish what the review showed."""
        return dict(self.post(f"/drafts/{draft}/confirm", {"digest": digest}, key=f"confirm-{draft}-{digest}"))
