"""Deploys the contracts once and writes down where they are."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from provenance import bootstrap
from provenance.adapters.evm import EvmChain
from provenance.adapters.evm_deploy import ABI_VERSION, DEPLOYER, TOKEN_PROOF, Deployer, MarketConfig
from provenance.adapters.evm_development import DevelopmentChain
from provenance.core.refusal import Refusal
from provenance.models import Deployment
from provenance.ports import KeyRing

LANES = ("lane/relayer/0", "lane/operator", "lane/anchor", "guardian", DEPLOYER)
LANE_FUNDS = 1_000 * 10**18


class Command(BaseCommand):
    help = (
        "Deploy registry, market and anchor to the chain of CADASTRE_RPC_URL, unless that is done. On a development "
        "chain the sending keys are funded; elsewhere fund the printed address of the deployer first."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--chain-id", type=int, help="refuse any other chain; by default the node's own")
        parser.add_argument("--token", help="address of the token to be paid in; by default a TestUSD is deployed")
        parser.add_argument("--again", action="store_true", help="deploy beside contracts that are there already")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            deployment = self._deployed(options)
        except Refusal as refusal:
            raise CommandError(str(refusal)) from refusal
        if not options["verbosity"]:
            return
        self.stdout.write(f"chain    {deployment.chain_id}")
        for name in ("registry", "market", "anchor"):
            self.stdout.write(f"{name:8} {getattr(deployment, name)}")
        for token in deployment.tokens:
            self.stdout.write(f"token    {token['address']} ({token['symbol']})")

    def _deployed(self, options: dict[str, Any]) -> Deployment:
        url, ring = settings.CADASTRE_RPC_URL, bootstrap.keyring()
        chain_id = options["chain_id"] or EvmChain.chain_id_of(url)
        bare = EvmChain(url, chain_id=chain_id, addresses={})
        existing = Deployment.objects.filter(chain_id=chain_id, active=True).order_by("-pk").first()
        if existing is not None and not options["again"]:
            if not bare.code(existing.market):
                raise CommandError(
                    f"The database knows contracts that chain {chain_id} does not have: the chain was reset or is "
                    "another one. Restore its state, or start from an empty database."
                )
            if existing.abi_version != ABI_VERSION:
                raise CommandError(
                    f"The contracts of chain {chain_id} speak version {existing.abi_version}, this program speaks "
                    f"{ABI_VERSION}: it would not see what they pay. Go on with the program that deployed them, or "
                    "start from an empty folder (CADASTRE_VAR)."
                )
            return existing
        is_live = settings.CADASTRE_NETWORK == "live"
        if is_live:
            self._check_funds(bare, ring)
        else:
            fund_lanes(bare, ring)
            # Started again, anvil makes another block 0. The first epoch begins at a block that stays what it was.
            DevelopmentChain(bare).mine()
        deployed = Deployer(url, chain_id, ring).deploy(
            config=_config(is_live=is_live), base_uri=settings.CADASTRE_PUBLIC_URL, token=options["token"],
            is_live=is_live,
        )  # fmt: skip
        return Deployment.objects.create(
            chain_id=chain_id,
            registry=deployed.addresses["DatasetRegistry"],
            market=deployed.addresses["Market"],
            anchor=deployed.addresses["EvidenceAnchor"],
            tokens=[bootstrap.token_entry(chain_id, deployed.token)],
            first_block=deployed.first_block,
            abi_version=ABI_VERSION,
            created_at=timezone.now(),
        )

    def _check_funds(self, chain: EvmChain, ring: KeyRing) -> None:
        """Name every sending key, and refuse before anything is spent while one of them holds nothing."""
        balances = {path: (ring.address(path), chain.balance(ring.address(path))) for path in LANES}
        for path, (address, balance) in balances.items():
            self.stdout.write(f"{path:16} {address}  {balance} wei")
        empty = [path for path, (_, balance) in balances.items() if not balance]
        if empty:
            raise CommandError(
                f"Without native currency for gas: {', '.join(empty)}. Fund them, give the deployer {TOKEN_PROOF} base "
                "units of the token as well, which it gets back, and run this again."
            )


def fund_lanes(chain: EvmChain, ring: KeyRing) -> None:
    """Give every sending key native currency, on a development chain."""
    development = DevelopmentChain(chain)
    for path in LANES:
        development.fund(ring.address(path), LANE_FUNDS)


def _config(*, is_live: bool) -> MarketConfig:
    if is_live:
        return MarketConfig(
            fee_bps=settings.CADASTRE_FEE_BPS, epoch=settings.CADASTRE_EPOCH_SECONDS,
            window=settings.CADASTRE_SETTLEMENT_WINDOW,
            notice=settings.CADASTRE_EPOCH_SECONDS + settings.CADASTRE_SETTLEMENT_WINDOW + 86_400,
        )  # fmt: skip
    return MarketConfig.for_development(
        epoch=settings.CADASTRE_EPOCH_SECONDS, window=settings.CADASTRE_SETTLEMENT_WINDOW,
        fee_bps=settings.CADASTRE_FEE_BPS,
    )  # fmt: skip
