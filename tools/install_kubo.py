"""Put Kubo's `ipfs` at var/bin/ipfs, from the nearest place that has the version this project was tested with.

1. `ipfs` on PATH, when it is that version or newer.
2. The official release, checked against the SHA-512 that its publisher puts beside it.
3. The Go module in tools/kubo, whose go.sum holds the digest of every source.

When none works, says what was tried and what is missing.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

VERSION = "0.43.0"
ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "var" / "bin" / "ipfs"
RELEASES = "https://dist.ipfs.tech/kubo"
DOWNLOAD_SECONDS = 20
ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class Unavailable(Exception):
    """This place cannot give us Kubo; the message says why."""


def version_of(binary: Path) -> tuple[int, ...] | None:
    """The version that `binary` answers, or None when it does not run."""
    try:
        answer = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", answer.stdout)
    return tuple(int(part) for part in found.groups()) if found else None


def is_current(binary: Path) -> bool:
    """Whether `binary` is the tested version or newer."""
    version = version_of(binary)
    return version is not None and version >= tuple(int(part) for part in VERSION.split("."))


def from_path() -> None:
    """Link to the `ipfs` on PATH."""
    found = shutil.which("ipfs")
    if found is None:
        raise Unavailable("no `ipfs` on PATH")
    if not is_current(Path(found)):
        raise Unavailable(f"{found} is older than {VERSION}, or does not run")
    TARGET.unlink(missing_ok=True)
    TARGET.symlink_to(Path(found).resolve())


def fetch(address: str) -> bytes:
    """The bytes at `address`, which is one of the publisher's own."""
    try:
        with urllib.request.urlopen(address, timeout=DOWNLOAD_SECONDS) as reply:  # noqa: S310 - https, fixed above
            return bytes(reply.read())
    except (urllib.error.URLError, OSError) as error:
        raise Unavailable(f"{address}: {error}") from error


def from_release() -> None:
    """Download, check and unpack the official release for this system."""
    system, machine = platform.system().lower(), ARCHITECTURES.get(platform.machine().lower())
    if system not in {"linux", "darwin"} or machine is None:
        raise Unavailable(f"no release is known here for {platform.system()} on {platform.machine()}")
    address = f"{RELEASES}/v{VERSION}/kubo_v{VERSION}_{system}-{machine}.tar.gz"
    published = fetch(f"{address}.sha512").decode("ascii", "replace").split()
    archive = fetch(address)
    actual = hashlib.sha512(archive).hexdigest()
    if not published or published[0] != actual:
        raise Unavailable(f"{address}: SHA-512 is {actual}, published is {published[:1]}; not used")
    with tarfile.open(fileobj=io.BytesIO(archive)) as unpacked:
        member = unpacked.extractfile("kubo/ipfs")
        if member is None:
            raise Unavailable(f"{address} holds no kubo/ipfs")
        install(member.read())


def install(binary: bytes) -> None:
    """Write `binary` under its final name in one step, so that nothing ever runs half of it."""
    partial = TARGET.with_suffix(".partial")
    partial.write_bytes(binary)
    partial.chmod(0o755)
    partial.rename(TARGET)


def from_module() -> None:
    """Build the Go module; takes two or three minutes on two cores."""
    go = shutil.which("go")
    if go is None:
        raise Unavailable("no `go` on PATH to build tools/kubo with (Go 1.26 or newer)")
    partial = TARGET.with_suffix(".partial")
    build = subprocess.run(
        [go, "build", "-o", partial, "-ldflags", "-s -w", "github.com/ipfs/kubo/cmd/ipfs"],
        cwd=ROOT / "tools" / "kubo",
        env={**os.environ, "GOFLAGS": "-mod=readonly", "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if build.returncode:
        raise Unavailable(f"`go build` in tools/kubo failed:\n{build.stderr.strip()[-2000:]}")
    partial.rename(TARGET)


def main() -> None:
    """Leave a current `ipfs` at var/bin/ipfs, or say why there is none."""
    if is_current(TARGET):
        return
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    refusals: list[str] = []
    for place in (from_path, from_release, from_module):
        try:
            place()
        except Unavailable as refusal:
            refusals.append(f"  - {refusal}")
            continue
        if is_current(TARGET):
            print(f"Kubo {VERSION} or newer is at {TARGET.relative_to(ROOT)}")
            return
        refusals.append(f"  - what {place.__name__} gave does not run here")
    sys.exit(
        f"Kubo {VERSION} is missing, and none of the three ways to get it worked:\n"
        + "\n".join(refusals)
        + "\nInstall Kubo so that `ipfs` is on PATH, or Go 1.26, and run `make kubo` again."
        "\nEverything but CADASTRE_STORE=kubo works without it."
    )


if __name__ == "__main__":
    main()
