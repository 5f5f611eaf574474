"""The man pages: each lists the options that the command's own usage does, and no others."""

import re

import pytest

OPTION = re.compile(r"(?<![\w-])(--?[a-zA-Z](?:[a-z]|-(?=[a-z]))*)")


def find_options(lines):
    return {option for line in lines for option in OPTION.findall(line)}


def read_usage(text):
    """The options that begin a line, before what is told of them."""
    heads = [re.split(" {2,}", line.strip(), maxsplit=1)[0] for line in text.splitlines() if re.match(r" +-", line)]
    return find_options(heads)


def read_page(path):
    """The options that are the headings of paragraphs."""
    text = re.sub(r"\\f[BIPR]", "", path.read_text()).replace("\\-", "-").replace('"', "")
    options = re.search(r"^\.SH OPTIONS\n(.*?)(?=^\.SH)", text, re.MULTILINE | re.DOTALL)[1]
    return find_options(re.sub(r"^\.[BIR]+ ", "", line) for line in re.findall(r"^\.TP\n(.*)", options, re.MULTILINE))


def read_synopsis(path):
    text = path.read_text().replace("\\-", "-")
    return find_options([re.search(r"^\.SH SYNOPSIS\n(.*?)(?=^\.SH)", text, re.MULTILINE | re.DOTALL)[1]])


@pytest.mark.parametrize("command", ["link", "ls", "isolate", "table"])
def test_a_man_page_lists_the_options_of_its_command(kiln, build, command):
    page = build.parent / "docs" / "man" / f"kiln-{command}.1"
    usage, listed = read_usage(kiln("help", command).stdout), read_page(page)
    assert usage and listed == usage
    assert read_synopsis(page) <= usage


@pytest.mark.parametrize("command", ["link", "ls", "isolate", "table"])
def test_the_usage_of_a_command_lists_the_options_that_it_parses(command, kiln, build):
    source = (build.parent / "tool" / f"{command}.c").read_text()
    parsed = {f"--{name}" for name in re.findall(r'\{"([a-z-]+)", (?:no|required)_argument', source)}
    common = {"--quiet", "--verbose"} if "KILN_COMMON_OPTIONS" in source else set()
    assert parsed <= {option for option in read_usage(kiln("help", command).stdout) if option[:2] == "--"} <= parsed | common


def test_the_man_page_of_pip_lists_the_one_option_that_is_not_pips(kiln, build):
    assert read_usage(kiln("help", "pip").stdout) <= read_page(build.parent / "docs" / "man" / "kiln-pip.1")
