"""Importing, dropping and importing again, a thousand times: nothing grows. Debug builds of Python count
references; others count blocks of memory."""

import pytest

from sources import BAD

COUNT = """
import gc, importlib, sys
def again(count):
    for _ in range(count):
        for name in names:
            try:
                importlib.import_module(name)
            except Exception:
                pass
            sys.modules.pop(name, None)
def count():
    gc.collect()
    return [getattr(sys, "gettotalrefcount", int)(), sys.getallocatedblocks(), len(gc.get_objects())]
def grow(function, *args):
    # The least that one of three runs has left: what fills up caches is no leak.
    grown, last = [], None
    for _ in range(4):
        function(*args)
        now = count()
        if last: grown.append([after - before for after, before in zip(now, last)])
        last = now
    return [min(each) for each in zip(*grown)]
"""
# What a thousand rounds may leave: less than one reference for every ten rounds.
LIMIT = 100

CASES = {
    "multi-phase": ["pkg.multi", "flat", "pkg.types", "pkg.circle"], "no module": ["pkg.object"],
    "replaced": ["pkg.replaced", "pkg.removed"],
    "single-phase, m_size -1": ["pkg.static", "other.same", "pkg.two"],
    "single-phase, m_size 0": ["pkg.zero"], "single-phase, m_size 16": ["pkg.state"],
    "package": ["extpkg", "walk.deep"], "in a package": ["extpkg.inner", "walk.deep.leaf"], "not ascii": ["pkg.größe"],
    "missing": ["nope", "pkg.nope", "pkg.multi.nope"], "fails by a pure module": ["pkg.divides", "pkg.divides_single", "pkg.wants"],
    **{name: [name] for name in BAD if name != "pkg.init_plain"},
}


@pytest.mark.parametrize("case", CASES)
def test_importing_a_thousand_times_leaves_nothing(case, baked, shared):
    code = COUNT + f"names = {CASES[case]!r}\nanswer = grow(again, 1000)"
    ours = baked(code)
    if max(ours) >= LIMIT:
        # CPython itself may keep something, such as the module that a failing init function made.
        theirs = shared(code)
        assert all(our < their + LIMIT for our, their in zip(ours, theirs))


@pytest.mark.parametrize("call", [
    "_kiln.finder.find_spec('pkg.multi', pkg.__path__)", "_kiln.finder.find_spec('extpkg')", "_kiln.finder.find_spec('nope')",
    "_kiln.finder.find_spec()", "_kiln.finder.find_spec('flat', nope=1)", "list(_kiln.finder.iter_modules())",
    "_kiln.finder.discover()", "_kiln.finder.discover(walk.__spec__)", "_kiln.finder.discover(3)",
    "_kiln.loader.get_filename('pkg.multi')", "_kiln.loader.get_filename('flat')", "_kiln.loader.get_filename('pkg.nope')",
    "_kiln.loader.get_filename(3)", "_kiln.loader.get_data(extpkg.__path__[0] + '/data.txt')", "_kiln.loader.get_data('/nope')",
    "_kiln.loader.get_data(3)", "_kiln.loader.get_resource_reader('extpkg')", "_kiln.loader.get_resource_reader('flat')",
    "_kiln.loader.create_module(None)", "_kiln.loader.create_module(importlib.machinery.ModuleSpec('nope', None))",
    "_kiln.loader.create_module(importlib.machinery.ModuleSpec('pkg.exec_raises', None))",
    "_kiln.loader.exec_module(_kiln.loader.create_module(importlib.machinery.ModuleSpec('pkg.exec_raises', None)))",
    "_kiln.loader.exec_module(3)", "_kiln.loader.is_package(3)", "list(pkgutil.iter_modules(walk.__path__, 'walk.'))",
    "pkgutil.iter_importer_modules(pkgutil.get_importer(walk.__path__[0]), prefix=3)",
    "list(pkgutil.iter_importer_modules(pkgutil.get_importer('/tmp')))", "importlib.reload(pkg.multi)", "importlib.reload(pkgutil)",
    "importlib.reload(_kiln)"])
def test_calling_a_thousand_times_leaves_nothing(call, baked):
    grown = baked(COUNT + f"""
import _kiln, extpkg, importlib.machinery, pkg.multi, pkgutil, walk
def again():
    for _ in range(1000):
        try: {call}
        except Exception: pass
answer = grow(again)
""")
    assert max(grown) < LIMIT


@pytest.mark.parametrize("name", BAD)
def test_failing_import_leaves_nothing_for_the_garbage_collector(name, baked, shared):
    code = f"""
import gc, importlib
try: importlib.import_module({name!r})
except Exception: pass
gc.collect(); gc.disable()
for _ in range(100):
    try: importlib.import_module({name!r})
    except Exception: pass
answer = gc.collect() // 100
"""
    assert baked(code) <= shared(code)


def test_failing_loader_leaves_nothing_for_the_garbage_collector(baked):
    """The traceback has a frame, the frame has a function, and the function no longer has the exception."""
    assert baked("""
import gc, _kiln, importlib.machinery
spec = importlib.machinery.ModuleSpec("pkg.init_raises", _kiln.loader)
gc.collect(); gc.disable()
for _ in range(100):
    try: _kiln.loader.create_module(spec)
    except ValueError: pass
answer = gc.collect() < 10
""") is True
