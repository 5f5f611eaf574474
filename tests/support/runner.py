"""Running code in an executable with modules inside, and in the stock interpreter with the same modules as
shared libraries, so that what programs see of them can be compared."""

import json
import os

from conftest import run

# What the packages have besides their extensions.
PURE = {
    "pkg/__init__.py": "", "other/__init__.py": "", "first/__init__.py": "", "second/__init__.py": "",
    "pkg/data.txt": "data", "pkg/pure_divides.py": "1 / 0\n", "pkg/pure_slow.py": "import time\ntime.sleep(0.2)\n",
    "pkg/pure_circle.py": "import pkg.circle as m\nseen = [hasattr(m, 'first'), hasattr(m, 'last')]\n",
    "pkg/pure_circle_single.py": "import pkg.circle_single as m\nseen = [hasattr(m, 'first'), hasattr(m, 'last')]\n",
    "pkg/pure_circle_from.py": "from pkg.circle_from import last\n",
    "extpkg/data.txt": "data", "extpkg/pure.py": "here = True\n",
    "runnable/__init__.py": "", "spread/pure.py": "",
    "walk/__init__.py": "", "walk/pure.py": "", "walk/purepkg/__init__.py": "", "walk/deep/leafpure.py": "",
    "pkg-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: pkg\nVersion: 1.0\n",
    "pkg-1.0.dist-info/RECORD": "pkg/__init__.py,,\npkg/data.txt,,\n",
    "pkg-1.0.dist-info/top_level.txt": "pkg\n",
}


def make_packages(directory):
    """A directory for PYTHONPATH: the pure part of the packages."""
    site = directory / "site"
    for name, text in PURE.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    return site


class Runner:
    """Runs PROGRAM, a python, with SITE on its path and ENV in its environment."""

    def __init__(self, program, site, **env):
        self.program, self.site, self.env = program, site, env

    def run(self, *argv, check=True, cwd=None, **env):
        # What is set for the tests themselves reaches the runtime: KILN_..., and options of sanitizers.
        passed = {key: value for key, value in os.environ.items() if key.startswith(("KILN_", "ASAN_", "UBSAN_", "TSAN_"))}
        env = {"PYTHONPATH": str(self.site), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", **passed, **self.env, **env}
        return run(self.program, *argv, env=env, check=check, cwd=cwd)

    def __call__(self, code, *options, **kwargs):
        """Run CODE; the result is what it left in `answer`."""
        code += "\nimport json, sys\nprint('\\nANSWER', json.dumps(answer))"
        return json.loads(self.run(*options, "-c", code, **kwargs).stdout.rpartition("\nANSWER ")[2])


class Stock(Runner):
    """A Runner of a program without Kiln, to compare with. What it says is kept: it is asked once in each test function,
    with however many executables the function is run."""

    def __init__(self, program, site, **env):
        super().__init__(program, site, **env)
        self.said = {}

    def run(self, *argv, **kwargs):
        function = os.environ["PYTEST_CURRENT_TEST"].partition("[")[0]
        key = function, argv, tuple(sorted(kwargs.items()))
        if key not in self.said:
            self.said[key] = super().run(*argv, **kwargs)
        return self.said[key]
