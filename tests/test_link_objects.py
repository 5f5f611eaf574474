"""How `kiln link` gets from fat extensions to objects: in parallel, each file opened once."""

import json
import os
import shutil
import subprocess

import pytest

from conftest import BUILD, run
from extensions import MULTI_PHASE, extension, list_modules, suffix

# An extension with an object that gets a file of its own, not a place in an archive.
LARGE = MULTI_PHASE + "const unsigned char filler[200000] = {1, 2, 3};\n" \
    "__attribute__((constructor)) static void early(void) { static volatile int n; n++; }\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory, python):
    """200 small extensions, of one file under many names, and two large ones."""
    root = tmp_path_factory.mktemp("site")
    first = extension(root, "pkg0.m0", python, value="small")
    for number in range(1, 200):
        package = root / f"pkg{number % 5}"
        package.mkdir(exist_ok=True)
        (package / "__init__.py").touch()
        shutil.copy(first, package / f"m{number}{suffix(python)}")
    for name in "big.one", "big.two":
        extension(root, name, python, source=LARGE)
    return root


def link(output, *args, check=True, **env):
    return run(BUILD / "kiln", "link", "-o", output, *args, check=check, env={**os.environ, **env})


def values(program, site, names):
    script = "import importlib, json; print(json.dumps([importlib.import_module(n).value() for n in %r]))"
    env = {**os.environ, "PYTHONPATH": str(site)}
    return json.loads(run(program, "-c", script % (names,), env=env).stdout)


@pytest.mark.parametrize("linker", ["bfd", "gold", "lld", "mold"])
def test_hundreds_of_extensions_in_one_executable(linker, site, python, tmp_path):
    if shutil.which(f"ld.{linker}") is None:
        pytest.skip(f"ld.{linker} is not installed")
    link(tmp_path / "app", "--python", python, "--linker", linker, site)
    assert values(tmp_path / "app", site, ["pkg0.m0", "pkg4.m199", "big.one", "big.two"]) == \
        ["small", "small", "big.one", "big.two"]
    ways = [module["way"] for module in list_modules(tmp_path / "app").values()]
    assert ways == ["objects"] * 202


def test_equal_inputs_give_equal_bytes(site, python, tmp_path):
    for name in "one", "two":
        link(tmp_path / name, "--python", python, site / "big")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_links_at_the_same_time_do_not_disturb_each_other(site, python, tmp_path):
    link(tmp_path / "first", "--python", python, site)
    running = [subprocess.Popen([BUILD / "kiln", "link", "--quiet", "--python", python, "-o", tmp_path / f"app{i}", site])
               for i in range(4)]
    assert [process.wait() for process in running] == [0, 0, 0, 0]
    for i in range(4):
        assert (tmp_path / f"app{i}").read_bytes() == (tmp_path / "first").read_bytes()


def test_all_that_is_wrong_is_said_in_the_order_of_the_names(site, python, tmp_path):
    root = tmp_path / "site"
    for number in range(0, 200, 9):
        root.mkdir(exist_ok=True)
        path = root / f"m{number:03}{suffix(python)}"
        data = bytearray((site / "pkg0" / f"m0{suffix(python)}").read_bytes())
        at = data.index(b"KILNFAT\0")
        data[at + 100] ^= 1
        path.write_bytes(data)
    paths = sorted(root.iterdir())
    result = link(tmp_path / "app", "--from", "objects", "--python", python, *reversed(paths), check=False)
    assert result.returncode == 1
    said = [line.partition("error: ")[2].partition(": ")[0] for line in result.stderr.splitlines()]
    assert said == list(map(str, paths))
    result = link(tmp_path / "app", "--from", "objects", "--python", python, root, check=False)
    assert result.returncode == 1
    *said, last = result.stderr.splitlines()
    assert [line.split()[1] for line in said] == [path.name.partition(".")[0] for path in paths]
    assert all("stays a file: damaged" in line and line.endswith(f"({path})") for line, path in zip(said, paths))
    assert last == "kiln: error: nothing to bake: all extensions that were found stay files"


# --- Opens ---

# Counts the opens of files below $COUNT_BELOW, as lines in $COUNT_FILE.
COUNTER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <unistd.h>
static void count(const char *path) {
    const char *below = getenv("COUNT_BELOW"), *file = getenv("COUNT_FILE");
    char line[5000];
    if (below != NULL && strncmp(path, below, strlen(below)) == 0) {
        int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
        int fd = real(file, O_WRONLY | O_APPEND | O_CREAT, 0600);
        int len = snprintf(line, sizeof line, "%s\n", path);
        if (fd < 0 || write(fd, line, len) != len) { abort(); }
        close(fd);
    }
}
#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list list; va_start(list, flags); int mode = va_arg(list, int); va_end(list); \
        count(path); \
        int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, #name); \
        return real(path, flags, mode); \
    }
#undef open64
OPEN(open) OPEN(open64)
#define FOPEN(name) \
    FILE *name(const char *path, const char *mode) { \
        count(path); \
        FILE *(*real)(const char *, const char *) = dlsym(RTLD_NEXT, #name); \
        return real(path, mode); \
    }
FOPEN(fopen) FOPEN(fopen64)
"""


@pytest.fixture(scope="module")
def counter(tmp_path_factory):
    directory = tmp_path_factory.mktemp("counter")
    (directory / "counter.c").write_text(COUNTER)
    run("cc", "-shared", "-fPIC", "-O1", "-U_FORTIFY_SOURCE", directory / "counter.c", "-o", directory / "counter.so", "-ldl")
    return directory / "counter.so"


@pytest.mark.parametrize("share", [False, True])
def test_each_extension_file_is_opened_once(share, counter, python, tmp_path):
    (tmp_path / "c.c").write_text("int common(void) { return 1; }\n")
    run("cc", "-fPIC", "-c", tmp_path / "c.c", "-o", tmp_path / "c.o")
    run("ar", "rc", tmp_path / "libcommon.a", tmp_path / "c.o")
    source = MULTI_PHASE + "int common(void); int use(void) { return common(); }\n"
    root = tmp_path / "site"
    files = [extension(root, name, python, source=source,
                       more=[tmp_path / "libcommon.a"])
             for name in ("one", "pkg.two")]
    files.append(extension(root, "plain", python, compiler="cc"))
    opened = tmp_path / "opened"
    link(tmp_path / "app", "--from", "objects", "--python", python, "--report", tmp_path / "report", *(["--share", "common"] if share else []),
         root, LD_PRELOAD=str(counter), COUNT_BELOW=str(root), COUNT_FILE=str(opened))
    lines = opened.read_text().splitlines()
    assert sorted(line for line in lines if line.endswith(".so")) == sorted(map(str, files))
    assert values(tmp_path / "app", root, ["one", "pkg.two"]) == ["one", "pkg.two"]
