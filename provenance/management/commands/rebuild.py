"""Rebuilds the public register from chain and content stores alone."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from provenance import bootstrap
from provenance.adapters.evm import EvmChain
from provenance.core.checkpoint import VerifierKey
from provenance.core.refusal import Refusal
from provenance.models import Deployment
from provenance.queries import log_state
from provenance.rebuild import catch_up_log, rebuild_chain, rebuild_documents, rebuild_log


class Command(BaseCommand):
    help = (
        "After a backup was restored: take back the log's entries from its published files, drop what was read from "
        "the chain and read it again, fetch public documents from the content stores. Into an empty database also the "
        "log, from its newest anchored snapshot; a stranger names the contracts."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        for name in ("registry", "market", "anchor"):
            parser.add_argument(f"--{name}", help=f"address of the {name}, where the database knows none")
        parser.add_argument("--first-block", type=int, help="block of the deployment's first contract")
        parser.add_argument("--vkey", help="verifier key of the log, to rebuild it into an empty database")
        parser.add_argument("--service-key", help="Ed25519 public key of the service in hex, likewise")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if caught_up := catch_up_log(now=timezone.now()):
                self.stdout.write(f"{caught_up} log entries came back from the published files")
            if options["registry"]:
                self._adopt(options)
            for deployment in Deployment.objects.order_by("pk"):
                self._rebuild(deployment, options)
        except Refusal as refusal:
            raise CommandError(str(refusal)) from refusal

    def _rebuild(self, deployment: Deployment, options: dict[str, Any]) -> None:
        stores = bootstrap.content_stores().values()
        applied = rebuild_chain(deployment, bootstrap.chain(deployment), timezone.now())
        found, missing = rebuild_documents(deployment, stores)
        self.stdout.write(f"{deployment}: {applied} blocks, {found} documents, {missing} found nowhere")
        if options["vkey"] and not log_state().size:
            entries = rebuild_log(
                deployment, stores, vkey=VerifierKey.parse(options["vkey"]),
                service_key=bytes.fromhex(options["service_key"] or ""), now=timezone.now(),
            )  # fmt: skip
            self.stdout.write(f"{deployment}: {entries} log entries")

    def _adopt(self, options: dict[str, Any]) -> None:
        wanted = {name: options[name] for name in ("registry", "market", "anchor", "first_block")}
        absent = [name for name, value in wanted.items() if value is None]
        if absent:
            raise CommandError(f"Name all of the deployment: {', '.join(absent)} is missing.")
        Deployment.objects.get_or_create(
            chain_id=EvmChain.chain_id_of(settings.CADASTRE_RPC_URL),
            registry=wanted["registry"].lower(),
            defaults={
                "market": wanted["market"].lower(), "anchor": wanted["anchor"].lower(),
                "first_block": wanted["first_block"], "created_at": timezone.now(),
            },
        )  # fmt: skip
