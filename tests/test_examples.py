"""The examples build by their own Makefiles and run."""

import shutil

import pytest

from conftest import BUILD, ROOT, run


@pytest.fixture(scope="module")
def by_hand(python, bakery, tmp_path_factory):
    """A copy of examples/by-hand and a function that runs its make, with a libkiln.a for the Python
    under test."""
    root = tmp_path_factory.mktemp("by-hand")
    shutil.copytree(ROOT / "examples" / "by-hand", root / "src", ignore=shutil.ignore_patterns("out"))

    def make(*targets):
        return run("make", "-C", root / "src", *targets, f"KILN={BUILD}/kiln", f"LIBKILN={bakery.runtime()}",
                   f"INCLUDE={ROOT}/include", f"PYTHON={python}")
    return root / "src" / "out", make


def test_by_hand_builds_and_runs(by_hand):
    assert "two extensions, one program, two ledgers" in by_hand[1]("check").stdout


def test_by_hand_gives_the_same_bytes_each_time(by_hand):
    out, make = by_hand
    make("all")
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    make("clean")
    make("all")
    assert before == {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    assert "app" in before
