"""`wallet`: connect one's own wallet, list those that are connected, and sign what waits; and `--wallet` of others."""

from __future__ import annotations

import argparse
import getpass
import os
import time
from pathlib import Path

from cadastre.commands import AddCommand
from cadastre.session import Session
from cadastre.wallet import Wallet
from provenance.core.refusal import Refusal

PAUSE = 1.0
QUIET_ROUNDS = 5


class WalletCommandRefusal(Refusal):
    """A command needs a wallet, or was not told to go on."""


def add_commands(add: AddCommand) -> None:
    """Add `wallet`."""
    wallet = add("wallet", run_wallet, "connect a wallet of your own, list them, or sign what waits for it")
    wallet.add_argument("action", choices=("connect", "list", "sign"), help="what to do")
    add_wallet_option(wallet, "of connect and sign: the wallet's keystore file")
    wallet.add_argument("--yes", action="store_true", help="sign without asking")


def add_wallet_option(command: argparse.ArgumentParser, words: str) -> None:
    """Add `--wallet KEYFILE`."""
    command.add_argument("--wallet", type=Path, metavar="KEYFILE", help=words)


def wallet_of(session: Session, options: argparse.Namespace) -> Wallet | None:
    """Return the wallet that `--wallet` names, connected to the account, or None. Raises KeyRefusal, ApiRefusal."""
    if options.wallet is None:
        return None
    # Here, because eth_account takes longer to load than most commands to run.
    from provenance.adapters.wallet_file import open_wallet

    phrase = os.environ.get("CADASTRE_WALLET_PASSPHRASE")
    if phrase is None:
        phrase = getpass.getpass(f"Passphrase of {options.wallet}: ")
    file = open_wallet(options.wallet, phrase)
    known = session.profile.pins if session.site == session.profile.site else {}
    wallet = Wallet(file.address, file.sign, known or session.client.deployment())
    if wallet.address not in {each["address"] for each in session.client.wallets()}:
        session.client.connect(wallet)
        session.console.say(f"Connected {wallet.address}. What it pays or owns, everybody can see on the chain.")
    return wallet


def sign_waiting(session: Session, wallet: Wallet, *, dataset: str, license_id: str | None = None) -> list[str]:
    """Sign what waits about a dataset, or one of its licenses, until nothing new is asked; return the acts."""
    done: list[str] = []
    quiet = 0
    while quiet < QUIET_ROUNDS:
        making = session.client.asked(wallet.address, dataset=dataset, state="making")
        wanted = list(session.client.asked(wallet.address, dataset=dataset))
        own = [each for each in wanted if license_id is None or each["subject"] == license_id]
        for each in own:
            session.client.sign(each, wallet)
            done.append(each["act"])
        quiet = 0 if own or any(making) else quiet + 1
        time.sleep(PAUSE)
    return done


def run_wallet(session: Session, options: argparse.Namespace) -> int:
    """Do one of the three."""
    match options.action:
        case "list":
            return _list(session)
        case "connect":
            wallet = _needed(session, options)
            session.console.result({"address": wallet.address}, f"{wallet.address} is connected.")
            return 0
        case _:
            return _sign(session, options)


def _list(session: Session) -> int:
    found = session.client.wallets()
    lines = [
        f"{row['address']}  {'owns what is published' if row['owns'] else 'signs where it is named'}" for row in found
    ]
    session.console.result(found, *(lines or ["No wallet is connected."]))
    return 0


def _sign(session: Session, options: argparse.Namespace) -> int:
    wallet = _needed(session, options)
    signed = []
    for asked in list(session.client.asked(wallet.address)):
        if asked["act"] == "purchase":
            # What is paid is compared with the offer, and that is what `buy` does.
            session.console.say(f"Order {asked['subject']} is paid by the command that placed it: cadastre buy.")
            continue
        if options.yes or session.console.agreed(asked["typed_data"], f"Sign this ({asked['act']})?"):
            signed.append(session.client.sign(asked, wallet))
    lines = [f"Signed: {each['act']} of {each['subject']}" for each in signed]
    session.console.result(signed, *(lines or ["Nothing was signed."]))
    return 0


def _needed(session: Session, options: argparse.Namespace) -> Wallet:
    wallet = wallet_of(session, options)
    if wallet is None:
        raise WalletCommandRefusal(
            "wallet.none", "No wallet is named.", todo="Give its keystore file with --wallet KEYFILE."
        )
    return wallet
