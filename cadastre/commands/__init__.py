"""One file per group of commands; each adds its commands and prints what it found as one JSON value."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Protocol

from cadastre.session import Session

Run = Callable[[Session, argparse.Namespace], int]
"""Runs a command and returns its exit code. Raises Refusal."""


class AddCommand(Protocol):
    """Adds a command with the options that all of them have, and returns its parser."""

    def __call__(self, name: str, run: Run, words: str) -> argparse.ArgumentParser: ...
