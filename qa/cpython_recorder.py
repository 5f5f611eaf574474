"""Runs in the interpreter under test: CPython's own test runner, with a line of JSON for whatever happens to
each test, written at once, so that nothing is lost in a crash.

usage: python cpython_recorder.py RESULTS REGRTEST-ARGUMENT...
       `lib-dynload` in the place of a test module stands for the extensions there
"""

import importlib
import importlib.machinery
import json
import os
import sys
import traceback
import unittest


class Recorder:
    """Listens to every unittest.TestResult of this process; those of forked children do not count."""

    def __init__(self, path):
        self.pid = os.getpid()
        self.stream = open(path, "w", buffering=1, encoding="utf-8", errors="backslashreplace")

    def write(self, event, test, detail=""):
        if os.getpid() == self.pid:
            test = getattr(test, "test_case", test)  # a subtest counts as its test
            name = test if isinstance(test, str) else test.id()
            self.stream.write(json.dumps([event, name, detail]) + "\n")

    def listen(self, method, event, describe=lambda *args: ""):
        original = getattr(unittest.TestResult, method)

        def listener(result, test, *args):
            # From a subtest, only what is bad is news.
            self.write(event, test, describe(*args))
            return original(result, test, *args)

        setattr(unittest.TestResult, method, listener)

    def listen_to_subtests(self):
        original = unittest.TestResult.addSubTest

        def listener(result, test, subtest, error):
            if error is not None:
                self.write("failure", test, describe_error(error))
            return original(result, test, subtest, error)

        unittest.TestResult.addSubTest = listener


def describe_error(error):
    return "".join(traceback.format_exception(*error))[-4000:]


def listen(recorder):
    recorder.listen("startTest", "start")
    recorder.listen("addSuccess", "passed")
    recorder.listen("addFailure", "failure", describe_error)
    recorder.listen("addError", "error", describe_error)
    recorder.listen("addSkip", "skipped", str)
    recorder.listen("addExpectedFailure", "expected failure")
    recorder.listen("addUnexpectedSuccess", "unexpected success")
    recorder.listen_to_subtests()


def import_extension_files(recorder):
    """The extensions of the standard library that are files, as tests: each comes from its file."""
    (directory,) = [path for path in sys.path if os.path.basename(path) == "lib-dynload"]
    suffixes = importlib.machinery.EXTENSION_SUFFIXES
    for file in sorted(os.listdir(directory)):
        name, suffix = file[:file.index(".")], file[file.index("."):]
        if suffix in suffixes:
            try:
                module = importlib.import_module(name)
                came_from_file = module.__file__ == os.path.join(directory, file)
                recorder.write("passed" if came_from_file else "failure", name)
            except ImportError as error:
                recorder.write("error", name, str(error))


def main():
    del sys.path[0]  # the tests shall see what they would see under `python -m test`
    sys.path.insert(0, os.getcwd())
    results, *arguments = sys.argv[1:]
    recorder = Recorder(results)
    if arguments[-1] == "lib-dynload":
        import_extension_files(recorder)
        return
    listen(recorder)
    from test.libregrtest.main import main as regrtest
    sys.argv = [sys.argv[0], *arguments]
    regrtest()


if __name__ == "__main__":
    main()
