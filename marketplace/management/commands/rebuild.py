"""Rebuilds the public register from chain and content stores alone."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from marketplace.rebuilding.register import LogPins, rebuild_register, whole_register
from provenance import bootstrap
from provenance.adapters.evm import EvmChain
from provenance.adapters.evm_deploy import ABI_VERSION
from provenance.core.checkpoint import VerifierKey
from provenance.core.refusal import Refusal
from provenance.models import Deployment
from provenance.rebuild import catch_up_log

CONTRACTS = ("registry", "market", "anchor", "first_block")


class Command(BaseCommand):
    help = (
        "After a backup was restored: take back the log's entries from its published files, drop what was read from "
        "the chain and read it again, fetch public documents from the content stores. Into an empty database also the "
        "log, from its newest anchored snapshot, and the catalogue that it states; a stranger names contracts and keys."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--pins", type=Path, help="file with what /api/v1/deployment says: all of the following")
        for name in ("registry", "market", "anchor"):
            parser.add_argument(f"--{name}", help=f"address of the {name}, where the database knows none")
        parser.add_argument("--first-block", type=int, help="block of the deployment's first contract")
        parser.add_argument("--vkey", help="verifier key of the log, to rebuild it into an empty database")
        parser.add_argument("--service-key", help="Ed25519 public key of the service in hex, likewise")
        parser.add_argument("--json", action="store_true", help="print what is here now as one JSON value")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            options |= _pinned(options["pins"]) if options["pins"] else {}
            pins = _log_pins(options)
            caught_up = catch_up_log(now=timezone.now())
            if caught_up and not options["json"]:
                self.stdout.write(f"{caught_up} log entries came back from the published files")
            if options["registry"]:
                _adopt(options)
            for deployment in Deployment.objects.order_by("pk"):
                self._rebuild(deployment, pins, say=not options["json"])
        except Refusal as refusal:
            raise CommandError(str(refusal)) from refusal
        if options["json"]:
            self.stdout.write(json.dumps(whole_register(), indent=2, ensure_ascii=False))

    def _rebuild(self, deployment: Deployment, pins: LogPins | None, *, say: bool) -> None:
        found = rebuild_register(
            deployment, bootstrap.chain(deployment), bootstrap.content_stores().values(), pins=pins, now=timezone.now()
        )
        if not say:
            return
        self.stdout.write(
            f"{deployment}: {found.blocks} blocks, {found.entries} log entries, {found.documents} documents, "
            f"{found.missing} found nowhere, {found.settlements} settlements, {found.listings} datasets put up"
        )


def _pinned(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
        contracts = found["deployment"]
        pins = {name: contracts[name] for name in CONTRACTS}
        return {**pins, "vkey": found["log"]["vkey"], "service_key": found["service_key"]}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CommandError(f"{path} does not hold what /api/v1/deployment says: {error}") from error


def _log_pins(options: dict[str, Any]) -> LogPins | None:
    vkey, service_key = options["vkey"], options["service_key"]
    if not vkey and not service_key:
        return None
    if not (vkey and service_key):
        raise CommandError("Name both keys, --vkey and --service-key, or give --pins: entries are signed with both.")
    try:
        return LogPins(VerifierKey.parse(vkey), bytes.fromhex(service_key))
    except ValueError as error:
        raise CommandError(f"--service-key is 64 hex digits, not {service_key[:80]!r}.") from error


def _adopt(options: dict[str, Any]) -> None:
    wanted = {name: options[name] for name in CONTRACTS}
    absent = [name for name, value in wanted.items() if value is None]
    if absent:
        raise CommandError(f"Name all of the deployment: {', '.join(absent)} is missing.")
    Deployment.objects.get_or_create(
        chain_id=EvmChain.chain_id_of(settings.CADASTRE_RPC_URL),
        registry=wanted["registry"].lower(),
        defaults={
            "market": wanted["market"].lower(), "anchor": wanted["anchor"].lower(),
            "first_block": wanted["first_block"], "abi_version": ABI_VERSION, "created_at": timezone.now(),
        },
    )  # fmt: skip
