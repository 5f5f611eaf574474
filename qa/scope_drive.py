"""Follow the plan of a system: import its extensions and ask all parts, in a forked process for each run. Prints a transcript, a
line of JSON for each run.

usage: scope_drive.py PLAN LOG    run by the stock interpreter and by the executable (scope_fuzz.py)
"""

import ctypes
import importlib
import json
import os
import queue
import sys
import threading

LOG = 97  # a descriptor, as in fuzz.h


class Transcript:
    """What happens in one run. Addresses are compared with each other only: each is called as the reference that led to it first."""

    def __init__(self, plan):
        self.plan, self.events, self.addresses, self.modules, self.opened = plan, [], {}, {}, {}
        self.plugins = {}  # {(extension, library, way): number of the part}

    def say(self, *event):
        self.events.append(event)

    def clean(self, text):
        return text.replace(self.plan["here"], "HERE").replace(os.path.realpath(sys.executable), "PROGRAM").replace(sys.executable, "PROGRAM")

    def name_place(self, file, symbol):
        """What dladdr() says. Of the program's functions that depends on how it is linked: libpython may be a library, and a
        function of a library has its address in a program that is not position-independent. glibc does not tell the names of
        UNIQUE variables in files that have no DT_GNU_HASH; those of C++ are left out."""
        is_here = file is not None and file.startswith(self.plan["here"]) and os.path.realpath(file) != os.path.realpath(sys.executable)
        # Which of its definers has a variable that is one for the process is up to the library of the system, by design, if that is one.
        if self.plan["has_cplusplus_of_system"] and (symbol is None or symbol.startswith("_Z")):
            return None, None
        symbol = None if symbol is None or symbol.startswith("_Z") else symbol
        if not is_here:
            return None, None
        # By design equal libraries are one image, which has the path of one.
        path = os.path.relpath(file, self.plan["here"])
        return "HERE/" + self.plan["copies"].get(path, path), symbol

    def name_address(self, address, addresses, who):
        if not address:
            return None
        return "that of " + addresses[address] if address in addresses else addresses.setdefault(address, who) and "a new one"

    def ask_all(self, asked, ask, labels, only=""):
        """Ask each probe of ASKED. The addresses of thread-local variables are compared within one thread and question."""
        own = {}
        for probe, label in enumerate(labels):
            name = label.split()[-1]
            if not name.startswith(only):
                continue
            answer = ask(probe)
            if answer is None or answer == "absent":
                if answer:
                    self.say(asked, answer)
                    return
                continue
            text, address, *place = answer
            is_thread = name.startswith("t")
            place = self.name_place(*place) if place and not is_thread else ()
            self.say(asked, label, text, self.name_address(address, own if is_thread else self.addresses, f"{asked} {label}"), *place)

    def ask_extension(self, name, only=""):
        for index, part in enumerate(self.plan["reached"][name]):
            self.ask_all(f"{name} {part}", lambda probe: self.modules[name].ask(index, probe), self.plan["labels"][part], only)

    def ask_library(self, name):
        library = self.opened[name]
        function = getattr(library, f"{name}_ask")
        function.restype = ctypes.c_char_p

        def ask(probe):
            address = ctypes.c_void_p()
            text = function(probe, ctypes.byref(address))
            return text and (text.decode(), address.value or 0)

        self.ask_all(f"opened {name}", ask, self.plan["labels"][name])

    def plug(self, extension, library, way):
        """Have EXTENSION open LIBRARY by itself, and ask what its handle shows."""
        module = self.modules.get(extension)
        if module is None:
            return
        file = self.plan["files"][library]
        is_path = way in ("path", "lazy")
        package = f"site/{self.plan['package']}/"
        if is_path and file.startswith(package):
            file = os.path.join(os.path.dirname(module.__file__), file[len(package):])
        else:
            file = os.path.join(self.plan["here"], file) if is_path else os.path.basename(file)
        flags = {"lazy": os.RTLD_LAZY, "loaded": os.RTLD_NOW | os.RTLD_NOLOAD}.get(way, os.RTLD_NOW)
        plugin = self.plugins[extension, library, way] = module.plug(file, flags, f"{library}_ask")
        self.ask_plugin(extension, library, way)
        for name in self.plan["names"]:
            found = module.find(plugin, name)
            # A library's function has its own address to this, and may have that of the program's PLT to others.
            self.say("find", extension, library, name, found != 0 if name in self.plan["of_process"]
                     else self.name_address(found, self.addresses, f"found {library} {name}"))

    def ask_plugin(self, extension, library, way, only=""):
        plugin = self.plugins[extension, library, way]
        self.ask_all(f"{extension} {library} {way}", lambda probe: self.modules[extension].ask(plugin, probe), self.plan["labels"][library], only)

    def do(self, step, name):
        if step == "import":
            self.modules[name] = importlib.import_module(f"{self.plan['package']}.{name}")
            self.ask_extension(name)
        elif step == "open":
            self.opened[name] = ctypes.CDLL(os.path.join(self.plan["here"], self.plan["files"][name]))
            self.ask_library(name)
        elif step == "plug":
            self.plug(*name.split())
        elif step == "flags":
            sys.setdlopenflags(add_flags(name))

    def try_to_do(self, step, name):
        os.write(LOG, f"step {step} {name}\n".encode())
        self.say(step, name)
        try:
            self.do(step, name)
        except (ImportError, OSError, AttributeError) as error:
            path = getattr(error, "path", None)
            self.say("error", type(error).__name__, self.clean(str(error)), getattr(error, "name", None), path and self.clean(path))

    def look_into_process(self):
        """What everybody sees: nothing of an extension's."""
        process = ctypes.CDLL(None)
        for name in self.plan["names"]:
            try:
                address = ctypes.cast(getattr(process, name), ctypes.c_void_p).value
            except AttributeError:
                self.say("process", name, "none")
            else:
                self.say("process", name, self.name_address(address, self.addresses, f"process {name}"))

    def ask_again(self):
        for name in self.modules:
            self.ask_extension(name)
        for plugin in self.plugins:
            self.ask_plugin(*plugin)

    def ask_for_thread_variables(self):
        for name in self.modules:
            self.ask_extension(name, "t")
        for plugin in self.plugins:
            self.ask_plugin(*plugin, "t")

    def run(self, steps):
        calls = queue.Queue()

        def serve():
            while call := calls.get():
                call()

        early = None
        for step, name in steps:
            if step == "early":  # a thread that is there before anything is imported
                early = threading.Thread(target=serve)
                early.start()
            else:
                self.try_to_do(step, name)
        self.ask_again()
        for thread in (early, threading.Thread(target=serve)):
            if thread is not None:
                self.say("in a thread")
                if thread is not early:
                    thread.start()
                calls.put(self.ask_for_thread_variables)
                calls.put(None)
                thread.join()
        self.look_into_process()


def add_flags(names):
    return sum(getattr(os, name) for name in names.split("|"))


def run_apart(plan, steps, log):
    """A run in a child, which ends as a program does. Returns (status, its events, its notes in LOG)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.dup2(os.open(log, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND), LOG)
        transcript = Transcript(plan)
        with open(writing, "w") as said:
            transcript.run(steps)
            json.dump(transcript.events, said)
        sys.exit()
    os.close(writing)
    with open(reading) as said:
        events = said.read()
    status = os.waitpid(child, 0)[1]
    with open(log) as notes:
        return status, json.loads(events) if events else None, notes.read().splitlines()


def main():
    with open(sys.argv[1]) as file:
        plan = json.load(file)
    sys.path.insert(0, os.path.join(plan["here"], "site"))
    for number, steps in enumerate(plan["runs"]):
        status, events, notes = run_apart(plan, steps, f"{sys.argv[2]}.{number}")
        print(json.dumps({"status": status, "events": events, "notes": notes}), flush=True)


main()
