"""One virtual environment, its packages built by `kiln pip`, and the executable baked from it."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("KILN_BUILD", ROOT / "build"))
KILN = BUILD / "kiln"
DEFAULT_PYTHON = "/usr/bin/python3"

# Facts about a Python, asked of itself.
FACTS = textwrap.dedent("""
    import importlib.machinery, json, platform, sys, sysconfig
    print(json.dumps({
        "executable": sys.executable,
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "debug": bool(sysconfig.get_config_var("Py_DEBUG")),
        "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "suffixes": importlib.machinery.EXTENSION_SUFFIXES,
        "purelib": sysconfig.get_path("purelib"),
        "platlib": sysconfig.get_path("platlib"),
    }))
""")


class Failure(Exception):
    """Something did not work; the text is for the reader."""


def name_directory(python):
    """What a directory that is PYTHON's own is called."""
    return os.fspath(python).strip("/").replace("/", "-")


def choose_python():
    """The Python to bake for: KILN_PYTHON, else the system's."""
    chosen = os.environ.get("KILN_PYTHON", DEFAULT_PYTHON)
    found = shutil.which(chosen)
    if found is None:
        raise Failure(f"there is no Python at {chosen}; name one with KILN_PYTHON")
    return found


def run(*argv, **kwargs):
    """Run a program to its success; show what it says on our standard streams."""
    sys.stdout.flush()
    argv = [os.fspath(arg) for arg in argv]
    status = subprocess.run(argv, stdin=subprocess.DEVNULL, **kwargs).returncode
    if status != 0:
        raise Failure(f"exit status {status}: {' '.join(argv)}")


def output_of(*argv, **kwargs):
    """Run a program to its success; its standard output."""
    argv = [os.fspath(arg) for arg in argv]
    result = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)
    if result.returncode != 0:
        raise Failure(f"exit status {result.returncode}: {' '.join(argv)[:500]}\n{result.stderr}")
    return result.stdout


def get_facts(python):
    return json.loads(output_of(python, "-c", FACTS, stdin=subprocess.DEVNULL))


def is_standard(module):
    """Whether what `kiln` says of MODULE is of one of the standard library's."""
    return "/lib-dynload/" in module["file"]


class Bakery:
    """A directory with a virtual environment of `python` in venv/."""

    def __init__(self, directory, python):
        self.directory = pathlib.Path(directory)
        self.base = get_facts(python)
        self.venv = self.directory / "venv"
        self.python = self.venv / "bin" / "python"
        self.executable = self.directory / "python"  # what link() makes
        self._make_venv()
        self.facts = get_facts(self.python)
        self.site_packages = pathlib.Path(self.facts["platlib"])

    def _make_venv(self):
        """Make the environment, unless a former run made it of the same Python."""
        stamp = self.venv / "made-of"
        made_of = json.dumps(self.base)
        if stamp.exists() and stamp.read_text() == made_of:
            return
        shutil.rmtree(self.venv, ignore_errors=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        run(self.base["executable"], "-m", "venv", self.venv)
        stamp.write_text(made_of)

    def pip(self, *args, **streams):
        run(KILN, "pip", "--python", self.python, *args, **streams)

    def link(self, *options, output=None, **streams):
        self.executable = pathlib.Path(output or self.executable)
        run(KILN, "link", "--python", self.python, "-o", self.executable, *options, **streams)

    def list_packages(self):
        """[(name, version)] of what is installed, the environment's own tools left out."""
        listed = json.loads(output_of(self.python, "-m", "pip", "list", "--format=json",
                                      "--disable-pip-version-check", stdin=subprocess.DEVNULL))
        tools = {"pip", "setuptools", "wheel"}
        return [(p["name"], p["version"]) for p in listed if p["name"].lower() not in tools]

    def list_extension_files(self):
        """{dotted name: path} of the extension files in the environment's site-packages."""
        found = {}
        for path in sorted(self.site_packages.rglob("*.so")):
            suffix = next((s for s in self.facts["suffixes"] if path.name.endswith(s)), None)
            stem = path.relative_to(self.site_packages).parent / path.name[:-len(suffix or ".so")]
            if suffix is None or not all(part.isidentifier() for part in stem.parts):
                continue
            parts = stem.parts[:-1] if stem.parts[-1] == "__init__" else stem.parts
            found.setdefault(".".join(parts), path)
        return found

    def get_listing(self):
        """What `kiln ls --json` says of the executable."""
        return json.loads(output_of(KILN, "ls", "--json", self.executable))

    def list_standard_files(self):
        """The files of the standard library that the executable has inside."""
        return [module["file"] for module in self.get_listing()["modules"] if is_standard(module)]

    def list_baked(self):
        """{dotted name: what is said of it} of the executable's modules that are not the standard library's."""
        return {module["name"]: module for module in self.get_listing()["modules"] if not is_standard(module)}
