"""Run a command beside real services: `python -m tests.services postgres redis kubo -- make demo`.

The command finds them as a production instance would: DATABASE_URL, CELERY_BROKER_URL, CADASTRE_STORE with
CADASTRE_KUBO_API. They end with it, and its exit status is ours.
"""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkdtemp

from tests.services import kubo, postgres, redis


def main(words: list[str]) -> int:
    """Start what is named before `--` and run what stands after it."""
    if "--" not in words or words[-1] == "--":
        sys.exit("usage: python -m tests.services [postgres] [redis] [kubo] -- COMMAND …")
    border = words.index("--")
    names, command = words[:border], words[border + 1 :]
    environment = dict(os.environ)
    with ExitStack() as running:
        for name in names:
            match name:
                case "postgres":
                    environment["DATABASE_URL"] = running.enter_context(postgres.cluster())
                case "redis":
                    environment["CELERY_BROKER_URL"] = running.enter_context(redis.server())
                case "kubo":
                    node = kubo.start(Path(mkdtemp(prefix="cadastre-kubo-")))
                    running.callback(node.stop)
                    environment |= {"CADASTRE_STORE": "kubo", "CADASTRE_KUBO_API": node.api}
                case _:
                    sys.exit(f"no service is called {name!r}: postgres, redis, kubo")
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
