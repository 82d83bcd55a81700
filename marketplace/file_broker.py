"""The broker without a server: kombu's messages in files, each appearing whole.

kombu opens a message's file under its final name and writes it afterwards. A reader that comes in between finds it
empty, and the worker dies of that. Here a message is written under a hidden name, which readers pass over, and renamed.
"""

from __future__ import annotations

from pathlib import Path
from time import monotonic_ns
from typing import Any
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    """Messages in files, put in place in one step."""

    def _put(self, queue: Any, payload: Any, **_kwargs: Any) -> None:  # type: ignore[override]  # kombu's two disagree
        # Readers take files in the order of their names.
        name = f"{monotonic_ns() // 1_000_000}_{uuid4()}.{queue}.msg"
        folder = Path(self.data_folder_out)
        try:
            hidden = folder / f".{name}"
            hidden.write_bytes(dumps(payload).encode())
            hidden.replace(folder / name)
        except OSError as error:
            raise ChannelError(f"Cannot add the message {name}: {error.strerror}") from error


class Transport(filesystem.Transport):
    """kombu's file transport over these channels."""

    Channel = Channel

    @property
    def default_connection_params(self) -> dict[str, Any]:
        """None: a folder has no host, and kombu warns newcomers of the one that it would make up."""
        return {}
