"""Programs on a terminal."""

import os
import pty
import subprocess

import pytest


def run_on_terminal(*argv, **kwargs):
    """Run a program on a terminal; returns its exit status and the bytes that it shows."""
    try:
        terminal, inside = pty.openpty()
    except OSError as error:
        pytest.skip(f"no pseudo-terminal: {error}")
    process = subprocess.Popen(argv, **{"stdin": inside, **kwargs}, stdout=inside, stderr=inside)
    os.close(inside)
    output = b""
    try:
        while data := os.read(terminal, 65536):
            output += data
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    return process.wait(), output
