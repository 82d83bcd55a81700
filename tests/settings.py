"""The settings of a production instance, in a folder of its own: tests never touch what runs on this machine."""

import atexit
import os
import shutil
import tempfile

_FOLDER = tempfile.mkdtemp(prefix="cadastre-tests-")
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
os.environ["CADASTRE_VAR"] = _FOLDER

from marketplace.settings import *  # noqa: E402, F403

# Passwords of the cast are hashed hundreds of times a run.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# PostgreSQL refuses to drop a test database while a pool still holds connections to it.
if (_options := DATABASE.get("OPTIONS")) and "pool" in _options:  # noqa: F405
    del _options["pool"]
