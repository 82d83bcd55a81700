"""A whole register in one process for tests: chain, signer, follower, workers; datasets without their bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from marketplace import journal
from marketplace.actions.contributors import advance_contributors
from marketplace.actions.custody import derive_addresses
from marketplace.actions.listings import list_published
from marketplace.actions.money import advance_withdrawals, draw_faucet
from marketplace.actions.offers import advance_offers
from marketplace.actions.orders import advance_orders, place_order
from marketplace.actions.outcomes import resolve_outcomes
from marketplace.actions.quotes import advance_quotes
from marketplace.actions.vouchers import advance_vouchers
from marketplace.actions.wallet_signatures import advance_requests
from marketplace.core.terms import Terms, Use
from marketplace.models import Draft, Listing, Order
from marketplace.queries.actors import Actor
from marketplace.queries.deployments import payment_token
from marketplace.settling.closing import advance_settlements
from marketplace.settling.paying import push_due
from provenance import outbox
from provenance.adapters.keystore import SeedKeyRing
from provenance.core.caip import Account, Asset, AssetKind
from provenance.core.manifest import Manifest, Visibility, make_manifest
from provenance.follower import follow
from provenance.models import (
    ContentKey,
    DatasetRecord,
    Deployment,
    Document,
    Intent,
    IntentState,
    PinRow,
    PinState,
    Submission,
    SubmissionState,
)
from provenance.tasks import sign_once
from tests.chain.conftest import RING, World
from tests.provenance_core.manifests import description, some_records

RECIPIENT = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
ROUNDS = 40


def terms(*, derive_bps: int = 1_000, **changes: Any) -> Terms:
    uses = changes.pop("uses", frozenset({Use.FINE_TUNE, Use.EVALUATE, Use.DERIVE}))
    fields = {"title": "Standard", "text": "You may use it as said.", "uses": uses, "commercial": True}
    return Terms(derive_bps=derive_bps, **{**fields, **changes})


@dataclass
class Register:
    """Moves everything until nothing is due; `now` is the chain's own time."""

    world: World
    deployment: Deployment
    ring: SeedKeyRing = RING
    count: int = field(default=0)

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.world.chain.header("latest").timestamp, tz=UTC)

    @property
    def token(self) -> str:
        return payment_token(self.deployment).caip

    def sign(self) -> int:
        return derive_addresses(ring=self.ring, now=self.now) + sign_once(self.ring, self.now)

    def follow(self) -> None:
        follow(self.deployment, self.world.chain, self.now)
        self.deployment.refresh_from_db()

    def work(self) -> int:
        now = self.now
        # The copies of documents are the content half's business: here they are pinned as soon as they are wanted.
        PinRow.objects.exclude(state=PinState.PINNED).update(state=PinState.PINNED)
        moved = advance_quotes(now=now) + advance_offers(now=now) + advance_vouchers(now=now)
        moved += advance_orders(now=now) + advance_requests(now=now)
        moved += advance_contributors(now=now) + advance_withdrawals(now=now) + resolve_outcomes(now=now)
        return moved + self.settle()

    def settle(self) -> int:
        return advance_settlements(now=self.now) + push_due(now=self.now)

    def run(self, rounds: int = ROUNDS) -> None:
        """Work, sign, mine and follow until no intent is open and nothing moves any more."""
        for _ in range(rounds):
            moved = self.work() + self.sign()
            self.world.development.mine(2)
            self.follow()
            open_ones = Intent.objects.exclude(state__in=("final", "failed", "expired"))
            if not moved and not open_ones.exists():
                return
        still = [f"{intent} {intent.cause}" for intent in open_ones]
        raise AssertionError(f"The register does not come to rest: {still}")

    def fund(self, actor: Actor, amount: int = 1_000_000_000) -> None:
        draw_faucet(by=actor, now=self.now, amount=amount)
        self.run()

    def publish(
        self,
        actor: Actor,
        *,
        price: int | None = 240_000_000,
        with_terms: Terms | None = None,
        parents: list[dict[str, Any]] | None = None,
        hold_seconds: int = 0,
        title: str = "Photographs of Delft",
        splits: str | None = None,
        draft: Draft | None = None,
        with_manifest: bool = False,
    ) -> Listing:
        """Register a dataset for the actor through the outbox and put up its listing, as the content half does.

        Its manifest is a digest of nothing, unless `with_manifest`.
        """
        self.sign()
        self.count += 1
        said = with_terms or terms()
        manifest, package = (hashlib.sha256(f"{what}{self.count}".encode()).hexdigest() for what in ("m", "p"))
        path, totals = f"owner/{actor.account.pk}", {"files": 3, "bytes": 3000, "records": 3}
        if with_manifest:
            made = self.write_manifest(actor, path, title, [parent["dataset"] for parent in parents or []])
            manifest, totals = made.digest.hex, dict(made.totals.to_document())
        self.register(path, manifest, package, bps=said.derive_bps, parents=parents or [], splits=splits)
        record = DatasetRecord.objects.get(manifest=manifest)
        submission = Submission.objects.create(
            party=actor.account.pk,
            owner=self.deployment.account_caip(self.ring.address(path)),
            title=title,
            creator=actor.account.display_name,
            kind="image",
            languages=["en"],
            dataset=record.caip,
            totals=totals,
            state=SubmissionState.FINAL,
            manifest=manifest,
            package=package,
            created=self.now,
            changed=self.now,
        )
        key = self.ring.make_identity()
        ContentKey.objects.create(
            submission=submission, package=package, recipient=key.recipient, wrapped=key.wrapped, state="made",
            created=self.now, changed=self.now,
        )  # fmt: skip
        row = draft or Draft(account=actor.account, created=self.now)
        row.submission, row.terms, row.price = submission.pk, said.to_document(), price
        row.derive_bps, row.hold_seconds, row.state = said.derive_bps, hold_seconds, Draft.State.CONFIRMED
        row.save()
        list_published(submission=submission.pk, now=self.now)
        self.run()
        return Listing.objects.get(pk=record.caip)

    def write_manifest(self, actor: Actor, path: str, title: str, parents: list[int]) -> Manifest:
        """Keep the public manifest of a dataset of sealed files."""
        about = description(
            owner=Account.parse(self.deployment.account_caip(self.ring.address(path))), title=title,
            creator=actor.account.display_name, languages=("en",),
            parents=tuple(Asset.parse(self.deployment.dataset_caip(number), AssetKind.DATASET) for number in parents),
        )  # fmt: skip
        made, _ = make_manifest(about, some_records(self.count + 2), visibility=Visibility.SEALED)
        Document.create_from_bytes(made.to_bytes(), schema="cadastre.manifest/1")
        return made

    def register(
        self, signer: str, manifest: str, package: str, *, bps: int, parents: list[dict[str, Any]], splits: str | None
    ) -> Intent:
        derivations = [parent.pop("derivation", None) for parent in parents]
        payload = {
            "signer": signer,
            "registration": {
                "owner": self.ring.address(signer), "manifest": manifest, "package": package, "kind": "sealed",
                "open_derive": False, "derive_bps": bps, "splits": splits, "parents": parents,
                "max_stack_bps": 10_000,
                "deadline": int(self.now.timestamp()) + 100_000,
            },
            "derivations": derivations if any(derivations) else [],
        }  # fmt: skip
        intent = outbox.enqueue(
            key=f"register:{manifest}", kind="registry.register", payload=payload, deployment=self.deployment,
            valid_until=self.now + timedelta(hours=1), now=self.now,
        )  # fmt: skip
        self.run()
        intent.refresh_from_db()
        assert intent.state == IntentState.FINAL, intent.cause
        return intent

    def buy(self, actor: Actor, listing: Listing, *, key: str = "", run: bool = True) -> Order:
        listing.refresh_from_db()
        assert listing.offer_id is not None
        order = place_order(
            by=actor, key=key or str(uuid4()), recipient=RECIPIENT, offer=listing.offer_id, now=self.now
        )
        if run:
            self.run()
            order.refresh_from_db()
        return order

    def buy_funded(self, actor: Actor, listing: Listing) -> Order:
        self.fund(actor)
        return self.buy(actor, listing)

    def balance(self, actor: Actor) -> journal.Balance:
        return journal.balance_of(actor.account.pk, self.token)

    def on_chain(self, path_or_address: str) -> int:
        """Token balance of an address, or of the custodial key at a path, read by an independent call."""
        address = path_or_address if path_or_address.startswith("0x") else self.ring.address(path_or_address)
        answer = self.world.chain.read("TestUSD", "balanceOf", address)
        assert isinstance(answer, int)
        return answer

    def owner_address(self, actor: Actor) -> str:
        return self.ring.address(f"owner/{actor.account.pk}")

    def check_books(self) -> None:
        """Promise 4: the journal sums to zero, and the chain holds what it says."""
        assert journal.differences() == []
        assert self.on_chain(self.deployment.market) == journal.market_total(self.token)
        assert self.on_chain("treasury") == journal.treasury_total(self.token)


def document(digest: str) -> bytes:
    return Document.objects.get(pk=digest).content


def order_of(order: UUID) -> Order:
    return Order.objects.get(pk=order)
