"""The story, step by step, through the same doors that everybody uses: REST, the command line, the chain.

1. Ada publishes photographs, locked, and shares the income with Noor. Emil publishes prose, open; Ben a table, open.
2. Ben licenses the photographs with the right to derive, and publishes pictures with measurements, built from both.
3. Mallory uploads Ada's photographs resized, recompressed and renamed, and is stopped.
4. Cleo buys Ben's dataset for her organization, twice with one key, and downloads it.
5. Cleo reports use; the voucher is charged.
6. The epoch closes; the settlement is accepted; everybody is paid on chain.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from cadastre.client import Client
from cadastre.folder import files_of
from marketplace.actions.contributors import accept_contribution
from marketplace.core.adapting import adapted
from marketplace.core.spdx import OPEN_LICENSES
from marketplace.core.terms import Rate, RateUnit
from marketplace.management.story import data
from marketplace.management.story.cast import Person, enlist
from marketplace.models import PayeeRow, User
from marketplace.queries.actors import actor_of_user
from provenance.core.refusal import Refusal

PHOTOGRAPHS_PRICE = "240.00"
DERIVED_PRICE = "90.00"
# What Ada's terms ask for has to be asked of Ben's buyers, too.
CREDIT = "Credit the creator by the name shown at the register. Photographs: Ada Fenwick."
NOOR_BPS = 1_500
PATIENCE_SECONDS = 300.0
POLL_SECONDS = 0.5


class StoryRefusal(Refusal):
    """The story did not go as it should."""


@dataclass(slots=True)
class Story:
    """The story as it is told: where, with whom, and what came of it so far."""

    site: str
    folder: Path
    say: Callable[[str], None]
    stopped: Callable[[], bool] = lambda: False
    # Told when a step begins, for somebody who watches.
    begin: Callable[[str], None] = lambda _words: None
    cast: dict[str, Person] = field(default_factory=dict)
    datasets: dict[str, dict[str, Any]] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=lambda: {"seconds": {}})

    @contextmanager
    def step(self, name: str, words: str) -> Iterator[None]:
        """Time one step and say how it went."""
        started = time.monotonic()
        self.begin(f"  … {words}")
        yield
        seconds = time.monotonic() - started
        self.report["seconds"][name] = round(seconds, 2)
        self.say(f"  ✓ {words}  ({seconds:.1f} s)")

    def wait(self, what: str, answer: Callable[[], Any], *, seconds: float = PATIENCE_SECONDS) -> Any:
        """Ask until the answer is true. Raises StoryRefusal when it never is."""
        deadline = time.monotonic() + seconds
        while not (found := answer()):
            if self.stopped():
                raise StoryRefusal("story.stopped", "Stopped.")
            if time.monotonic() > deadline:
                raise StoryRefusal(
                    "story.slow", f"{what} did not happen.", limit=f"{seconds:g} s", todo="Look into the logs."
                )
            time.sleep(POLL_SECONDS)
        return found


def tell(story: Story) -> None:
    """Tell it up to the payouts. Raises StoryRefusal, ApiRefusal, CommandFailed."""
    sources = data.collect(story.folder / "sources")
    with story.step("sign-up", "Ada, Ben, Emil, Cleo, Noor and Mallory sign up"):
        sign_everybody_up(story)
    with story.step("publish photographs", "Ada publishes 14 photographs, locked, and shares the income with Noor"):
        publish_photographs(story, sources)
    with story.step("accept share", "Noor accepts her share"):
        accept_share(story)
    with story.step("publish prose", "Emil publishes a text corpus, open"):
        prose = {
            "title": "Topics of the Python documentation", "kind": "text", "rights": data.PROSE_RIGHTS,
            "terms": OPEN_LICENSES["PSF-2.0"].terms(credit="Python Software Foundation").to_document(),
        }  # fmt: skip
        publish_open(story, "emil", "prose", sources.prose, prose)
    with story.step("publish table", "Ben publishes climate tables, open"):
        table = {
            "title": "Sunspots, carbon dioxide, sea temperature", "kind": "table", "rights": data.TABLE_RIGHTS,
            "terms": OPEN_LICENSES["CC0-1.0"].terms().to_document(),
        }  # fmt: skip
        publish_open(story, "ben", "table", sources.tables, table)
    with story.step("derive", "Ben licenses the photographs and publishes a dataset built from them and his table"):
        derive(story, sources)
    with story.step("copy", "Mallory's altered copy of the photographs is stopped"):
        stop_the_copy(story, sources)
    with story.step("buy", "Cleo buys Ben's dataset; a second try with the same key is the same license"):
        buy(story)
    with story.step("download", "Cleo downloads, decrypts and checks it"):
        download(story)
    with story.step("usage", "Cleo reports use, and is charged by the frozen terms"):
        report_usage(story)
    with story.step("settle", "The epoch closes, the settlement stands its window, everybody is paid"):
        settle(story)


def sign_everybody_up(story: Story) -> None:
    """Make accounts, keys and balances."""
    for name in ("Ada", "Ben", "Emil", "Noor", "Mallory"):
        story.cast[name.lower()] = enlist(name, site=story.site, home=story.folder / "homes", now=timezone.now())
    story.cast["cleo"] = enlist(
        "Cleo", site=story.site, home=story.folder / "homes", now=timezone.now(), organization="Marchetti Models"
    )
    for person in story.cast.values():
        (person.home).mkdir(parents=True, exist_ok=True)
        (person.home / "key").write_text(person.key)
        (person.home / "key").chmod(0o600)
    for name in ("ben", "cleo"):
        story.cast[name].client.post("/faucet", {}, key=f"story-faucet-{name}")
    story.wait("The accounts' addresses were made", lambda: all(_ready(person) for person in story.cast.values()))
    story.wait("The play money arrived", lambda: all(_funded(story.cast[name]) for name in ("ben", "cleo")))


def publish_photographs(story: Story, sources: data.Sources) -> None:
    """Step 1: what the website does for Ada, over REST."""
    terms = adapted(
        "train-commercial", derive_bps=1_000, rate=Rate(unit=RateUnit("records-1000"), price=800_000, allowance=0)
    )
    description = {
        "title": "Everyday things and far places: photographs",
        "creator": "Ada Fenwick",
        "description": "Fourteen photographs from test benches and archives: faces, cats, coffee, coins, stone, sky.",
        "kind": "image",
        "collected": {"from": "1963-01-01", "to": "2019-12-31"},
        "rights": data.PHOTOGRAPH_RIGHTS,
        "preview_public": True,
        "terms": terms.to_document(),
        "price": PHOTOGRAPHS_PRICE,
        "splits": [{"account": story.cast["noor"].account, "bps": NOOR_BPS, "role": "retouching"}],
        "slug": "photographs",
    }
    publish(story, "ada", "photographs", sources.photographs, description)


def accept_share(story: Story) -> None:
    """Step 1: what the link in the letter to Noor does. Until she accepts, her share waits on chain."""
    if "filebased" not in settings.EMAIL_BACKEND:
        return  # the letter went out to example.org
    noor = story.cast["noor"]
    token = story.wait("A letter came to Noor", lambda: _invited(noor))
    share = accept_contribution(by=actor_of_user(User.objects.get(email=noor.email)), token=token, now=timezone.now())
    accepted = PayeeRow.objects.filter(address=share.address, accepted=True)
    story.wait("Noor's share was accepted on chain", accepted.all().exists)


def _invited(person: Person) -> str | None:
    for path in Path(settings.EMAIL_FILE_PATH).glob("*"):
        for raw in path.read_bytes().split(b"\n" + b"-" * 79 + b"\n"):
            letter = message_from_bytes(raw.lstrip(), policy=policy.default)
            found = re.search(r"/contribution/([\w-]+)", letter.get_content()) if letter["To"] == person.email else None
            if found is not None:
                return found[1]
    return None


def publish_open(story: Story, who: str, name: str, folder: Path, description: dict[str, Any]) -> None:
    """Step 1: open data, free of charge."""
    kind = description["kind"]
    description = {
        **description,
        "creator": story.cast[who].name,
        "description": "Shipped with free software; published here so that others can name it as a source.",
        "visibility": "open",
        "languages": ["en"] if kind == "text" else [],
        "price": "0",
        "slug": name,
    }
    publish(story, who, name, folder, description)


def publish(story: Story, who: str, name: str, folder: Path, description: dict[str, Any]) -> None:
    """Upload, describe, wait for the checks, confirm what the review shows, wait until it is listed."""
    client = story.cast[who].client
    draft = client.open_draft()["id"]
    client.change_draft(draft, description)
    client.upload(draft, files_of(folder))
    client.check_draft(draft)
    state = story.wait(f"The checks of {name} ended", lambda: _if_state(client, draft, {"ready", "held", "stopped"}))
    if state["state"] != "ready":
        raise StoryRefusal("story.publish", f"{name} was not let through: {state['refusal']}")
    review = client.review(draft)
    client.confirm(draft, review["digest"])
    done = story.wait(f"{name} was registered", lambda: _if_state(client, draft, {"published", "stopped"}))
    if done["state"] != "published":
        raise StoryRefusal("story.publish", f"{name} was not registered: {done['refusal']}")
    _note_dataset(story, name, client, done["dataset"], folder)


def derive(story: Story, sources: data.Sources) -> None:
    """Step 2, by the command line."""
    ben, parent = story.cast["ben"], story.datasets["photographs"]["id"]
    ben.run("login", "--key-file", str(ben.home / "key"))
    bundle = ben.home / "photographs.json"
    order = ben.run("buy", parent, "--out", str(bundle), "--key", "story-ben-buys-photographs")
    licensed = ben.home / "photographs"
    ben.run("get", str(bundle), "--to", str(licensed))
    folder = story.folder / "derived"
    terms = adapted("train-only", rate=Rate(unit=RateUnit("records-1000"), price=800_000, allowance=0))
    data.derive(licensed, sources.tables, folder)
    description = {
        "title": "Small pictures with color measurements and sunspots",
        "creator": "Ben Okafor",
        "description": "Each picture at 384 pixels, its mean colors, and the sunspot number of a year.",
        "kind": "mixed",
        "rights": [
            data.right("Pictures, made smaller", "licensed", **{"from": "Ada Fenwick", "sublicensing": True}),
            data.right("Measurements and the join with sunspot numbers", "own-work", sublicensing=True),
        ],
        "slug": "pictures-with-measurements",
        "terms": replace(terms, attribution=CREDIT).to_document(),
        "price": DERIVED_PRICE,
    }
    describe = ben.home / "dataset.json"
    _write_json(describe, description)
    table = story.datasets["table"]["id"]
    done = ben.run(
        "publish",
        str(folder),
        "--describe",
        str(describe),
        "--parent",
        f"{parent}={order['license']}",
        "--parent",
        table,
        "--yes",
    )
    _note_dataset(story, "derived", ben.client, done["dataset"], folder)


def stop_the_copy(story: Story, sources: data.Sources) -> None:
    """Step 3."""
    folder = story.folder / "copy"
    data.alter(sources.photographs, folder)
    client = story.cast["mallory"].client
    draft = client.open_draft()["id"]
    client.change_draft(
        draft,
        {
            "title": "My own pictures",
            "creator": "M. Pike",
            "kind": "image",
            "rights": [data.right("All of it", "own-work")],
        },
    )
    client.upload(draft, files_of(folder))
    client.check_draft(draft)
    state = story.wait("The copy check ended", lambda: _if_state(client, draft, {"ready", "held", "stopped"}))
    matches = client.matches(draft)
    if state["state"] not in {"held", "stopped"} or not matches:
        raise StoryRefusal("story.copy", "The altered copy was not stopped.", actual=state["state"])
    # Ben's pictures were made from the same photographs, so they match, too.
    original = story.datasets["photographs"]["id"]
    match = next((each for each in matches if each["dataset"] == original), None)
    if match is None:
        raise StoryRefusal(
            "story.match", "The copy was stopped for another dataset than the one that it was made from.",
            limit=original, actual=", ".join(str(each["dataset"]) for each in matches),
        )  # fmt: skip
    story.report["copy_refused"] = {
        "kind": match["kind"],
        "share": match["share_percent"],
        "matched_dataset": match["dataset"],
        "records": len(match["records"]),
    }


def buy(story: Story) -> None:
    """Step 4: the same order twice, as after a lost reply."""
    cleo, dataset = story.cast["cleo"], story.datasets["derived"]
    cleo.run("login", "--key-file", str(cleo.home / "key"))
    found = cleo.run("search", "pictures", "measurements")
    if dataset["id"] not in [row["id"] for row in found]:
        raise StoryRefusal("story.search", "The search does not find the dataset.", actual=len(found))
    bundle = cleo.home / "bundle.json"
    words = ("buy", dataset["id"], "--out", str(bundle), "--key", "story-cleo-buys")
    first, second = cleo.run(*words), cleo.run(*words)
    if first["license"] != second["license"]:
        raise StoryRefusal("story.twice", "One idempotency key bought two licenses.", actual=second["license"])
    story.report["license"] = {
        "id": first["license"], "tx": first["tx"], "price": first["total"]["amount"], "fee": first["fee"]["amount"],
    }  # fmt: skip
    story.report["bundle"] = str(bundle)


def download(story: Story) -> None:
    """Step 4."""
    cleo = story.cast["cleo"]
    done = cleo.run("get", story.report["bundle"], "--to", str(cleo.home / "data"))
    story.report["download"] = {name: done[name] for name in ("files", "bytes", "sha256_ok", "cid_ok", "seconds")}
    want = story.datasets["derived"]["plaintext_sha256"]
    if plaintext_digest(cleo.home / "data") != want:
        raise StoryRefusal("story.download", "What was downloaded is not what was published.", limit=want)


def report_usage(story: Story) -> None:
    """Step 5."""
    cleo = story.cast["cleo"]
    today = timezone.now().date().isoformat()
    words = (
        "report-usage",
        story.report["license"]["id"],
        "--use",
        "fine-tune",
        "--quantity",
        "25000",
        "--from",
        today,
        "--to",
        today,
    )
    found = cleo.run(*words, "--model", "marchetti-vision-1", "--run", "2026-11-a")
    story.report["usage"] = {"unit": found["unit"], "quantity": found["quantity"], "amount": found["amount"]["amount"]}
    license_id = story.report["license"]["id"]
    story.wait("The voucher was charged", lambda: _charged(cleo.client, license_id))


def settle(story: Story) -> None:
    """Step 6: the operator closes the epoch; nobody else has to do anything."""
    story.wait("The epoch closed", _close_epoch)
    client = Client(story.site)
    found = story.wait("The settlement was paid", lambda: _paid_settlement(client))
    story.report["settlement"] = {name: found[name] for name in ("epoch", "root", "digest", "cid", "tx")}
    story.report["settlement"]["lines"] = found["lines"] if isinstance(found["lines"], int) else len(found["lines"])


def plaintext_digest(folder: Path) -> str:
    """One digest over all files of a folder: path and SHA-256 of each, in order of path."""
    digest = hashlib.sha256()
    for file in files_of(folder):
        digest.update(file.path.encode() + b"\0" + hashlib.sha256(file.location.read_bytes()).digest())
    return digest.hexdigest()


def _note_dataset(story: Story, name: str, client: Client, dataset: str, folder: Path) -> None:
    story.wait(f"{name} is for sale", lambda: client.offers(dataset))
    shown = client.dataset(dataset)
    files = files_of(folder)
    row = {
        "id": dataset,
        "name": name,
        "title": shown["title"],
        "manifest_sha256": shown["manifest"],
        "package_root_cid": shown["package"]["root"],
        "kind": shown["kind"],
        "files": len(files),
        "bytes": sum(file.size for file in files),
        "tx": shown["tx"],
        "plaintext_sha256": plaintext_digest(folder),
    }
    story.datasets[name] = row
    story.report.setdefault("datasets", []).append(row)


def _if_state(client: Client, draft: str, states: set[str]) -> dict[str, Any] | None:
    found = client.draft(draft)
    return found if found["state"] in states else None


def _ready(person: Person) -> bool:
    return bool(person.client.me()["account"].get("address"))


def _funded(person: Person) -> bool:
    return int(person.client.me()["balance"]["available"]["amount"]) > 0


def _charged(client: Client, license_id: str) -> bool:
    rows = client.get("/usage", license=license_id)["results"]
    return bool(rows) and rows[0]["state"] == "charged"


def _close_epoch() -> bool:
    try:
        call_command("close_epoch", stdout=io.StringIO())
    except CommandError:
        # Payees are being enrolled, or the last charge is not final: asked again until it closes.
        return False
    return True


def _paid_settlement(client: Client) -> dict[str, Any] | None:
    rows = client.get("/settlements")["results"]
    found = rows[0] if rows else None
    if found is None or found["state"] != "paid":
        return None
    return dict(client.get(f"/settlements/{found['epoch']}"))


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document))
