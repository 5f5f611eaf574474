/* Asking an interpreter about itself. A script on its standard input prints strings "key=value", each
 * ended by a NUL byte, as a path may contain any other; a key that has several values comes several
 * times. */
#include "link/find/python.h"

#include <elf.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "kiln/internal/python_code.h"
#include "names/init_symbol.h"

/* Runs on every supported version, with the current directory off sys.path before anything but
 * built-in modules is imported. */
static const char SCRIPT[] =
    "import sys\n"
    "sys.path = [p for p in sys.path if p]\n"
    "import importlib.machinery, os, sysconfig\n"
    "def say(key, value):\n"
    "    if value is not None:\n"
    "        line = (key + '=' + str(value)).encode('utf-8', 'surrogateescape')\n"
    "        sys.stdout.buffer.write(line + b'\\0')\n"
    "sys.stdout.buffer.write(b'\\0')\n" /* whatever sitecustomize printed ends here */
    "get = sysconfig.get_config_var\n"
    "say('implementation', sys.implementation.name)\n"
    "say('hexversion', sys.hexversion)\n"
    "say('executable', sys.executable)\n"
    "say('version', '%d.%d.%d' % sys.version_info[:3])\n"
    "say('identity', sys.version + sysconfig.get_platform() + getattr(sys, 'abiflags', ''))\n"
    "say('machine', os.uname().machine)\n"
    "say('baked', '_kiln' in sys.builtin_module_names)\n"
    "say('include', sysconfig.get_path('include'))\n"
    "dirs = [get('LIBPL'), get('LIBDIR')]\n"
    "if get('MULTIARCH'):\n"
    "    dirs.append(os.path.join(get('LIBDIR') or '', get('MULTIARCH')))\n"
    "dirs.append(os.path.join(sys.base_prefix, 'lib'))\n"
    "def find(name):\n"
    "    for d in dirs:\n"
    "        p = os.path.join(d or '', name or '')\n"
    "        if d and name and os.path.isfile(p):\n"
    "            return p\n"
    "stem = 'libpython%d.%d%s' % (sys.version_info[:2] + (getattr(sys, 'abiflags', ''),))\n"
    "say('static_library', find(stem + '.a'))\n"
    "dirs = dirs[1:]\n"
    "say('shared_library', find(stem + '.so'))\n"
    "for var in 'LIBS', 'SYSLIBS', 'MODLIBS':\n"
    "    for word in (get(var) or '').split():\n"
    "        if word.startswith('-'):\n"
    "            say('lib', word)\n"
    "for suffix in importlib.machinery.EXTENSION_SUFFIXES:\n"
    "    say('suffix', suffix)\n"
    "for name in getattr(sys, 'stdlib_module_names', sys.builtin_module_names):\n"
    "    say('reserved', name)\n"
    "std = {os.path.realpath(sysconfig.get_path(k)) for k in ('stdlib', 'platstdlib')}\n"
    "dynload = {os.path.join(d, 'lib-dynload') for d in std}\n"
    "for p in sys.path:\n"
    "    if os.path.isdir(p):\n"
    "        say('search_path', os.path.abspath(p))\n"
    "        real = os.path.realpath(p)\n"
    "        if real in dynload:\n"
    "            say('dynload', os.path.abspath(p))\n"
    "            for file in os.listdir(p):\n"
    "                say('reserved', file.partition('.')[0])\n"
    "        elif real not in std:\n"
    "            say('path', os.path.abspath(p))\n"
    /* Editable installs that are no entries of sys.path have finders: those of setuptools, and of the package
     * "editables", tell their names, and scikit-build-core's extensions are in site-packages. Where a name is, is
     * asked as importlib does; others may build the project when they are asked. */
    "def find_spec(name):\n"
    "    parent, path = name.rpartition('.')[0], None\n"
    "    if parent:\n"
    "        path = find_spec(parent).submodule_search_locations\n"
    "    for finder in sys.meta_path:\n"
    "        spec = hasattr(finder, 'find_spec') and finder.find_spec(name, path, None)\n"
    "        if spec:\n"
    "            return spec\n"
    "for finder in list(sys.meta_path):\n"
    "    owner = getattr(finder, '__module__', type(finder).__module__)\n"
    "    module = sys.modules.get(owner)\n"
    "    tables = [getattr(module, 'MAPPING', None), getattr(module, 'NAMESPACES', None),\n"
    "              getattr(finder, '_redirections', None)]\n"
    "    names = {name for table in tables if table for name in table}\n"
    "    if tables == [None] * 3 and 'editable' in owner and not hasattr(finder, "
    "'known_wheel_files'):\n"
    "        say('unlisted', owner)\n"
    "    for name in sorted(names):\n"
    "        try:\n"
    "            spec = find_spec(name)\n"
    "            for place in spec.submodule_search_locations or [spec.origin]:\n"
    "                say('editable', name + '=' + os.path.abspath(place))\n"
    "        except Exception:\n"
    "            say('unlisted', name)\n"
    /* The sources are arguments. Version 2 of the format depends on the code alone. */
    "import marshal\n"
    "say('code', sys.version)\n"
    "files = '" KILN_FILE_OF_EXTERNAL "', '" KILN_FILE_OF_BOOTSTRAP "'\n"
    "for file, source in zip(files, sys.argv[1:]):\n"
    "    say('code', marshal.dumps(compile(source, file, 'exec', dont_inherit=True), 2).hex())\n"
    "sys.stdout.flush()\n";

/* The member for each key of the answer: a string, or a list to push to. */
static const struct {
    const char *key;
    size_t string, list;
} FIELDS[] = {
    {"executable", offsetof(struct kiln_python, executable), 0},
    {"version", offsetof(struct kiln_python, version), 0},
    {"identity", offsetof(struct kiln_python, identity), 0},
    {"include", offsetof(struct kiln_python, include), 0},
    {"static_library", offsetof(struct kiln_python, static_library), 0},
    {"shared_library", offsetof(struct kiln_python, shared_library), 0},
    {"lib", 0, offsetof(struct kiln_python, libs)},
    {"suffix", 0, offsetof(struct kiln_python, suffixes)},
    {"path", 0, offsetof(struct kiln_python, path)},
    {"dynload", 0, offsetof(struct kiln_python, dynload)},
    {"search_path", 0, offsetof(struct kiln_python, search_path)},
    {"editable", 0, offsetof(struct kiln_python, editables)},
    {"unlisted", 0, offsetof(struct kiln_python, unlisted)},
    {"reserved", 0, offsetof(struct kiln_python, reserved)},
    {"code", 0, offsetof(struct kiln_python, code)},
};

static void
take_answer(struct kiln_ctx *ctx, struct kiln_python *out, const char *key, size_t key_len,
            const char *value)
{
    for (size_t i = 0; i < sizeof FIELDS / sizeof FIELDS[0]; i++) {
        if (strlen(FIELDS[i].key) != key_len || memcmp(FIELDS[i].key, key, key_len) != 0) {
            continue;
        }
        if (FIELDS[i].list != 0) {
            kiln_strings_push(&ctx->arena, (void *)((char *)out + FIELDS[i].list), value);
        }
        else {
            memcpy((char *)out + FIELDS[i].string, &value, sizeof value);
        }
    }
}

/* PATH may be a link to the executable, or, in a venv, a chain of them. */
static bool
is_pie(struct kiln_ctx *ctx, const char *path)
{
    struct kiln_file file;
    uint8_t type[2] = {0};
    bool pie = kiln_file_map(ctx, path, &file) == 0 &&
               kiln_span_read(file.bytes, offsetof(Elf64_Ehdr, e_type), type, sizeof type) &&
               type[0] == ET_DYN;
    kiln_file_release(&file);
    return pie;
}

int
kiln_python_ask(struct kiln_ctx *ctx, const char *command, struct kiln_python *out)
{
    *out = (struct kiln_python){0};
    command = kiln_process_get_python(ctx, command);
    struct kiln_process process = {.input = kiln_span_of_string(SCRIPT),
                                   .out_mode = KILN_STREAM_CAPTURE,
                                   .err_mode = KILN_STREAM_CAPTURE};
    kiln_strings_push(&ctx->arena, &process.argv, command);
    kiln_strings_push(&ctx->arena, &process.argv, "-");
    kiln_strings_push(&ctx->arena, &process.argv, KILN_SOURCE_LOADER);
    kiln_strings_push(&ctx->arena, &process.argv, KILN_SOURCE_IMPORT);
    int result = kiln_process_check(ctx, &process, "cannot ask the Python about itself");
    if (result < 0) {
        return result;
    }

    const char *implementation = "", *hexversion = "0", *machine = "", *baked = "";
    uint64_t offset = 0;
    for (const char *line; (line = kiln_span_get_string(process.out, offset)) != NULL;
         offset += strlen(line) + 1)
    {
        const char *equals = strchr(line, '=');
        if (equals == NULL) {
            continue;
        }
        take_answer(ctx, out, line, (size_t)(equals - line), equals + 1);
        if (kiln_starts_with(line, "implementation=")) {
            implementation = equals + 1;
        }
        else if (kiln_starts_with(line, "hexversion=")) {
            hexversion = equals + 1;
        }
        else if (kiln_starts_with(line, "machine=")) {
            machine = equals + 1;
        }
        else if (kiln_starts_with(line, "baked=")) {
            baked = equals + 1;
        }
    }
    if (strcmp(implementation, "cpython") != 0 || strtoul(hexversion, NULL, 10) < 0x03080000) {
        return kiln_fail(ctx, KILN_ERR_INPUT, "%s: Kiln needs CPython 3.8 or later; this is %s %s",
                         command, *implementation == '\0' ? "no Python" : implementation,
                         out->version == NULL ? "" : out->version);
    }
    if (strcmp(baked, "True") == 0) {
        return kiln_fail(ctx, KILN_ERR_INPUT,
                         "%s: was made by Kiln; name the Python that it was made of", command);
    }
    const char *header = kiln_arena_printf(&ctx->arena, "%s/Python.h", out->include);
    if (access(header, R_OK) < 0) {
        return kiln_fail(ctx, KILN_ERR_INPUT,
                         "%s: not found; install the development files of Python %s", header,
                         out->version);
    }
    /* Under linux32, uname() gives another name. */
    out->machine = kiln_machine_find_kernel(machine);
    if (out->machine == NULL) {
        out->machine = kiln_machine_get_native();
    }
    out->pie = is_pie(ctx, out->executable);
    out->init = strtoul(hexversion, NULL, 10) < 0x030f0000 ? NULL : kiln_init_export_first;
    return 0;
}
