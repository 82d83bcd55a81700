"""What a wallet signs to join an account is worth nothing later, elsewhere, or for anybody else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from eth_account import Account as EthAccount

from marketplace.actions.custody import connect_wallet, wallet_link
from marketplace.models import AccountAddress
from marketplace.queries.actors import Actor
from provenance.core.refusal import Refusal
from provenance.models import Deployment
from tests.trade.conftest import NOW, person

pytestmark = pytest.mark.django_db

WALLET = EthAccount.from_key("0x" + "42" * 32)
DEADLINE = int(NOW.timestamp()) + 600


@pytest.fixture
def deployment() -> Deployment:
    """Contracts on a chain that nobody asks."""
    return Deployment.objects.create(
        chain_id=31337, registry="0x" + "11" * 20, market="0x" + "22" * 20, anchor="0x" + "33" * 20, first_block=1,
        created_at=NOW,
    )  # fmt: skip


def signed(actor: Actor, *, deadline: int = DEADLINE, **domain: object) -> str:
    """The wallet's signature, for this deployment or for another `chainId` or `verifyingContract`."""
    typed = wallet_link(by=actor, address=WALLET.address, deadline=deadline).to_json()
    message, types = dict(typed["message"]), typed["types"]["WalletLink"]  # type: ignore[call-overload,index]
    message |= {each["name"]: int(message[each["name"]]) for each in types if each["type"].startswith("uint")}
    whole = {**typed, "message": message, "domain": {**typed["domain"], **domain}}  # type: ignore[dict-item]
    return "0x" + WALLET.sign_typed_data(full_message=whole).signature.hex().removeprefix("0x")


def connect(actor: Actor, signature: str, *, deadline: int = DEADLINE, after: timedelta = timedelta()) -> None:
    connect_wallet(by=actor, address=WALLET.address, deadline=deadline, signature=signature, now=NOW + after)


def test_a_signature_presented_again_is_the_same_wallet_and_later_it_is_too_old(deployment: Deployment) -> None:
    ada = person("Ada")
    signature = signed(ada)
    connect(ada, signature)
    connect(ada, signature)
    assert AccountAddress.objects.filter(account=ada.account, key_path="wallet").count() == 1
    with pytest.raises(Refusal, match="too old"):
        connect(ada, signature, after=timedelta(seconds=601))


@pytest.mark.parametrize(
    "domain", [{"chainId": 1}, {"verifyingContract": "0x" + "12" * 20}, {"name": "Another Register"}], ids=str
)
def test_a_signature_for_another_chain_contract_or_site_is_refused(
    deployment: Deployment, domain: dict[str, object]
) -> None:
    ada = person("Ada")
    with pytest.raises(Refusal):
        connect(ada, signed(ada, **domain))
    assert not AccountAddress.objects.filter(key_path="wallet").exists()


def test_a_signature_for_adas_account_does_not_connect_to_mallorys(deployment: Deployment) -> None:
    ada, mallory = person("Ada"), person("Mallory")
    with pytest.raises(Refusal):
        connect(mallory, signed(ada))
    far = int(NOW.timestamp()) + 10**6
    with pytest.raises(Refusal, match="lasts too long"):
        connect(ada, signed(ada, deadline=far), deadline=far)
