from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from cadastre.folder import files_of
from marketplace.management.story.data import Sources
from tests.journey.conftest import Town
from tests.journey.goods import prose, published
from tests.journey.visitor import Visitor


def steps(auditor: Visitor) -> dict[str, str]:
    """What the page says of each step: its name, and pass, fail or not checked."""
    found = {}
    for row in auditor.page.locator("ol.steps li").all():
        name = row.locator("span").first.inner_text().partition("\n")[0]
        found[name] = row.locator("xpath=./*[last()]").inner_text()
    return found


def flipped(bundle: bytes) -> bytes:
    """The same with one character of one document changed."""
    content = json.loads(bundle)
    digest, text = next(iter(content["documents"].items()))
    content["documents"][digest] = text[:8] + ("B" if text[8] == "A" else "A") + text[9:]
    return json.dumps(content, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def test_a_trail_is_read_proved_and_verified(enter: Callable[..., Visitor], town: Town, sources: Sources, folder: Path):
    goods = prose(sources, 1, folder / "prose")
    dataset = published(town.newcomer(), goods, title="Topics for the auditor")

    dora = enter()
    dora.goes("/audit")
    dora.clicks("Topics for the auditor")
    dora.clicks("Provenance")
    dora.reads("Registered by ")
    dora.reads("Compared with everything in the register")
    dora.reads("Listed for sale.")
    bundle = dora.downloads("Download the bundle", folder)

    registered = dora.page.locator("ol.trail li").filter(has_text="Registered by ")
    index = registered.get_by_role("link").get_attribute("href") or ""
    dora.clicks(f"Proof: entry {index.removeprefix('/e/')} of the log")
    dora.reads("dataset.registered")
    proof = dora.downloads("Download the proof", folder)
    assert proof.name.endswith(f"{index.removeprefix('/e/')}.tlog-proof")
    assert proof.read_text().startswith("c2sp.org/tlog-proof@v1\n")
    dora.clicks("Topics for the auditor")

    dora.clicks("Verify a bundle")
    dora.page.get_by_label("Bundle file").set_input_files(bundle)
    dora.presses("Verify")
    named = steps(dora)
    assert len(named) > 5
    assert not [name for name, outcome in named.items() if "fail" in outcome]
    assert set(named.values()) <= {"✓ pass", "– not checked"}
    expect(dora.page.locator("main [role=status]")).not_to_contain_text("not what it claims to be")

    altered = folder / "altered.json"
    altered.write_bytes(flipped(bundle.read_bytes()))
    dora.page.get_by_label("Bundle file").set_input_files(altered)
    dora.presses("Verify")
    dora.reads("This bundle is not what it claims to be.")
    assert "✕ fail" in steps(dora).values()
    assert set(steps(dora)) == set(named)

    (folder / "nonsense.json").write_text("{")
    dora.page.get_by_label("Bundle file").set_input_files(folder / "nonsense.json")
    dora.presses("Verify")
    dora.reads("The document is not JSON")
    dora.goes(f"/d/{dataset}/activity")


def drops(visitor: Visitor, path: Path) -> None:
    """Drop a file on the search box and wait for the page that it leads to."""
    page = visitor.page
    carried = page.evaluate_handle(
        "([name, text]) => { const it = new DataTransfer(); it.items.add(new File([text], name)); return it; }",
        [path.name, path.read_text()],
    )
    with visitor.leaves():
        page.dispatch_event("input[data-look-up]", "drop", {"dataTransfer": carried})
    visitor.examines()


def test_a_dropped_file_is_looked_up_by_its_hash_alone(
    enter: Callable[..., Visitor], town: Town, sources: Sources, folder: Path
):
    goods = prose(sources, 2, folder / "prose")
    published(town.newcomer(), goods, title="Topics for the curious")
    known = files_of(goods)[0].location
    other = folder / "other.txt"
    other.write_text("Nobody has registered these words.")

    dora = enter()
    sent: list[str] = []
    dora.page.on("request", lambda request: sent.append(f"{request.method} {request.post_data or ''}"))
    dora.goes("/")
    drops(dora, known)
    dora.reads("Exact match.")
    dora.reads("Topics for the curious")
    drops(dora, other)
    dora.reads("No match found.")
    assert not [each for each in sent if each != "GET "]
    dora.page.get_by_label("A file", exact=True).set_input_files(known)
    dora.presses("Compare")
    dora.reads("Exact match.")
