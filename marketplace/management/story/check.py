"""The end of the demo: the site is stopped and its database is away, and everything still has to hold.

1. The verifier passes Cleo's bundle with the pinned keys and an RPC address, and names each step.
2. One flipped byte fails and names the step.
3. Bundle and blocks decrypt without the site.
4. The settlement is recomputed from chain and blocks.
5. Balances on chain, read by an independent call, are what the settlement says.
6. A stranger rebuilds catalogue, lineage, licenses, payouts and log into an empty database, without any key.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.conf import settings

from cadastre.pins import chain_of
from marketplace.management.story.cast import Person
from marketplace.management.story.tell import Story, StoryRefusal, plaintext_digest
from provenance.adapters.evm import EvmChain

NEVER_FAILS = frozenset({"pass", "not checked"})


def check_without_the_site(story: Story, *, rpc: str, source: list[str], tokens: list[dict[str, Any]]) -> None:
    """Check steps 1 to 6; `source` are the words that name where blocks lie. Raises StoryRefusal, CommandFailed."""
    cleo = story.cast["cleo"]
    bundle = Path(story.report["bundle"])
    with story.step("verify", "With the site stopped, the verifier passes Cleo's license"):
        found = cleo.run("verify", str(bundle), "--rpc", rpc, "--files", str(cleo.home / "data"))
        story.report["verification"] = [
            {"step": each["step"], "result": each["result"], "detail": each["detail"]} for each in found["steps"]
        ]
    with story.step("tamper", "One flipped byte fails, and the step is named"):
        story.report["tampered"] = flip_one_byte(cleo, bundle, rpc)
    with story.step("decrypt", "Bundle and blocks decrypt without the site and its database"):
        cleo.run("get", str(bundle), "--to", str(cleo.home / "again"), *source)
        if plaintext_digest(cleo.home / "again") != story.datasets["derived"]["plaintext_sha256"]:
            raise StoryRefusal("story.decrypt", "What was decrypted is not what was published.")
    with story.step("recompute", "The settlement is recomputed from chain and blocks"):
        epoch = story.report["settlement"]["epoch"]
        audited = cleo.run("audit-settlement", str(epoch), "--rpc", rpc, *source)
        if not audited["agrees"]:
            raise StoryRefusal("story.settlement", f"The settlement differs: {audited['difference']}")
    with story.step("balances", "Balances on chain are what the settlement says"):
        pins = json.loads((cleo.home / "profile.json").read_text())["pins"]
        _balances(story, audited, rpc, chain_of(pins, rpc).chain_id, tokens)
    with story.step("rebuild", "A stranger rebuilds the register from chain and blocks, without keys and database"):
        story.report["rebuilt"] = _rebuilt(story, rebuild_as_stranger(story.folder / "stranger", pins, rpc))


def flip_one_byte(person: Person, bundle: Path, rpc: str) -> dict[str, str]:
    """Alter the terms inside the bundle by one bit; return the step that noticed. Raises StoryRefusal."""
    content = json.loads(bundle.read_bytes())
    digest, text = next(iter(content["documents"].items()))
    flipped = ("B" if text[8] == "A" else "A") if text[8] in "AB" else "A"
    content["documents"][digest] = text[:8] + flipped + text[9:]
    altered = bundle.with_name("altered.json")
    altered.write_text(json.dumps(content, separators=(",", ":"), sort_keys=True, ensure_ascii=False))
    found = person.run("verify", str(altered), "--rpc", rpc, expect=3)
    failed = next((each for each in found["steps"] if each["result"] == "fail"), None)
    if failed is None:
        raise StoryRefusal("story.tamper", "The altered bundle failed, but no step says why.")
    return {"step": failed["step"], "detail": failed["detail"]}


def rebuild_as_stranger(folder: Path, pins: dict[str, Any], rpc: str) -> dict[str, Any]:
    """Run `manage.py rebuild` as somebody who has the pins, a node and the blocks. Raises StoryRefusal."""
    folder.mkdir(parents=True)
    (folder / "pins.json").write_text(json.dumps(pins))
    known = {name: value for name, value in os.environ.items() if not name.startswith(("CADASTRE_", "DATABASE_URL"))}
    environment = {
        **known,
        "CADASTRE_VAR": str(folder),
        "DATABASE_URL": f"sqlite:///{folder / 'stranger.sqlite3'}",
        "CADASTRE_RPC_URL": rpc,
        "CADASTRE_STORE": settings.CADASTRE_STORE,
        "CADASTRE_KUBO_API": settings.CADASTRE_KUBO_API,
        "CADASTRE_BLOCK_DIR": str(settings.CADASTRE_BLOCK_DIR),
        "CADASTRE_LOG_LEVEL": "ERROR",
    }
    said = ""
    for words in (["migrate", "--verbosity", "0"], ["rebuild", "--pins", str(folder / "pins.json"), "--json"]):
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), *words]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            raise StoryRefusal(
                "story.rebuild", f"manage.py {words[0]}: {done.stderr.strip()[-800:]}", actual=done.returncode
            )
        said = done.stdout
    return dict(json.loads(said))


def _rebuilt(story: Story, found: dict[str, Any]) -> dict[str, Any]:
    """Compare what came back with what was published, sold and paid. Raises StoryRefusal."""
    listed = {row["manifest"] for row in found["datasets"] if row["state"] == "listed" and row["offer"]}
    published = {row["manifest_sha256"] for row in story.report["datasets"]}
    paid = {(row["payee"], row["cumulative"], row["tx"]) for row in story.report["payouts"]}
    paid_there = {(row["payee"], row["cumulative"], row["tx"]) for row in found["payouts"]}
    sold = story.report["license"]["id"].rpartition("-")[2]
    if listed != published or paid != paid_there or sold not in [_number(row["id"]) for row in found["licenses"]]:
        raise StoryRefusal(
            "story.rebuilt", "What a stranger rebuilds is not what was published, sold and paid.",
            limit=f"{len(published)} datasets, license {sold}, {len(paid)} payouts", actual=json.dumps(found)[:800],
        )  # fmt: skip
    counts = {name: len(found[name]) for name in ("datasets", "lineage", "licenses", "payouts")}
    return {**counts, "log": found["log"]["size"]}


def _number(name: str) -> str:
    return name.rpartition("/")[2]


def _balances(story: Story, audited: dict[str, Any], rpc: str, chain_id: int, tokens: list[dict[str, Any]]) -> None:
    token = tokens[0]["address"]
    independent = EvmChain(rpc, chain_id=chain_id, addresses={"TestUSD": token})
    paid = {row["payee"]: row for row in story.report["payouts"]}
    for line in audited["balances"]:
        address = line["account"].rsplit(":", 1)[1]
        balance = int(str(independent.read("TestUSD", "balanceOf", address)))
        row = paid.get(line["payee"])
        if row is None or row["cumulative"] != line["cumulative"]:
            raise StoryRefusal(
                "story.payout", f"Payee {line['payee']} is not among the payouts.", actual=line["cumulative"]
            )
        if row["state"] == "paid" and balance < int(line["cumulative"]):
            raise StoryRefusal(
                "story.balance", f"Payee {line['payee']} has less on chain than the settlement says.",
                limit=line["cumulative"], actual=balance,
            )  # fmt: skip
        row["balance_on_chain"] = str(balance)
