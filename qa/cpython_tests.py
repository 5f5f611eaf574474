"""CPython's own tests, side by side in a python and in the executable baked from it, test by test.

Run by `make cpython-tests`. The Pythons are KILN_PYTHONS, else PYTHON; their tests are part of the
installation, or on Debian libpython3.N-testsuite. Exit status 1 if the outcome of a test differs and
cpython-differences.json has no reason for it, or has one for what is no difference any more.
"""

import argparse
import concurrent.futures
import os
import pathlib
import sys
import time

import cpython_report as report
from baking import BUILD, DEFAULT_PYTHON, KILN, Bakery, Failure, get_facts, name_directory, output_of
from cpython_outcomes import Comparison, run_module

HERE = pathlib.Path(__file__).resolve().parent

# What finds, creates and runs modules, and what would notice an interpreter that is not quite the usual
# one; the slow ones first. Each Python has those of its time.
TESTS = """
    lib-dynload test_venv test_importlib test_capi test_threading test_multiprocessing_main_handling
    test_inspect test_sys test_runpy test_interpreters test_pydoc test_ctypes test_cmd_line
    test_cmd_line_script test_external_inspection test__interpchannels
    test__interpreters test__xxsubinterpreters test_atexit test_audit test_bdb test_code_module
    test_compileall test_crossinterp test_doctest test_embed test_ensurepip test_faulthandler test_fork1
    test_frozen test_gc test_imp test_import test_lazy_import test_linecache test_module test_modulefinder
    test_pickle test_pkg test_pkgimport test_pkgutil test_py_compile test_regrtest
    test_remote_pdb test_repl test_site test_stable_abi_ctypes test_sysconfig test_threaded_import
    test_trace test_traceback test_tracemalloc test_utf8_mode test_warnings test_weakref test_zipapp
    test_zipimport test_zipimport_support
""".split()

ASK_TESTS = "import os, test.test_importlib as t; print(os.path.dirname(os.path.dirname(t.__file__)))"


def find_tests(python, wanted):
    try:
        directory = pathlib.Path(output_of(python, "-c", ASK_TESTS).strip())
    except Failure:
        raise Failure(f"{python} has no tests; on Debian they are in libpython3.N-testsuite") from None
    there = {path.stem for path in directory.iterdir() if path.suffix == ".py" or path.is_dir()}
    return [name for name in wanted if name in there or name == "lib-dynload"]


def bake(python, directory, libpython):
    """PYTHON itself with some small packages inside; they are not on its sys.path."""
    bakery = Bakery(directory, python)
    bakery.pip("install", "--quiet", "-r", HERE / "cpython-requirements.txt")
    bakery.executable = directory / "python"
    output_of(KILN, "link", "--python", python, "-o", bakery.executable,
              *(["--libpython", libpython] if libpython else []), bakery.site_packages)
    baked = sorted(bakery.list_baked())
    output_of(bakery.executable, "-c", f"import {', '.join(baked)}",
              env={**os.environ, "PYTHONPATH": os.fspath(bakery.site_packages)})
    return bakery, baked


class Runs:
    """The test modules of one Python, in both forms, a process each."""

    def __init__(self, pythons, directory, progress):
        self.pythons, self.directory, self.progress = pythons, directory, progress

    def run(self, names):
        """{name: Comparison}."""
        jobs = [(name, form) for name in names for form in self.pythons]
        outcomes = {}
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            futures = {pool.submit(run_module, self.pythons[form], name, self.directory / form): (name, form)
                       for name, form in jobs}
            for future in concurrent.futures.as_completed(futures):
                outcomes[futures[future]] = future.result()
                self.progress.show(len(outcomes), len(jobs), *futures[future])
        return {name: Comparison(name, outcomes[name, "files"], outcomes[name, "baked"]) for name in names}

    def compare(self, names):
        """As run(); what differs is run once more, and counts if it differs both times."""
        comparisons = self.run(names)
        again = [name for name in names if comparisons[name].different]
        for name, second in self.run(again).items():
            comparisons[name].keep_common(second)
        return comparisons


def try_python(python, options, progress):
    facts = get_facts(python)
    minor = ".".join(facts["version"].split(".")[:2])
    directory = BUILD / "cpython-tests" / name_directory(facts["executable"])
    names = find_tests(facts["executable"], options.tests or TESTS)
    started = time.monotonic()
    bakery, baked = bake(facts["executable"], directory, options.libpython)
    libpython = bakery.get_listing()["libpython"]
    pythons = {"files": facts["executable"], "baked": bakery.executable}
    comparisons = Runs(pythons, directory, progress).compare(names)
    return report.Result(facts, minor, libpython, baked, comparisons, whole=not options.tests,
                         seconds=time.monotonic() - started)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--libpython", choices=["static", "shared"])
    parser.add_argument("tests", nargs="*", help="modules of the package test; default: what imports")
    options = parser.parse_args()
    pythons = os.environ.get("KILN_PYTHONS", "").split() or [os.environ.get("PYTHON") or DEFAULT_PYTHON]
    explanations = report.read_explanations()
    failed, results = 0, []
    for python in pythons:
        try:
            result = try_python(python, options, report.Progress(python))
        except Failure as failure:
            print(f"FAILED {python}: {failure}", flush=True)
            failed += 1
            continue
        results.append(result)
        result.explain(explanations)
        failed += not report.show(result)
    if not options.tests:
        report.write_page(results, explanations)
    print(f"{len(pythons) - failed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"cpython-tests: {failure}")
