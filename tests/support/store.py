"""What the tests of one run make once and share: objects, libraries, executables. One directory for all of pytest's
processes, whichever needs a thing first makes it."""

import fcntl
import hashlib
import os


class Store:
    """A directory of made things, each under the hash of what it was made of."""

    def __init__(self, directory):
        self.directory = directory

    def get(self, name, key, make):
        """The file NAME that MAKE, given its path, makes from KEY. Tests must not change it."""
        made = self.directory / hashlib.sha256(repr((name, key)).encode()).hexdigest()[:32]
        if not (made / name).exists():
            made.mkdir(parents=True, exist_ok=True)
            with open(made / ".lock", "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not (made / name).exists():
                    make(made / f".new-{name}")
                    os.rename(made / f".new-{name}", made / name)
        return made / name
