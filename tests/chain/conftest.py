"""A development chain with the contracts on it, a key ring whose lanes are funded, and a clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep
from typing import Any

import pytest
from pytest_django import Settings

from provenance import lanes, outbox
from provenance.adapters.evm import EvmChain
from provenance.adapters.evm_deploy import Deployed, Deployer, MarketConfig
from provenance.adapters.evm_development import DevelopmentChain
from provenance.adapters.keystore import SeedKeyRing
from provenance.adapters.local_node import Anvil
from provenance.models import Deployment, Intent
from provenance.ports import Call, Chain, KeyRing

ETHER = 10**18
AUTOMINE_SECONDS = 5.0
RING = SeedKeyRing(bytes(range(1, 33)))


class MinedAtOnce(EvmChain):
    """anvil answers before it has mined what it was sent; on a busy machine, long before. Tests go on when it has."""

    def send_raw(self, raw: bytes) -> str:
        tx = super().send_raw(raw)
        over = monotonic() + AUTOMINE_SECONDS
        while monotonic() < over and self.request("anvil_getAutomine"):
            if int(self.request("txpool_status")["pending"], 16) == 0 and self.known(tx):
                break
            sleep(0.002)
        return tx


@dataclass(frozen=True)
class World:
    """A chain, what is deployed on it, and what only a development chain can do."""

    url: str
    chain: EvmChain
    deployed: Deployed
    development: DevelopmentChain


@dataclass(frozen=True)
class Mint:
    """Intents of the kind `test.mint`, on the relayer's lane; `minted` reads the effects from the chain."""

    world: World
    deployment: Deployment
    receiver: str = "0x" + "99" * 20

    def want(self, number: int, now: datetime, *, lives: timedelta = timedelta(hours=1), **options: Any) -> Intent:
        outbox.register("test.mint", self._build)
        payload = {"amount": options.pop("amount", 1)}
        return outbox.enqueue(
            key=f"mint:{number}", kind=options.pop("kind", "test.mint"), payload=payload, valid_until=now + lives,
            deployment=self.deployment, now=now, **options,
        )  # fmt: skip

    @property
    def minted(self) -> int:
        return int(self.world.chain.read("TestUSD", "balanceOf", self.receiver))  # type: ignore[call-overload]

    def work(self, now: datetime, *, chain: Chain | None = None, ring: KeyRing = RING, lane: str = "relayer/0") -> int:
        through = chain or self.world.chain
        row = lanes.open_lane(lane, ring=ring, chain=through, now=now)
        return lanes.work_lane(row, ring, through, now)

    def _build(self, payload: Mapping[str, object], _ring: KeyRing, chain: Chain) -> Call:
        return Call(chain.address("TestUSD"), chain.encode("TestUSD", "mint", self.receiver, payload["amount"]))


@pytest.fixture(scope="session")
def _deployed_once(anvil: Anvil) -> tuple[Deployed, EvmChain]:
    bare = EvmChain(anvil.url, chain_id=anvil.chain_id, addresses={})
    development = DevelopmentChain(bare)
    for path in ("deployer", "lane/relayer/0", "lane/operator", "lane/anchor"):
        development.fund(RING.address(path), 100 * ETHER)
    config = MarketConfig.for_development(epoch=60, window=5)
    deployed = Deployer(anvil.url, anvil.chain_id, RING).deploy(
        config=config, base_uri="https://register.example", token=None, is_live=False
    )
    return deployed, MinedAtOnce(anvil.url, chain_id=anvil.chain_id, addresses=deployed.addresses)


@pytest.fixture
def world(anvil: Anvil, _deployed_once: tuple[Deployed, EvmChain]) -> Iterator[World]:
    """Each test begins with the contracts just deployed, and leaves no trace."""
    deployed, chain = _deployed_once
    development = DevelopmentChain(chain)
    snapshot = development.snapshot()
    yield World(anvil.url, chain, deployed, development)
    development.set_automine(on=True)
    development.restore(snapshot)


@pytest.fixture
def deployment(db: None, world: World, settings: Settings) -> Deployment:
    """The row of the deployed contracts."""
    settings.CADASTRE_RPC_URL = world.url
    addresses = world.deployed.addresses
    return Deployment.objects.create(
        chain_id=world.chain.chain_id,
        registry=addresses["DatasetRegistry"],
        market=addresses["Market"],
        anchor=addresses["EvidenceAnchor"],
        tokens=[{"name": "TestUSD", "address": world.deployed.token, "symbol": "TUSD", "decimals": 6}],
        first_block=world.deployed.first_block,
        created_at=datetime(2026, 11, 20, tzinfo=UTC),
    )


@pytest.fixture
def mint(world: World, deployment: Deployment) -> Mint:
    """Effects that would be seen if they happened twice: each intent mints one base unit."""
    return Mint(world, deployment)


@pytest.fixture
def ring() -> SeedKeyRing:
    return RING


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
