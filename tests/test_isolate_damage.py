"""Objects that are cut short are refused by name, wherever the cut is."""

import pytest

from isolating import Workshop

INIT = "int value(void);\nvoid *PyInit_m(void) { return (void *)(long)value(); }\n"
CXX = 'template <class T> T next() { static thread_local T n; return ++n; }\n' \
    'extern "C" int value(void) { return next<int>(); }\n' \
    'extern "C" void *PyInit_m(void) { return (void *)(long)value(); }\n'
LEGACY = 'static void early(void) {}\n' \
    '__attribute__((section(".ctors"), used)) static void (*const entry)(void) = early;\n' \
    'int value(void) { return 1; }\n' + INIT


@pytest.mark.parametrize("name, text, flags", [
    ("a.c", "int value(void) { return 1; }\n" + INIT, ["-ffunction-sections"]),
    ("a.c", LEGACY, []),
    ("a.cc", CXX, []),
], ids=["function sections", "legacy constructors", "COMDAT and TLS"])
def test_an_object_cut_short_anywhere_is_refused_by_name(name, text, flags, kiln, tmp_path):
    workshop = Workshop(kiln, tmp_path)
    data = workshop.compile(name, text, *flags).read_bytes()
    short = tmp_path / "short.o"
    for size in range(0, len(data), max(len(data) // 24, 1)):
        short.write_bytes(data[:size])
        result = workshop.isolate("p.m", "short.o", check=False)
        assert result.returncode == 1, size
        assert result.stderr.startswith("kiln: error: p.m: ") and "short.o" in result.stderr, size
        assert not (tmp_path / "p.m.o").exists(), size
