"""Extensions with parts in other languages than C: what their run-time libraries and their kinds of data need."""

import os
import shutil

import pytest

from conftest import BUILD, run
from extensions import MULTI_PHASE, extension

# A common block, a variable of a module with an initial value, an allocatable array, text made by the run-time
# library, BLAS-like arguments, and a procedure that is handed another one.
FORTRAN = """
module state
  implicit none
  integer :: calls = START
  real(8), allocatable :: kept(:)
end module

integer function twice(x)
  integer, intent(in) :: x
  twice = 2 * x
end function

integer function apply(f, x)
  integer, external :: f
  integer, intent(in) :: x
  apply = f(x)
end function

subroutine work(n, x, text, total) bind(c)
  use iso_c_binding
  use state
  implicit none
  integer(c_int), value :: n
  real(c_double), intent(in) :: x(n)
  character(kind=c_char), intent(out) :: text(16)
  integer(c_int), intent(out) :: total
  integer, external :: twice, apply
  integer :: seen, i
  character(len=16) :: line
  common /shared/ seen
  calls = calls + 1
  seen = seen + 10
  if (.not. allocated(kept)) allocate(kept(n))
  kept = x
  write (line, '(I4,I4,F6.1)') calls, seen, sum(kept)
  do i = 1, 16
    text(i) = line(i:i)
  end do
  total = apply(twice, calls)
end subroutine
"""
CALLING_FORTRAN = MULTI_PHASE.replace("#include <Python.h>", """#include <Python.h>
void work(int n, const double *x, char *text, int *total);
static PyObject *call(void)
{
    static const double x[] = {1.5, 2.5};
    char text[16];
    int total;
    work(2, x, text, &total);
    return Py_BuildValue("s#i", text, (Py_ssize_t)16, total);
}
""").replace("PyUnicode_FromString(VALUE)", "call()").replace("#include <Python.h>",
                                                              "#define PY_SSIZE_T_CLEAN\n#include <Python.h>", 1)
PRINT = """
import json, one, two
print(json.dumps([one.value(), one.value(), two.value(), one.value()]))
"""


def link(python, root):
    run(BUILD / "kiln", "link", "--quiet", "--python", python, "-o", root / "app", root / "site")


def say(program, root, script):
    return run(program, "-c", script, env={**os.environ, "PYTHONPATH": str(root / "site")}).stdout


@pytest.fixture
def gfortran(tmp_path):
    """gfortran as `kiln pip` puts it on PATH."""
    if not shutil.which("gfortran"):
        pytest.skip("no gfortran")
    link = tmp_path / "gfortran"
    link.symlink_to(BUILD / "kiln-cc")
    return link


def fortran_object(root, start):
    """Compiled as it is, for either driver."""
    source = root / f"{start}.f90"
    source.write_text(FORTRAN.replace("START", str(start)))
    run("gfortran", "-c", "-O1", "-fPIC", f"-J{root}", source, "-o", source.with_suffix(".o"))
    return source.with_suffix(".o")


@pytest.mark.parametrize("driver", ["gfortran", "gcc"])
def test_fortran_keeps_its_data_to_each_extension(driver, gfortran, python, tmp_path):
    """Modules of Fortran, common blocks and procedures have the same names in both extensions."""
    compiler, more = (gfortran, []) if driver == "gfortran" else (None, ["-lgfortran"])
    for name, start in ("one", 100), ("two", 200):
        extension(tmp_path / "site", name, python, CALLING_FORTRAN, compiler=compiler,
                  more=[fortran_object(tmp_path, start), *more])
    link(python, tmp_path)
    baked = say(tmp_path / "app", tmp_path, PRINT)
    assert baked == ('[[" 101  10   4.0  ", 202], [" 102  20   4.0  ", 204], '
                     '[" 201  10   4.0  ", 402], [" 103  30   4.0  ", 206]]\n')
    assert baked == say(python, tmp_path, PRINT)


# Parallel regions with reductions, a threadprivate variable, and the number of threads, which is the process's.
OPENMP = MULTI_PHASE.replace("#include <Python.h>", """#include <Python.h>
#include <omp.h>
static int calls;
#pragma omp threadprivate(calls)
static PyObject *sum(void)
{
    long total = 0;
    int threads = 0;
    omp_set_dynamic(0);
#pragma omp parallel num_threads(3) reduction(+ : total)
    {
        calls++;
#pragma omp single
        threads = omp_get_num_threads();
#pragma omp for schedule(dynamic, 7)
        for (int i = 0; i <= 1000; i++)
            total += i;
    }
    return Py_BuildValue("lii", total, threads, calls);
}
""").replace("PyUnicode_FromString(VALUE)", "sum()")


@pytest.mark.parametrize("driver", ["gcc", "clang"])
def test_openmp_works_in_several_extensions(driver, python, tmp_path):
    if not shutil.which(driver):
        pytest.skip(f"no {driver}")
    probe = tmp_path / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    if run(driver, "-fopenmp", probe, "-o", tmp_path / "probe", check=False).returncode != 0:
        pytest.skip(f"{driver} has no OpenMP")
    compiler = tmp_path / driver
    compiler.symlink_to(BUILD / "kiln-cc")
    for name in "one", "two":
        extension(tmp_path / "site", name, python, OPENMP, compiler=compiler, more=["-fopenmp"])
    link(python, tmp_path)
    assert say(tmp_path / "app", tmp_path, PRINT) == "[[500500, 3, 1], [500500, 3, 2], [500500, 3, 1], [500500, 3, 3]]\n"
