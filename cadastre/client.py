"""The Python client: one method per thing that a program does with a Cadastre site."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

from cadastre.folder import LocalFile
from cadastre.wallet import Wallet
from provenance.adapters.http_api import ApiConnection, ApiRefusal, Reply
from provenance.core.cid import Cid
from provenance.core.digest import Sha256
from provenance.core.refusal import Refusal

Document = dict[str, Any]
WAIT = {"Prefer": "wait=20"}
ORDER_SETTLED = frozenset({"final", "failed", "declined", "refunded", "approval"})
TUS = {"Tus-Resumable": "1.0.0"}


class ClientRefusal(Refusal):
    """Something that was asked of the site did not come to pass."""


class Client:
    """A Cadastre site, seen by an account (with an API key) or by anyone (without).

    Ids are those of the site's addresses (`31337-<40 hex>-12`). Amounts are `{"amount", "token", "text"}`.
    Every method raises `ApiRefusal` when the site refuses, with the site's own reason.
    """

    def __init__(self, site: str, *, api_key: str | None = None) -> None:
        self.connection = ApiConnection(site, api_key=api_key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def get(self, path: str, **query: str | int | None) -> Any:
        """Return the JSON at a path below `/api/v1`."""
        wanted = {name: str(value) for name, value in query.items() if value is not None}
        return self.connection.request("GET", f"/api/v1{path}", query=wanted or None).json()

    def post(self, path: str, document: Document | None = None, *, key: str | None = None, wait: bool = False) -> Any:
        """Send a document, at most once per `key`, and return the JSON of the answer."""
        headers = {**({"Idempotency-Key": key} if key else {}), **(WAIT if wait else {})}
        return self.connection.request("POST", f"/api/v1{path}", document=document or {}, headers=headers).json()

    def every(self, path: str, **query: str | int | None) -> Iterator[Document]:
        """Yield all results of a list, page by page."""
        page = self.get(path, **query)
        while True:
            yield from page["results"]
            if not page["next"]:
                return
            page = self.connection.request("GET", page["next"]).json()

    def me(self) -> Document:
        """Return account, scopes and balance of the API key."""
        return dict(self.get("/me"))

    def deployment(self) -> Document:
        """Return chain, contracts, log and service keys of the site: what a verifier pins."""
        return dict(self.get("/deployment"))

    def search(
        self,
        words: str = "",
        *,
        kind: str | None = None,
        use: str | None = None,
        visibility: str | None = None,
        max_price: str | None = None,
        sort: str | None = None,
    ) -> Iterator[Document]:
        """Yield the listed datasets that match, the closest to the words first. `max_price` in base units.

        `sort`: `closest`, `newest`, `price`, `records` or `title`.
        """
        return self.every(
            "/datasets", q=words or None, kind=kind, use=use, visibility=visibility, max_price=max_price, sort=sort
        )  # fmt: skip

    def meant(self, words: str) -> str | None:
        """Return what was perhaps meant by words that find nothing, or None."""
        found: str | None = self.get("/datasets", q=words, limit=1)["meant"]
        return found

    def dataset(self, dataset: str) -> Document:
        """Return a dataset by id, or by `account/name`. Raises ClientRefusal for a name that nobody has."""
        if "/" not in dataset:
            return dict(self.get(f"/datasets/{dataset}"))
        found = self.get("/datasets", name=dataset)["results"]
        if not found:
            raise ClientRefusal(
                "dataset.name", "No dataset has this name.", actual=dataset, todo="Try: cadastre search"
            )
        return dict(found[0])

    def offers(self, dataset: str) -> list[Document]:
        """Return the public offers of a dataset."""
        return list(self.every(f"/datasets/{dataset}/offers"))

    def look_up(self, sha256: str) -> Document:
        """Ask whether a file is registered here, by its SHA-256 alone."""
        return dict(self.post("/look-up", {"sha256": sha256}))

    def look_up_file(self, path: Path) -> Document:
        """Ask whether a file, or something close to it, is registered here. Sends the file; the site keeps nothing."""
        headers = {"Content-Type": "application/octet-stream"}
        reply = self.connection.request("POST", "/api/v1/look-up", content=path.read_bytes(), headers=headers)
        return dict(reply.json())

    def quote(self, dataset: str, *, offer: str | None = None) -> Document:
        """Return a price that stands for some minutes: total, fee, terms."""
        return dict(self.post("/quotes", {"dataset": dataset, "offer": offer}))

    def private_offers(self) -> Iterator[Document]:
        """Yield the offers that owners made to this account alone, newest first; `buy(quote=…)` takes their ids."""
        return self.every("/quotes")

    def private_offer(self, quote: str) -> Document:
        """Return one of them, or another quote of the account, by its id."""
        return dict(self.get(f"/quotes/{quote}"))

    def buy(
        self,
        *,
        quote: str | None = None,
        offer: str | None = None,
        recipient: str,
        key: str | None = None,
        wallet: Wallet | None = None,
        fresh_licensee: bool = False,
        price: int | None = None,
        say: Callable[[str], None] = lambda _state: None,
        seconds: float = 600,
    ) -> Document:
        """Order a license and wait until it is final. `recipient` is the age recipient that the data is opened for.

        `wallet`: a connected wallet that pays, and holds the license unless `fresh_licensee` (a private offer is always
        held by a fresh address). It signs when the order asks for it, for this offer, and for no other price than
        `price`, in base units, where that is given. With the same `key` a second call, also from
        another machine, returns the same order: nothing is paid twice.
        Raises ClientRefusal when the order fails or is not final within `seconds`.
        """
        wanted = {"quote": quote} if quote else {"offer": offer}
        if wallet is not None:
            wanted |= {"payer": wallet.address, "licensee": "fresh" if fresh_licensee else "wallet"}
        order = self.post("/orders", {**wanted, "recipient": recipient}, key=key or str(uuid.uuid4()), wait=True)
        deadline = time.monotonic() + seconds
        while order["state"] not in ORDER_SETTLED:
            say(order["state"])
            if wallet is not None and order["signature"] is not None and order["signature"]["state"] == "wanted":
                known = self._offer_of(order, quote)
                self._pay(order, wallet, known, wanted=offer, fresh_licensee=fresh_licensee, price=price)
            if time.monotonic() > deadline:
                raise ClientRefusal(
                    "order.slow", f"Order {order['id']} is still {order['state']}. It goes on without you.",
                    limit=f"{seconds:g} s", todo=f"Look again: cadastre order {order['id']}",
                )  # fmt: skip
            order = self._waited(f"/orders/{order['id']}").json()
        say(order["state"])
        if order["state"] in {"failed", "declined"}:
            raise ClientRefusal(
                "order.failed", f"The order {order['state']}: {order['cause']}",
                todo="Nothing was charged. To order again, use another --key.",
            )  # fmt: skip
        return dict(order)

    def order(self, order: str) -> Document:
        """Return an order by id."""
        return dict(self.get(f"/orders/{order}"))

    def licenses(self) -> Iterator[Document]:
        """Yield the account's licenses, newest first; also those that a connected wallet bought directly on chain."""
        return self.every("/licenses")

    def grant(self, license_id: str, *, recipient: str) -> list[Document]:
        """Have the data of a license opened for another age recipient; return its grants. Nothing is paid again."""
        return list(self.post(f"/licenses/{license_id}/grants", {"recipient": recipient})["results"])

    def bundle(self, license_id: str, *, recipient: str | None = None, seconds: float = 300) -> bytes:
        """Return the license bundle: certificate, terms, proofs and the key grant. Waits until the grant is made.

        `recipient`: another one than the order's, for which `grant` was called. Raises ApiRefusal with what it waits
        for when it is not made within `seconds`, or at once when it never will.
        """
        query = {"recipient": recipient} if recipient else None
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self._waited(f"/licenses/{license_id}/bundle", query=query).body
            except ApiRefusal as refusal:
                if refusal.code != "bundle.waiting" or time.monotonic() > deadline:
                    raise
            time.sleep(0.5)

    def trail(self, dataset: str) -> bytes:
        """Return the bundle of a dataset's trail, for anyone to verify."""
        return self.connection.request("GET", f"/api/v1/datasets/{dataset}/trail", query={"format": "bundle"}).body

    def block(self, owner: str, cid: Cid) -> bytes:
        """Return a stored block, not checked; `owner` is `licenses/{id}` or `datasets/{id}`."""
        return self.connection.request("GET", f"/api/v1/{owner}/blocks/{cid}").body

    def public_document(self, digest: Sha256) -> bytes:
        """Return the bytes of a public document by digest, not checked."""
        return self.connection.request("GET", f"/api/v1/documents/{digest.hex}").body

    def log_file(self, path: str) -> bytes:
        """Return a static file of the log, such as `checkpoint` or a tile, not checked."""
        return self.connection.request("GET", f"/log/{path}").body

    def report_usage(self, report: Document, *, key: str | None = None) -> Document:
        """Report use of a license: `license, version, period, use, quantity, model, run, corrects` (docs/api.md).

        The key defaults to the digest of the report, so that the same report counts once.
        """
        default = hashlib.sha256(json.dumps(report, sort_keys=True).encode()).hexdigest()
        return dict(self.post("/usage", report, key=key or default))

    def open_draft(self, *, dataset: str | None = None, owner: str | None = None) -> Document:
        """Start to publish a dataset, which a connected wallet may own, or a new version of one."""
        wanted = {"dataset": dataset} if dataset else {"owner": owner} if owner else {}
        return dict(self.post("/drafts", wanted, key=str(uuid.uuid4())))

    def change_draft(self, draft: str, changes: Mapping[str, Any]) -> Document:
        """Describe a draft: any of the fields that docs/api.md names."""
        current = self.get(f"/drafts/{draft}")
        body = {**changes, "revision": current["revision"]}
        return dict(self.connection.request("PATCH", f"/api/v1/drafts/{draft}", document=body).json())

    def discard_draft(self, draft: str) -> None:
        """Give a draft up; what it holds is freed."""
        self.connection.request("DELETE", f"/api/v1/drafts/{draft}")

    def upload(
        self, draft: str, files: Sequence[LocalFile], *, progress: Callable[[LocalFile, int], None] = lambda *_: None
    ) -> None:
        """Send files of a draft; those that are there already, whole or in part, are not sent again.

        The site compares what arrives with the SHA-256 computed here.
        """
        known = {file["path"]: file for file in self.every(f"/drafts/{draft}/files", limit=100)}
        for file in files:
            there = known.get(file.path)
            if there is not None and there["bytes"] != file.size:
                self.connection.request("DELETE", there["upload"], headers=TUS)
                there = None
            location = self._announce(draft, file) if there is None else str(there["upload"])
            with file.location.open("rb") as stream:
                self.connection.upload(location, stream, size=file.size, progress=partial(progress, file))

    def check_draft(self, draft: str) -> Document:
        """Close the list of files: hashing, scan and copy check begin, or begin again after answers."""
        return dict(self.post(f"/drafts/{draft}/check", key=str(uuid.uuid4())))

    def draft(self, draft: str, *, wait: bool = False) -> Document:
        """Return state, stages and refusal of a draft."""
        return dict(self._waited(f"/drafts/{draft}").json() if wait else self.get(f"/drafts/{draft}"))

    def matches(self, draft: str) -> list[Document]:
        """Return what the copy check found."""
        return list(self.every(f"/drafts/{draft}/matches"))

    def answer_match(
        self, match: str, answer: str, *, evidence: str | None = None, license_id: str | None = None
    ) -> None:
        """Answer a match: `built-from`, `same-source`, `author` or `remove`."""
        body = {"answer": answer, "evidence": evidence, "license": license_id}
        self.post(f"/matches/{match}/answer", body, key=str(uuid.uuid4()))

    def review(self, draft: str) -> Document:
        """Return exactly what becomes public and permanent, and its digest."""
        return dict(self.get(f"/drafts/{draft}/review"))

    def confirm(self, draft: str, digest: str, *, wallet: Document | None = None) -> Document:
        """Publish what the review showed; `wallet` holds what its wallets signed (`Wallet.sign_registration`)."""
        body = {"digest": digest, **({"wallet": wallet} if wallet else {})}
        return dict(self.post(f"/drafts/{draft}/confirm", body, key=f"confirm-{draft}-{digest}"))

    def wallets(self) -> list[Document]:
        """Return the wallets that the account connected."""
        return list(self.get("/wallets")["results"])

    def connect(self, wallet: Wallet) -> Document:
        """Connect a wallet, which then signs where it is named; twice is once."""
        link = self.get("/wallets/link", address=wallet.address)
        signature = wallet.sign("link", link["typed_data"])
        given = {"address": wallet.address, "deadline": link["deadline"], "signature": signature}
        return dict(self.post("/wallets", given))

    def asked(self, wallet: str, *, dataset: str | None = None, state: str = "wanted") -> Iterator[Document]:
        """Yield what a wallet is asked to sign, newest first; of one dataset where it is named."""
        return self.every("/signatures", state=state, wallet=wallet, dataset=dataset)

    def sign(self, asked: Document, wallet: Wallet) -> Document:
        """Let a wallet answer one question of `asked`. Raises WalletRefusal when it asks for something else."""
        return self.give_signature(asked["id"], wallet.sign(asked["act"], asked["typed_data"]))

    def give_signature(self, asked: str, signature: str) -> Document:
        """Give a wallet's signature for a question, by its id; twice is once."""
        return dict(self.post(f"/signatures/{asked}", {"signature": signature}))

    def _offer_of(self, order: Document, quote: str | None) -> Document:
        if quote is not None:
            return dict(self.get(f"/quotes/{quote}/offer"))
        found = next((each for each in self.offers(order["dataset"]) if each["digest"] == order["offer"]), None)
        if found is None:
            raise _unsigned("order.offer", "The order is for an offer that its dataset does not have", order)
        return found

    def _pay(
        self,
        order: Document,
        wallet: Wallet,
        known: Document,
        *,
        wanted: str | None,
        fresh_licensee: bool,
        price: int | None,
    ) -> None:
        total = int(order["total"]["amount"])
        if order["offer"] != (wanted or known["digest"]):
            raise _unsigned("order.offer", "The order is for another offer", order)
        if (order["licensee"] == wallet.address) == fresh_licensee:
            raise _unsigned("order.licensee", "The order is for another licensee", order)
        if price is not None and total != price:
            raise _unsigned("order.price", f"The order costs {total} base units, not {price}", order)
        self.give_signature(order["signature"]["id"], wallet.sign_payment(order, known, price=total))

    def _announce(self, draft: str, file: LocalFile) -> str:
        told = {"path": file.path, "sha256": file.sha256()}
        metadata = ",".join(f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in told.items())
        headers = {**TUS, "Upload-Length": str(file.size), "Upload-Metadata": metadata}
        reply = self.connection.request(
            "POST", f"/api/v1/drafts/{draft}/files", headers={**headers, "Idempotency-Key": str(uuid.uuid4())}
        )
        return reply.header("location")

    def _waited(self, path: str, *, query: Mapping[str, str] | None = None) -> Reply:
        return self.connection.request("GET", f"/api/v1{path}", query=query, headers=WAIT)


def _unsigned(code: str, sentence: str, order: Document) -> ClientRefusal:
    return ClientRefusal(
        code, f"{sentence}. The wallet did not sign.", actual=order["id"],
        todo="Look at the order; what is not signed is not paid.",
    )  # fmt: skip
