"""The keys and contracts that a verification insists on: pinned at login, or read from a file the auditor trusts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provenance.core.bundle import Deployment
from provenance.core.checkpoint import VerifierKey
from provenance.core.policy import OFFLINE, ON_CHAIN, Policy
from provenance.core.refusal import Refusal
from provenance.ports import ChainDown, ChainRefusal

if TYPE_CHECKING:
    from provenance.adapters.evm import EvmChain

PINNED = ("deployment", "log", "service_key")


class PinsRefusal(Refusal):
    """There are no pins, or they are not complete."""


def read_pins(path: Path | None, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pins: from a file, else those of the profile. Raises PinsRefusal.

    The pins are what `/api/v1/deployment` says. Whoever checks a bundle must have them from elsewhere than the bundle:
    from an earlier login, from a colleague, from a printed page.
    """
    found: object = dict(stored)
    if path is not None:
        try:
            found = json.loads(path.read_bytes())
        except ValueError as error:
            raise PinsRefusal("pins.unreadable", f"{path} is not JSON.") from error
    if not isinstance(found, dict) or not set(PINNED) <= set(found):
        raise PinsRefusal(
            "pins.none", "Nothing says which keys and contracts to insist on.",
            todo="Log in once at the site, or give --pins FILE with what its /api/v1/deployment says.",
        )  # fmt: skip
    return found


def changed_pins(known: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return the names of pins that are known already and are others now."""
    return [name for name in PINNED if name in known and known[name] != found.get(name)]


def policy_of(pins: Mapping[str, Any], *, with_chain: bool) -> Policy:
    """Return the policy that insists on the pins. Raises PinsRefusal and what malformed parts raise."""
    try:
        service_key = bytes.fromhex(pins["service_key"])
        vkey = VerifierKey.parse(pins["log"]["vkey"])
    except (TypeError, ValueError, KeyError) as error:
        raise PinsRefusal("pins.malformed", "The pins are not what /api/v1/deployment says.") from error
    return Policy(
        vkey=vkey,
        service_key=service_key,
        deployment=Deployment.from_document(pins["deployment"]),
        required=ON_CHAIN if with_chain else OFFLINE,
    )


def chain_of(pins: Mapping[str, Any], rpc: str) -> EvmChain:
    """Return the auditor's own connection to the pinned contracts; a node that is down is asked again later.

    Raises PinsRefusal when the node serves another chain.
    """
    # Here, because web3 takes longer to load than most commands to run.
    from provenance.adapters.evm import EvmChain

    found = Deployment.from_document(pins["deployment"])
    addresses = {"DatasetRegistry": found.registry, "Market": found.market, "EvidenceAnchor": found.anchor}
    chain = EvmChain(rpc, chain_id=found.chain, addresses=addresses)
    try:
        with suppress(ChainDown):
            chain.check()
    except ChainRefusal as refusal:
        raise PinsRefusal(
            "pins.chain", "The node serves another chain than the pinned one.", limit=refusal.limit,
            actual=refusal.actual, todo="Give --rpc of a node of that chain.",
        ) from refusal  # fmt: skip
    return chain
