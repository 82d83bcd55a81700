"""Changing who shares the income of a published dataset.

Shares are changed here one by one and bind nobody until `apply_shares` writes them into the registry, whole: from then
on what is settled follows them. What was settled before stays as it was.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from uuid import UUID

from django.db import transaction

from marketplace import market_calls
from marketplace.actions.contributors import check_room, create_invitation
from marketplace.actions.wallet_requests import want_change
from marketplace.core.caip import AssetKind, AssetName
from marketplace.core.splits import Share, Splits
from marketplace.models import Contributor, Listing, PayeeRow, WalletRequest
from marketplace.queries.actors import Act, Actor
from marketplace.queries.catalog import own_listing
from marketplace.queries.deployments import deployment_of
from marketplace.queries.drafts import DraftRefusal, contributors_of
from provenance.core.canonical import document_bytes
from provenance.models import DatasetRecord, Deployment, Intent


@transaction.atomic
def promise_share(
    *, by: Actor, dataset: str, email: str, role: str, bps: int, now: datetime
) -> tuple[Contributor, str]:
    """Promise `bps` of the owner's income to a person; return the invitation and the token of its link.

    Raises AccessRefusal, DraftRefusal, MoneyRefusal.
    """
    by.require(Act.PUBLISH)
    listing = _locked(by, dataset)
    draft = listing.draft
    if draft is None:
        raise DraftRefusal("splits.elsewhere", "This dataset was not published here.", actual=dataset)
    return create_invitation(
        draft=draft, others=contributors_of(dataset), role=role, bps=bps, email=email, now=now,
        todo="Change it instead.",
    )  # fmt: skip


@transaction.atomic
def change_share(*, by: Actor, dataset: str, contributor: UUID, bps: int) -> None:
    """Change a share; 0 ends it. Binds nobody before `apply_shares`. Raises AccessRefusal, DraftRefusal."""
    by.require(Act.PUBLISH)
    _locked(by, dataset)
    found = contributors_of(dataset).filter(pk=contributor).first()
    if found is None:
        raise DraftRefusal("splits.not_found", "There is no such share.", actual=str(contributor))
    if bps == 0:
        # The row stays: what its address has earned waits there.
        Contributor.objects.filter(pk=found.pk).update(state=Contributor.State.DECLINED)
        return
    check_room(contributors_of(dataset).exclude(pk=found.pk), bps)
    Contributor.objects.filter(pk=found.pk).update(bps=bps)


@transaction.atomic
def apply_shares(*, by: Actor, dataset: str, now: datetime) -> Intent | WalletRequest:
    """Write the shares as they stand into the registry, signed by the owner, or once the owner's wallet has signed.

    Raises AccessRefusal, DraftRefusal, WalletRefusal.
    """
    by.require(Act.PUBLISH)
    _locked(by, dataset)
    name = AssetName.parse(dataset, AssetKind.DATASET)
    deployment = deployment_of(name)
    record = DatasetRecord.objects.get(deployment=deployment, token=name.number or 0)
    splits = _document(dataset, deployment, record.owner)
    if splits is not None:
        market_calls.publish_document(document_bytes(splits.to_document()), schema="cadastre.splits/1", now=now)
        _invite(splits, deployment, now)
    digest = None if splits is None else splits.digest.hex
    return want_change(
        by=by, act=WalletRequest.Act.SPLITS, kind="registry.set_splits", record=record, call={"splits": digest},
        key=f"splits:{dataset}:{digest}:{now:%Y%m%d%H%M%S}", now=now,
    )  # fmt: skip


def _document(dataset: str, deployment: Deployment, owner: str) -> Splits | None:
    rows = list(contributors_of(dataset))
    if not rows:
        return None
    waiting = [row for row in rows if row.address is None]
    if waiting:
        raise DraftRefusal(
            "draft.contributor_address", "The address of a contributor is still being made.", limit=0,
            actual=len(waiting), todo="Try again in a few seconds.",
        )  # fmt: skip
    shares = [Share(deployment.account_caip(row.address or ""), row.bps, row.role) for row in rows]
    return Splits(owner=deployment.account_caip(owner), shares=tuple(sorted(shares)), nonce=secrets.token_hex(16))


def _invite(splits: Splits, deployment: Deployment, now: datetime) -> None:
    addresses = [share.account.rpartition(":")[2] for share in splits.shares]
    known = set(PayeeRow.objects.filter(address__in=addresses).values_list("address", flat=True))
    for address in addresses:
        if address not in known:
            market_calls.want(
                kind="market.invite_payee",
                key=f"invite-payee:{deployment.market}:{address}",
                payload={"account": address},
                deployment=deployment,
                now=now,
            )


def _locked(by: Actor, dataset: str) -> Listing:
    # Two changes at once cannot promise more than everything: the listing's row is locked.
    Listing.objects.select_for_update().filter(pk=dataset).first()
    return own_listing(by.account, dataset)
