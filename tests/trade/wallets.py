"""Wallets of the cast: keys that no register holds, signing what they are shown as a browser's wallet does."""

from __future__ import annotations

from typing import Any

from eth_account import Account as EthAccount
from eth_account.signers.local import LocalAccount

from marketplace.actions.custody import connect_wallet, wallet_link
from marketplace.actions.wallet_signatures import give_signature
from marketplace.models import WalletRequest
from marketplace.queries.actors import Actor
from provenance.adapters.typed_data import signable
from tests.trade.register import Register

WALLET: LocalAccount = EthAccount.from_key("0x" + "42" * 32)
STRANGER: LocalAccount = EthAccount.from_key("0x" + "66" * 32)


def signed(typed: Any, key: LocalAccount = WALLET) -> str:
    """What `eth_signTypedData_v4` answers for typed data as the register hands it out."""
    said = typed if isinstance(typed, dict) else typed.to_json()
    return "0x" + key.sign_message(signable(said)).signature.hex().removeprefix("0x")


def address(key: LocalAccount = WALLET) -> str:
    return str(key.address).lower()


def connect(register: Register, actor: Actor, key: LocalAccount = WALLET, *, owns: bool = False) -> str:
    deadline = int(register.now.timestamp()) + 600
    typed = wallet_link(by=actor, address=key.address, deadline=deadline)
    connect_wallet(
        by=actor, address=key.address, deadline=deadline, signature=signed(typed, key), now=register.now, owns=owns
    )
    return address(key)


def fund(register: Register, amount: int, key: LocalAccount = WALLET) -> None:
    """Play money at the wallet itself, past the register."""
    send(register, "TestUSD", "mint", key.address, amount, key=key)


def send(register: Register, contract: str, function: str, *args: object, key: LocalAccount = WALLET) -> None:
    """The wallet sends a transaction by itself and pays its gas."""
    chain = register.world.chain
    register.world.development.fund(address(key), 10**18)
    chain.request("anvil_impersonateAccount", key.address)
    call = {
        "from": key.address,
        "to": chain.address(contract),
        "data": "0x" + chain.encode(contract, function, *args).hex(),
    }
    tx = chain.request("eth_sendTransaction", call)
    chain.request("anvil_stopImpersonatingAccount", key.address)
    register.world.development.mine()
    receipt = chain.request("eth_getTransactionReceipt", tx)
    assert isinstance(receipt, dict)
    assert receipt["status"] == "0x1", f"{contract}.{function} was reverted"


def waiting(act: str) -> WalletRequest:
    return WalletRequest.objects.get(act=act, state="wanted")


def answer(register: Register, actor: Actor, row: WalletRequest, key: LocalAccount = WALLET) -> WalletRequest:
    return give_signature(by=actor, request=row.pk, signature=signed(row.typed_data, key), now=register.now)


def sign_all(register: Register, actor: Actor, key: LocalAccount = WALLET) -> None:
    """Sign whatever the wallet is asked for until it is asked for nothing, and let the register do what follows."""
    for _ in range(6):
        register.run()
        asked = list(WalletRequest.objects.filter(account=actor.account, wallet=address(key), state="wanted"))
        if not asked:
            return
        for row in asked:
            answer(register, actor, row, key)
