"""Extensions from anywhere: what their `.kiln` section names is neither an option nor a path to Kiln, and reaches no
terminal as it is."""

import json
import os

import pytest

from conftest import BUILD, run
from extensions import extension
from fat_section import change_record, read
from test_link_share import COUNTER, MODULE, library, user

DRIVER, OUTPUT, INIT, ARG, RPATH, DSO, FAILURE, ARCHIVE, COMBINE = range(1, 10)

EVIL = "\x1b]0;title\x07\r\x7f\u009b1m\nkiln: all is well"


def link(python, root, *args, **kwargs):
    return run(BUILD / "kiln", "link", "--python", python, "-o", root / "app", *args, root / "site", check=False, **kwargs)


def value(program, site, name):
    env = {**os.environ, "PYTHONPATH": str(site)}
    return run(program, "-c", f"import {name} as m; print(m.value())", env=env).stdout.strip()


@pytest.mark.parametrize("tag, text", [
    (DRIVER, "/tmp/evil -wrapper"), (ARG, "-wrapper"), (ARG, "-Wl,-Map={victim}"), (ARG, "@{victim}"), (ARG, "-B{root}"),
    (RPATH, "/nowhere,-o,{victim}"), (DSO, "{root}/fifo"), (DSO, "-o{victim}"), (OUTPUT, "{victim}"), (ARCHIVE, "{victim}"),
])
def test_what_a_record_names_is_not_handed_to_a_program(tag, text, python, tmp_path):
    path = extension(tmp_path / "site", "one", python)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    os.mkfifo(tmp_path / "fifo")

    def edit(entries):
        entries[:] = [entry for entry in entries if entry[0] != tag or tag in (ARG, RPATH, DSO)]
        entries.append((tag, text.format(victim=victim, root=tmp_path).encode()))
    change_record(path, edit)
    assert link(python, tmp_path, "--from", "objects", timeout=60).returncode == 0
    assert value(tmp_path / "app", tmp_path / "site", "one") == "one"
    assert victim.read_text() == "precious"
    assert "victim" not in run("readelf", "-dl", tmp_path / "app").stdout


@pytest.mark.parametrize("init", ["PyInit_one\n.globl evil", "-T/tmp/evil", "@victim", "PyInit_two", ""])
def test_an_init_symbol_that_the_extension_has_not_is_no_option(init, python, tmp_path):
    path = extension(tmp_path / "site", "one", python)
    change_record(path, lambda entries: entries.__setitem__(slice(None), [
        (tag, init.encode() if tag == INIT else text) for tag, text in entries]))
    assert link(python, tmp_path).returncode == 0
    assert value(tmp_path / "app", tmp_path / "site", "one") == "one"


@pytest.mark.parametrize("flag", ["-Map={victim}", "-o{victim}", "--plugin={victim}", "-T{victim}", "@{victim}", "--strip-debug -o{victim}",
                                  "--undefined", "{victim}"])
def test_a_flag_that_kiln_cc_never_records_is_refused_with_the_file(flag, python, tmp_path):
    archive = library(tmp_path / "lib" / "libcounter.a", counter=COUNTER)
    for name in "one", "two":
        user(tmp_path / "site", name, python, "count()", "int count(void);", archive)
    (path,) = (tmp_path / "site").glob("one*.so")
    victim = tmp_path / "victim"
    victim.write_text("precious")
    change_record(path, lambda entries: entries.append((COMBINE, flag.format(victim=victim).encode())))
    result = link(python, tmp_path, "--share", "counter")
    assert f"({path})" in result.stderr and "an option that kiln-cc never records" in result.stderr
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("value", ["--undefined=x", "--wrap=x\n-o victim", "--defsym=x=0; INSERT", "--require-defined=y"])
def test_a_value_of_a_flag_is_not_handed_to_the_linker(value, python, tmp_path):
    archive = library(tmp_path / "lib" / "libcounter.a", counter=COUNTER)
    for name in "one", "two":
        user(tmp_path / "site", name, python, "count()", "int count(void);", archive)
    (path,) = (tmp_path / "site").glob("one*.so")
    change_record(path, lambda entries: entries.append((COMBINE, value.encode())))
    before = sorted(tmp_path.iterdir())
    result = link(python, tmp_path, "--share", "counter", cwd=tmp_path)
    if value.startswith(("--undefined", "--require")):  # the members have been chosen
        assert result.returncode == 0, result.stderr
    else:
        assert result.returncode == 1 and "cannot share" in result.stderr
        assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("tag", [DRIVER, OUTPUT, FAILURE, ARCHIVE])
def test_what_ls_prints_of_a_record_is_printable(tag, python, tmp_path):
    path = extension(tmp_path / "site", "one", python)

    def edit(entries):
        entries[:] = [entry for entry in entries if entry[0] != tag]
        entries.append((tag, EVIL.encode() + b"\xff\x9b"))
    if tag == FAILURE:
        path = extension(tmp_path / "site", "one", python, more=["-Wl,-z,execstack"])
    change_record(path, edit)
    plain = run(BUILD / "kiln", "ls", path).stdout
    assert all(line.isprintable() for line in plain.split("\n"))
    assert r"\x1b]0;title\x07\x0d\x7f\xc2\x9b1m\x0akiln: all is well\xff\x9b" in plain
    as_json = run(BUILD / "kiln", "ls", "--json", path).stdout
    assert all(line.isprintable() for line in as_json.split("\n"))
    texts = [text for text in json.loads(as_json).values() if isinstance(text, (str, list))]
    assert any(EVIL in text or any(EVIL in part for part in text) for text in texts)


def test_what_is_said_of_a_record_is_printable(python, tmp_path):
    path = extension(tmp_path / "site", "one", python, more=["-Wl,-z,execstack"])
    assert read(path).failure
    change_record(path, lambda entries: entries.__setitem__(slice(None), [
        (tag, EVIL.encode() if tag == FAILURE else text) for tag, text in entries]))
    result = link(python, tmp_path, "--from", "objects")
    assert all(line.isprintable() for line in result.stderr.split("\n"))
    assert r"\x1b]0;title" in result.stderr


def test_what_ls_prints_of_an_executable_is_printable(python, tmp_path):
    extension(tmp_path / "site", "one", python)
    link(python, tmp_path)
    section, app = tmp_path / "section", tmp_path / "app"
    run("objcopy", "-O", "binary", "--only-section=.kiln", "--set-section-flags", ".kiln=alloc", app, section)
    section.write_bytes(section.read_bytes() + b"module=\x1b[2J\0ev\x1bil\"=\x1b[2J\0")
    run("objcopy", "--update-section", f".kiln={section}", app)
    for options in [], ["--json"]:
        said = run(BUILD / "kiln", "ls", *options, app).stdout
        assert all(line.isprintable() for line in said.split("\n"))
    assert json.loads(said)["modules"][-1]["name"] == "\x1b[2J"
