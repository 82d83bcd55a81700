"""Copy what browsers load from node_modules to static/vendor, so that pages ask nobody else for anything.

1. Ready-made files are copied under short names, each beside its license.
2. `age-encryption` comes as modules that name each other by package, which browsers do not resolve and the content
   security policy leaves no import map for. So its modules are followed from the entry point, and each name is
   rewritten to the path of the copy. The entry point is `vendor/age/age-encryption/dist/index.js`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = ROOT / "node_modules"
TARGET = ROOT / "static" / "vendor"

FILES = {
    "htmx": ("htmx.org", ["dist/htmx.min.js"]),
    "tus": ("tus-js-client", ["dist/tus.min.js"]),
    "cytoscape": ("cytoscape", ["dist/cytoscape.min.js"]),
    "elk": ("elkjs", ["lib/elk.bundled.js"]),
    "cytoscape-elk": ("cytoscape-elk", ["dist/cytoscape-elk.js"]),
    "newsreader": (
        "@fontsource-variable/newsreader",
        ["files/newsreader-latin-wght-normal.woff2", "files/newsreader-latin-wght-italic.woff2"],
    ),
    "inter": ("@fontsource-variable/inter", ["files/inter-latin-wght-normal.woff2"]),
    "plex-mono": (
        "@fontsource/ibm-plex-mono",
        ["files/ibm-plex-mono-latin-400-normal.woff2", "files/ibm-plex-mono-latin-600-normal.woff2"],
    ),
}
AGE_ENTRY = "age-encryption"
IMPORT = re.compile(
    r"""(^\s*(?:import|export)\b[^"';]*?\bfrom\s*|^\s*import\s*|\bimport\(\s*)(["'])([^"']+)\2""", re.MULTILINE
)


def copy_files(target: Path) -> None:
    """Step 1."""
    for short, (package, names) in FILES.items():
        (target / short).mkdir(parents=True)
        for name in names:
            shutil.copyfile(MODULES / package / name, target / short / Path(name).name)
        copy_license(package, target / short)


def copy_license(package: str, target: Path) -> None:
    """Put the license of `package` into `target`: whoever is served the file may read it."""
    for license_file in sorted((MODULES / package).glob("LICEN[CS]E*")):
        shutil.copyfile(license_file, target / license_file.name)


def package_of(path: Path) -> Path:
    """The folder of the package that a file belongs to: one or two names below the innermost node_modules."""
    parts = path.parts
    start = len(parts) - parts[::-1].index("node_modules")
    return Path(*parts[: start + (2 if parts[start].startswith("@") else 1)])


def resolve(name: str, importer: Path) -> Path:
    """The file that `importer` means by `name`, by Node's rules: nearest node_modules first, then `exports`."""
    if name.startswith("."):
        return Path(os.path.normpath(importer.parent / name))
    words = name.split("/")
    size = 2 if name.startswith("@") else 1
    nested = package_of(importer) / "node_modules" / "/".join(words[:size])
    folder = nested if nested.exists() else MODULES / "/".join(words[:size])
    inside = "/".join(words[size:])
    package = json.loads((folder / "package.json").read_text())
    if "exports" not in package:
        return folder / (inside or package.get("module") or package["main"])
    exports = package["exports"] if isinstance(package["exports"], dict) else {".": package["exports"]}
    found = exports[f"./{inside}" if inside else "."]
    while isinstance(found, dict):
        found = found.get("browser") or found.get("import") or found["default"]
    return folder / found


def copy_modules(entry: Path, target: Path) -> None:
    """Step 2."""
    waiting, seen = [entry], {entry}
    while waiting:
        module = waiting.pop()
        copy = target / module.relative_to(MODULES)

        def rewritten(match: re.Match[str], module: Path = module, copy: Path = copy) -> str:
            imported = resolve(match[3], module)
            if imported not in seen:
                seen.add(imported)
                waiting.append(imported)
            path = os.path.relpath(target / imported.relative_to(MODULES), copy.parent)
            return f"{match[1]}{match[2]}{path if path.startswith('.') else './' + path}{match[2]}"

        source = re.sub(r"^//# sourceMappingURL=.*$", "", module.read_text(), flags=re.MULTILINE)
        source = re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)  # examples in comments import things, too
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(IMPORT.sub(rewritten, source))
    for package in {package_of(module) for module in seen}:
        copy_license(str(package.relative_to(MODULES)), target / package.relative_to(MODULES))


def main() -> None:
    """Build the folder aside and put it in place at once, so that a running site never serves half of it."""
    if not MODULES.is_dir():
        sys.exit("node_modules is missing: run `npm ci` first")
    fresh = TARGET.with_suffix(".partial")
    shutil.rmtree(fresh, ignore_errors=True)
    copy_files(fresh)
    copy_modules(resolve(AGE_ENTRY, MODULES / AGE_ENTRY / "package.json"), fresh / "age")
    shutil.rmtree(TARGET, ignore_errors=True)
    fresh.rename(TARGET)


if __name__ == "__main__":
    main()
