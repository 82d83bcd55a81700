"""What the people who are paid sign: that they accept to be payees, and where their payouts shall go from now on."""

from __future__ import annotations

from provenance.core.typed_data import Domain, StructType, TypedData

_ACCEPTANCE = StructType("PayeeAcceptance(address account,uint256 deadline)")
_CHANGE = StructType("PayeeChange(uint32 payee,address to,uint32 nonce,uint256 deadline)")


def acceptance_typed_data(domain: Domain, *, account: str, deadline: int) -> TypedData:
    """Return what an invited contributor signs; until then its share waits."""
    return TypedData(domain, _ACCEPTANCE, {"account": account, "deadline": deadline})


def change_typed_data(domain: Domain, *, payee: int, to: str, nonce: int, deadline: int) -> TypedData:
    """Return what a payee's present account signs to move its payouts, effective after the public delay."""
    return TypedData(domain, _CHANGE, {"payee": payee, "to": to, "nonce": nonce, "deadline": deadline})
