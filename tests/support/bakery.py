"""Executables with modules inside, built by hand: C sources, a table, libkiln.a compiled for the Python
under test, and its libpython. And the same sources as shared libraries, to compare with."""

import functools
import json
import os
import shutil

from conftest import BUILD, ROOT, run

CFLAGS = ["-std=c11", "-D_GNU_SOURCE", "-O1", "-g", "-fPIC", "-fvisibility=hidden", "-Wall", "-Werror"]
# For the executables, not for the shared libraries to compare with: sanitizers.
MORE_CFLAGS = os.environ.get("KILN_TEST_CFLAGS", "").split()
LINKER = os.environ.get("KILN_TEST_LINKER", "bfd")

# Functions of CPython whose calls go to libkiln.a (src/isolate/plan.c).
REDIRECTED = ["PyModule_Create2", "PyErr_WarnEx", "PyErr_WarnFormat", "PyErr_ResourceWarning"]

VARIABLES = ["LDLIBRARY", "LIBRARY", "LIBPL", "LIBDIR", "LIBS", "SYSLIBS", "MODLIBS", "EXT_SUFFIX",
             "Py_DEBUG", "Py_GIL_DISABLED"]
ASK = f"""
import json, sys, sysconfig
answer = {{key: sysconfig.get_config_var(key) or "" for key in {VARIABLES}}}
answer["include"], answer["version"] = sysconfig.get_path("include"), sys.version_info[:2]
print(json.dumps(answer))
"""


class Module:
    """C source of one extension. INIT is the init symbol it defines, by default the one for its name."""

    def __init__(self, source, *defines, init=None, package=False):
        self.source, self.defines, self.init, self.package = source, defines, init, package

    def init_symbol(self, name):
        if self.init:
            return self.init
        last = name.rpartition(".")[2]
        if last.isascii():
            return "PyInit_" + last
        return "PyInitU_" + last.encode("punycode").decode().replace("-", "_")


class Bakery:
    """Builds for one Python. What it compiles it keeps in STORE; MORE is flags for everything but shared libraries."""

    def __init__(self, python, store, more=()):
        self.python, self.store = python, store
        self.config = json.loads(run(python, "-c", ASK).stdout)
        self.version = tuple(self.config["version"])
        self.cc = ["cc", *CFLAGS, *MORE_CFLAGS, *more]
        self.include = ["-I", self.config["include"], "-I", ROOT / "include", "-I", ROOT / "runtime"]

    @functools.cached_property
    def libpythons(self):
        """Which of "static" and "shared" the Python has."""
        archive = os.path.join(self.config["LIBPL"], self.config["LIBRARY"])
        library = os.path.join(self.config["LIBDIR"], self.config["LDLIBRARY"])
        kinds = {"static": archive, "shared": library if library.endswith(".so") else ""}
        return [kind for kind, path in kinds.items() if os.path.isfile(path) and self.links(kind)]

    def links(self, kind):
        """Whether a program can be linked with its libpython of KIND: some archives lack objects."""
        main = self.compile("int Py_BytesMain(int, char **);\n"
                            "int main(int argc, char **argv) { return Py_BytesMain(argc, argv); }\n")

        def link(answer):
            trial = answer.with_name("trial")
            linked = run(*self.cc, "-o", trial, main, *self.libpython(kind), "-lpthread", "-ldl", check=False)
            answer.write_text("links" if linked.returncode == 0 else linked.stderr)
        return self.store.get("answer", [self.cc, main, self.libpython(kind)], link).read_text() == "links"

    @property
    def default_libpython(self):
        """What tests take that do not ask for a kind: KILN_TEST_LIBPYTHON, or the first there is."""
        return os.environ.get("KILN_TEST_LIBPYTHON") or self.libpythons[0]

    def compile(self, source, *flags):
        """The object of SOURCE, the path of a file or C text."""
        command = [*self.cc, *self.include, *flags, "-c"]

        def compile(output):
            path = source
            if isinstance(source, str):
                path = output.with_name("source.c")
                path.write_text(source)
            run(*command, path, "-o", output)
        return self.store.get("text.o" if isinstance(source, str) else f"{source.stem}.o", [command, source], compile)

    def compile_module(self, name, module):
        """The object of MODULE, with what `kiln isolate` would do to its symbols. Returns it and its
        init symbol."""
        kind = "kiln_export_" if (module.init or "").startswith("PyModExport") else "kiln_init_"
        symbol = kind + name.encode().hex()
        renames = [f"-D{module.init_symbol(name)}={symbol}", *(f"-D{function}=kiln_{function}" for function in REDIRECTED)]
        return self.compile(module.source, *module.defines, *renames), symbol

    def runtime(self):
        """libkiln.a for this Python."""
        objects = [self.compile(path) for path in sorted((ROOT / "runtime").glob("*/*.c"))]
        return self.store.get("libkiln.a", objects, lambda library: run("ar", "qcs", library, *objects))

    def table(self, modules, symbols):
        """The object of the table of MODULES."""
        names = "".join(f"{name} {symbols[name]}{' package' if modules[name].package else ''}\n"
                        for name in modules)
        return self.compile(self.store.get("table.S", names, lambda source: run(BUILD / "kiln", "table", "-o", source, input=names)))

    def libpython(self, kind):
        config = self.config
        if kind == "shared":
            name = config["LDLIBRARY"][len("lib"):-len(".so")]
            return ["-pie", f"-L{config['LIBDIR']}", f"-l{name}", f"-Wl,-rpath,{config['LIBDIR']}"]
        libs = " ".join(config[key] for key in ("LIBS", "SYSLIBS", "MODLIBS")).split()
        return ["-no-pie", "-Wl,--whole-archive", os.path.join(config["LIBPL"], config["LIBRARY"]),
                "-Wl,--no-whole-archive", "-Wl,--export-dynamic", *libs]

    def bake(self, output, modules, kind=None, python=None, main=None, more=()):
        """Link MODULES (dotted name -> Module) and libpython of KIND to OUTPUT. PYTHON is what `kiln
        link` would be told; MAIN is C text in the place of libkiln's own."""
        objects, symbols = [], {}
        for name, module in modules.items():
            compiled, symbols[name] = self.compile_module(name, module)
            objects.append(compiled)
        objects.append(self.table(modules, symbols))
        if python is not None:
            objects.append(self.compile(f'const char kiln_python[] __attribute__((visibility("default"))) = "{python}";'))
        if main is not None:
            objects.append(self.compile(main))
        run(*self.cc, f"-fuse-ld={LINKER}", "-o", output, *dict.fromkeys(objects), *more, self.runtime(),
            *self.libpython(kind or self.default_libpython), "-lpthread", "-ldl")
        return output

    def bake_once(self, modules, kind=None, **how):
        """As bake(), to a file that all tests of the run share and must leave as it is."""
        key = [self.cc, self.include, sorted((name, vars(module)) for name, module in modules.items()), kind or self.default_libpython, how]
        return self.store.get("app", key, lambda output: self.bake(output, modules, kind, **how))

    def share(self, root, name, module):
        """Build MODULE as the shared library NAME below ROOT, whose packages must be there."""
        *parents, last = name.split(".")
        directory = root.joinpath(*parents, *([last] if module.package else []))
        output = directory / (("__init__" if module.package else last) + self.config["EXT_SUFFIX"])
        command = ["cc", *CFLAGS, "-fvisibility=default", *self.include, "-shared", *module.defines, "-x", "c", "-"]
        made = self.store.get("extension.so", [command, module.source],
                              lambda library: run(*command, "-o", library, input=module.source))
        return shutil.copy(made, output)
