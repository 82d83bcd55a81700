"""What a verifier pins about this register, and the register's own view of the chain for its verify page."""

from __future__ import annotations

from marketplace.queries.deployments import current_deployment
from provenance import bootstrap
from provenance.adapters.evm_auditor import EvmAuditor
from provenance.core.audit import Auditor
from provenance.core.bundle import Deployment as PinnedDeployment
from provenance.core.checkpoint import VerifierKey
from provenance.core.policy import ON_CHAIN, Policy
from provenance.core.refusal import Refusal
from provenance.models import LogState


class PinsRefusal(Refusal):
    """The register cannot say yet what is to be pinned."""


def deployment_document() -> dict[str, object]:
    """Return what `/api/v1/deployment` states: chain, contracts, log and service keys. Raises PinsRefusal."""
    found, log = current_deployment(), _log()
    return {
        "deployment": _pinned().to_document(),
        "tokens": found.tokens,
        "log": {"origin": log.origin, "vkey": log.vkey},
        "service_key": log.service_key,
    }


def pinned_policy() -> Policy:
    """Return the policy of this register's own keys and contracts. Raises PinsRefusal."""
    log = _log()
    return Policy(
        vkey=VerifierKey.parse(log.vkey),
        service_key=bytes.fromhex(log.service_key),
        deployment=_pinned(),
        required=ON_CHAIN,
    )


def site_auditor() -> Auditor:
    """Return the chain as this register's own node shows it; keys and files stay with the reader."""
    return Auditor(chain=EvmAuditor(bootstrap.chain(current_deployment())))


def _pinned() -> PinnedDeployment:
    found = current_deployment()
    return PinnedDeployment(found.chain_id, found.registry, found.market, found.anchor, found.first_block)


def _log() -> LogState:
    found = LogState.objects.exclude(vkey="").first()
    if found is None:
        raise PinsRefusal("log.empty", "The log has no key yet.", todo="Wait until the first fact is recorded.")
    return found
