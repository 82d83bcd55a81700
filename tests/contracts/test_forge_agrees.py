"""Unit, fuzz and invariant tests of the contracts, in Solidity under `contracts/test`."""

import platform
import subprocess

import pytest

from contracts import build
from tests.services.presence import missing


@pytest.mark.slow
def test_every_test_in_solidity_passes() -> None:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    package = f"forge-{platform.system().lower()}-{machine}"
    forge = build.ROOT / "node_modules" / "@foundry-rs" / package / "bin" / "forge"
    if not forge.exists():
        missing("forge", "run `npm ci`")
    done = subprocess.run([str(forge), "test"], cwd=build.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " 0 failed" in done.stdout
