"""Transfers between custodial keys, the treasury and people's own addresses: EIP-3009, one authorization per row."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from provenance.core.digest import Sha256
from provenance.core.typed_data import Domain, StructType, TypedData

_TRANSFER = StructType(
    "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,"
    "bytes32 nonce)"
)


def transfer_nonce(row: UUID) -> bytes:
    """Return the nonce of the authorization of a withdrawal or top-up.

    The row's own number makes it: the token itself refuses to pay one row twice, whoever asks, and whatever this
    register has forgotten.
    """
    return Sha256.of(b"cadastre.transfer/1" + row.bytes).raw


@dataclass(frozen=True, slots=True)
class TokenTransfer:
    """`value` base units from one address to another; `valid_before` is exclusive, Unix seconds."""

    row: UUID
    sender: str
    to: str
    value: int
    valid_before: int

    @property
    def nonce(self) -> bytes:
        """See `transfer_nonce`."""
        return transfer_nonce(self.row)

    def typed_data(self, token_domain: Domain) -> TypedData:
        """Return what the sender's key signs; `token_domain` is the token's own."""
        return TypedData(
            token_domain,
            _TRANSFER,
            {
                "from": self.sender,
                "to": self.to,
                "value": self.value,
                "validAfter": 0,
                "validBefore": self.valid_before,
                "nonce": self.nonce,
            },
        )
