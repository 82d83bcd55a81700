"""The composition root: which adapters run here, chosen from Django settings. Nothing else knows.

Every function may be called as often as wanted; what is expensive to open is opened once per process.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from provenance.adapters.blocks_local import LocalBlocks
from provenance.adapters.evm import EvmChain
from provenance.adapters.keystore import open_keystore
from provenance.adapters.kubo import KuboBlocks
from provenance.adapters.scanner import AllScanners, ClamdScanner, SignatureScanner
from provenance.models import Deployment
from provenance.ports import ContentStore, KeyRefusal, KeyRing, Scanner


def content_stores() -> Mapping[str, ContentStore]:
    """Return every configured store by name, the one to write to first.

    `local`: CADASTRE_BLOCK_DIR, and a further directory beside it for each further copy wanted. `kubo`: the addresses
    in CADASTRE_KUBO_API, separated by commas.
    """
    match settings.CADASTRE_STORE:
        case "kubo":
            addresses = tuple(filter(None, (part.strip() for part in settings.CADASTRE_KUBO_API.split(","))))
            return _kubo_stores(addresses)
        case _:
            return _local_stores(Path(settings.CADASTRE_BLOCK_DIR), max(1, settings.CADASTRE_COPIES))


def content_store() -> ContentStore:
    """Return the store that is written to first."""
    return next(iter(content_stores().values()))


def chain(deployment: Deployment) -> EvmChain:
    """Return the chain of a deployment, with the addresses of its contracts."""
    addresses = {
        "DatasetRegistry": deployment.registry,
        "Market": deployment.market,
        "EvidenceAnchor": deployment.anchor,
        **{token["name"]: token["address"] for token in deployment.tokens},
    }
    return _chain(settings.CADASTRE_RPC_URL, deployment.chain_id, tuple(sorted(addresses.items())))


def token_entry(chain_id: int, address: str) -> dict[str, object]:
    """Return how a deployment names a token: its address, and symbol and decimals as the contract says."""
    # The interface of TestUSD is that of every token with EIP-2612 or EIP-3009.
    contract = _chain(settings.CADASTRE_RPC_URL, chain_id, (("TestUSD", address),))
    symbol, decimals = contract.read("TestUSD", "symbol"), contract.read("TestUSD", "decimals")
    return {"name": "TestUSD", "address": address, "symbol": symbol, "decimals": decimals}


def keyring() -> KeyRing:
    """Return the key ring. Only the signer has the passphrase; every other process is refused."""
    if not settings.CADASTRE_KEY_PASSPHRASE:
        raise KeyRefusal(
            "key.not_the_signer", "This process holds no keys.",
            todo="Leave the work to the signer, or set CADASTRE_KEY_PASSPHRASE there.",
        )  # fmt: skip
    return _keyring(Path(settings.CADASTRE_KEY_FILE), settings.CADASTRE_KEY_PASSPHRASE)


def scanner() -> Scanner:
    """Return what looks at content before it is pinned: our own checks, and ClamAV where CADASTRE_CLAMD names one."""
    own = SignatureScanner()
    return AllScanners([own, ClamdScanner(settings.CADASTRE_CLAMD)]) if settings.CADASTRE_CLAMD else own


@lru_cache(maxsize=4)
def _local_stores(folder: Path, copies: int) -> Mapping[str, ContentStore]:
    stores: dict[str, ContentStore] = {"local": LocalBlocks(folder)}
    for number in range(2, copies + 1):
        name = f"local-{number}"
        stores[name] = LocalBlocks(folder.with_name(f"{folder.name}-{number}"), name=name)
    return stores


@lru_cache(maxsize=4)
def _kubo_stores(addresses: tuple[str, ...]) -> Mapping[str, ContentStore]:
    names = ["kubo", *(f"kubo-{number}" for number in range(2, len(addresses) + 1))]
    return {name: KuboBlocks(address, name=name) for name, address in zip(names, addresses, strict=True)}


@lru_cache(maxsize=16)
def _chain(url: str, chain_id: int, addresses: tuple[tuple[str, str], ...]) -> EvmChain:
    return EvmChain(url, chain_id=chain_id, addresses=dict(addresses))


@lru_cache(maxsize=2)
def _keyring(path: Path, passphrase: str) -> KeyRing:
    return open_keystore(path, passphrase)
