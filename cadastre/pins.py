"""The keys and contracts that a verification insists on: pinned at login, or read from a file the auditor trusts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from provenance.adapters.evm import EvmChain
from provenance.core.bundle import Deployment
from provenance.core.checkpoint import VerifierKey
from provenance.core.policy import OFFLINE, ON_CHAIN, Policy
from provenance.core.refusal import Refusal


class PinsRefusal(Refusal):
    """There are no pins, or they are not complete."""


def read_pins(path: Path | None, stored: dict[str, Any]) -> dict[str, Any]:
    """Return the pins: from a file, else those of the profile. Raises PinsRefusal.

    The pins are what `/api/v1/deployment` says. Whoever checks a bundle must have them from elsewhere than the bundle:
    from an earlier login, from a colleague, from a printed page.
    """
    if path is not None:
        try:
            found = json.loads(path.read_text())
        except ValueError as error:
            raise PinsRefusal("pins.unreadable", f"{path} is not JSON.") from error
    else:
        found = stored
    if not isinstance(found, dict) or not {"deployment", "log", "service_key"} <= set(found):
        raise PinsRefusal(
            "pins.none", "Nothing says which keys and contracts to insist on.",
            todo="Log in once at the site, or give --pins FILE with what its /api/v1/deployment says.",
        )  # fmt: skip
    return found


def policy_of(pins: dict[str, Any], *, with_chain: bool) -> Policy:
    """Return the policy that insists on the pins."""
    return Policy(
        vkey=VerifierKey.parse(pins["log"]["vkey"]),
        service_key=bytes.fromhex(pins["service_key"]),
        deployment=Deployment.from_document(pins["deployment"]),
        required=ON_CHAIN if with_chain else OFFLINE,
    )


def chain_of(pins: dict[str, Any], rpc: str) -> EvmChain:
    """Return the auditor's own connection to the pinned contracts. Raises ChainRefusal for another chain."""
    deployment = Deployment.from_document(pins["deployment"])
    addresses = {"DatasetRegistry": deployment.registry, "Market": deployment.market, "EvidenceAnchor": deployment.anchor}
    chain = EvmChain(rpc, chain_id=deployment.chain, addresses=addresses)
    chain.check()
    return chain
