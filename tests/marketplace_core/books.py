"""A small chain history that tests extend: Ada's dataset 1, Ben's dataset 2 built from it at 5 %, payees for all."""

from dataclasses import replace

from marketplace.core.facts import (
    BeneficiarySet,
    Charge,
    Facts,
    FeePayeeSet,
    FreezeChanged,
    OwnerChanged,
    ParentLinked,
    PayeeAdded,
    PayeeChanged,
    Purchase,
    Refund,
    Registered,
    SplitsSet,
)
from marketplace.core.settlement import settle
from marketplace.core.settlement_documents import write_documents
from marketplace.core.splits import Share, Splits
from tests.marketplace_core.cast import ADA, BEN, DEPLOYMENT, DORA, OPERATOR, TUSD, account, border, tx

NONCE = "11" * 16
ADA_SHARES_WITH_DORA = Splits(account(ADA), (Share(account(DORA), 2_000, "photographer"),), NONCE)
FEE_PAYEE, ADA_PAYEE, BEN_PAYEE, DORA_PAYEE = 1, 2, 3, 4

CHANGES = (
    PayeeAdded(2, 0, FEE_PAYEE, OPERATOR),
    FeePayeeSet(2, 1, FEE_PAYEE),
    Registered(3, 0, 1, ADA, ADA_SHARES_WITH_DORA.digest),
    PayeeAdded(3, 1, ADA_PAYEE, ADA),
    Registered(4, 0, 2, BEN, None),
    ParentLinked(4, 1, 2, 1, 500),
    PayeeAdded(4, 2, BEN_PAYEE, BEN),
    PayeeAdded(4, 3, DORA_PAYEE, DORA),
)


def purchase(number, dataset, price, block=10, *, hold=0, fee_bps=250, token=TUSD):
    return Purchase(block, number, tx(number), number, dataset, token, price, fee_bps, block * 12 + hold)


def charge(license_number, units, signed, moved, block=10, *, log=100, token=TUSD):
    return Charge(block, log, tx(1_000 + log), license_number, token, units, signed, moved)


def facts(end=100, *more_borders, changes=(), **given):
    borders = (border(1), border(end), *more_borders)
    return Facts(
        **(
            {
                "deployment": DEPLOYMENT,
                "token": TUSD,
                "epoch": 1,
                "borders": borders,
                "changes": (*CHANGES, *changes),
                "splits": {ADA_SHARES_WITH_DORA.digest: ADA_SHARES_WITH_DORA},
            }
            | given
        )
    )


def next_epoch(earlier, end, **changes):
    """The facts of the epoch after `earlier`, once its settlement was accepted."""
    settlement = settle(earlier)
    return replace(
        earlier,
        epoch=earlier.epoch + 1,
        borders=(*earlier.borders, border(end)),
        previous=write_documents(settlement).digest,
        balances={line.payee: line.cumulative for line in settlement.balances},
        **changes,
    )


def amounts(settlement):
    return {line.payee: line.amount for line in settlement.balances if line.amount}


__all__ = [
    "ADA_PAYEE", "ADA_SHARES_WITH_DORA", "BEN_PAYEE", "CHANGES", "DORA_PAYEE", "FEE_PAYEE", "BeneficiarySet",
    "FreezeChanged", "OwnerChanged", "PayeeChanged", "Refund", "SplitsSet", "amounts", "charge", "facts",
    "next_epoch", "purchase",
]  # fmt: skip
