"""`make install`, and what a machine without root is told by tools/deps."""

import os
import pathlib
import stat

import pytest

from conftest import ROOT, run
from extensions import extension

PREFIX = "/opt/kiln"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """PREFIX below a DESTDIR."""
    destdir = tmp_path_factory.mktemp("destdir")
    flags = [flag for flag in os.environ.get("MAKEFLAGS", "").split()
             if not flag.startswith(("-j", "--jobserver"))]
    run("make", "-C", ROOT, "install", f"DESTDIR={destdir}", f"PREFIX={PREFIX}",
        env={**os.environ, "MAKEFLAGS": " ".join(flags)})
    return pathlib.Path(f"{destdir}{PREFIX}")


@pytest.mark.parametrize("path", [
    "bin/kiln", "bin/kiln-cc", "bin/kiln-c++", "lib/libkiln.a", "lib/pkgconfig/kiln.pc",
    "include/kiln/kiln.h", "include/kiln/table.h", "share/man/man1/kiln.1",
])
def test_install_puts_every_part_under_the_prefix(installed, path):
    assert (installed / path).is_file()


def test_pkg_config_file_names_the_prefix_without_destdir(installed):
    assert f"prefix={PREFIX}\n" in (installed / "lib/pkgconfig/kiln.pc").read_text()


def test_installed_kiln_bakes_with_the_installed_runtime(installed, python, tmp_path):
    extension(tmp_path / "site", "pkg.inner", python, compiler=installed / "bin/kiln-cc")
    # A cache of its own: the runtime must be compiled from what was installed.
    environment = {**os.environ, "XDG_CACHE_HOME": os.fspath(tmp_path / "cache")}
    run(installed / "bin/kiln", "link", "--python", python, "-o", tmp_path / "app", tmp_path / "site",
        env=environment)
    said = run(tmp_path / "app", "-c", "from pkg.inner import value; print(value())",
               env={**environment, "PYTHONPATH": os.fspath(tmp_path / "site")}).stdout
    assert said == "pkg.inner\n"


def write_program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def bare_system(tmp_path):
    """A PATH with a shell's tools, no compiler, an apt-get that records its arguments, and nobody's
    rights."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "cat", "tr", "uname", "mktemp", "rm", "env"):
        (programs / name).symlink_to(run("which", name).stdout.strip())
    write_program(programs / "id", "echo 1000")
    write_program(programs / "apt-get", f'echo "$@" >>{tmp_path}/apt.log')
    write_program(programs / "apt-cache", "exit 0")
    return programs


def test_without_root_what_is_missing_is_said_and_nothing_installed(bare_system, tmp_path):
    said = run("sh", ROOT / "tools/deps", "build", check=False, env={"PATH": os.fspath(bare_system)})
    assert said.returncode == 1
    assert "cc (Debian, Ubuntu: gcc)" in said.stderr
    assert "apt-get install --no-install-recommends" in said.stderr
    assert "not root" in said.stderr
    assert not (tmp_path / "apt.log").exists()


def test_as_root_only_what_is_missing_is_installed(bare_system, tmp_path):
    write_program(bare_system / "id", "echo 0")
    write_program(bare_system / "ld.bfd", "exit 0")
    run("sh", ROOT / "tools/deps", "build", check=False, env={"PATH": os.fspath(bare_system)})
    (installed,) = [line for line in (tmp_path / "apt.log").read_text().splitlines() if "install" in line]
    assert "gcc" in installed.split()
    assert "binutils" not in installed.split()


def test_nothing_is_called_when_nothing_is_missing(bare_system, tmp_path):
    for name in ("cc", "ld.bfd"):
        write_program(bare_system / name, "exit 0")
    (bare_system / "python3").symlink_to("/usr/bin/python3")
    said = run("sh", ROOT / "tools/deps", "build", env={"PATH": os.fspath(bare_system)})
    assert (said.stdout, said.stderr) == ("", "")
    assert not (tmp_path / "apt.log").exists()
