# Kiln's build. `make` builds; `make help` lists the rest.
CC      ?= cc
CFLAGS  ?= -O2 -g
PYTHON  ?= python3
PREFIX  ?= /usr/local

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wmissing-prototypes -Wvla -Wundef
KILN_CFLAGS := -std=c11 -D_GNU_SOURCE -Iinclude -Isrc $(WARNINGS) -fno-common -fvisibility=hidden
HOST_LIBS := -lelf -lzstd -lxxhash

B := build
HOST_SRC := $(wildcard src/*/*.c)
HOST_OBJ := $(HOST_SRC:%.c=$(B)/obj/%.o)
TOOL_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(filter-out tool/kiln-cc.c,$(wildcard tool/*.c)))
RUNTIME_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(wildcard runtime/*.c))

all: $(B)/libkilnhost.a

# Grows into `all` as the parts arrive.
full: $(B)/kiln $(B)/kiln-cc $(B)/kiln-c++ $(B)/libkiln.a

$(B)/obj/src/%.o $(B)/obj/tool/%.o: KILN_FLAGS = $(KILN_CFLAGS)
$(B)/obj/runtime/%.o: KILN_FLAGS = $(KILN_CFLAGS) -fPIC -isystem $(PYTHON_INCLUDE)
PYTHON_INCLUDE = $(shell $(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(KILN_FLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(B)/libkilnhost.a: $(HOST_OBJ)
	rm -f $@ && $(AR) rcs $@ $^
$(B)/libkiln.a: $(RUNTIME_OBJ)
	rm -f $@ && $(AR) rcs $@ $^
$(B)/kiln: $(TOOL_OBJ) $(B)/libkilnhost.a
	$(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@ $(HOST_LIBS)
$(B)/kiln-cc: $(B)/obj/tool/kiln-cc.o $(B)/libkilnhost.a
	$(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@ $(HOST_LIBS)
$(B)/kiln-c++: $(B)/kiln-cc
	ln -sf kiln-cc $@

clean:
	rm -rf $(B)

.PHONY: all full clean
-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
