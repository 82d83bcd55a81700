import json
import re

import pytest

from contracts import build


@pytest.mark.slow
def test_every_artifact_is_what_the_sources_compile_to() -> None:
    for name, artifact in build.compile_all().items():
        assert (build.ARTIFACTS / f"{name}.json").read_text(encoding="utf-8") == build.encode(artifact), (
            f"{name} is stale: run `make contracts`"
        )


def test_no_artifact_names_a_path_of_the_machine() -> None:
    for path in build.ARTIFACTS.glob("*.json"):
        assert str(build.ROOT) not in path.read_text(encoding="utf-8")


def test_every_contract_fits_and_market_and_its_extension_share_one_layout() -> None:
    artifacts = {name: json.loads((build.ARTIFACTS / f"{name}.json").read_text("utf-8")) for name in build.CONTRACTS}
    for artifact in artifacts.values():
        assert (len(artifact["deployedBytecode"]) - 2) // 2 <= build.SIZE_LIMIT
    assert artifacts["Market"]["storageLayout"] == artifacts["MarketExtension"]["storageLayout"]


def test_no_assembly_keeps_the_compiler_from_inlining() -> None:
    # One block that may touch the compiler's own memory, and nothing is inlined in the whole contract.
    for name, text in build.source_units().items():
        for block in re.finditer(r"\bassembly\s*(\([^)]*\))?\s*\{", text):
            assert block[1] == '("memory-safe")', name


def test_an_interface_that_is_not_kept_is_refused() -> None:
    promised = [{"type": "function", "name": "pause", "inputs": [], "outputs": [], "stateMutability": "nonpayable"}]
    with pytest.raises(SystemExit, match="pause"):
        build._check_answers("Market", [], "IPause", promised)
    build._check_answers("Market", promised, "IPause", promised)
