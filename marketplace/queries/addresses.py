"""Which addresses on chain belong to an account, and who can sign for them."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.models import Account, AccountAddress
from provenance.core.refusal import Refusal

WALLET = "wallet"


class AddressRefusal(Refusal):
    """An account has no address of the kind that is needed, yet."""


@dataclass(frozen=True, slots=True)
class Signing:
    """An address and who signs for it: a key path of the signer, or None when a person's own wallet does."""

    address: str
    key_path: str | None


def owner_signing(account: Account, wanted: str = "") -> Signing:
    """Return the address under which the account registers datasets. Raises AddressRefusal while it is being made.

    A wallet that the account connected as its owner address comes before the custodial one; `wanted` (lower case) names
    another one of its addresses, also a wallet that only signs where it is named.
    """
    if wanted:
        holder = signing_of(wanted)
        if holder is None or holder[0].pk != account.pk:
            raise AddressRefusal(
                "account.address_unknown", "This address does not belong to the account.", actual=wanted[:80],
                todo="Connect the wallet first.",
            )  # fmt: skip
        return holder[1]
    rows = AccountAddress.objects.filter(account=account, purpose=AccountAddress.Purpose.OWNER, state="ready")
    row = rows.filter(key_path=WALLET).order_by("-created").first() or rows.order_by("created").first()
    if row is None or row.address is None:
        raise AddressRefusal(
            "account.address_wanted", "The account's address is still being made.", todo="Try again in a few seconds."
        )
    return _signing(row)


def signing_of(address: str) -> tuple[Account, Signing] | None:
    """Return the account that an address belongs to and who signs for it, or None when it is nobody's here."""
    rows = AccountAddress.objects.select_related("account").filter(address=address.lower(), state="ready")
    row = rows.exclude(purpose=AccountAddress.Purpose.WITHDRAWAL).order_by("created").first()
    return None if row is None else (row.account, _signing(row))


def addresses_of(account: Account) -> list[str]:
    """Return every address to which income of the account may be paid, custodial and own."""
    rows = AccountAddress.objects.filter(account=account, address__isnull=False)
    rows = rows.exclude(purpose=AccountAddress.Purpose.WITHDRAWAL)
    return sorted({row.address for row in rows if row.address is not None})


def _signing(row: AccountAddress) -> Signing:
    assert row.address is not None
    return Signing(row.address, None if row.key_path == WALLET else row.key_path)


def owner_addresses(account: Account) -> list[AccountAddress]:
    """Return the addresses under which the account owns datasets, custodial and own, oldest first."""
    rows = AccountAddress.objects.filter(account=account, purpose=AccountAddress.Purpose.OWNER)
    return list(rows.exclude(state=AccountAddress.State.RETIRED).order_by("created"))


def wallets_of(account: Account) -> list[AccountAddress]:
    """Return the wallets that the account connected, each once, oldest first; one that owns stands as an owner."""
    rows = AccountAddress.objects.filter(account=account, key_path=WALLET, state=AccountAddress.State.READY)
    purposes = (AccountAddress.Purpose.SIGNER, AccountAddress.Purpose.OWNER)
    found = {row.address: row for purpose in purposes for row in rows.filter(purpose=purpose)}
    return sorted(found.values(), key=lambda row: (row.created, row.pk))


def withdrawal_addresses(account: Account) -> list[AccountAddress]:
    """Return the addresses that the account named to withdraw to, newest first."""
    rows = AccountAddress.objects.filter(account=account, purpose=AccountAddress.Purpose.WITHDRAWAL)
    return list(rows.exclude(state=AccountAddress.State.RETIRED).order_by("-created"))
