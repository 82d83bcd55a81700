"""A content store on a Kubo node, through ipfshttpclient.

1. DAGs are computed by us. The node gets finished blocks (`dag import` of a CAR, `block put`) and names nothing.
2. Every block that comes back is re-hashed: a node or a gateway may be wrong or lie.
3. Every request is `offline`: a block that this node lacks is missing here, even if the network has it.
4. Sealed data is pinned but not announced. Kubo decides per node, not per pin, so the node must run with
   `Provide.Strategy` = `mfs`, and what may be announced is linked into MFS under `/cadastre/announced`.
   A node that announces all pins is refused as a home of sealed data.

Tested with Kubo 0.43 and ipfshttpclient 0.7, whose `connect()` refuses every Kubo of this decade: `Client` does not.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar
from urllib.parse import urlsplit

with warnings.catch_warnings():
    # Its dependencies import deprecated names; none of that concerns this program.
    warnings.simplefilter("ignore")
    import ipfshttpclient
    from ipfshttpclient import exceptions as ipfs_errors

from provenance.adapters.dag import ChunkReader, car_blocks
from provenance.core.car import write_car
from provenance.core.cid import Cid, CidRefusal, Codec, verify_block
from provenance.ports import Stored, StoreHealth, StoreRefusal

ANNOUNCED = "/cadastre/announced"
QUIET_STRATEGIES = frozenset({"mfs", "mfs+unique", "mfs+entities"})
DEFAULT_TIMEOUT = 60.0
_CAR_READ_BYTES = 8192
_CODEC_NAMES = {Codec.RAW: "raw", Codec.DAG_PB: "dag-pb"}
_ABSENT = ("not found", "does not exist", "could not find")

Answer = TypeVar("Answer")


class KuboBlocks:
    """A Kubo node. `address` is a multiaddr (`/ip4/127.0.0.1/tcp/5001/http`) or a URL; `timeout` is seconds.

    `import_timeout` bounds the import or pin of a whole DAG: one that never ends is a visible cause, not a hang.
    """

    def __init__(
        self, address: str, *, name: str = "kubo", timeout: float = DEFAULT_TIMEOUT, import_timeout: float = 3600.0
    ) -> None:
        self.name = name
        self._timeout = timeout
        self._import_timeout = import_timeout
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._client = ipfshttpclient.Client(
                _multiaddr(address), session=True, offline=True, timeout=timeout, chunk_size=_CAR_READ_BYTES
            )
        self._quiet: bool | None = None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def put_block(self, cid: Cid, data: bytes | bytearray | memoryview) -> None:
        """See ContentStore."""
        verify_block(cid, data)
        options = {"cid-codec": _CODEC_NAMES[cid.codec], "mhtype": "sha2-256", "pin": "false"}
        answer = self._ask(lambda: self._client.block.put(io.BytesIO(data), opts=options))
        if answer["Key"] != str(cid):
            raise StoreRefusal(
                "store.mismatch", f"The node {self.name} named a block differently.",
                limit=str(cid), actual=str(answer["Key"]),
            )  # fmt: skip

    def get_block(self, cid: Cid) -> bytes:
        """See ContentStore."""
        data: bytes = self._ask(lambda: self._client.block.get(str(cid)), cid)
        try:
            verify_block(cid, data)
        except CidRefusal as error:
            raise StoreRefusal(
                "store.mismatch", f"The node {self.name} returned other bytes for {cid}.",
                limit=error.limit, actual=error.actual, todo="Fetch the block from another copy.",
            ) from error  # fmt: skip
        return data

    def has(self, cid: Cid) -> bool:
        """See ContentStore."""
        try:
            self._ask(lambda: self._client.block.stat(str(cid)), cid)
        except StoreRefusal as refusal:
            if refusal.code == "store.missing":
                return False
            raise
        return True

    def put_car(self, chunks: Iterable[bytes]) -> Stored:
        """See ContentStore. Each block is checked on its way to the node; nothing is pinned or announced yet."""
        car = car_blocks(chunks)
        counted = _Counted(car)
        stream = ChunkReader(write_car(car.roots, counted))
        options = {"pin-roots": "false", "fast-provide-root": "false", "fast-provide-dag": "false", "stats": "true"}
        self._ask(lambda: self._client.dag.imprt(stream, opts=options, timeout=self._import_timeout))
        return Stored(car.roots, counted.blocks, counted.bytes)

    def pin(self, root: Cid, *, announce: bool) -> None:
        """See ContentStore."""
        if not announce and not self._is_quiet():
            raise StoreRefusal(
                "store.announces", f"The node {self.name} announces everything that it pins.",
                limit="Provide.Strategy mfs", todo="Run `ipfs config Provide.Strategy mfs` and restart the node.",
            )  # fmt: skip
        try:
            self._ask(lambda: self._client.pin.add(str(root), recursive=True, timeout=self._import_timeout), root)
        except StoreRefusal as refusal:
            if refusal.code != "store.missing":
                raise
            raise StoreRefusal(
                "store.incomplete", f"The node {self.name} lacks a block of the DAG {root}: {refusal.message}"
            ) from refusal
        if announce:
            self._announce(root)
        else:
            self._silence(root)

    def unpin(self, root: Cid) -> None:
        """See ContentStore."""
        self._silence(root)
        try:
            self._ask(lambda: self._client.pin.rm(str(root), recursive=True))
        except StoreRefusal as refusal:
            if "not pinned" not in refusal.message:
                raise

    def pins(self) -> Iterator[Cid]:
        """See ContentStore. Pins of other users of the node that are no CIDs of ours are passed over."""
        answer = self._ask(lambda: self._client.pin.ls(type="recursive"))
        for text in answer.get("Keys", {}):
            try:
                yield Cid.parse(text)
            except CidRefusal:
                continue

    def announced(self, root: Cid) -> bool:
        """See ContentStore."""
        try:
            self._ask(lambda: self._client.files.stat(f"{ANNOUNCED}/{root}"), root)
        except StoreRefusal as refusal:
            if refusal.code == "store.missing":
                return False
            raise
        return True

    def delete(self, cids: Iterable[Cid]) -> int:
        """See ContentStore."""
        gone = 0
        for cid in cids:
            if self.has(cid):
                # ipfshttpclient has no method for `block rm`.
                request = self._client._client.request  # noqa: SLF001
                self._ask(lambda cid=cid, request=request: request("/block/rm", (str(cid),), decoder="json"))  # type: ignore[misc]
                gone += not self.has(cid)
        return gone

    def health(self) -> StoreHealth:
        """See ContentStore."""
        try:
            stat = self._ask(self._client.repo.stat)
            quiet = self._is_quiet(again=True)
        except StoreRefusal as refusal:
            return StoreHealth(ok=False, cause=str(refusal))
        size, limit = int(stat["RepoSize"]), int(stat["StorageMax"])
        cause = "" if quiet else f"The node {self.name} announces what it pins: sealed data is refused."
        return StoreHealth(ok=True, blocks=int(stat["NumObjects"]), bytes=size, free=max(limit - size, 0), cause=cause)

    def _is_quiet(self, *, again: bool = False) -> bool:
        if self._quiet is None or again:
            provide = self._ask(self._client.config.get).get("Provide") or {}
            enabled = provide.get("Enabled", True)
            self._quiet = enabled is False or provide.get("Strategy") in QUIET_STRATEGIES
        return self._quiet

    def _announce(self, root: Cid) -> None:
        if self.announced(root):
            return
        self._ask(lambda: self._client.files.mkdir(ANNOUNCED, parents=True))
        try:
            self._ask(lambda: self._client.files.cp(f"/ipfs/{root}", f"{ANNOUNCED}/{root}"))
        except StoreRefusal:
            # Another process may have linked it in between; only the outcome counts.
            if not self.announced(root):
                raise

    def _silence(self, root: Cid) -> None:
        if self.announced(root):
            self._ask(lambda: self._client.files.rm(f"{ANNOUNCED}/{root}", recursive=True))

    def _ask(self, request: Callable[[], Answer], cid: Cid | None = None) -> Answer:
        try:
            return request()
        except ipfs_errors.TimeoutError as error:
            raise StoreRefusal(
                "store.down", f"The node {self.name} did not answer in time.",
                limit=f"{self._timeout:g} s", todo="Check that the node runs; the work goes on by itself.",
            ) from error  # fmt: skip
        except ipfs_errors.ConnectionError as error:
            raise StoreRefusal(
                "store.down", f"The node {self.name} is unreachable.",
                todo="Check that the node runs and that its API address is right.",
            ) from error  # fmt: skip
        except ipfs_errors.ErrorResponse as error:
            raise self._refused(str(error), cid) from error
        except ipfs_errors.Error as error:
            raise StoreRefusal(
                "store.protocol", f"The node {self.name} answered with something else: {error}."
            ) from error

    def _refused(self, message: str, cid: Cid | None) -> StoreRefusal:
        text = message.lower()
        if any(sign in text for sign in _ABSENT):
            return StoreRefusal("store.missing", f"The store {self.name} does not hold the block {cid}: {message}.")
        if "no space left" in text or "quota" in text:
            return StoreRefusal(
                "store.full", f"The disk of the node {self.name} is full.", actual=message,
                todo="Free space on the node; the work goes on by itself.",
            )  # fmt: skip
        return StoreRefusal("store.refused", f"The node {self.name} refused: {message}.")


class _Counted:
    """Counts blocks and their bytes as they pass."""

    def __init__(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        self._source = blocks
        self.blocks = 0
        self.bytes = 0

    def __iter__(self) -> Iterator[tuple[Cid, bytes]]:
        for cid, data in self._source:
            self.blocks += 1
            self.bytes += len(data)
            yield cid, data


def _multiaddr(address: str) -> str:
    if address.startswith("/"):
        return address
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise StoreRefusal(
            "store.address", "The address of the Kubo node is neither a multiaddr nor an http URL.", actual=address,
            todo="Write /ip4/127.0.0.1/tcp/5001/http or http://127.0.0.1:5001.",
        )  # fmt: skip
    host = parts.hostname
    kind = "ip6" if ":" in host else "ip4" if host.replace(".", "").isdigit() else "dns"
    return f"/{kind}/{host}/tcp/{parts.port or 5001}/{parts.scheme}"
