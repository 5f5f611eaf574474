"""Random small systems of extensions and libraries for scope_fuzz.py: who defines, needs and refers to what.

A seed decides all of a system. Every decision has a key and a random generator of its own, seeded with both. So one can be taken
back (`without`) while the others stay as they are: that is how scope_fuzz.py makes a system that fails smaller.

The few names are those of everybody, also of the other systems in the same executable, which must not disturb each other. Every
definition answers who it belongs to. What unlinking does differently on purpose (docs/unlinking.md, "Differences that were chosen")
is not made here, or is left out of what is compared; comments say where.

A seed that has shown something is to stay the system that it is (tests/scope_seeds.txt). What was added later is therefore in systems
from the seed LATER on only.
"""

import dataclasses
import random

FUNCTIONS = {"f0": 1, "f1": 1, "f2": 0.5, "f3": 0.4}  # how often a system has the name
VARIABLES = {"v0": 1, "v1": 0.4, "v2": 0.3}
THREAD_VARIABLES = {"t0": 0.5, "t1": 0.15}
# Names of the program and of the libraries it starts with: C declaration, and an expression that calls it.
PROCESS = {
    "getpid": ("int getpid(void)", "getpid()"),
    "random": ("long random(void)", "random()"),
    "cbrt": ("double cbrt(double x)", "(long)cbrt(8)"),
    "crc32": ("unsigned long crc32(unsigned long crc, const unsigned char *data, unsigned size)", "(long)crc32(0, 0, 0)"),
    "XML_ExpatVersion": ("const char *XML_ExpatVersion(void)", "(long)XML_ExpatVersion()"),
    "Py_GetVersion": ("const char *Py_GetVersion(void)", "(long)Py_GetVersion()"),
}
# Names inside libpython that no interpreter exports, and one that nobody defines. They are not called.
INNER = ["_PyArg_Fini", "PyAST_obj2mod", "nobody"]

KINDS = {
    "function": {"strong": 8, "weak": 3, "hidden": 2, "protected": 2, "local": 2, "ifunc": 2, "versioned": 2, "versions": 1},
    "variable": {"strong": 7, "weak": 3, "hidden": 2, "protected": 1, "local": 1, "versioned": 1, "common": 1},
    "thread": {"strong": 5, "weak": 2, "hidden": 1, "local": 1},
    "process": {"strong": 5, "weak": 2, "hidden": 1, "protected": 1},
    "inner": {"strong": 3, "weak": 2, "hidden": 1},
}
# How a name is referred to: by code, by a table in data, weakly, or by dlsym() with RTLD_DEFAULT or RTLD_NEXT. By design dlsym()
# does not find thread-local variables.
WAYS = {
    "function": {"call": 6, "table": 3, "weak": 2, "default": 1, "next": 1},
    "variable": {"call": 6, "table": 3, "weak": 2, "default": 1, "next": 1},
    "thread": {"call": 1},
    "process": {"call": 3, "table": 2, "weak": 1, "default": 1, "next": 1},
    "inner": {"weak": 1},
}
SEEN = {"strong", "weak", "protected", "ifunc", "versioned", "versions", "common"}  # what others see
LINKERS = ["bfd", "gold", "lld", "mold"]
LATER = 1000


def get_sort(name):
    if name in PROCESS:
        return "process"
    return "inner" if name in INNER else {"f": "function", "v": "variable", "t": "thread"}[name[0]]


class Choices:
    """The decisions of one seed. TAKEN are the keys of those that can be taken back."""

    def __init__(self, seed, without=()):
        self.seed, self.without, self.taken = seed, frozenset(without), []

    def _draw(self, key):
        return random.Random(f"{self.seed} {key}")

    def has(self, key, probability):
        if self._draw(key).random() >= probability or key in self.without:
            return False
        self.taken.append(key)
        return True

    def has_later(self, key, probability):
        return self.seed >= LATER and self.has(key, probability)

    def choose(self, key, weights):
        """One of WEIGHTS, a list or {item: how often}."""
        if not isinstance(weights, dict):
            weights = dict.fromkeys(weights, 1)
        return self._draw(key).choices(list(weights), list(weights.values()))[0]

    def order(self, key, items):
        return sorted(items, key=lambda item: self._draw(f"{key} {item}").random())


@dataclasses.dataclass
class Part:
    """An extension or a library."""
    name: str
    number: int
    kind: str  # "extension", "shared" or "static"
    place: str = "lib"  # of the file: a directory in the package, or one of the system's libraries, see is_extern
    file: str = ""
    compiler: str = "gcc"
    linker: str = "bfd"
    needs: list = dataclasses.field(default_factory=list)  # names, in the order of the command line
    as_needed: set = dataclasses.field(default_factory=set)
    defines: dict = dataclasses.field(default_factory=dict)  # {name: kind}
    refers: list = dataclasses.field(default_factory=list)  # [(name, way)]
    compile_options: list = dataclasses.field(default_factory=list)
    link_options: list = dataclasses.field(default_factory=list)
    search: str = ""  # "rpath", "runpath" or ""
    notes: list = dataclasses.field(default_factory=list)  # what it logs: [(kind, name that it asks or "")]
    is_closed: bool = False  # its version script has "local: *"
    is_static_tls: bool = False
    cplusplus: list = None  # compiler options of a part in C++
    new: set = dataclasses.field(default_factory=set)  # what it does with `operator new`: "defines", "calls"
    copies: set = dataclasses.field(default_factory=set)  # of what it needs, it finds these elsewhere
    plugins: list = dataclasses.field(default_factory=list)  # [(library, way)]: what it opens by itself
    is_plain: bool = False  # an extension that is to be baked from its objects: needs no library, has no destructors, ...
    asks_places: bool = True  # by dladdr()

    def shows(self, name):
        return self.defines.get(name) in SEEN

    @property
    def is_extern(self):
        return self.place.startswith("extern")

    def has_new(self):
        return "defines" in self.new or "-lstdc++" in (self.cplusplus or ())


@dataclasses.dataclass
class System:
    seed: int
    name: str
    parts: dict  # {name: Part}
    names: list
    namespace: str  # of what is UNIQUE
    runs: list  # of lists of steps
    removed: dict  # {name of a library: "before" or "after" linking}
    keys: list  # what can be left out

    def get_closure(self, name, is_linked=True):
        """What NAME brings, itself first, breadth first; static libraries are part of who is linked with them."""
        found = [name]
        for one in found:
            found += [need for need in self.parts[one].needs if need not in found]
        return found

    def is_copied(self, library):
        """By design a file and its copy are one image, whichever path it is opened by."""
        return any(library.name in part.copies for part in self.parts.values())

    def can_be_opened(self, library):
        """By design a library of the package has its UNIQUE variables from a library of the system that all its extensions bring, and
        brings that, too, when it is opened by itself."""
        closure = self.get_closure(library.name)
        brought = any(self.parts[name].cplusplus is not None for name in closure)
        lacks = any(part.is_extern and part.cplusplus is not None and part.name not in closure for part in self.parts.values())
        return self.seed < LATER or not (brought and lacks)

    def all_show(self, scopes, name):
        return all(any(self.parts[one].shows(name) for one in scope) for scope in scopes)

    def list_kind(self, *kinds):
        return [part for part in self.parts.values() if part.kind in kinds]


def choose_names(choices):
    """Most systems have names of their own. What stays a file may look for its weak references anywhere, so who defines them stays one,
    too, and a batch of systems with the same names would be files, most of them."""
    suffix = "" if choices.has("common names", 0.25) else f"_{choices.seed}"
    names = [name + suffix for names in (FUNCTIONS, VARIABLES, THREAD_VARIABLES) for name, often in names.items() if choices.has(name, often)]
    names += [name for name in PROCESS if choices.has(name, 0.12)]
    return names + [name for name in INNER if choices.has(name, 0.15)]


def choose_parts(choices):
    parts = {}
    for number, letter in enumerate("abcd"):
        if choices.has(f"_{letter}", 1 if letter in "ab" else 0.4):
            compiler = choices.choose(f"_{letter} compiler", {"kiln-cc": 5, "gcc": 2, "clang": 1})
            name = f"_{letter}{choices.seed if choices.seed >= LATER else ''}"  # "needed by its name" is about all of that name
            part = parts[name] = Part(name, number, "extension", ".", compiler=compiler)
            part.is_plain = choices.has_later(f"{name} plain", 0.2)
            part.asks_places = not part.is_plain and not choices.has_later(f"{name} without places", 0.4)
    for number, letter in enumerate("12345"):
        name = f"lib{letter}"
        if choices.has(name, 0.9 - 0.15 * number):
            part = parts[name] = Part(name, number + 4, "static" if choices.has(f"{name} static", 0.25) else "shared")
            part.compiler = choices.choose(f"{name} compiler", {"gcc": 3, "clang": 1})
            if part.kind == "shared" and choices.has(f"{name} extern", 0.2):
                part.place = "extern"
    sonames = "" if choices.has("common sonames", 0.05) else f"-{choices.seed}"
    for part in parts.values():
        part.linker = choices.choose(f"{part.name} linker", LINKERS)
        part.file = f"{part.name}.a" if part.kind == "static" else f"{part.name}{sonames}.so"
    return parts


def choose_needs(choices, parts):
    """An extension needs any of the libraries, a library some of those behind it; now and then the other way, too."""
    libraries = [part for part in parts.values() if part.kind != "extension"]
    for part in parts.values():
        for library in libraries:
            is_extension = part.kind == "extension"
            often = 0.5 if is_extension else 0.3 if library.number > part.number else 0.04
            # A library of the system needs none of a package.
            if part is library or (part.is_extern and not library.is_extern) or (part.kind == library.kind == "static"):
                continue
            if library.number < part.number and library.kind == "static" and not is_extension:
                continue
            if part.is_plain and library.kind == "shared":
                continue
            if choices.has(f"{part.name} needs {library.name}", often):
                part.needs.append(library.name)
                if library.kind == "shared" and choices.has(f"{part.name} as-needed {library.name}", 0.25):
                    part.as_needed.add(library.name)
        part.needs = choices.order(f"{part.name} needs", part.needs)
        if part.kind == "static":
            part.needs = []
    choose_namesakes(choices, parts)
    first, second, *_ = [*parts, ""]
    if second.startswith("_b") and choices.has("_b needs _a", 0.06):
        parts[second].needs.append(first)


def choose_namesakes(choices, parts):
    """Some of who need a library of the package find another one of its DT_SONAME instead, as in another package or in the system, or
    an equal file. Who is loaded first has the one that the process gets."""
    for library in [part for part in parts.values() if part.kind == "shared" and not part.is_extern]:
        users = [part for part in parts.values() if library.name in part.needs and part.kind == "extension"]
        if len(users) < 2 or not choices.has_later(f"{library.name} namesake", 0.3):
            continue
        user = parts[choices.choose(f"{library.name} namesake user", [part.name for part in users])]
        if choices.has(f"{library.name} copied", 0.4):
            user.copies.add(library.name)
            continue
        place = choices.choose(f"{library.name} namesake place", {"other": 3, "extern-other": 1})
        name = f"{library.name}n"
        parts[name] = dataclasses.replace(library, name=name, number=library.number + 10, place=place, defines={}, refers=[], compile_options=[],
                                          link_options=[], notes=[], needs=[need for need in library.needs if parts[need].is_extern], as_needed=set())
        user.needs[user.needs.index(library.name)] = name


def choose_plugins(choices, system, part):
    """What an extension opens: by its path, or by its name alone, which finds what is loaded or what the search path of the extension
    leads to. By design RTLD_GLOBAL is for files only."""
    for library in filter(system.can_be_opened, system.list_kind("shared")):
        if not part.is_plain and choices.has_later(f"{part.name} opens {library.name}", 0.15):
            ways = {"name": 3, "loaded": 1} if system.is_copied(library) else {"path": 4, "name": 3, "lazy": 1, "loaded": 1}
            part.plugins.append((library.name, choices.choose(f"{part.name} opens {library.name} way", ways)))


def choose_definitions(choices, part, names):
    for name in names:
        sort = get_sort(name)
        often = {"process": 0.3, "inner": 0.3}.get(sort, 0.35 if part.kind == "extension" else 0.45)
        if name != "nobody" and choices.has(f"{part.name} defines {name}", often):
            kind = choices.choose(f"{part.name} defines {name} kind", KINDS[sort])
            kind = "strong" if part.is_plain and kind == "ifunc" else kind
            if part.kind == "static" and kind in ("versioned", "versions", "local"):
                kind = "strong"
            part.defines[name] = kind


def choose_references(choices, system, part):
    """A strong reference to what some extension's scope lacks is rare: that extension then fails."""
    roots = [system.get_closure(root.name) for root in system.list_kind("extension", "shared")]
    scopes = [scope for scope in roots if part.name in scope]
    for name in system.names:
        sort = get_sort(name)
        if not choices.has(f"{part.name} refers {name}", 0.6):
            continue
        way = choices.choose(f"{part.name} refers {name} way", WAYS[sort])
        # By design: who asks from a library of the system is not known, nor what it was loaded for. Objects do not ask so.
        if (part.is_extern or part.is_plain) and way in ("default", "next"):
            way = "call"
        is_found = system.all_show(scopes, name) or sort == "process"
        users = [scope for scope in scopes if scope[0] != part.name]
        if users and not is_found and system.all_show(users, name):
            is_found = choices.has_later(f"{part.name} underlinked {name}", 0.05 if part.is_extern else 0.3)  # opened by itself, it fails
        if name not in part.defines and not is_found and way in ("call", "table"):
            if sort == "thread":
                continue
            if choices.has(f"{part.name} lacks {name}", 0.01):
                name = name if choices.has_later(f"{part.name} lacks {name} of others", 0.5) else f"{name}_of_nobody"
            else:
                way = "weak"
        if way == "weak" and name in part.defines:
            way = "call"
        part.refers.append((name, way))
        needed = [system.parts[need] for need in part.needs]
        if any(need.defines.get(name) == "versions" for need in needed) and name not in part.defines and choices.has(f"{part.name} old {name}", 0.5):
            part.refers.append((name, "old"))
    if part.cplusplus is not None and all(any(system.parts[one].has_new() for one in scope) for scope in scopes):
        if choices.has_later(f"{part.name} calls operator new", 0.6):
            part.new.add("calls")


def choose_options(choices, part):
    name = part.name
    if choices.has(f"{name} symbolic", 0.2):
        part.link_options.append(choices.choose(f"{name} symbolic kind", ["-Wl,-Bsymbolic", "-Wl,-Bsymbolic-functions"]))
    for option, often in (("-fno-plt", 0.15), ("-O0", 0.1), ("-fvisibility=hidden", 0.07)):
        if choices.has(f"{name} {option}", often):
            part.compile_options.append(option)
    if part.compiler != "clang" and choices.has(f"{name} -mtls-dialect=gnu2", 0.1):
        part.compile_options.append("-mtls-dialect=gnu2")
    # A variable that others define as well may be reached so only if nothing has loaded its library without; the executable always can.
    part.is_static_tls = choices.has(f"{name} static TLS", 0.15)
    for option, often in (("-Wl,-z,now", 0.2), ("-Wl,-z,norelro", 0.1), ("-Wl,--hash-style=sysv", 0.1), ("-Wl,-z,nodelete", 0.05),
                          ("-Wl,--exclude-libs,ALL", 0.1), ("-Wl,-z,initfirst", 0.015), ("-Wl,--gc-sections", 0.05)):
        if choices.has(f"{name} {option}", often):
            part.link_options.append(option)
    part.is_closed = choices.has(f"{name} closed", 0.12)
    often = {"runpath": 6, "rpath": 3, "": 0 if part.kind == "extension" else 1}
    part.search = choices.choose(f"{name} search", often)


def choose_notes(choices, part, names):
    """Constructors and destructors, and functions that these ask while they run."""
    functions = [name for name in names if get_sort(name) == "function"] + [""]
    for kind, often in (("constructor", 0.6), ("late constructor", 0.1), ("destructor", 0.4), ("atexit", 0.15)):
        if not (part.is_plain and kind == "destructor") and choices.has(f"{part.name} {kind}", often):
            part.notes.append((kind, choices.choose(f"{part.name} {kind} asks", functions)))


def choose_cplusplus(choices, part):
    if not part.is_plain and choices.has(f"{part.name} C++", 0.3):
        part.cplusplus = []
        # clang has no UNIQUE: what it makes is weak. libstdc++ is a library of the system.
        for option, often in (("clang++", 0.15), ("-fvisibility=hidden", 0.2), ("-fvisibility-inlines-hidden", 0.2), ("-fno-gnu-unique", 0.15),
                              ("-lstdc++", 0.3), ("thread_local", 0.1)):
            if choices.has(f"{part.name} C++ {option}", often):
                part.cplusplus.append(option)
        # Not in a static library: two of them could not be linked together.
        if part.kind != "static" and choices.has_later(f"{part.name} defines operator new", 0.15):
            part.new.add("defines")


def choose_runs(choices, system):
    extensions = [part.name for part in system.list_kind("extension")]
    libraries = [part.name for part in system.list_kind("shared") if not system.is_copied(part) and system.can_be_opened(part)]
    plugins = {name: [("plug", f"{name} {library} {way}") for library, way in system.parts[name].plugins] for name in extensions}
    runs = []
    for number in range(3):
        key = f"run{number}"
        if not choices.has(key, (1, 0.9, 0.4)[number]):
            continue
        steps = [("import", name) for name in extensions if choices.has(f"{key} imports {name}", 0.9)]
        steps += [("open", name) for name in libraries if choices.has(f"{key} opens {name}", 0.06)]
        steps = choices.order(key, steps)
        steps = [one for step in steps for one in [step, *(plugins.get(step[1], []) if step[0] == "import" else [])]]
        # By design RTLD_GLOBAL is for files only, so no other flags.
        if choices.has(f"{key} lazy", 0.05):
            steps.insert(0, ("flags", "RTLD_LAZY"))
        if choices.has(f"{key} early", 0.3):
            steps.insert(0, ("early", ""))
        runs.append(steps)
    return runs


def make_system(seed, without=()):
    choices = Choices(seed, without)
    name = f"s{seed}"
    system = System(seed, name, choose_parts(choices), choose_names(choices), f"of_{name}", [], {}, choices.taken)
    choose_needs(choices, system.parts)
    for part in system.parts.values():
        choose_definitions(choices, part, system.names)
        choose_options(choices, part)
        choose_cplusplus(choices, part)
        if part.kind != "static":  # who is linked with it may be a library of the system
            choose_notes(choices, part, system.names)
    for part in system.parts.values():
        choose_references(choices, system, part)
    for part in system.list_kind("extension"):
        choose_plugins(choices, system, part)
    system.runs = choose_runs(choices, system)
    for part in system.list_kind("shared"):
        # Of a package, a library that is in the executable need not be there any more. LD_LIBRARY_PATH is not set: a library that is
        # found by nothing else is missing for `kiln link`, which takes what needs it to fail, whatever else it needs.
        if choices.has(f"{part.name} removed", 0.02):
            is_after = part.is_extern and choices.has(f"{part.name} removed after", 0.5)
            system.removed[part.name] = "after" if is_after else "before"
    return system
