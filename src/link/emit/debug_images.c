/* `--split-debug`, of extensions that were unlinked: their debug information for gdb.
 *
 * An image keeps all distances of its file, so the file's debug information is right for it but for one number, the
 * address of the image. gdb can be told that (`add-symbol-file FILE -o ADDRESS`), which is better than to relocate
 * the information: gdb reads every form of it there is, and what other tools write is copied, not understood.
 *
 * OUTPUT.debug.d/ has copies of the debug information, as the files of a virtual environment come and go.
 * OUTPUT-gdb.gdb is the script that adds them; its name is the one that gdb looks for beside a program. It needs gdb's
 * Python, as only that is told when a position-independent program has got its place. The script names the build ID of
 * the program, and the names of the copies have a hash of their contents in them, so those of another link are
 * ignored. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "fat/fat.h"
#include "kiln/table.h"
#include "link/emit/emit.h"
#include "link/find/debug_file.h"
#include "unlink/unlink.h"

/* Longer names are cut: the hash tells them apart. */
enum { NAME_MAX_LEN = 100 };

const char *
kiln_bake_get_debug_dir(struct kiln_ctx *ctx, const char *output)
{
    return kiln_arena_printf(&ctx->arena, "%s.d", kiln_bake_get_debug_path(ctx, output));
}

const char *
kiln_bake_get_debug_script(struct kiln_ctx *ctx, const char *output)
{
    return kiln_arena_printf(&ctx->arena, "%s-gdb.gdb", output);
}

/* -- The copies -- */

/* A name for the copy of FILE, of characters that nobody has to escape. NULL if FILE cannot be read, which has been
 * reported. */
static const char *
make_name(struct kiln_ctx *ctx, const struct kiln_unlink_image *image, const char *path)
{
    struct kiln_file file;
    if (kiln_file_map(ctx, path, &file) < 0) {
        return NULL;
    }
    uint64_t hash = kiln_table_hash(KILN_TABLE_K1, (const char *)file.bytes.ptr, file.bytes.len);
    kiln_file_release(&file);
    char *name = kiln_arena_printf(&ctx->arena, "%.*s", NAME_MAX_LEN, image->name);
    for (char *c = name; *c != '\0'; c++) {
        bool is_plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                        (*c >= '0' && *c <= '9') || *c == '.' || *c == '-' || *c == '_';
        *c = is_plain ? *c : '_';
    }
    return kiln_arena_printf(&ctx->arena, "%s-%016llx.debug", name, (unsigned long long)hash);
}

/* What objcopy does not understand is left out with a warning: it is another's file, and the executable is as good
 * without. *IS_COPIED tells. */
static int
copy_debug(struct kiln_ctx *ctx, const struct kiln_bake *bake, const char *from, const char *to,
           bool *is_copied)
{
    struct kiln_process objcopy = {.out_mode = KILN_STREAM_DROP, .err_mode = KILN_STREAM_CAPTURE};
    const char *const argv[] = {
        kiln_machine_get_tool(ctx, bake->python.machine, "objcopy"),
        "--only-keep-debug",
        "--remove-section=" KILN_FAT_SECTION,
        kiln_file_absolute(ctx, from), /* does not begin with a dash */
        to,
    };
    for (size_t i = 0; i < sizeof argv / sizeof argv[0]; i++) {
        kiln_strings_push(&ctx->arena, &objcopy.argv, argv[i]);
    }
    int result = kiln_process_run(ctx, &objcopy);
    *is_copied = result == 0 && objcopy.status == 0;
    if (result == 0 && !*is_copied) {
        kiln_say(ctx, KILN_WARNING, "%s: its debug information is left out: %s", from,
                 kiln_process_get_last_line(ctx, objcopy.err));
        unlink(to);
    }
    return result;
}

/* -- The script -- */

static const char HEAD[] =
    "# The debug information of extensions that `kiln link` has unlinked, for gdb.\n"
    "python\n"
    "import os\n"
    "import re\n"
    "\n"
    "\n"
    "class KilnImages:\n"
    "    PROGRAM = \"%s\"  # its build ID\n"
    "    IMAGES = [  # distance from " KILN_UNLINK_BASE ", file\n";

/* gdb reads it up to a line that is `end`. The base moves when a position-independent program starts: gdb has the
 * new place of the program before it reads the first library, which is an event. */
static const char TAIL[] =
    "    ]\n"
    "\n"
    "    def __init__(self, space):\n"
    "        self.space = space\n"
    "        self.base = None\n"
    "        self.added = []\n"
    "\n"
    "    def forget(self, event):\n"
    "        \"\"\"gdb reads the program again.\"\"\"\n"
    "        if event.progspace == self.space:\n"
    "            self.base = None\n"
    "\n"
    "    def update(self, event=None):\n"
    "        \"\"\"Add the files for the place where the program is now.\"\"\"\n"
    "        if gdb.current_progspace() != self.space:\n"
    "            return\n"
    "        program, base = self.find_program()\n"
    "        if base == self.base:\n"
    "            return\n"
    "        self.base = base  # first: each file that is added is an event\n"
    "        for file in self.added:\n"
    "            self.try_to(\"remove-symbol-file \" + file)\n"
    "        self.added = []\n"
    "        if base is not None:\n"
    "            self.add(self.find_directory(program), base)\n"
    "\n"
    "    def find_program(self):\n"
    "        \"\"\"The program and where its images begin; None if gdb has another one, or no "
    "symbols.\"\"\"\n"
    "        try:\n"
    "            program = gdb.lookup_objfile(self.PROGRAM, by_build_id=True)\n"
    "            said = gdb.execute(\"info address " KILN_UNLINK_BASE "\", to_string=True)\n"
    "            return program, int(re.search(\"0x[0-9a-f]+\", said).group(), 16)\n"
    "        except (ValueError, AttributeError, gdb.error):\n"
    "            return None, None\n"
    "\n"
    "    def find_directory(self, program):\n"
    "        \"\"\"It is beside the program's own debug information, wherever gdb has found "
    "that.\"\"\"\n"
    "        for file in gdb.objfiles():\n"
    "            if file.owner == program:\n"
    "                return os.path.realpath(file.filename) + \".d\"\n"
    "        return os.path.realpath(program.filename) + \".debug.d\"\n"
    "\n"
    "    def add(self, directory, base):\n"
    "        for distance, name in self.IMAGES:\n"
    "            file = re.sub(r\"([^\\w./-])\", r\"\\\\\\1\", os.path.join(directory, name))\n"
    "            error = self.try_to(\"add-symbol-file %s -o %d\" % (file, base + distance))\n"
    "            if error is None:\n"
    "                self.added.append(file)\n"
    "            else:\n"
    "                gdb.write(\"%s\\n\" % error, gdb.STDERR)\n"
    "\n"
    "    def try_to(self, command):\n"
    "        try:\n"
    "            gdb.execute(command, to_string=True)\n"
    "        except gdb.error as error:\n"
    "            return error\n"
    "\n"
    "\n"
    "# The script may be read again.\n"
    "kiln_images = globals().get(\"kiln_images\", {})\n"
    "kiln_key = gdb.current_progspace(), KilnImages.PROGRAM\n"
    "if kiln_key not in kiln_images:\n"
    "    kiln_images[kiln_key] = KilnImages(gdb.current_progspace())\n"
    "    gdb.events.clear_objfiles.connect(kiln_images[kiln_key].forget)\n"
    "    gdb.events.new_objfile.connect(kiln_images[kiln_key].update)\n"
    "kiln_images[kiln_key].update()\n"
    "end\n";

static int
write_script(struct kiln_ctx *ctx, const char *path, const char *program, struct kiln_span images)
{
    const char *id = kiln_debug_file_get_build_id(ctx, program);
    if (id == NULL) {
        return kiln_fail(ctx, KILN_ERR_TOOL,
                         "%s: cannot split off the debug information: it has no build ID", program);
    }
    const char *head = kiln_arena_printf(&ctx->arena, HEAD, id);
    const struct kiln_span parts[] = {kiln_span_of_string(head), images, kiln_span_of_string(TAIL)};
    return kiln_file_write_all(ctx, path, parts, sizeof parts / sizeof parts[0]);
}

/* -- Both -- */

/* Copy the debug information of IMAGE, if it has any, to DIR, and tell STREAM. */
static int
add_image(struct kiln_ctx *ctx, struct kiln_bake *bake, const struct kiln_unlink_image *image,
          const char *dir, FILE *stream)
{
    const char *from = kiln_debug_file_find(ctx, image->path);
    if (from == NULL) {
        return 0;
    }
    const char *name = make_name(ctx, image, from);
    if (name == NULL) {
        return KILN_ERR_SYSTEM;
    }
    if (mkdir(dir, 0777) < 0 && errno != EEXIST) {
        return kiln_fail_errno(ctx, "%s: cannot make this directory", dir);
    }
    bool is_copied;
    int result =
        copy_debug(ctx, bake, from, kiln_arena_printf(&ctx->arena, "%s/%s", dir, name), &is_copied);
    if (is_copied) {
        fprintf(stream, "        (0x%llx, \"%s\"),\n", (unsigned long long)image->start, name);
        bake->debug_images++;
    }
    return result;
}

int
kiln_bake_split_images(struct kiln_ctx *ctx, struct kiln_bake *bake, const char *path)
{
    const char *dir = kiln_bake_get_debug_dir(ctx, path);
    char *text = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&text, &len);
    if (stream == NULL) {
        return kiln_fail_errno(ctx, "%s: cannot write", dir);
    }
    int result = 0;
    for (size_t i = 0; i < bake->image_count && result == 0; i++) {
        result = add_image(ctx, bake, &bake->images[i], dir, stream);
    }
    if (fclose(stream) == EOF && result == 0) {
        result = kiln_fail_errno(ctx, "%s: cannot write", dir);
    }
    if (result == 0 && bake->debug_images > 0) {
        result =
            write_script(ctx, kiln_bake_get_debug_script(ctx, path), path, kiln_span_of(text, len));
    }
    free(text);
    return result;
}
