import json
import re

from contracts import build, devnet

PAGE = (build.ROOT / "docs" / "chain.md").read_text(encoding="utf-8")
SOURCES = "".join(path.read_text(encoding="utf-8") for path in sorted(build.SOURCES.rglob("*.sol")))


def test_every_signed_type_of_the_page_is_the_one_in_the_sources() -> None:
    types = re.findall(r"`([A-Z]\w+\([a-z0-9]+(?:\[\])? \w+(?:,[a-z0-9]+(?:\[\])? \w+)*\))`", PAGE)
    ours = [text for text in types if not text.startswith("ReceiveWithAuthorization")]
    assert len(ours) == 15
    for text in ours:
        assert f'"{text}"' in SOURCES, text


def test_the_page_and_the_test_chain_sign_the_same_types() -> None:
    for name, fields in devnet.TYPES.items():
        if name not in {"CancelAuthorization", "Permit"}:
            assert f"{name}({fields})" in PAGE


def test_every_event_of_the_contracts_is_on_the_page() -> None:
    names = set()
    for contract in ("DatasetRegistry", "Market", "EvidenceAnchor"):
        abi = json.loads((build.ARTIFACTS / f"{contract}.json").read_text(encoding="utf-8"))["abi"]
        names |= {entry["name"] for entry in abi if entry["type"] == "event"}
    standard = {"Approval", "ApprovalForAll", "AuthorityUpdated", "EIP712DomainChanged", "TransferBatch", "URI"}
    missing = sorted(name for name in names - standard if name not in PAGE)
    assert missing == []


def test_roles_are_those_that_the_test_chain_grants() -> None:
    for role, number in devnet.ROLES.items():
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| {role} | {number} |"))
        for function in devnet.MARKET_ROLES.get(role, []) + devnet.REGISTRY_ROLES.get(role, []):
            assert function in row, (role, function)
