"""Extensions built for sanitizers, coverage and profilers: the tools find what they look for, under the names and
lines of the source. The run-time library of a sanitizer wants to be in the process before all else: such extensions
stay files."""

import json
import os
import re
import shutil

import pytest

from conftest import BUILD, run
from extensions import MULTI_PHASE, extension, include

# read(i) reads at i of an array of four on the heap.
OVERFLOW = MULTI_PHASE.replace("#include <Python.h>", """#include <Python.h>
__attribute__((noinline)) static int read_beyond(int *array, long i) { return array[i]; } /* here */
""").replace("PyUnicode_FromString(VALUE)", """NULL;
    int *array = malloc(4 * sizeof *array);
    memset(array, 0, 4 * sizeof *array);
    long n = read_beyond(array, getenv("BEYOND") ? 4 : 3);
    free(array);
    return PyLong_FromLong(n)""").replace("return NULL;", "")

# Signed overflow.
UNDEFINED = MULTI_PHASE.replace("PyUnicode_FromString(VALUE)", """NULL;
    volatile int largest = 2147483647;
    largest += 1; /* here */
    return PyLong_FromLong(largest < 0)""").replace("return NULL;", "")

COVERED = MULTI_PHASE.replace("PyUnicode_FromString(VALUE)", """NULL;
    if (getenv("KILN_TEST_NEVER") != NULL) {
        return PyLong_FromLong(1); /* never */
    }
    return PyLong_FromLong(2); /* always */""").replace("return NULL;", "")


def link(python, output, *args):
    return run(BUILD / "kiln", "link", "--python", python, "-o", output, *args, check=False)


def can_build(*flags, directory):
    source = directory / "trial.c"
    source.write_text("int main(void) { return 0; }\n")
    return run("cc", *flags, source, "-o", directory / "trial", check=False).returncode == 0


def start(program, site, script, **env):
    """In a directory of its own: gprof's runtime writes gmon.out."""
    return run(program, "-c", script, check=False, cwd=program.parent,
               env={**os.environ, "PYTHONPATH": str(site), **env})


def bake(python, directory, flags, source, way="baked", names=("one", "two")):
    if not can_build(*flags, directory=directory):
        pytest.skip(f"the compiler cannot build with {' '.join(flags)}")
    for name in names:
        # Compiled by itself, as builds do: the object's name is that of the files with counts.
        path = directory / f"{name}.c"
        path.write_text(source)
        run("cc", "-c", "-fPIC", "-g", *flags, f"-I{include(python)}", f"-DINIT=PyInit_{name}", f'-DVALUE="{name}"',
            path, "-o", directory / f"{name}.o")
        extension(directory / "site", name, python, source="", before=flags, more=[directory / f"{name}.o"])
    linked = link(python, directory / "app", directory / "site")
    assert linked.returncode == 0, linked.stderr
    assert linked.stderr.count("stays a file: it is instrumented by a sanitizer") == (len(names) if way == "file" else 0)
    return directory / "app", directory / "site"


def line_of(source, mark):
    return next(number for number, line in enumerate(source.splitlines(), 1) if mark in line)


def test_the_address_sanitizer_names_function_and_line(python, tmp_path):
    app, site = bake(python, tmp_path, ["-fsanitize=address"], OVERFLOW, way="file")
    library = run("cc", "-print-file-name=libasan.so").stdout.strip()
    options = {"ASAN_OPTIONS": "detect_leaks=0", "LD_PRELOAD": library}
    script = "import one, two; print(one.value(), two.value())"
    assert start(app, site, script, **options).stdout.split() == ["0", "0"]
    failed = start(app, site, "import one, two; two.value()", BEYOND="1", **options)
    assert failed.returncode != 0
    assert "heap-buffer-overflow" in failed.stderr
    assert re.search(rf"in read_beyond\S* .*/two\.c:{line_of(OVERFLOW, '/* here */')}\b", failed.stderr)


def test_the_undefined_behaviour_sanitizer_names_the_line(python, tmp_path):
    app, site = bake(python, tmp_path, ["-fsanitize=undefined"], UNDEFINED, way="file")
    said = start(app, site, "import one, two; print(one.value(), two.value())")
    assert said.stdout.split() == ["1", "1"]
    for name in "one", "two":
        assert f"/{name}.c:{line_of(UNDEFINED, '/* here */')}:" in said.stderr
    assert said.stderr.count("signed integer overflow") == 2


def test_coverage_of_every_module_is_written_and_is_of_its_source(python, tmp_path):
    if shutil.which("gcov") is None:
        pytest.skip("gcov is not installed")
    app, site = bake(python, tmp_path, ["--coverage", "-O0"], COVERED)
    said = start(app, site, "import one, two; print(one.value(), two.value())")
    assert said.stdout.split() == ["2", "2"], said.stderr
    found = sorted(tmp_path.glob("*.gcda"))
    assert [path.name for path in found] == ["one.gcda", "two.gcda"]
    for data in found:
        report = json.loads(run("gcov", "--json-format", "--stdout", data, cwd=tmp_path).stdout)
        [file] = [file for file in report["files"] if file["file"].endswith(("/one.c", "/two.c"))]
        counts = {line["line_number"]: line["count"] for line in file["lines"]}
        assert counts[line_of(COVERED, "/* always */")] == 1
        assert counts[line_of(COVERED, "/* never */")] == 0


def test_a_profile_of_every_module_is_written(python, tmp_path):
    app, site = bake(python, tmp_path, ["-fprofile-generate", "-fprofile-update=atomic"], COVERED)
    said = start(app, site, "import one, two; print(one.value(), two.value())")
    assert said.stdout.split() == ["2", "2"], said.stderr
    assert sorted(path.name for path in tmp_path.glob("*.gcda")) == ["one.gcda", "two.gcda"]


def test_the_thread_sanitizer_works(python, tmp_path):
    app, site = bake(python, tmp_path, ["-fsanitize=thread"], COVERED, way="file")
    library = run("cc", "-print-file-name=libtsan.so").stdout.strip()
    said = start(app, site, "import one, two; print(one.value(), two.value())", LD_PRELOAD=library)
    if "unexpected memory mapping" in said.stderr:
        pytest.skip("the thread sanitizer cannot run on this kernel")
    assert said.stdout.split() == ["2", "2"], said.stderr


def test_profiled_extensions_are_as_in_a_python_that_is_not_profiled(python, tmp_path):
    app, site = bake(python, tmp_path, ["-pg"], COVERED)
    said = start(app, site, "import one, two; print(one.value(), two.value())")
    assert said.stdout.split() == ["2", "2"], said.stderr
    assert not (tmp_path / "gmon.out").exists()
