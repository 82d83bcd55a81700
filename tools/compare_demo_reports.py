"""Compare two reports of `make demo`: what was run on may differ, what came out may not.

Keys, salts, addresses, ciphertext, transactions and seconds are different in each run. Plaintext digests, matches,
amounts and the verifier's answers are not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

COMPARED: dict[str, tuple[str, ...]] = {
    "datasets": ("kind", "files", "bytes", "plaintext_sha256"),
    "copy_refused": ("kind", "share"),
    "license": ("price", "fee"),
    "download": ("files", "bytes", "sha256_ok", "cid_ok"),
    "usage": ("unit", "quantity", "amount"),
    "settlement": ("epoch", "lines"),
    "payouts": ("reason", "amount"),
    "verification": ("step", "result"),
}


def comparable(report: dict[str, object], name: str) -> dict[str, object]:
    """Each compared field as `section[index].field`; the payouts in order of amount, since payees are new each time.

    A field that is missing stops the run: two reports that both lack it must not count as equal.
    """
    fields: dict[str, object] = {}
    for section, keys in COMPARED.items():
        if section not in report:
            sys.exit(f"{name} has no section {section!r}")
        content = report[section]
        rows = content if isinstance(content, list) else [content]
        if not rows:
            sys.exit(f"{name}: section {section!r} is empty")
        values = []
        for row in rows:
            if not isinstance(row, dict) or (missing := [key for key in keys if key not in row]):
                sys.exit(f"{name}: a row of {section!r} lacks {missing if isinstance(row, dict) else keys}")
            values.append([row[key] for key in keys])
        if section == "payouts":
            values.sort(key=json.dumps)
        for index, row_values in enumerate(values):
            fields |= {f"{section}[{index}].{key}": value for key, value in zip(keys, row_values, strict=True)}
    return fields


def main(paths: list[str]) -> None:
    """Exit 0 when every compared field is equal, else print each that is not."""
    if len(paths) != 2:
        sys.exit("usage: compare_demo_reports.py REPORT REPORT")
    first, second = (comparable(json.loads(Path(path).read_text()), path) for path in paths)
    differences = [
        f"{field}: {first.get(field)!r} in {paths[0]}, {second.get(field)!r} in {paths[1]}"
        for field in sorted(first.keys() | second.keys())
        if first.get(field) != second.get(field)
    ]
    if differences:
        sys.exit("The two runs disagree:\n" + "\n".join(differences))
    print(f"Both runs agree in all {len(first)} compared fields.")


if __name__ == "__main__":
    main(sys.argv[1:])
