"""A wallet of one's own in a file: Ethereum's keystore JSON, version 3, as geth, foundry and most wallets write it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount

from provenance.adapters.typed_data import signable
from provenance.ports import KeyRefusal


class WalletFile:
    """An opened keystore file. Holds the key in memory and nowhere else; prints nothing of it."""

    __slots__ = ("__account",)

    def __init__(self, account: LocalAccount) -> None:
        self.__account = account

    def __repr__(self) -> str:
        return f"WalletFile({self.address})"

    @property
    def address(self) -> str:
        """The wallet's address, lower case with 0x."""
        return str(self.__account.address).lower()

    def sign(self, typed_data: Mapping[str, object]) -> str:
        """Return the signature (EIP-712) as `eth_signTypedData_v4` would. Raises KeyRefusal for malformed data."""
        return "0x" + bytes(self.__account.sign_message(signable(typed_data)).signature).hex()


def open_wallet(path: Path, passphrase: str) -> WalletFile:
    """Open a keystore file. Raises KeyRefusal for a wrong passphrase or another format."""
    try:
        content = json.loads(path.read_text())
        version = content["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KeyRefusal(
            "wallet.file", f"{path} is not an Ethereum keystore file.", limit="JSON, version 3",
            todo="Make one with `cast wallet import` or geth, or export one from your wallet.",
        ) from error  # fmt: skip
    if version != 3:
        raise KeyRefusal("wallet.version", f"{path} has another format.", limit=3, actual=str(version)[:20])
    try:
        return WalletFile(Account.from_key(Account.decrypt(content, passphrase)))
    except (ValueError, KeyError, TypeError) as error:
        raise KeyRefusal(
            "wallet.passphrase", f"The passphrase does not open {path}.", todo="Check CADASTRE_WALLET_PASSPHRASE."
        ) from error
