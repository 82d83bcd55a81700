"""Which contracts new trade goes to, and which ones a name belongs to."""

from __future__ import annotations

from marketplace.core.caip import AssetKind, AssetName
from marketplace.core.money import Token
from provenance.core.refusal import Refusal
from provenance.models import Deployment


class DeploymentRefusal(Refusal):
    """The contracts that are needed are not known here, or halted."""


def current_deployment() -> Deployment:
    """Return the newest active deployment, which new datasets and offers go to. Raises DeploymentRefusal."""
    found = Deployment.objects.filter(active=True).order_by("-pk").first()
    if found is None:
        raise DeploymentRefusal(
            "deployment.none", "No contracts are deployed here yet.", todo="Wait until the operator has deployed them."
        )
    return found


def deployment_of(name: AssetName) -> Deployment:
    """Return the deployment that holds a dataset, license or token. Raises DeploymentRefusal."""
    deployments = Deployment.objects.filter(chain_id=name.chain)
    match name.kind:
        case AssetKind.DATASET:
            found = deployments.filter(registry=name.contract).first()
        case AssetKind.LICENSE:
            found = deployments.filter(market=name.contract).first()
        case AssetKind.TOKEN:
            found = next((each for each in deployments if name.contract in _by_address(each)), None)
    if found is None:
        raise DeploymentRefusal("deployment.unknown", "This register does not know these contracts.", actual=str(name))
    return found


def payment_token(deployment: Deployment | None = None) -> Token:
    """Return the token in which prices are quoted: the deployment's first. Raises DeploymentRefusal."""
    where = deployment or current_deployment()
    tokens = tokens_of(where)
    if not tokens:
        raise DeploymentRefusal("deployment.no_token", "The market takes no token yet.", actual=str(where))
    return tokens[0]


def tokens_of(deployment: Deployment) -> tuple[Token, ...]:
    """Return the tokens that a deployment's market takes, in the order in which it came to take them."""
    return tuple(
        Token(deployment.chain_id, entry["address"], entry["symbol"], int(entry["decimals"]))
        for entry in deployment.tokens
    )


def token_by_caip(caip: str) -> Token:
    """Return the token with this CAIP-19 name. Raises DeploymentRefusal, NameRefusal."""
    name = AssetName.parse(caip, AssetKind.TOKEN)
    deployment = deployment_of(name)
    return next(token for token in tokens_of(deployment) if token.address == name.contract)


def token_domain(token: Token) -> tuple[str, str] | None:
    """Return name and version of the token's EIP-712 domain where the deployment states them: `{"eip712": […]}`.

    Tokens without ERC-5267 (`eip712Domain`), such as USDC, need it; others are asked. Raises DeploymentRefusal.
    """
    deployment = deployment_of(AssetName(AssetKind.TOKEN, token.chain, token.address))
    told = _by_address(deployment)[token.address].get("eip712")
    return (str(told[0]), str(told[1])) if isinstance(told, list) and len(told) == 2 else None


def token_contract(token: Token) -> str:
    """Return the name of the artifact with which calls to the token are encoded. Raises DeploymentRefusal."""
    deployment = deployment_of(AssetName(AssetKind.TOKEN, token.chain, token.address))
    return str(_by_address(deployment)[token.address]["name"])


def _by_address(deployment: Deployment) -> dict[str, dict[str, object]]:
    return {str(entry["address"]): entry for entry in deployment.tokens}
