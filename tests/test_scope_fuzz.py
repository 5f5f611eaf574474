"""Random small systems of extensions and libraries: the stock interpreter and executables agree about every reference (qa/scope_fuzz.py)."""

import sys

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "qa"))

import scope_fuzz  # noqa: E402
from scope_systems import make_system  # noqa: E402

COUNT = 40  # systems


def read_kept():
    """Seeds that have shown something: "SEED  what", a line each."""
    lines = (ROOT / "tests/scope_seeds.txt").read_text().splitlines()
    return [int(line.split()[0]) for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def systems():
    return [make_system(seed) for seed in sorted({*range(COUNT), *read_kept()})]


@pytest.fixture(scope="module")
def tried(systems, python, tmp_path_factory):
    """All of them in one executable for each linker: (the bench, what differs, what cannot be built)."""
    bench = scope_fuzz.Bench(tmp_path_factory.mktemp("scope"), python, scope_fuzz.list_linkers(), "auto")
    return (bench, *bench.try_systems(systems))


def test_systems_behave_as_from_files(tried):
    _, differences, broken = tried
    assert not broken
    assert not differences, "".join(scope_fuzz.show(seed, linker, lines) for seed, found in differences.items() for linker, lines in found.items())


def test_most_extensions_are_in_the_executable(tried, systems):
    bench, _, _ = tried
    for report in bench.reports.values():
        baked = [module for module in report["modules"] if module["name"].startswith("s")]
        assert len(baked) > len(report["files"]) > 0


def test_a_system_is_the_same_each_time():
    assert make_system(7) == make_system(7) != make_system(8)


def test_a_decision_is_taken_back_alone():
    system = make_system(7)
    for key in system.keys[:40]:
        assert key not in make_system(7, [key]).keys
    part = system.parts["_b"]
    left = make_system(7, [f"_b defines {name}" for name in part.defines]).parts["_b"]
    assert left.defines == {}
    assert (left.needs, left.linker, left.link_options) == (part.needs, part.linker, part.link_options)
