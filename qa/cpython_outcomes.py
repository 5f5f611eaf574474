"""One module of CPython's tests in one interpreter, and what came of each of its tests in two."""

import collections
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

RECORDER = pathlib.Path(__file__).resolve().with_name("cpython_recorder.py")
STUCK = 150  # seconds without news of a test: some do hang, in the python itself

# Of what happened to a test, the worst is its outcome; one that only started has not ended.
OUTCOMES = ["failure", "error", "unexpected success", "expected failure", "skipped", "passed"]
STATUS = "(exit status)"


def clean_environment(directory):
    """What the caller has set for Python, pip or the compilers is not for these tests."""
    environment = {key: value for key, value in os.environ.items()
                   if not key.startswith(("PYTHON", "PIP_", "KILN_", "MAKE", "MFLAGS", "LC_"))}
    return {**environment, "LANG": "C.UTF-8", "TMPDIR": os.fspath(directory)}


def wait_for(process, news):
    """The exit status; "stuck" if the file NEWS has not grown for too long."""
    started = time.time()
    while True:
        try:
            return process.wait(STUCK / 10)
        except subprocess.TimeoutExpired:
            last = news.stat().st_mtime if news.exists() else started
            if time.time() - last > STUCK:
                return "stuck"


def run_process(argv, directory, log, news):
    """The exit status, or "stuck"."""
    with open(log, "wb") as stream:
        process = subprocess.Popen([os.fspath(arg) for arg in argv], cwd=directory, stdin=subprocess.DEVNULL,
                                   stdout=stream, stderr=stream, env=clean_environment(directory),
                                   start_new_session=True)
        try:
            return wait_for(process, news)
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)  # and what it may have left running
            except ProcessLookupError:
                pass
            process.wait()


def read_results(path):
    """{test: outcome}, {test: what was said}. A test of that name may have run more than once."""
    events, said = collections.defaultdict(list), {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        event, test, detail = json.loads(line)
        events[test].append(event)
        if detail:
            said[test] = detail
    outcomes = {}
    for test, happened in events.items():
        outcomes[test] = next((outcome for outcome in OUTCOMES if outcome in happened), "no end")
    return outcomes, said


class Outcomes:
    """What came of each test; `(exit status)` is one of them."""

    def __init__(self, tests, said):
        self.tests, self.said = tests, said


def run_module(python, name, directory):
    """Run the module NAME of the package test; DIRECTORY keeps what it said."""
    directory.mkdir(parents=True, exist_ok=True)
    results, log = directory / f"{name}.jsonl", directory / f"{name}.log"
    results.unlink(missing_ok=True)
    work = directory / f"{name}.tmp"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    status = run_process([python, "-u", "-bb", "-W", "default", "-X", "faulthandler", RECORDER, results, "-v",
                          "--fail-env-changed", name], work, log, results)
    shutil.rmtree(work, ignore_errors=True)
    outcomes, said = read_results(results)
    outcomes[f"{name} {STATUS}"] = str(status)
    return Outcomes(outcomes, said)


class Difference:
    def __init__(self, test, files, baked, said):
        self.test, self.files, self.baked, self.said = test, files, baked, said

    @property
    def change(self):
        return f"{self.files} -> {self.baked}"


class Comparison:
    def __init__(self, name, files, baked):
        self.name = name
        tests = files.tests.keys() | baked.tests.keys()
        self.tests = {test for test in tests if STATUS not in test}
        self.different = []
        for test in sorted(tests):
            outcomes = [form.tests.get(test, "not run") for form in (files, baked)]
            if outcomes[0] != outcomes[1]:
                said = baked.said.get(test) or files.said.get(test, "")
                self.different.append(Difference(test, *outcomes, said))
        if len(self.different) > 1:  # the status follows from the tests
            self.different = [d for d in self.different if STATUS not in d.test]

    def keep_common(self, other):
        """Forget what is no difference in OTHER: the test is not the same from run to run."""
        known = {(difference.test, difference.change) for difference in other.different}
        self.different = [d for d in self.different if (d.test, d.change) in known]
