"""The kiln command itself: help, version, what it shows where, and how it ends when it is told to."""

import os
import signal
import subprocess
import time

import pytest

from conftest import run
from extensions import extension, suffix
from terminal import run_on_terminal

COMMANDS = ["pip", "link", "ls", "isolate", "table"]


@pytest.fixture(scope="module")
def site(tmp_path_factory, python):
    """A directory with one fat extension and one that stays a file."""
    root = tmp_path_factory.mktemp("site")
    extension(root, "fat", python)
    extension(root, "thin", python, compiler="cc", more=["-Wl,-z,initfirst"])
    return root


# --- Help ---

@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_is_its_usage_on_standard_output(kiln, command):
    said = kiln("help", command)
    assert said.stdout.startswith(f"usage: kiln {command} ") and said.stderr == ""
    assert kiln(command, "--help").stdout == said.stdout


def test_help_lists_every_command(kiln):
    said = kiln("help").stdout
    assert all(f"\n  {command} " in said for command in COMMANDS)
    assert kiln("--help").stdout == said


def test_help_of_what_is_no_command_is_a_usage_error(kiln):
    for args in (["help", "nonsense"], ["nonsense", "--help"], []):
        result = kiln(*args, check=False)
        assert result.returncode == 2 and result.stdout == "" and "usage: kiln" in result.stderr


def test_version_is_that_of_the_header(kiln, build):
    header = (build.parent / "include/kiln/version.h").read_text()
    assert f'"{kiln("--version").stdout.split()[1]}"' in header


# --- What is shown where ---

def on_terminal(*argv, **env):
    """What a program shows on a terminal, its input empty."""
    _, output = run_on_terminal(*argv, stdin=subprocess.DEVNULL, env={**os.environ, "TERM": "xterm", **env})
    return output.decode()


@pytest.fixture
def link(build, python, site, tmp_path):
    """The command line of a link that works."""
    return [build / "kiln", "link", "--python", python, "-o", tmp_path / "app", site]


@pytest.fixture
def failing_link(build, python, tmp_path):
    return [build / "kiln", "link", "--python", python, "-o", tmp_path / "app", tmp_path / "missing"]


def test_a_terminal_shows_progress_and_then_the_result_alone(link):
    shown = on_terminal(*link)
    assert "isolate   [" in shown and "link      [" in shown
    # The line is wiped before anything else is written on it.
    assert shown.rsplit("\033[K", 1)[1].startswith("kiln: ")


def test_a_pipe_gets_neither_progress_nor_colour(link, failing_link):
    for argv in link, failing_link:
        said = run(*argv, check=False, env={**os.environ, "TERM": "xterm"}).stderr
        assert said.startswith("kiln: ") and "\r" not in said and "\033" not in said


def test_a_dumb_terminal_gets_neither_progress_nor_colour(link, failing_link):
    for argv in link, failing_link:
        assert "\033" not in on_terminal(*argv, TERM="dumb")


def test_errors_are_coloured_on_a_terminal_unless_no_color_is_set(failing_link):
    assert "\033[1;31merror: " in on_terminal(*failing_link, NO_COLOR="")
    assert "\033[1;31m" not in on_terminal(*failing_link, NO_COLOR="1")


def test_quiet_leaves_errors_only(link, failing_link):
    assert on_terminal(*link, "--quiet") == ""
    assert "error: " in on_terminal(*failing_link, "--quiet")


def test_verbose_says_what_is_linked_with_what(link, python, site):
    plain, verbose = run(*link).stderr, run(*link, "--verbose").stderr
    # Which of its undefined symbols a libpython is refused for is up to the threads of lld.
    lines, more = ({line.partition("it does not link:")[0] for line in said.splitlines()} for said in (plain, verbose))
    assert lines < more
    fat, = [line for line in verbose.splitlines() if line.startswith("kiln: fat: ")]
    assert fat.startswith("kiln: fat: from objects, ") and fat.endswith(f"({site / ('fat' + suffix(python))})")
    assert verbose.count("thin stays a file: ") == 1
    assert "libpython" in verbose.split("kiln: linking ")[1].splitlines()[0]


# --- Signals ---

def default_signals():
    """Tests may have been started by nohup, or in the background."""
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture(scope="module")
def compiler(tmp_path_factory):
    """A compiler that hangs when WORD is among its arguments, after touching the file READY, or sends SIGHUP to its parent,
    as its environment says. It is one for all tests, as `kiln link` compiles the runtime anew for each compiler."""
    path = tmp_path_factory.mktemp("compiler") / "cc"
    path.write_text('#!/bin/sh\n[ -z "$HANG_UP" ] || kill -HUP $PPID\n'
                    'case "$*" in *"${WORD:-no such word}"*) touch "$READY"; exec sleep 60;; esac\nexec cc "$@"\n')
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def stopped(build, python, site, compiler, tmp_path):
    """A function that stops `kiln link` by a signal while its compiler runs with WORD among its arguments.
    It gives the exit status and the files left where temporary ones and the output would be."""
    def call(number, word):
        places = tmp_path / "temporary", tmp_path / "out"
        for place in places:
            place.mkdir()
        process = subprocess.Popen(
            [build / "kiln", "link", "--python", python, "-o", places[1] / "app", site],
            env={**os.environ, "KILN_CC": compiler, "TMPDIR": str(places[0]), "WORD": word, "READY": str(tmp_path / "ready")},
            stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=default_signals)
        while not (tmp_path / "ready").exists():
            assert process.poll() is None
            time.sleep(0.01)
        # The terminal gives an interrupt to the whole group; other signals come to the process.
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        said = process.communicate()[1]
        assert "kiln: error" not in said
        assert word != "/program" or "libpython" not in said
        return process.returncode, [file for place in places for file in place.iterdir()]
    return call


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("word", ["/program", "link.rsp"])
def test_a_signal_ends_a_link_which_leaves_nothing_behind(number, word, stopped):
    assert stopped(number, word) == (-number, [])


def test_an_interrupt_that_is_ignored_stays_so(build, python, site, compiler, tmp_path):
    # As nohup does with SIGHUP, and a shell with SIGINT for what it runs in the background.
    run(build / "kiln", "link", "--python", python, "-o", tmp_path / "app", site,
        env={**os.environ, "KILN_CC": compiler, "HANG_UP": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert (tmp_path / "app").exists()


def test_a_full_standard_output_is_an_error(build, python, site):
    with open("/dev/full", "w") as full:
        result = subprocess.run([build / "kiln", "ls", site / ("fat" + suffix(python))], stdout=full,
                                stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1
    assert result.stderr == "kiln: error: cannot write to standard output: No space left on device\n"
