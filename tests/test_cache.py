"""The cache: whatever is the matter with it, the work is done, with one warning at most; and what a killed run leaves."""

import os
import shutil
import signal
import subprocess
import time

import pytest

from conftest import BUILD, run, small_disk
from extensions import extension, suffix


@pytest.fixture(scope="module")
def site(tmp_path_factory, python):
    root = tmp_path_factory.mktemp("site")
    extension(root, "one", python)
    return root


@pytest.fixture(scope="module")
def filled(site, python, tmp_path_factory):
    """A cache that a link has filled."""
    root = tmp_path_factory.mktemp("filled")
    run(BUILD / "kiln", "link", "--python", python, "-o", root / "app", site, env={**os.environ, "XDG_CACHE_HOME": str(root / "cache")})
    return root / "cache"


@pytest.fixture
def cache(filled, tmp_path):
    return shutil.copytree(filled, tmp_path / "cache")


@pytest.fixture
def link(site, python, tmp_path):
    """A function that runs `kiln link` in an environment, and gives the warnings. The executable has to work."""
    def call(**env):
        env = {name: str(value) for name, value in {**os.environ, **env}.items() if value is not None}
        said = run(BUILD / "kiln", "link", "--python", python, "-o", tmp_path / "app", site, env=env).stderr
        assert run(tmp_path / "app", "-c", "import one; print(one.value())", env={**os.environ, "PYTHONPATH": str(site)}).stdout == "one\n"
        return [line for line in said.splitlines() if "warning" in line]
    return call


def entries(cache):
    return sorted(path for path in cache.rglob("*") if path.is_file())


@pytest.mark.parametrize("env", [
    {"HOME": None, "XDG_CACHE_HOME": None}, {"HOME": "/dev/null", "XDG_CACHE_HOME": None}, {"XDG_CACHE_HOME": "/proc/nowhere"},
])
def test_without_a_place_for_it_there_is_one_warning_and_the_work_is_done(env, link):
    (warning,) = link(**env)
    assert "the cache cannot be used" in warning and "working without" in warning


def test_a_full_cache_is_one_warning(link, tmp_path):
    with small_disk(tmp_path / "small", "64k") as cache:
        (warning,) = link(XDG_CACHE_HOME=cache)
        assert "No space left" in warning
        assert not [path for path in entries(cache) if "runtime" in path.parts]


def test_it_can_be_turned_off(link, tmp_path):
    assert link(XDG_CACHE_HOME=tmp_path / "cache", KILN_CACHE_SIZE="0") == []
    assert not (tmp_path / "cache").exists()


def test_it_is_for_its_user_alone_whatever_the_umask(link, tmp_path):
    before = os.umask(0)
    try:
        assert link(XDG_CACHE_HOME=tmp_path / "cache") == []
    finally:
        os.umask(before)
    for path in tmp_path / "cache", *(tmp_path / "cache").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def spoil_by_mode(cache):
    cache.chmod(0o777)


def spoil_by_mode_inside(cache):
    (cache / "runtime").chmod(0o770)


def spoil_by_owner(cache):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    os.chown(cache, 65534, 65534)


@pytest.mark.parametrize("spoil", [spoil_by_mode, spoil_by_mode_inside, spoil_by_owner])
def test_one_that_others_can_write_is_not_believed(spoil, cache, link):
    (library,) = entries(cache / "kiln/runtime")
    library.write_bytes(b"not ours")
    spoil(cache / "kiln")
    (warning,) = link(XDG_CACHE_HOME=cache)
    assert "the cache cannot be used" in warning and str(cache) in warning
    assert library.read_bytes() == b"not ours"


def cut(path):
    os.truncate(path, 1000)


def empty(path):
    path.write_bytes(b"")


def change(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def let_others_write(path):
    path.write_bytes(b"!<arch>\n")
    path.chmod(0o666)


def make_link(path):
    path.rename(path.with_name("other"))
    path.symlink_to("other")


def make_fifo(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("damage", [cut, empty, change, let_others_write, make_link, make_fifo])
def test_what_is_damaged_is_made_anew(damage, cache, link):
    before = {path: path.read_bytes() for path in entries(cache)}
    assert len(before) == 2
    for path in before:
        damage(path)
    assert link(XDG_CACHE_HOME=cache) == []
    for path, contents in before.items():
        assert path.is_file() and not path.is_symlink() and path.read_bytes() == contents
        assert path.stat().st_mode & 0o777 == 0o600


def test_pip_works_without_it(python):
    env = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    result = run(BUILD / "kiln", "pip", "--python", python, "--version", env=env, check=False)
    if "No module named pip" in result.stderr:
        pytest.skip("this Python has no pip")
    assert result.returncode == 0 and result.stdout.startswith("pip ")
    assert result.stderr.count("warning") == result.stderr.count("the cache cannot be used") == 1


# --- What a killed run leaves ---

def kill(command, cwd, word, **env):
    """Run COMMAND and kill it, and what it has started, while its compiler runs with WORD among its arguments."""
    compiler, ready = cwd / "compiler", cwd / "ready"
    compiler.write_text(f'#!/bin/sh\ncase "$*" in *"{word}"*) touch {ready}; exec sleep 60;; esac\nexec cc "$@"\n')
    compiler.chmod(0o755)
    process = subprocess.Popen(command, cwd=cwd, env={**os.environ, **env, "KILN_CC": str(compiler)}, start_new_session=True)
    while not ready.exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    compiler.unlink()
    ready.unlink()


@pytest.mark.parametrize("word", ["/program", "link.rsp", "mutex.o"])
def test_the_next_link_removes_what_a_killed_one_has_left(word, site, python, tmp_path):
    places = [tmp_path / name for name in ("temporary", "out", "cache")]
    for place in places:
        place.mkdir()
    env = {"TMPDIR": str(places[0]), "XDG_CACHE_HOME": str(places[2])}
    command = [BUILD / "kiln", "link", "--python", python, "-o", places[1] / "app", site]
    kill(command, tmp_path, word, **env)
    assert any(place.iterdir() for place in places)
    run(*command, env={**os.environ, **env})
    assert [path.name for place in places[:2] for path in place.iterdir()] == ["app"]
    assert not [path for path in places[2].rglob("*") if ".kiln-" in path.name]


def test_the_next_kiln_cc_removes_what_a_killed_one_has_left(site, python, tmp_path):
    (tmp_path / "temporary").mkdir()
    shutil.copy(site / f"one{suffix(python)}", tmp_path / "x.so")
    (tmp_path / "x.c").write_text("void *PyInit_x(void) { return 0; }")
    env = {"TMPDIR": str(tmp_path / "temporary")}
    command = [BUILD / "kiln-cc", "-shared", "-fPIC", "x.c", "-o", "x.so"]
    kill(command, tmp_path, "--trace", **env)
    assert list((tmp_path / "temporary").glob("kiln-*"))
    run(*command, cwd=tmp_path, env={**os.environ, **env})
    assert not list((tmp_path / "temporary").glob("kiln-*"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["temporary", "x.c", "x.so"]


def test_what_runs_at_the_same_time_or_is_not_kilns_is_left(site, python, tmp_path):
    (tmp_path / "temporary").mkdir()
    others = [tmp_path / "temporary" / name for name in ("kiln-report", "kiln-abcdef")]
    for directory in others:
        directory.mkdir(mode=0o700)
        (directory / "precious").write_text("precious")
    env = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    links = [subprocess.Popen([BUILD / "kiln", "link", "--python", python, "-o", tmp_path / "app", site], env=env) for _ in range(4)]
    assert [link.wait() for link in links] == [0] * 4
    assert sorted((tmp_path / "temporary").iterdir()) == sorted(others)
    assert [(directory / "precious").read_text() for directory in others] == ["precious"] * 2
