"""`python -m cadastre` is the command `cadastre`."""

import sys

from cadastre.cli import main

if __name__ == "__main__":
    sys.exit(main())
