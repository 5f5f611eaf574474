"""`kiln table`: from a list of names to a table in an executable, with nothing to do at run time."""

import os
import platform
import re
import shutil

import pytest

from conftest import ROOT, run

# Looks up each line of standard input, and prints what its function returns, and its flags.
PROGRAM = r"""
#include <stdio.h>
#include "kiln/table.h"
int main(void)
{
    char name[200];
    if (!kiln_table_check(&kiln_table)) {
        return 1;
    }
    printf("%u\n", (unsigned)kiln_table_get_count(&kiln_table));
    while (fgets(name, sizeof name, stdin) != NULL) {
        const struct kiln_table_entry *entry =
            kiln_table_find(&kiln_table, name, strcspn(name, "\n"));
        if (entry == NULL) {
            puts("none");
            continue;
        }
        int (*function)(void) = (int (*)(void))kiln_table_get_function(entry);
        printf("%s %d %u\n", kiln_table_get_name(entry), function(), kiln_table_get_flags(entry));
    }
    return 0;
}
"""

COMPILERS = ["cc", "c++", "clang", "clang++"]
LINKERS = ["bfd", "gold", "lld", "mold"]
KINDS = [["-fPIE", "-pie"], ["-fno-pie", "-no-pie"], ["-fno-pie", "-static"],
         ["-fPIE", "-static-pie"]]


def need(program):
    """Skip the test if PROGRAM is not installed."""
    if shutil.which(program) is None:
        pytest.skip(f"no {program}")


class Project:
    """A directory with a program that has a table of modules."""

    def __init__(self, path, kiln):
        self.path = path
        self.kiln = kiln

    def write(self, name, text):
        path = self.path / name
        path.write_text(text)
        return path

    def table(self, lines, name="table.S"):
        """The assembly of a table of LINES."""
        out = self.path / name
        self.kiln("table", "-o", out, self.write(name + ".names", "".join(
            line + "\n" for line in lines)))
        return out

    def numbered(self, count):
        """The table of `pkg.m0` ..., and a C file with their functions, half of them hidden."""
        functions = "".join(
            f'__attribute__((visibility("{"hidden" if i % 2 else "default"}")))\n'
            f"int init_{i}(void);\nint init_{i}(void) {{ return {i}; }}\n" for i in range(count))
        return (self.table([f"pkg.m{i} init_{i}" for i in range(count)]),
                self.write("functions.c", functions))

    def link(self, *sources, flags=(), compiler="cc", program=PROGRAM):
        """The executable of PROGRAM and SOURCES. C sources are C, whoever links them."""
        need(compiler)
        language = "c++" if compiler.endswith("++") else "c"
        main = self.write("main.c", program)
        out = self.path / "program"
        objects = []
        for source in sources:
            objects.append(self.path / (source.name + ".o"))
            run("clang" if compiler.startswith("clang") else "cc", *flags[:1], "-O1", "-c", source,
                "-o", objects[-1])
        run(compiler, "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{ROOT}/include",
            "-x", language, main, "-x", "none", *objects, *flags, "-o", out)
        return out


@pytest.fixture
def project(tmp_path, kiln):
    return Project(tmp_path, kiln)


def lookup(program, *names):
    """What PROGRAM says of NAMES."""
    result = run(program, input="".join(name + "\n" for name in names))
    return result.stdout.splitlines()[1:]


def sections(path):
    """The sections of an ELF file: name -> (address, size, flags)."""
    listing = run("readelf", "-SW", path).stdout
    rows = re.findall(r"^ +\[ *\d+\] (\S+) +\S+ +([0-9a-f]+) [0-9a-f]+ ([0-9a-f]+) [0-9a-f]+ +"
                      r"([A-Z]*) ", listing, re.M)
    return {name: (int(address, 16), int(size, 16), flags) for name, address, size, flags in rows}


def relocations(path):
    """The addresses of the run-time relocations of PATH."""
    return [int(offset, 16) for offset in
            re.findall(r"^([0-9a-f]{12,16}) ", run("readelf", "-rW", path).stdout, re.M)]


# The table in a program.

@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[1])
@pytest.mark.parametrize("compiler", COMPILERS)
def test_every_name_leads_to_its_function(project, compiler, kind):
    program = project.link(*project.numbered(50), flags=kind, compiler=compiler)
    assert lookup(program, *[f"pkg.m{i}" for i in range(50)]) == [
        f"pkg.m{i} {i} 0" for i in range(50)]


@pytest.mark.parametrize("linker", LINKERS)
def test_every_linker_takes_the_table(project, linker):
    need("ld." + linker if linker != "mold" else "mold")
    program = project.link(*project.numbered(50), flags=["-fPIE", "-pie", f"-fuse-ld={linker}"])
    assert lookup(program, "pkg.m49", "pkg.m50") == ["pkg.m49 49 0", "none"]


@pytest.mark.parametrize("linker", LINKERS)
def test_the_table_is_a_read_only_section_of_its_own_in_a_stripped_program(project, linker):
    need("ld." + linker if linker != "mold" else "mold")
    program = project.link(*project.numbered(50), flags=["-fPIE", "-pie", f"-fuse-ld={linker}"])
    run("strip", program)
    address, size, flags = sections(program)[".kiln_table"]
    assert address % 64 == 0 and flags == "A"
    assert size == 40 + 10 * 50 + 4 * 13 + sum(len(f"pkg.m{i}") for i in range(50))
    assert lookup(program, "pkg.m7") == ["pkg.m7 7 0"]


@pytest.mark.parametrize("linker", LINKERS)
def test_a_pie_has_no_run_time_relocation_for_the_table(project, linker):
    need("ld." + linker if linker != "mold" else "mold")
    flags = ["-fPIE", "-pie", f"-fuse-ld={linker}"]
    none = len(relocations(project.link(project.table([]), flags=flags)))
    program = project.link(*project.numbered(500), flags=flags)
    addresses = relocations(program)
    start, size, _ = sections(program)[".kiln_table"]
    assert none > 0  # the listing was understood
    assert len(addresses) == none
    assert not [address for address in addresses if start <= address < start + size]


def test_a_shared_library_can_have_a_table_of_hidden_functions(project):
    table = project.table(["a.b f"])
    functions = project.write("f.c", '__attribute__((visibility("hidden"))) int f(void);\n'
                                     "int f(void) { return 5; }\n")
    source = project.write("find.c", '#include "kiln/table.h"\nint ask(void);\nint ask(void) {\n'
                           'return ((int (*)(void))kiln_table_get_function('
                           'kiln_table_find(&kiln_table, "a.b", 3)))(); }\n')
    library = project.path / "libx.so"
    run("cc", f"-I{ROOT}/include", "-fPIC", "-shared", "-Wl,-z,text", table, functions, source,
        "-o", library)
    program = project.write("p.c", "int ask(void); int main(void) { return ask(); }")
    run("cc", program, library, f"-Wl,-rpath,{project.path}", "-o", project.path / "p")
    assert run(project.path / "p", check=False).returncode == 5


def test_functions_that_only_the_table_names_survive_garbage_collection(project):
    table, functions = project.numbered(5)
    program = project.link(table, functions, flags=["-ffunction-sections", "-Wl,--gc-sections"])
    assert lookup(program, "pkg.m3") == ["pkg.m3 3 0"]


def test_an_empty_table_works(project):
    program = project.link(project.table([]))
    assert run(program, input="a\n\n").stdout.splitlines() == ["0", "none", "none"]


def test_packages_and_export_hooks_are_marked(project):
    table = project.table(["a kiln_init_a package", "b kiln_export_b", "c PyModExport_c package"])
    functions = project.write("f.c", "".join(
        f"int {name}(void);\nint {name}(void) {{ return 1; }}\n"
        for name in ("kiln_init_a", "kiln_export_b", "PyModExport_c")))
    program = project.link(table, functions)
    assert lookup(program, "a", "b", "c") == ["a 1 1", "b 1 2", "c 1 3"]


def test_non_ascii_names_are_found(project):
    program = project.link(project.table(["paket.größe f"]),
                           project.write("f.c", "int f(void);\nint f(void) { return 1; }\n"))
    assert lookup(program, "paket.größe", "paket.große") == ["paket.größe 1 0", "none"]


def test_symbols_that_a_preprocessor_or_assembler_knows_are_symbols(project):
    # `unix` is a macro of gcc, and rax a register.
    functions = project.write("f.c", "#undef unix\nint unix(void);\nint unix(void) { return 1; }\n"
                                     "int rax(void);\nint rax(void) { return 2; }\n")
    program = project.link(project.table(["a unix", "b rax"]), functions)
    assert lookup(program, "a", "b") == ["a 1 0", "b 2 0"]


def test_a_function_that_is_nowhere_is_told_by_the_linker(project):
    with pytest.raises(AssertionError, match="init_gone"):
        project.link(project.table(["a init_gone"]))


def test_the_table_does_not_make_the_stack_executable(project):
    program = project.link(project.table([]))
    stack = re.search(r"GNU_STACK.*", run("readelf", "-lW", program).stdout).group()
    assert "RW " in stack and "RWE" not in stack


@pytest.mark.skipif(platform.machine() != "x86_64", reason="CET is of x86")
def test_the_object_agrees_to_control_flow_protection(project):
    obj = project.path / "t.o"
    run("cc", "-fcf-protection=full", "-c", project.table(["a f"]), "-o", obj)
    assert "IBT, SHSTK" in run("readelf", "-n", obj).stdout


# Its bytes.

def test_a_module_takes_at_most_twelve_bytes_besides_its_name(project):
    names = [f"company.project{i % 37}.module_{i}" for i in range(5000)]
    obj = project.path / "table.o"
    run("cc", "-c", project.table([f"{name} init_{i}" for i, name in enumerate(names)]), "-o", obj)
    size = sections(obj)[".kiln_table"][1]
    assert size - sum(map(len, names)) <= 12 * len(names)


def test_the_same_names_in_any_order_give_the_same_bytes(project):
    lines = [f"pkg{i % 7}.module_{i} init_{i}" for i in range(1000)]
    shuffled = [lines[i * 337 % 1000] for i in range(1000)]
    assert shuffled != lines
    assert (project.table(lines, "a.S").read_bytes() ==
            project.table(["# other", *shuffled, ""], "b.S").read_bytes())


def test_assembling_with_as_gives_the_table_that_cc_gives(project):
    table, _ = project.numbered(20)
    contents = []
    for tool in (["as"], ["cc", "-c"]):
        run(*tool, table, "-o", project.path / "t.o")
        run("objcopy", "-O", "binary", "-j", ".kiln_table", project.path / "t.o",
            project.path / "t.bin")
        contents.append((project.path / "t.bin").read_bytes())
    assert contents[0] == contents[1] and contents[0].startswith(b"KILNTAB\0")


def test_a_hundred_thousand_modules_are_all_found(project):
    names = [f"company.team_{i % 97}.module_{i}" for i in range(100_000)]
    table = project.table([f"{name} f" for name in names])
    program = project.link(table, project.write("f.c", "int f(void);\nint f(void) { return 1; }\n"))
    assert lookup(program, *names) == [f"{name} 1 0" for name in names]


# The command.

def test_names_come_from_standard_input_and_the_table_goes_to_standard_output(project, kiln):
    lines = ["a.b f", "c g package"]
    expected = project.table(lines).read_text()
    text = "".join(line + "\n" for line in lines)
    assert kiln("table", input=text).stdout == expected
    assert kiln("table", "-", input=text).stdout == expected


def test_names_can_come_from_a_pipe_by_name(kiln):
    assert "a.b" in kiln("table", "/dev/stdin", input="a.b f\n").stdout


def test_every_wrong_line_is_reported_and_no_output_is_left(project, kiln):
    names = project.write("names", "a.b f\n\nc\nd f package extra\ne-f g\ng 1x\na.b h\n.x y\n")
    result = kiln("table", "-o", project.path / "out.S", names, check=False)
    assert result.returncode == 1
    assert sorted(re.findall(r"names:(\d+): ", result.stderr)) == ["3", "4", "5", "6", "7", "8"]
    assert f"{names}:3: the symbol is missing" in result.stderr
    assert f'{names}:4: "extra" is not known' in result.stderr
    assert f'{names}:5: "e-f" is not the name of a module' in result.stderr
    assert f'{names}:6: "1x" is not a symbol' in result.stderr
    assert f"{names}:7: the module a.b is listed twice" in result.stderr
    assert f"first is at {names}:1" in result.stderr
    assert f'{names}:8: ".x" is not the name of a module' in result.stderr
    assert os.listdir(project.path) == ["names"]


def test_wrong_standard_input_gives_no_output(kiln):
    result = kiln("table", input="a f\na g\n", check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert "<stdin>:2: the module a is listed twice" in result.stderr


def test_an_output_from_before_stays_when_the_names_are_wrong(project, kiln):
    out = project.write("out.S", "before")
    assert kiln("table", "-o", out, project.write("names", "a"), check=False).returncode == 1
    assert out.read_text() == "before"


def test_a_missing_list_is_an_error_that_names_it(project, kiln):
    result = kiln("table", project.path / "gone", check=False)
    assert result.returncode == 1
    assert f"{project.path}/gone: cannot read: No such file" in result.stderr


def test_an_output_that_cannot_be_written_is_an_error_that_names_it(project, kiln):
    result = kiln("table", "-o", project.path / "gone" / "t.S", input="a f\n", check=False)
    assert result.returncode == 1
    assert "gone/t.S: cannot write: No such file" in result.stderr


def test_a_full_disk_is_an_error(kiln):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    result = kiln("table", "-o", "/dev/full", input="a f\n", check=False)
    assert result.returncode == 1
    assert "/dev/full: cannot write: No space left on device" in result.stderr


@pytest.mark.parametrize("args", [["--bogus"], ["-o"]])
def test_a_wrong_command_line_is_a_usage_error(kiln, args):
    result = kiln("table", *args, check=False)
    assert result.returncode == 2
    assert "kiln help table" in result.stderr


# --- Several files ---

@pytest.fixture
def lists(tmp_path):
    (tmp_path / "one").write_text("a f\npkg g package\n")
    (tmp_path / "two words").write_text("pkg.b h # and a comment")
    (tmp_path / "all").write_text("one 'two words'\n")
    return tmp_path


@pytest.mark.parametrize("args", [["one", "two words"], ["two words", "one"], ["@all"], ["two words", "-"]])
def test_several_files_are_one_list(args, lists, kiln):
    text = (lists / "one").read_text()
    expected = kiln("table", input=text + (lists / "two words").read_text()).stdout
    assert kiln("table", *args, cwd=lists, **({"input": text} if "-" in args else {})).stdout == expected


def test_what_is_wrong_with_any_of_them_is_told(lists, kiln):
    (lists / "three").write_text("wrong\npkg.b other\n")
    result = kiln("table", "-o", "table.S", "three", "one", "two words", "missing", cwd=lists, check=False)
    assert result.returncode == 1 and not (lists / "table.S").exists()
    for part in ("three:1: ", "missing: cannot read", "two words:1: the module pkg.b is listed twice", "the first is at three:2"):
        assert part in result.stderr, part


def test_a_list_that_names_itself_is_an_error(lists, kiln):
    (lists / "loop").write_text("one @loop")
    result = kiln("table", "@loop", cwd=lists, check=False)
    assert result.returncode == 2 and "names itself" in result.stderr
