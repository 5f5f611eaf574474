# Kiln's build. `make` builds into build/; `make help` lists the rest. V=1 shows the commands.

CC      ?= cc
CFLAGS  ?= -O2 -g
PREFIX  ?= /usr/local
# libkiln.a is built for this Python. (`kiln link` compiles the runtime for the Python it is given.)
PYTHON  ?= $(firstword $(wildcard /usr/bin/python3) python3)
PYTEST  ?= $(PYTHON) -m pytest
# Seconds `make fuzz` gives each harness.
FUZZ_SECONDS ?= 60
# In CI a warning is an error.
WERROR  ?= $(if $(CI),-Werror)

# `kiln link` keeps what it compiles of the runtime; a system without HOME has no other place for that.
ifndef HOME
export XDG_CACHE_HOME ?= $(CURDIR)/build/cache
endif

B := build
VERSION := $(shell sed -n 's/.*KILN_VERSION "\(.*\)"/\1/p' include/kiln/version.h)

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wmissing-prototypes -Wvla -Wundef $(WERROR)
KILN_CFLAGS := -std=c11 -D_GNU_SOURCE -Iinclude -Isrc $(WARNINGS) -fno-common -fvisibility=hidden
HOST_LIBS := -lzstd -lxxhash -pthread
# Asked when a recipe needs it: before `make check` and `make demo` there may be no Python.
PYTHON_VERSION = $(shell $(PYTHON) -c 'import sysconfig; print(sysconfig.get_config_var("LDVERSION"))')
PYTHON_INCLUDE = $(shell $(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')

HOST_SRC    := $(wildcard src/*/*.c src/*/*/*.c)
TOOL_SRC    := $(filter-out tool/kiln-cc.c,$(wildcard tool/*.c))
RUNTIME_SRC := $(wildcard runtime/*/*.c)
UNIT_SRC    := $(wildcard tests/unit/test_*.c)
UNIT_HEADERS := $(wildcard tests/unit/*.h)
FUZZ_SRC    := $(wildcard tests/fuzz/fuzz_*.c)
# All C that is ours, for the gates.
C_FILES := $(wildcard $(foreach dir,src/* src/*/* tool runtime/* include/kiln include/kiln/internal tests/* examples/* bench/*,$(dir)/*.c $(dir)/*.h))
SH_FILES := .ci/run $(filter-out %.in %.py %.txt,$(wildcard scripts/*))

# Beside kiln-cc, which is each of them.
CC_LINKS := kiln-c++ kiln-gcc-ar kiln-gcc-ranlib kiln-llvm-ar kiln-llvm-ranlib

HOST_OBJ    := $(HOST_SRC:%.c=$(B)/obj/%.o)
TOOL_OBJ    := $(TOOL_SRC:%.c=$(B)/obj/%.o)
RUNTIME_OBJ := $(RUNTIME_SRC:%.c=$(B)/obj/%.o)

Q := $(if $(V),,@)
# $(call say,WORD): one line for a rule whose command is not shown.
say = $(if $(V),,@printf '  %-8s %s\n' $(1) $@)

all: $(B)/kiln $(B)/kiln-cc $(addprefix $(B)/,$(CC_LINKS)) $(B)/libkiln.a

## --- Building -----------------------------------------------------------------------------------

# Warnings stay beside what was compiled, for `make lint`, which need not compile it again.
KEEP_WARNINGS = 2>$@.warnings || { cat $@.warnings >&2; exit 1; }; cat $@.warnings >&2

# What everything is built with: a change of it rebuilds everything.
FLAGS_TEXT = $(CC) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS) $(KILN_CFLAGS) $(PYTHON)
$(B)/flags: force
	@mkdir -p $(@D)
	@echo '$(FLAGS_TEXT)' | cmp -s - $@ || echo '$(FLAGS_TEXT)' >$@

$(B)/obj/runtime/%.o: EXTRA = -fPIC -Iruntime -isystem $(PYTHON_INCLUDE)
$(B)/obj/%.o: %.c $(B)/flags | deps
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(CC) $(KILN_CFLAGS) $(EXTRA) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@ $(KEEP_WARNINGS)

$(B)/obj/src/pip/driver.o: src/pip/driver.py # which it includes

$(B)/%.a:
	$(call say,AR)
	$(Q)rm -f $@ && $(AR) qcs $@ $^
$(B)/libkilnhost.a: $(HOST_OBJ)
$(B)/libkiln.a: $(RUNTIME_OBJ)

LINK = $(CC) $(CFLAGS) $(LDFLAGS) $(filter %.c %.o %.a,$^) -o $@ $(HOST_LIBS)
$(B)/kiln: $(TOOL_OBJ) $(B)/libkilnhost.a
	$(call say,LD)
	$(Q)$(LINK)
$(B)/kiln-cc: $(B)/obj/tool/kiln-cc.o $(B)/libkilnhost.a
	$(call say,LD)
	$(Q)$(LINK)
$(addprefix $(B)/,$(CC_LINKS)): $(B)/kiln-cc
	$(call say,LN)
	$(Q)ln -sf kiln-cc $@

-include $(patsubst %.o,%.d,$(HOST_OBJ) $(TOOL_OBJ) $(RUNTIME_OBJ) $(B)/obj/tool/kiln-cc.o)

# Every object, and every unit test: all that is compiled.
COMPILED := $(HOST_OBJ) $(TOOL_OBJ) $(RUNTIME_OBJ) $(B)/obj/tool/kiln-cc.o $(UNIT_SRC:tests/%.c=$(B)/%)

## --- What the system must have ------------------------------------------------------------------

# `make` says what is missing; targets that are to do everything by themselves install it, too.
DEPS_GROUPS := build $(if $(filter check deps matrix matrix-arm64 scope-fuzz,$(MAKECMDGOALS)),check demo) \
               $(if $(filter demo demo-tests bench,$(MAKECMDGOALS)),demo) $(if $(filter packages wheels,$(MAKECMDGOALS)),demo packages) \
               $(if $(filter cpython-tests,$(MAKECMDGOALS)),cpython $(if $(KILN_PYTHONS),,testsuite)) \
               $(if $(filter matrix-arm64,$(MAKECMDGOALS)),arm64) $(if $(filter fuzz,$(MAKECMDGOALS)),fuzz) \
               $(if $(filter bench bench-quick bench-images,$(MAKECMDGOALS)),bench)
DEPS_MODE := $(if $(filter check deps demo demo-tests packages wheels scope-fuzz cpython-tests matrix matrix-arm64 bench bench-quick bench-images fuzz,\
                           $(MAKECMDGOALS)),,--check)
deps:
	$(if $(KILN_DEPS_DONE),,@PYTHON=$(PYTHON) scripts/deps $(DEPS_MODE) $(DEPS_GROUPS))

# The targets below build their parts by `make` itself, in parallel unless told otherwise.
SUBMAKE = +@$(MAKE) --no-print-directory KILN_DEPS_DONE=1 \
          $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

## --- Checking -----------------------------------------------------------------------------------

check: deps
	$(SUBMAKE) all
	$(SUBMAKE) lint
	$(SUBMAKE) unit fuzz-smoke
	$(SUBMAKE) pytest sanitized

lint: format-check cppcheck sh-check warnings floors

format-check:
	$(Q)scripts/clang-format --dry-run --Werror $(C_FILES)
	@echo "clang-format: $(words $(C_FILES)) files as they should be"
format:
	$(Q)scripts/clang-format -i $(C_FILES)

# Not wanted: a constStatement is found in `(void)a, (void)b;` (by some versions), newer versions say where they did not
# look at every branch, and tests and benchmarks may as well crash when the system has no memory.
CPPCHECK_FLAGS := --quiet --error-exitcode=1 --inline-suppr --std=c11 --language=c -j2 \
    --enable=warning,performance,portability --suppress=missingIncludeSystem \
    --suppress=unmatchedSuppression \
    --suppress=preprocessorErrorDirective --suppress=constStatement \
    --suppress=normalCheckLevelMaxBranches \
    --suppress='nullPointerOutOfMemory:tests/*' --suppress='nullPointerOutOfMemory:bench/*' \
    -Iinclude -Isrc -Iruntime -D_GNU_SOURCE -D__x86_64__ -D__linux__ -DPy_BEGIN_ALLOW_THREADS={ -DPy_END_ALLOW_THREADS=}
cppcheck:
	$(Q)cppcheck $(CPPCHECK_FLAGS) $(filter %.c,$(C_FILES))
	@echo "cppcheck: $(words $(filter %.c,$(C_FILES))) files, nothing found"

# Who calls whom, as the objects say, and the page that shows it.
floors: all
	$(Q)$(PYTHON) scripts/floors.py $(B)
	$(Q)$(PYTHON) scripts/floors.py --page-check docs/architecture.md

sh-check:
	$(Q)for file in $(SH_FILES); do sh -n $$file || exit 1; done
	$(Q)! command -v shellcheck >/dev/null || shellcheck $(SH_FILES)
	@echo "sh -n: $(words $(SH_FILES)) scripts parse"

warnings:
	$(SUBMAKE) no-warnings
	+@! command -v clang >/dev/null || $(MAKE) --no-print-directory KILN_DEPS_DONE=1 B=$(B)/clang CC=clang CFLAGS=-O0 no-warnings
no-warnings: $(COMPILED)
	@said=$$(cat $(COMPILED:%=%.warnings)) && [ -z "$$said" ] || { echo "$$said"; exit 1; }
	@echo "$(CC): no warning"

# C units and fuzz harnesses, with everything they reach under AddressSanitizer and UBSan.
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SANITIZED_MAKE = $(SUBMAKE) B=$(B)/san CFLAGS='-O1 -g $(SANITIZE)'
unit: sanitized-host
	$(SANITIZED_MAKE) unit-run
fuzz-smoke: sanitized-host
	$(SANITIZED_MAKE) fuzz-smoke-run
# What both link, made before the two run side by side.
sanitized-host:
	$(SANITIZED_MAKE) $(B)/san/libkilnhost.a

# The files of the runtime that need no Python but its headers.
RUNTIME_PLAIN := $(patsubst %,$(B)/obj/runtime/%.o,find/symbol_name home/venv machine/constructors skew/dist_info skew/listing)
# An explicit rule: which of two pattern rules is taken differs between versions of make.
$(patsubst tests/%.c,$(B)/%,$(wildcard tests/unit/test_runtime_*.c)): $(B)/%: tests/%.c $(UNIT_HEADERS) $(RUNTIME_PLAIN)
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(CC) $(KILN_CFLAGS) -Iruntime -isystem $(PYTHON_INCLUDE) $(CFLAGS) $(LDFLAGS) $(filter %.c %.o,$^) -o $@ -pthread -lcmocka $(KEEP_WARNINGS)
$(B)/unit/%: tests/unit/%.c $(UNIT_HEADERS) $(B)/libkilnhost.a
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(CC) $(KILN_CFLAGS) -Iruntime $(CFLAGS) $(LDFLAGS) $(filter %.c %.o %.a,$^) -o $@ $(HOST_LIBS) -lcmocka $(KEEP_WARNINGS)
# The part of the runtime that needs no Python.
$(patsubst tests/%.c,$(B)/%,$(wildcard tests/unit/test_image*.c)): $(patsubst %.c,$(B)/obj/%.o,$(wildcard runtime/image/*.c))
unit-run: $(UNIT_SRC:tests/unit/%.c=unit-run-%)
unit-run-%: $(B)/unit/%
	@$< >$<.log 2>&1 || { cat $<.log; exit 1; }
	@echo "$*: $$(grep '^\[  PASSED' $<.log)"

$(B)/fuzz/%: tests/fuzz/%.c tests/fuzz/driver.c $(B)/libkilnhost.a
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(LINK) $(KILN_CFLAGS)
fuzz-smoke-run: $(FUZZ_SRC:tests/fuzz/%.c=fuzz-smoke-run-%)
fuzz-smoke-run-fuzz_%: $(B)/fuzz/fuzz_%
	$(Q)$< tests/fuzz/corpus/$*

# One file of tests at a time a core: what its tests share is made once. What a skipped test lacks is listed.
PYTEST_FLAGS ?= -q -rfEs -n $(shell nproc) --dist loadfile
pytest:
	$(PYTEST) $(PYTEST_FLAGS) tests

# Python with the runtime and the modules of the tests under AddressSanitizer and UBSan. What Python
# itself leaves at its end is not looked at; test_refleaks.py looks for leaks.
SANITIZED_TESTS := $(patsubst %,tests/test_%.py,importer behaviour interpreters embedding create_module \
                     interfaces protocols module_kiln fast_path)
sanitized:
	KILN_TEST_CFLAGS='$(SANITIZE)' KILN_TEST_KIND=static ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 \
	    $(PYTEST) $(PYTEST_FLAGS) $(SANITIZED_TESTS)

# The real thing, guided by coverage: new inputs go to build/fuzz/corpus/, failures to build/fuzz/.
fuzz: deps
	$(SUBMAKE) B=$(B)/fuzz CC=clang CFLAGS='-O1 -g -fsanitize=fuzzer-no-link,address,undefined' \
	    $(FUZZ_SRC:tests/fuzz/%.c=libfuzzer-%)
$(B)/bin/%: tests/fuzz/%.c $(B)/libkilnhost.a
	@mkdir -p $(@D)
	$(Q)$(LINK) $(KILN_CFLAGS) -fsanitize=fuzzer
libfuzzer-fuzz_%: $(B)/bin/fuzz_%
	@mkdir -p $(B)/corpus/$*
	$< -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=$(B)/fuzz_$*- $(B)/corpus/$* tests/fuzz/corpus/$*

## --- Demonstrations -----------------------------------------------------------------------------

# The demo's own Python; KILN_PYTHON in the environment chooses another to bake for.
demo: deps
	$(SUBMAKE) all
	@$(PYTHON) qa/demo.py $(DEMO_ARGS)
demo-tests: deps
	$(SUBMAKE) all
	@$(PYTHON) qa/demo_tests.py $(DEMO_ARGS)
# Names in PACKAGES do those only. A run that was interrupted goes on where it was.
packages: deps
	$(SUBMAKE) all
	@$(PYTHON) qa/packages.py $(PACKAGES)
# The same with binary wheels, unlinked.
wheels: deps
	$(SUBMAKE) all
	@$(PYTHON) qa/wheels.py $(PACKAGES)
# Random systems of extensions and libraries, from files and in executables: who answers which reference.
SCOPE_FUZZ_COUNT ?= 2000
scope-fuzz: deps
	$(SUBMAKE) all
	@$(PYTHON) qa/scope_fuzz.py --count $(SCOPE_FUZZ_COUNT) $(SCOPE_FUZZ_ARGS)
# Names of test modules in CPYTHON_TESTS run those only.
cpython-tests: deps
	$(SUBMAKE) all
	@PYTHON=$(PYTHON) $(PYTHON) qa/cpython_tests.py $(CPYTHON_TESTS)
matrix: deps
	$(SUBMAKE) all
	@$(PYTHON) qa/matrix.py $(MATRIX_ARGS)

# The newest Pythons and their debug builds, in a bare Debian sid (as root). A new minor version is a word here.
SID_PYTHONS := 3.13 3.14 3.15
matrix-sid:
	@rm -rf $(B)/matrix-sid
	@scripts/bare sid sh -c 'apt-get -qq install -y --no-install-recommends make \
	    $(foreach v,$(SID_PYTHONS),python$v python$v-venv python$v-dbg libpython$v-dev libpython$v-dbg) && \
	    make matrix KILN_PYTHONS="$(or $(KILN_PYTHONS),$(foreach v,$(SID_PYTHONS),/usr/bin/python$v /usr/bin/python$vd))" \
	    MATRIX_ARGS="--no-packages $(MATRIX_ARGS)"'; \
	    status=$$?; cp -r $(B)/bare/sid/kiln/build/matrix $(B)/matrix-sid && exit $$status

# The README's two commands, each in a bare Debian of its own (as root), for each suite of FRESH_SUITES.
FRESH_SUITES ?= bookworm trixie sid
fresh:
	@mkdir -p $(B) && : >$(B)/fresh.txt; \
	for suite in $(FRESH_SUITES); do for target in demo check; do \
	    start=$$(date +%s); \
	    scripts/bare $$suite sh -c "apt-get install -y make && make $$target" && result=passed || result=FAILED; \
	    echo "$$suite: make $$target $$result after $$(($$(date +%s) - start)) s" | tee -a $(B)/fresh.txt; \
	done; done; cat $(B)/fresh.txt; ! grep -q FAILED $(B)/fresh.txt

# The tests of isolation, compiled for arm64 by the cross toolchain and run under qemu-user. None of them
# needs a Python for arm64.
matrix-arm64: deps
	$(SUBMAKE) all
	KILN_TEST_TARGET=aarch64-linux-gnu $(PYTEST) $(PYTEST_FLAGS) --dist load -rs tests/test_isolate.py

# docs/protocols.md, from what the last runs of the two left behind.
protocols-page:
	$(PYTHON) qa/protocols_page.py $(wildcard $(B)/matrix $(B)/matrix-sid) >$(B)/protocols.md
	cp $(B)/protocols.md docs/protocols.md

# Kiln beside what it replaces: docs/benchmarks.md and bench/results/ come of it.
bench: deps
	$(SUBMAKE) all
	@$(PYTHON) bench/bench.py $(BENCH_ARGS)
bench-quick: deps
	$(SUBMAKE) all
	@$(PYTHON) bench/bench.py --quick $(BENCH_ARGS)

# Unlinked extensions beside their files.
bench-images: deps
	$(SUBMAKE) all
	@$(PYTHON) bench/images.py $(BENCH_ARGS)

## --- Installing ---------------------------------------------------------------------------------

TO := $(DESTDIR)$(PREFIX)
INSTALL ?= install
BASH_COMPLETION := share/bash-completion/completions
ZSH_COMPLETION := share/zsh/site-functions
FISH_COMPLETION := share/fish/vendor_completions.d

# $(call put,MODE,FILES,DIRECTORY): into DIRECTORY below PREFIX.
define put
$(if $(V),,@printf '  %-8s %s\n' INSTALL $(TO)/$(3))
$(Q)$(INSTALL) -d $(TO)/$(3)
$(Q)$(INSTALL) -m $(1) $(2) $(TO)/$(3)

endef
install: all
	$(call put,755,$(B)/kiln $(B)/kiln-cc,bin)
	$(Q)for link in $(CC_LINKS); do ln -sf kiln-cc $(TO)/bin/$$link || exit 1; done
	$(call put,644,$(B)/libkiln.a,lib)
	$(call put,644,$(wildcard include/kiln/*.h),include/kiln)
	$(call put,644,$(wildcard include/kiln/internal/*.h),include/kiln/internal)
	$(foreach floor,$(patsubst %/,%,$(wildcard runtime/*/)),$(call put,644,$(wildcard $(floor)/*.[ch]),share/kiln/$(floor)))
	$(call put,644,$(wildcard docs/man/*.1),share/man/man1)
	$(Q)ln -sf kiln-cc.1 $(TO)/share/man/man1/kiln-c++.1
	$(call put,644,README.md CHANGELOG.md LICENSE,share/doc/kiln)
	$(call put,644,$(wildcard docs/*.md),share/doc/kiln/docs)
	$(call put,644,$(wildcard docs/benchmarks/*),share/doc/kiln/docs/benchmarks)
	$(call put,644,tool/completion/_kiln,$(ZSH_COMPLETION))
	$(call put,644,tool/completion/kiln.fish,$(FISH_COMPLETION))
	$(call put,644,tool/completion/kiln.bash,$(BASH_COMPLETION))
	$(Q)mv $(TO)/$(BASH_COMPLETION)/kiln.bash $(TO)/$(BASH_COMPLETION)/kiln
	$(Q)$(INSTALL) -d $(TO)/lib/pkgconfig
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' -e 's|@PYTHON@|$(PYTHON_VERSION)|' \
	    scripts/kiln.pc.in >$(TO)/lib/pkgconfig/kiln.pc

# Directories that are not Kiln's own stay.
uninstall:
	$(if $(V),,@printf '  %-8s %s\n' REMOVE $(TO))
	$(Q)rm -f $(addprefix $(TO)/bin/,kiln kiln-cc $(CC_LINKS)) $(TO)/lib/libkiln.a $(TO)/lib/pkgconfig/kiln.pc \
	    $(addprefix $(TO)/share/man/man1/,kiln-c++.1 $(notdir $(wildcard docs/man/*.1))) \
	    $(TO)/$(BASH_COMPLETION)/kiln $(TO)/$(ZSH_COMPLETION)/_kiln $(TO)/$(FISH_COMPLETION)/kiln.fish
	$(Q)rm -rf $(TO)/include/kiln $(TO)/share/kiln $(TO)/share/doc/kiln

clean:
	rm -rf $(B)

help:
	@echo 'make              build/kiln, kiln-cc, kiln-c++ and libkiln.a (for PYTHON=$(PYTHON))'
	@echo 'make demo         bake packages from the index, as wheels and built from source, and measure'
	@echo 'make check        every test; make lint, unit, fuzz-smoke, pytest, sanitized are its parts'
	@echo "make demo-tests   the demo packages' own tests, from .so files and baked"
	@echo "make packages     over 40 packages in one executable, and their own tests: docs/packages.md; an hour or more"
	@echo "make wheels       over 40 packages as wheels, unlinked, in one executable, and their tests: docs/wheels.md; an hour or more"
	@echo 'make scope-fuzz   $(SCOPE_FUZZ_COUNT) random systems of extensions and libraries: who answers which reference; an hour or so'
	@echo "make cpython-tests  CPython's own tests, stock and baked, on PYTHON or KILN_PYTHONS"
	@echo 'make matrix       tests and packages on every CPython found (KILN_PYTHONS="PATH...")'
	@echo 'make matrix-sid   the same on 3.13 to 3.15 and debug builds, in a bare Debian sid, as root'
	@echo 'make fresh        make demo and make check in bare systems, as root: FRESH_SUITES="$(FRESH_SUITES)"'
	@echo 'make matrix-arm64 the tests of isolation for arm64, by its cross toolchain and qemu-user'
	@echo 'make protocols-page  docs/protocols.md from what the two found'
	@echo 'make bench        measure, beside what Kiln replaces; bench-quick: a part, in a minute or two once built'
	@echo 'make bench-images measure unlinked extensions: opening, start-up, baking; ten minutes or so'
	@echo 'make fuzz         libFuzzer on the parsers, FUZZ_SECONDS=$(FUZZ_SECONDS) each'
	@echo 'make format       clang-format on the sources'
	@echo 'make deps         install what is needed, on Debian and Ubuntu'
	@echo 'make install      to PREFIX=$(PREFIX), under DESTDIR; make uninstall removes it'
	@echo 'make clean        remove build/'

force:
.PHONY: all deps check lint format-check format cppcheck sh-check warnings no-warnings floors unit fuzz-smoke sanitized-host sanitized \
        unit-run fuzz-smoke-run pytest fuzz demo demo-tests packages wheels scope-fuzz cpython-tests matrix matrix-sid matrix-arm64 fresh protocols-page bench bench-quick bench-images \
        install uninstall clean help force
.DELETE_ON_ERROR:
.SECONDARY:
