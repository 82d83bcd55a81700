"""Where `get` and `audit-settlement` take bytes from: the site, a block directory, a CAR file, or a Kubo node."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cadastre.client import Client
from cadastre.download import Source, block_folder
from cadastre.session import Session
from provenance.adapters.blocks_local import LocalBlocks
from provenance.core.car import CarReader
from provenance.core.cid import Cid
from provenance.core.digest import Sha256
from provenance.core.refusal import Refusal


class SourceRefusal(Refusal):
    """There are no bytes where they were said to be."""


@dataclass(frozen=True, slots=True)
class SiteSource:
    """The site; `owner` is `licenses/{id}` or `datasets/{id}`, whose packages it serves blocks of."""

    client: Client
    owner: str

    def block(self, cid: Cid) -> bytes:
        """Return a block as the site sends it."""
        return self.client.block(self.owner, cid)

    def document(self, digest: Sha256) -> bytes:
        """Return a public document as the site sends it."""
        return self.client.public_document(digest)


class Blocks(Protocol):
    """Anything that holds blocks."""

    def get_block(self, cid: Cid) -> bytes:
        """Return a block."""


@dataclass(frozen=True, slots=True)
class StoreSource:
    """A store; documents are raw blocks there."""

    store: Blocks

    def block(self, cid: Cid) -> bytes:
        """Return a block as the store holds it."""
        return self.store.get_block(cid)

    def document(self, digest: Sha256) -> bytes:
        """Return the block that a document is."""
        return self.store.get_block(Cid.of_digest(digest))


def add_source_options(parser: argparse.ArgumentParser, *, car: bool) -> None:
    """Add the options that name a source other than the site."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--blocks", type=Path, metavar="FOLDER", help="take blocks from a block directory")
    group.add_argument("--ipfs", metavar="ADDRESS", help="take blocks from a Kubo node (/ip4/127.0.0.1/tcp/5001/http)")
    if car:
        group.add_argument("--car", type=Path, metavar="FILE", help="take blocks from a CAR file")


def source_of(session: Session, options: argparse.Namespace, *, owner: str, folder: Path | None = None) -> Source:
    """Return the source that the options name, else the site. A CAR is unpacked where `download` into `folder` looks.

    Raises SourceRefusal.
    """
    if options.blocks:
        if not (options.blocks / "blocks").is_dir():
            raise SourceRefusal(
                "source.blocks",
                f"{options.blocks} is not a block directory.",
                todo="Give the folder that holds blocks/.",
            )
        return StoreSource(LocalBlocks(options.blocks, name=str(options.blocks)))
    if options.ipfs:
        # Here, because ipfshttpclient takes longer to load than most commands to run.
        from provenance.adapters.kubo import KuboBlocks

        node = KuboBlocks(options.ipfs, name=options.ipfs)
        session.opened.callback(node.close)
        return StoreSource(node)
    if folder is not None and options.car:
        return StoreSource(_unpacked(options.car, folder))
    return SiteSource(session.client, owner)


def _unpacked(car: Path, folder: Path) -> LocalBlocks:
    store = block_folder(folder)
    with car.open("rb") as file:
        for cid, block in CarReader(file.read):
            store.put_block(cid, block)
    return store
