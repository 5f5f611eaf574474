"""`make install`; what scripts/deps tells and installs; how CI runs the README's test command."""

import os
import pathlib
import re
import shutil
import stat

import pytest

from conftest import ROOT, run
from extensions import ask, extension

PREFIX = "/opt/kiln"


def make(*args):
    flags = [flag for flag in os.environ.get("MAKEFLAGS", "").split() if not flag.startswith(("-j", "--jobserver"))]
    return run("make", "-C", ROOT, "--no-print-directory", *args, env={**os.environ, "MAKEFLAGS": " ".join(flags)})


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """PREFIX below a DESTDIR."""
    destdir = tmp_path_factory.mktemp("destdir")
    make("install", f"DESTDIR={destdir}", f"PREFIX={PREFIX}")
    return pathlib.Path(f"{destdir}{PREFIX}")


@pytest.mark.parametrize("path", [
    "bin/kiln", "bin/kiln-cc", "bin/kiln-c++", "bin/kiln-gcc-ar", "lib/libkiln.a", "lib/pkgconfig/kiln.pc",
    "include/kiln/kiln.h", "include/kiln/table.h",
    *(f"share/man/man1/kiln{name}.1" for name in ("", "-cc", "-c++", "-pip", "-link", "-ls", "-isolate", "-table")),
    "share/doc/kiln/LICENSE", "share/doc/kiln/README.md", "share/doc/kiln/docs/kiln-link.md", "share/bash-completion/completions/kiln",
    "share/zsh/site-functions/_kiln", "share/fish/vendor_completions.d/kiln.fish",
])
def test_install_puts_every_part_under_the_prefix(installed, path):
    assert (installed / path).is_file()


def test_install_says_where_and_uninstall_removes_all_of_it_and_nothing_else(tmp_path):
    where = (f"DESTDIR={tmp_path}", f"PREFIX={PREFIX}")
    said = make("install", *where).stdout
    assert {line.split()[0] for line in said.splitlines() if PREFIX in line} == {"INSTALL"}
    root = pathlib.Path(f"{tmp_path}{PREFIX}")
    theirs = [root / "bin/other", root / "share/man/man1/other.1", root / "share/doc/other/README"]
    for path in theirs:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    make("uninstall", *where)
    assert sorted(path for path in root.rglob("*") if not path.is_dir()) == sorted(theirs)
    make("uninstall", *where)  # again: nothing is there


@pytest.mark.parametrize("words, found", [
    (["l"], {"link", "ls"}), ([""], {"pip", "link", "ls", "isolate", "table", "help", "--help", "--version"}), (["help", "i"], {"isolate"}),
    (["link", "x"], set()), (["nope", "--"], {"--help"}),
    *(([command, "-"], None) for command in ("pip", "link", "ls", "isolate", "table")),
])
def test_completion_of_bash_knows_the_commands_and_their_options(words, found, kiln, build):
    """What the usage tells is what is offered."""
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    if found is None:
        heads = [re.split(" {2,}", line.strip())[0] for line in kiln("help", words[0]).stdout.splitlines() if line.startswith("  -")]
        found = {option for head in heads for option in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", head)} | {"--help"}
    said = run("bash", "-c", 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _kiln; printf "%s\\n" "${COMPREPLY[@]}"',
               "-", ROOT / "tool/completion/kiln.bash", build / "kiln", *words).stdout
    assert set(said.split()) == found


@pytest.mark.parametrize("shell, file", [("zsh", "_kiln"), ("fish", "kiln.fish")])
def test_completion_of_other_shells_parses(shell, file):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell}")
    run(shell, "-n", ROOT / "tool/completion" / file)


def test_pkg_config_file_names_the_prefix_without_destdir(installed):
    assert f"prefix={PREFIX}\n" in (installed / "lib/pkgconfig/kiln.pc").read_text()


def test_pkg_config_file_names_the_python(installed):
    version = ask("/usr/bin/python3", "import sysconfig; answer = sysconfig.get_config_var('LDVERSION')")
    assert f"python={version}\n" in (installed / "lib/pkgconfig/kiln.pc").read_text()


def test_pkg_config_links_an_embedder(installed, bakery, tmp_path):
    if shutil.which("pkg-config") is None:
        pytest.skip("no pkg-config")
    if bakery.config["include"] != ask("/usr/bin/python3", "import sysconfig; answer = sysconfig.get_path('include')"):
        pytest.skip("the installed libkiln.a is for another Python")
    destdir = os.fspath(installed).removesuffix(PREFIX)
    flags = run("pkg-config", "--cflags", "--libs", "kiln",
                env={**os.environ, "PKG_CONFIG_PATH": os.fspath(installed / "lib/pkgconfig"),
                     "PKG_CONFIG_SYSROOT_DIR": destdir}).stdout.split()
    main = tmp_path / "main.c"
    main.write_text("#include <Python.h>\n#include <kiln/kiln.h>\n"
                    "int main(int argc, char **argv) { return Kiln_Main(argc, argv); }\n")
    run("cc", "-isystem", bakery.config["include"], "-o", tmp_path / "app", main, bakery.table({}, {}), *flags,
        *bakery.libpython(bakery.default_libpython), "-lpthread", "-ldl")
    assert run(tmp_path / "app", "-c", "import _kiln; print(_kiln.__name__)").stdout == "_kiln\n"


@pytest.mark.parametrize("page", sorted((ROOT / "docs/man").glob("*.1")), ids=lambda page: page.stem)
def test_manual_page_is_without_errors(page):
    if shutil.which("mandoc"):
        run("mandoc", "-T", "lint", "-W", "error", page)
    elif shutil.which("groff"):
        assert run("groff", "-man", "-ww", "-z", "-t", page).stderr == ""
    else:
        pytest.skip("neither mandoc nor groff")


def test_manual_page_of_each_command_names_every_option_of_it(kiln):
    for command in ("pip", "link", "ls", "isolate", "table"):
        options = set(re.findall(r"--[a-z-]+", kiln("help", command).stdout))
        page = (ROOT / f"docs/man/kiln-{command}.1").read_text().replace("\\-", "-")
        assert [option for option in sorted(options) if option not in page] == []


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
    for name in ("sh", "cat", "tr", "uname", "mktemp", "rm", "env", "sed", "dirname"):
        (programs / name).symlink_to(run("which", name).stdout.strip())
    write_program(programs / "id", "echo 1000")
    write_program(programs / "apt-get", f'echo "$@" >>{tmp_path}/apt.log')
    write_program(programs / "apt-cache", "exit 0")
    return programs


def test_without_root_what_is_missing_is_said_and_nothing_installed(bare_system, tmp_path):
    said = run("sh", ROOT / "scripts/deps", "build", check=False, env={"PATH": os.fspath(bare_system)})
    assert said.returncode == 1
    assert "cc (Debian, Ubuntu: gcc)" in said.stderr
    assert "apt-get install --no-install-recommends" in said.stderr
    assert "not root" in said.stderr
    assert not (tmp_path / "apt.log").exists()


def test_as_root_only_what_is_missing_is_installed(bare_system, tmp_path):
    write_program(bare_system / "id", "echo 0")
    write_program(bare_system / "ld.bfd", "exit 0")
    run("sh", ROOT / "scripts/deps", "build", check=False, env={"PATH": os.fspath(bare_system)})
    (installed,) = [line for line in (tmp_path / "apt.log").read_text().splitlines() if "install" in line]
    assert "gcc" in installed.split()
    assert "binutils" not in installed.split()


def test_nothing_is_called_when_nothing_is_missing(bare_system, tmp_path):
    for name in ("cc", "ld.bfd"):
        write_program(bare_system / name, "exit 0")
    (bare_system / "python3").symlink_to("/usr/bin/python3")
    said = run("sh", ROOT / "scripts/deps", "build", env={"PATH": os.fspath(bare_system)})
    assert (said.stdout, said.stderr) == ("", "")
    assert not (tmp_path / "apt.log").exists()


def test_libraries_of_clang_are_those_of_the_clang_that_is_there(bare_system):
    write_program(bare_system / "clang", 'test "$1" != -dumpversion || echo 17.0.6')
    said = run("sh", ROOT / "scripts/deps", "--check", "fuzz", check=False, env={"PATH": os.fspath(bare_system)})
    assert "libclang-rt-17-dev" in said.stderr


def test_ci_runs_the_test_command_of_the_readme_in_a_bare_system(tmp_path):
    for directory in (".ci", "scripts"):
        (tmp_path / directory).mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci/run")
    write_program(tmp_path / "scripts/bare", f'shift 3; echo "$@" >{tmp_path}/command; exit 7')
    assert run("bash", tmp_path / ".ci/run", check=False).returncode == 7
    assert (tmp_path / "command").read_text().strip() in (ROOT / "README.md").read_text()


def test_ci_runs_in_place_where_there_is_no_bare_system_and_says_so_last(bare_system):
    write_program(bare_system / "make", 'echo "make $*"; exit 3')
    said = run("/bin/bash", ROOT / ".ci/run", check=False, env={"PATH": os.fspath(bare_system)})
    assert said.returncode == 3
    first, last = said.stdout.splitlines()
    assert first == "make check" and "in place" in last
