"""The sources of a system of scope_systems.py, and the commands that build it."""

import json
import shlex

from scope_systems import LATER, PROCESS, get_sort

# What every source includes. What runs before relocation has ended uses nothing of other objects: notes are system calls.
FUZZ_H = r"""
#include <stddef.h>
#define SHOWN __attribute__((visibility("default")))
#define HIDDEN __attribute__((visibility("hidden")))
#define PROTECTED __attribute__((visibility("protected")))
#define WEAK __attribute__((weak))
#ifdef __cplusplus
#define C extern "C"
#else
#define C extern
#endif
#define OWNED 0x5eed0000 /* functions of the process answer who they are by a number */
enum { LOG = 97, ASKED_SIZE = 4077 };
C void *dlsym(void *handle, const char *name);
typedef const char *function_t(void);
static inline void note(const char *a, const char *b)
{
    char text[200];
    size_t len = 0;
    for (; *a != 0; a++) text[len++] = *a;
    for (; b != 0 && *b != 0 && len < 190; b++) text[len++] = *b;
    text[len++] = '\n';
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "0"(1), "D"(LOG), "S"(text), "d"(len) : "rcx", "r11", "memory");
}
static inline const char *show_number(long number)
{
    static char text[24];
    char *at = text + 23;
    do *--at = (char)('0' + number % 10); while ((number /= 10) > 0);
    return at;
}
static inline const char *show_owner(long number)
{
    return (number & ~0xffL) == OWNED ? show_number(number & 0xff) : "of the process";
}
"""
FUZZ_HPP = r"""
#include "fuzz.h"
#ifdef DEFINE_NEW
C void *malloc(size_t size);
C void free(void *memory);
SHOWN void *operator new(size_t size)
{
    long *memory = (long *)malloc(size + sizeof(long[3]));
    if (size == ASKED_SIZE) memory[2] = DEFINE_NEW;
    return memory;
}
SHOWN void operator delete(void *memory) noexcept
{
    if (memory != 0 && ((long *)memory)[0] == ASKED_SIZE) note(PLACE ": operator delete of ", show_number(DEFINE_NEW & 0xff));
    free(memory);
}
#endif
/* std::string's own call of operator new: the libstdc++ that the process has is asked. */
char *create_string(void *self, size_t &length, size_t) __asm__("_ZNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE9_M_createERmm");
/* Whose operator new MEMORY is from, and back to whose operator delete. */
static inline const char *ask_for_new(void *memory)
{
    long owner = ((long *)memory)[2];
    ((long *)memory)[2] = 0;
    ((long *)memory)[0] = ASKED_SIZE;
    operator delete(memory);
    return show_owner(owner);
}
static inline const char *ask_string_for_new()
{
    size_t length = ASKED_SIZE - 1;
    return ask_for_new(create_string(0, length, 0));
}
namespace NAMESPACE {
inline int variable = 10;
inline int count() { static int n = 20; return ++n; }
template<class T> struct Held { static int value; };
template<class T> int Held<T>::value = 30;
template<class T> int *find() { static T n = 40; return &n; }
struct Made { int n; Made() : n(50) { note(PLACE ": made", 0); } };
inline Made made;
#ifdef THREAD_LOCAL
inline thread_local int per_thread = 60;
#endif
}
"""
# The module of an extension: ask(part, probe), and, if it opens plugins, plug(file, flags, function), which returns the number of a
# further part, and find(part, name).
MAKE_C = r"""
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <dlfcn.h>
struct part { const char *(*ask)(int probe, void **address); };
static const struct part *parts;
static int part_count;
#ifdef PLUGINS
static struct part plugins[16];
static void *handles[16];
static int plugin_count;
static PyObject *plug(PyObject *self, PyObject *args)
{
    const char *file, *function;
    int flags;
    if (!PyArg_ParseTuple(args, "sis", &file, &flags, &function)) return NULL;
    void *handle = dlopen(file, flags);
    void *found = handle == NULL ? NULL : dlsym(handle, function);
    if (found == NULL) {
        const char *error = dlerror();
        return PyErr_Format(PyExc_OSError, "%s", error == NULL ? "not loaded" : error);
    }
    handles[plugin_count] = handle;
    plugins[plugin_count].ask = (const char *(*)(int, void **))found;
    return PyLong_FromLong(part_count + plugin_count++);
}
static PyObject *find(PyObject *self, PyObject *args)
{
    int part;
    const char *name;
    if (!PyArg_ParseTuple(args, "is", &part, &name)) return NULL;
    return PyLong_FromVoidPtr(dlsym(handles[part - part_count], name));
}
#endif
static PyObject *ask(PyObject *self, PyObject *args)
{
    int part, probe;
    void *address = NULL;
    const char *place = NULL, *symbol = NULL;
    if (!PyArg_ParseTuple(args, "ii", &part, &probe)) return NULL;
    const struct part *asked = part < part_count ? &parts[part] : NULL;
#ifdef PLUGINS
    if (asked == NULL && part < part_count + plugin_count) asked = &plugins[part - part_count];
#endif
    if (asked == NULL || asked->ask == NULL) return PyUnicode_FromString("absent");
    const char *text = asked->ask(probe, &address);
    if (text == NULL) Py_RETURN_NONE;
#ifdef PLACES
    Dl_info info;
    if (address != NULL && dladdr(address, &info) != 0) place = info.dli_fname, symbol = info.dli_sname;
#endif
    return Py_BuildValue("sKzz", text, (unsigned long long)(size_t)address, place, symbol);
}
static PyMethodDef methods[] = {
    {"ask", ask, METH_VARARGS, NULL},
#ifdef PLUGINS
    {"plug", plug, METH_VARARGS, NULL},
    {"find", find, METH_VARARGS, NULL},
#endif
    {NULL, NULL, 0, NULL}
};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, NULL, NULL, -1, methods, NULL, NULL, NULL, NULL};
__attribute__((visibility("hidden"))) PyObject *fuzz_make(const char *name, const struct part *all, int count)
{
    parts = all;
    part_count = count;
    definition.m_name = name;
    return PyModule_Create(&definition);
}
"""


# Its objects, one of which an extension has.
MAKE_OPTIONS = {"make": [], "make_places": ["-DPLACES"], "make_plugins": ["-DPLUGINS"], "make_places_plugins": ["-DPLACES", "-DPLUGINS"]}


def is_pointer(name):
    """Variables are of two types, by their names: a pointer, which has to be relocated, or an array."""
    return name.startswith(("v1", "t1"))


def declare(name):
    """A declaration of NAME without `extern`, and how many bytes."""
    sort = get_sort(name)
    if sort == "process":
        return PROCESS[name][0]
    if sort in ("function", "inner"):
        return f"const char *{name}(void)"
    return f"{'__thread ' if sort == 'thread' else ''}{f'const char *{name}' if is_pointer(name) else f'char {name}[16]'}"


def define(part, name, kind):
    """C for the definition of NAME."""
    attributes = {"weak": "WEAK ", "hidden": "HIDDEN ", "protected": "PROTECTED ", "local": "static "}.get(kind, "")
    sort, owner = get_sort(name), f"{part.name}.{name}"
    if sort == "process":
        value = f"OWNED + {part.number}"
        return f"{attributes}{declare(name)} {{ return {f'(const char *)({value})' if 'char *' in declare(name).partition('(')[0] else value}; }}\n"
    if sort in ("variable", "thread"):
        if kind == "common":
            return f"{declare(name)};\n"
        if sort == "thread" and part.is_static_tls and kind in ("hidden", "local"):
            attributes += '__attribute__((tls_model("initial-exec"))) '
        return f'{attributes}{declare(name)} = "{owner}";\n'
    body = f'{{ return "{owner}"; }}\n'
    if kind == "ifunc":
        return f"""static const char *{name}_found(void) {body}
static function_t *{name}_resolve(void)
{{
    static int is_done;
    if (!is_done++) note("resolved: {owner}", 0);
    return {name}_found;
}}
{declare(name)} __attribute__((ifunc("{name}_resolve")));
"""
    if kind == "versions":
        return f"""{declare(name)};
const char *{name}_first(void) {{ return "{owner} first"; }}
const char *{name}_second(void) {{ return "{owner} second"; }}
__asm__(".symver {name}_first,{name}@V1");
__asm__(".symver {name}_second,{name}@@V2");
"""
    return f"{attributes}{declare(name)} {body}"


def call(name):
    sort = get_sort(name)
    if sort == "process":
        return f"show_owner({PROCESS[name][1]})"
    return {"function": f"{name}()", "inner": '"there"'}.get(sort, name)


def get_address(name):
    """Of the variable, or the function."""
    return f"(void *)&{name}" if is_pointer(name) else f"(void *){name}"


class Source:
    """The C of a part: its definitions, and `ask`, which answers what its references lead to."""

    def __init__(self, system, part):
        self.system, self.part = system, part
        self.top, self.cases, self.labels = [], [], []

    def probe(self, label, text):
        self.cases.append(f"    case {len(self.cases)}: {text}\n")
        self.labels.append(label)

    def refer(self, name, way):
        part, sort = self.part, get_sort(name)
        label = f"{way} {name}"
        is_own = name in part.defines
        if way == "old":
            self.top.append(f'const char *{name}_old(void);\n__asm__(".symver {name}_old,{name}@V1");\n')
            self.probe(label, f"*address = (void *){name}_old; return {name}_old();")
            return
        # What this file does not refer to itself needs no declaration.
        if way in ("default", "next"):
            handle = "(void *)0" if way == "default" else "(void *)-1"
            answer = "((function_t *)found)()" if sort == "function" else '"found"'
            if sort == "process" and way == "next":
                # Its address is that of the program's PLT for others, but not for this, if the program is not position-independent.
                called = PROCESS[name][1].replace(f"{name}(", f"((__typeof__({name}_type) *)found)(")
                declared = PROCESS[name][0].replace(name, f"{name}_type")
                self.probe(label, f'{{ extern {declared}; void *found = dlsym({handle}, "{name}"); return found == 0 ? "none" : show_owner({called}); }}')
                return
            self.probe(label, f'{{ void *found = dlsym({handle}, "{name}"); *address = found; return found == 0 ? "none" : {answer}; }}')
            return
        if not is_own or part.kind == "static":
            self.top.append(f"extern {'WEAK ' if way == 'weak' else ''}{declare(name)};\n")
        there = f"if ({get_address(name)} == 0) return \"none\"; " if way == "weak" else ""
        if way == "table":
            self.top.append(f"static void *volatile table_{name}[] = {{{get_address(name)}}};\n")
            self.probe(label, f"*address = table_{name}[0]; return {call(name)};" if sort != "function" else
                       f"*address = table_{name}[0]; return ((function_t *)table_{name}[0])();")
        else:
            self.probe(label, f"{there}*address = {get_address(name)}; return {call(name)};")

    def note(self, kind, asked):
        part = self.part
        prefix = "system" if part.is_extern else "package"
        text = f'"{prefix}: {kind} {part.name} ", '
        if asked and asked not in part.defines and asked not in (name for name, way in part.refers if way not in ("default", "next", "old")):
            self.top.append(f"extern WEAK {declare(asked)};\n")
        does = f"note({text}{f'{asked} == 0 ? 0 : {asked}()' if asked else '0'});"
        if kind == "atexit":
            self.top.append("C int atexit(void (*)(void));\n")
            return f"static void leave(void) {{ {does} }}\n__attribute__((constructor)) static void register_it(void) {{ atexit(leave); }}\n"
        attribute = {"constructor": "constructor", "late constructor": "constructor(2000)", "destructor": "destructor"}[kind]
        return f"__attribute__(({attribute})) static void {kind.replace(' ', '_')}_of_it(void) {{ {does} }}\n"

    def write(self):
        part, system = self.part, self.system
        parts = system.parts
        for name, way in part.refers:
            self.refer(name, way)
        text = '#include "fuzz.h"\n'
        if part.kind != "static":
            text += "".join(define(part, name, kind) for name, kind in part.defines.items())
        notes = "".join(self.note(*note) for note in part.notes)
        further = [f"{part.name}_more"] if part.cplusplus is not None else []
        further += [f"{need}_ask" for need in part.needs if parts[need].kind == "static"]
        ask = "".join(f"const char *{one}(int probe, void **address);\n" for one in further)
        ask += f"SHOWN const char *{part.name}_ask(int probe, void **address)\n{{\n    switch (probe) {{\n{''.join(self.cases)}    }}\n"
        labels = list(self.labels)
        for one in further:
            ask += f"    if (probe >= {len(labels)} && probe < {len(labels)} + 32) return {one}(probe - {len(labels)}, address);\n"
            labels += [f"{one} {number}" for number in range(32)]
        text += "".join(self.top) + notes + ask + "    return 0;\n}\n"
        if part.kind == "extension":
            text += self.write_module(further)
        return text, labels

    def write_module(self, declared):
        name = self.part.name
        reached = self.system.get_closure(name)
        text = "".join(f"extern WEAK const char *{one}_ask(int probe, void **address);\n" for one in reached[1:]
                       if f"{one}_ask" not in declared)
        text += "static const struct part { const char *(*ask)(int probe, void **address); } parts[] = {"
        text += ", ".join(f"{{{one}_ask}}" for one in reached)
        return text + f"""}};
HIDDEN void *fuzz_make(const char *name, const struct part *parts, int count);
SHOWN void *PyInit_{name}(void) {{ note("package: init {name}", 0); return fuzz_make("{name}", parts, {len(reached)}); }}
"""


def write_cplusplus(system, part):
    thread_local = "thread_local" in part.cplusplus
    place = "system" if part.is_extern else "package"
    text = f"#define DEFINE_NEW OWNED + {part.number}\n" if "defines" in part.new else ""
    text += f"#define NAMESPACE {system.namespace}\n#define PLACE \"{place}\"\n{'#define THREAD_LOCAL' if thread_local else ''}\n#include \"fuzz.hpp\"\nusing namespace NAMESPACE;\n"
    text += f'extern "C" HIDDEN const char *{part.name}_more(int probe, void **address)\n{{\n    switch (probe) {{\n'
    answers = ["*address = &variable; return show_number(++variable);", "return show_number(count());",
               "*address = &Held<int>::value; return show_number(++Held<int>::value);",
               "*address = &Held<char>::value; return show_number(++Held<char>::value);",
               "*address = find<int>(); return show_number(++*find<int>());", "*address = &made; return show_number(++made.n);"]
    if thread_local:
        answers.append("return show_number(++per_thread);")  # by design each thread's own, and its address is not compared
    if system.seed >= LATER:
        answers.append('*address = (void *)(int *(*)())find<int>; return "of a template";')
    if "calls" in part.new:
        answers.append("return ask_for_new(operator new(ASKED_SIZE));")
        if "-lstdc++" in part.cplusplus:
            answers.append("return ask_string_for_new();")
    return text + "".join(f"    case {number}: {answer}\n" for number, answer in enumerate(answers)) + "    }\n    return 0;\n}\n"


def write_versions(part):
    first = [name for name, kind in part.defines.items() if kind in ("versioned", "versions")]
    second = [name for name, kind in part.defines.items() if kind == "versions"]
    shown = [f"{part.name}_ask"] + ["PyInit_*"] * (part.kind == "extension")
    local = " local: *;" if part.is_closed else ""
    if not first:
        return f"{{ global: {' '.join(f'{name};' for name in shown + list(part.defines)[:1])}{local} }};\n" if part.is_closed else ""
    text = f"V1 {{ global: {' '.join(f'{name};' for name in first + shown)}{local} }};\n"
    return text + (f"V2 {{ global: {' '.join(f'{name};' for name in second)} }} V1;\n" if second else "")


class Files:
    """What a system is built from: {path: text}, commands, and the plan that scope_drive.py follows. Paths are below the
    directory where all systems are: NAME/ has the sources, site/NAME/ is the package, extern/NAME/ has libraries of the system, and
    extern-other/NAME/ such of the same names."""

    def __init__(self, system, kiln_cc, suffix):
        self.system, self.kiln_cc, self.suffix = system, kiln_cc, suffix
        self.texts, self.commands, self.copies, labels = {}, [], {}, {}
        for part in system.parts.values():
            source = Source(system, part)
            text, labels[part.name] = source.write()
            self.add(f"{part.name}.c", text)
            if part.cplusplus is not None:
                self.add(f"{part.name}_more.cc", write_cplusplus(system, part))
        # Static libraries first; those that need each other are linked twice.
        order = [*system.list_kind("static"), *reversed(system.list_kind("shared")), *system.list_kind("extension")]
        done = set()
        for part in order:
            self.build(part, done)
        for part in order:
            if any(need not in done for need in part.needs):
                raise AssertionError(part.name)
        self.copy_libraries()
        self.plan = {"package": system.name, "labels": labels, "runs": system.runs,
                     "reached": {part.name: system.get_closure(part.name) for part in system.list_kind("extension")},
                     "copies": self.copies,
                     "has_cplusplus_of_system": any(part.is_extern and part.cplusplus is not None for part in system.parts.values()),
                     "files": {part.name: self.get_place(part) for part in system.list_kind("shared", "extension")},
                     "names": [name for name in system.names if get_sort(name) != "thread"],
                     "of_process": [name for name in system.names if name in PROCESS]}

    def add(self, name, text):
        self.texts[f"{self.system.name}/{name}"] = text

    def get_directory(self, part):
        if part.is_extern:
            return f"{part.place}/{self.system.name}"
        return f"site/{self.system.name}" + ("" if part.place == "." else f"/{part.place}")

    def get_place(self, part):
        if part.kind == "static":
            return f"{self.system.name}/{part.file}"
        return f"{self.get_directory(part)}/{part.name + self.suffix if part.kind == 'extension' else part.file}"

    def compile(self, part, source, output, *more):
        is_cplusplus = source.endswith(".cc")
        compiler = part.compiler if part.compiler != "kiln-cc" else "gcc"
        if is_cplusplus:
            compiler = "clang++" if "clang++" in part.cplusplus else "g++"
        options = [option for option in part.compile_options if compiler in ("gcc", "g++") or not option.startswith("-mtls-dialect")]
        if is_cplusplus:
            options = [option for option in part.cplusplus if option.startswith("-f") and (compiler == "g++" or option != "-fno-gnu-unique")] + ["-std=c++17", "-fno-threadsafe-statics"]
        else:
            options.append("-fcommon")
        self.commands.append([compiler, "-c", "-fPIC", "-O1", "-fno-builtin", "-w", "-I.", *options, f"{self.system.name}/{source}",
                              "-o", f"{self.system.name}/{output}", *more])
        return f"{self.system.name}/{output}"

    def build(self, part, done):
        name = self.system.name
        objects = [self.compile(part, f"{part.name}.c", f"{part.name}.o")]
        if part.cplusplus is not None:
            objects.append(self.compile(part, f"{part.name}_more.cc", f"{part.name}_more.o"))
        if part.kind == "static":
            for defined, kind in part.defines.items():  # a member each: what is taken depends on who needs what
                self.add(f"{part.name}_{defined}.c", '#include "fuzz.h"\n' + define(part, defined, kind))
                objects.append(self.compile(part, f"{part.name}_{defined}.c", f"{part.name}_{defined}.o"))
            self.commands.append(["ar", "qcs", f"{name}/{part.file}", *objects])
            done.add(part.name)
            return
        missing = [need for need in part.needs if need not in done]
        self.link(part, objects, [need for need in part.needs if need in done])
        done.add(part.name)
        if missing:  # a library that needs this one, too
            for need in missing:
                self.build(self.system.parts[need], done)
            self.link(part, objects, part.needs)

    def link(self, part, objects, needs):
        parts, name = self.system.parts, self.system.name
        place = self.get_place(part)
        command = [self.kiln_cc if part.compiler == "kiln-cc" else part.compiler, "-shared", f"-fuse-ld={part.linker}", *objects]
        if part.kind == "extension":
            command.append("make" + "_places" * part.asks_places + "_plugins" * bool(part.plugins) + ".o")
        for need in needs:
            if parts[need].kind == "static":
                command.append(self.get_place(parts[need]))
            else:
                path = self.get_place(parts[need])
                directory, _, file = path.rpartition("/")
                command.append("-Wl,--as-needed" if need in part.as_needed else "-Wl,--no-as-needed")
                command += [path] if self.is_name_twice(parts[need]) else [f"-L{directory}", f"-l:{file}"]
        if part.cplusplus is not None and "-lstdc++" in part.cplusplus:
            command += ["-Wl,--no-as-needed", "-lstdc++"]
        command += [f"-L{directory}" for directory in (f"site/{name}/lib", f"extern/{name}")]
        command += [f"-Wl,-rpath-link,{directory}" for directory in (f"site/{name}/lib", f"extern/{name}")]
        extern = [f"HERE/extern/{name}"]
        paths = {"extern": extern, "extern-other": extern, "lib": ["$ORIGIN", *extern], "other": extern, ".": ["$ORIGIN", "$ORIGIN/lib", *extern]}[part.place]
        paths = [{"other": "$ORIGIN/other", "extern-other": f"HERE/extern-other/{name}"}[place] for place in self.list_other_places(part)] + paths
        if part.search and paths:
            command += [f"-Wl,-rpath,{':'.join(paths)}", f"-Wl,--{'enable' if part.search == 'runpath' else 'disable'}-new-dtags"]
        if part.kind == "shared":
            command.append(f"-Wl,-soname,{part.file}")
        versions = write_versions(part)
        if versions:
            self.add(f"{part.name}.map", versions)
            command.append(f"-Wl,--version-script={name}/{part.name}.map")
        self.commands.append([*command, *part.link_options, "-o", place])

    def is_name_twice(self, library):
        return sum(part.file == library.file for part in self.system.parts.values()) > 1

    def list_other_places(self, extension):
        """Where EXTENSION looks first, for libraries whose names are there twice."""
        places = {self.system.parts[need].place for need in extension.needs} if extension.kind == "extension" else set()
        return sorted(places & {"other", "extern-other"} | ({"other"} if extension.copies else set()))

    def copy_libraries(self):
        for part in self.system.parts.values():
            for need in sorted(part.copies):
                place = self.get_place(self.system.parts[need])
                self.copies[place.replace("/lib/", "/other/")] = place
                self.commands.append(["cp", place, place.replace("/lib/", "/other/")])

    def write(self, directory):
        """Write the files below DIRECTORY; returns the commands, which are to run there."""
        commands = [[argument.replace("HERE", str(directory)) for argument in command] for command in self.commands]
        for place in (self.system.name, *(f"site/{self.system.name}/{place}" for place in ("lib", "other")),
                      *(f"{place}/{self.system.name}" for place in ("extern", "extern-other"))):
            (directory / place).mkdir(parents=True, exist_ok=True)
        (directory / f"site/{self.system.name}/__init__.py").touch()
        plan = {**self.plan, "here": str(directory)}
        texts = {**self.texts, f"{self.system.name}/plan.json": json.dumps(plan, indent=1),
                 f"{self.system.name}/build.sh": "".join(shlex.join(command) + "\n" for command in commands)}
        for path, text in texts.items():
            (directory / path).write_text(text)
        return commands
