"""Random small systems of extensions and libraries: the stock interpreter and executables agree about every reference (qa/scope_fuzz.py)."""

import sys

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "qa"))

import scope_fuzz  # noqa: E402
from scope_systems import LATER, make_system  # noqa: E402

COUNT = 40  # systems


def read_kept():
    """Seeds that have shown something: "SEED  what", a line each."""
    lines = (ROOT / "tests/scope_seeds.txt").read_text().splitlines()
    return [int(line.split()[0]) for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def systems():
    return [make_system(seed) for seed in sorted({*range(LATER, LATER + COUNT), *read_kept()})]


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


def list_further(system):
    """What has come to the generator later, of SYSTEM."""
    found = {word for key in system.keys for word in ("namesake", "copied", "underlinked") if word in key.split()}
    for part in system.parts.values():
        found |= part.new | {way for library, way in part.plugins}
    return found


def test_systems_of_earlier_seeds_have_nothing_that_came_later(systems):
    assert not any(list_further(system) for system in systems if system.seed < LATER)
    later = set().union(*(list_further(system) for system in systems))
    assert later == {"namesake", "copied", "underlinked", "defines", "calls", "path", "name", "lazy", "loaded"}


def test_a_decision_is_taken_back_alone():
    seed = LATER + 7
    system = make_system(seed)
    for key in system.keys[:40]:
        assert key not in make_system(seed, [key]).keys
    part = system.list_kind("extension")[1]
    left = make_system(seed, [f"{part.name} defines {name}" for name in part.defines]).parts[part.name]
    assert left.defines == {}
    assert (left.needs, left.linker, left.link_options) == (part.needs, part.linker, part.link_options)
