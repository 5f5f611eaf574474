"""The part of libkiln.a that needs no Python: deferred constructors."""

import pytest

from conftest import ROOT, run

FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-fPIE", "-pie", f"-I{ROOT}/include", f"-I{ROOT}/runtime", "-pthread"]


def build(directory, source, *files, more=()):
    program = directory / "program"
    run("cc", *FLAGS, "-x", "c", "-", *[ROOT / "runtime" / name for name in files], "-o", program, *more, input=source)
    return program


# What `kiln isolate` leaves: two arrays of pointers, and a record of their bounds.
RECORD = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <unistd.h>
#include <kiln/internal/constructors.h>
extern struct kiln_constructors record, bare;
#define USED __attribute__((used)) static
USED void first(int argc, char **argv, char **envp) {
    printf("first %d %s %d\n", argc, argv[1], envp != NULL && getenv("PATH") != NULL);
}
USED void second(int argc, char **argv, char **envp) { EXTRA printf("second\n"); }
USED void early(void) { printf("early\n"); }
USED void late(void) { printf("late\n"); }
__asm__(".section .data.rel.ro.test,\"aw\"\n.balign 8\n"
        "ctors: .quad first, 0, -1, second\nctors_end:\n"
        "dtors: .quad late, early\ndtors_end:\n"
        ".data\n.balign 4\n.globl record, bare\n"
        "record: .long ctors - ., ctors_end - ., dtors - ., dtors_end - ., 0\n"
        "bare: .long ctors - ., ctors - ., dtors - ., dtors - ., 0\n.text\n");
"""


def records(directory, body, extra=""):
    program = build(directory, RECORD.replace("EXTRA", extra) + body, "machine/constructors.c")
    return run(program, "argument").stdout.split("\n")[:-1]


def test_constructors_run_once_in_order_with_the_arguments_of_main(tmp_path):
    assert records(tmp_path, """
int main(void) {
    printf("main\\n");
    kiln_run_constructors(&record); kiln_run_constructors(&record); kiln_run_constructors(&bare);
    printf("end\\n");
}""") == ["main", "first 2 argument 1", "second", "end", "early", "late"]


def test_destructors_do_not_run_if_the_constructors_have_not(tmp_path):
    assert records(tmp_path, 'int main(void) { printf("main\\n"); }') == ["main"]


def test_constructor_may_ask_for_its_own_constructors(tmp_path):
    assert records(tmp_path, "int main(void) { kiln_run_constructors(&record); }",
                   extra="kiln_run_constructors(&record);") == ["first 2 argument 1", "second", "early", "late"]


def test_destructors_of_objects_run_before_those_of_the_module(tmp_path):
    """C++ registers them in the constructors."""
    lines = records(tmp_path, """
void object(void) { printf("object\\n"); }
int main(void) { kiln_run_constructors(&record); }""", extra="extern void object(void); atexit(object);")
    assert lines == ["first 2 argument 1", "second", "object", "early", "late"]


def test_other_threads_wait_until_the_constructors_have_run(tmp_path):
    lines = records(tmp_path, """
static void *work(void *arg) { kiln_run_constructors(&record); printf("ready\\n"); return NULL; }
int main(void) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, work, NULL);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}""", extra="usleep(50000);")
    assert lines == ["first 2 argument 1", "second"] + ["ready"] * 4 + ["early", "late"]
