# kiln: one Makefile. `make help` lists the targets.
#
# V=1 shows the commands; SAN=address,undefined builds into a directory of its own; CC=clang works too.
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
SHELL := /bin/bash

CC = gcc
CLANG = clang
BPFTOOL = $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
RUSTC := $(firstword $(wildcard /usr/bin/rustc) $(shell command -v rustc))
SAN ?=
O ?= build
B := $(O)$(if $(SAN),/san)
prefix ?= /usr/local
Q := $(if $(V),,@)
say = @printf '  %-8s %s\n' $(1) '$(2)'
$(if $(V),$(eval say =))

CFLAGS ?= -O2 -g
override CFLAGS += -std=gnu11 -Wall -Wextra -Werror -Wno-unused-parameter -fno-omit-frame-pointer -MMD -MP \
	$(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all)
override CPPFLAGS += -D_GNU_SOURCE -I. -I$(B)
override LDFLAGS += $(if $(SAN),-fsanitize=$(SAN))
LIBS := -lbpf -ldw -lelf -llzma -lncursesw -ltinfo -lsqlite3 -ljansson -lcap -liberty -lcapstone -lm
BPF_CFLAGS := -O2 -g -target bpf -mcpu=v3 -D__TARGET_ARCH_x86 -Wall -Werror -I. \
	-I/usr/include/x86_64-linux-gnu -MMD -MP

# ---- what is built from what ----
ROOMS = base bpf symbolizer profile export tui
EXTRA = session.c session_news.c session_source.c session_heap.c live.c options.c help.c symbolize.c \
	annotate.c annotate_choose.c worker_start.c
SOURCES := $(filter-out %.bpf.c,$(foreach room,$(ROOMS),$(wildcard $(room)/*.c))) $(EXTRA)
BPF_SOURCES := $(wildcard bpf/*.bpf.c)
SKELETONS := $(BPF_SOURCES:%.bpf.c=$(B)/%.skel.h)
OBJECTS := $(SOURCES:%.c=$(B)/%.o)
UNIT := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/test_*.c tests/screens/test_*.c))
TEST_SUPPORT := $(B)/tests/libsupport.a
WORKLOADS := $(patsubst %.c,$(O)/%,$(wildcard tests/workloads/*.c)) \
	$(patsubst %.cc,$(O)/%,$(wildcard tests/workloads/*.cc)) \
	$(if $(RUSTC),$(patsubst %.rs,$(O)/%,$(wildcard tests/workloads/*.rs))) \
	$(foreach number,$(shell seq -w 0 199),$(O)/tests/workloads/numbered/lib$(number))
TOOLS := $(patsubst %.c,$(B)/%,$(wildcard tests/tools/*.c))
BENCH := $(patsubst %.c,$(O)/%,$(wildcard tests/bench/*.c))

all: $(B)/kiln $(B)/libexec/kiln/demo-workload ## build build/kiln (any user)

$(B)/kiln: $(B)/main.o $(B)/libkiln.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/libkiln.a: $(OBJECTS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/%.o: %.c | $(SKELETONS)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(B)/%.bpf.o: %.bpf.c
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D) && $(CLANG) $(BPF_CFLAGS) -c -o $@ $<

$(B)/%.skel.h: $(B)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $(notdir $*)_programs >$@

# The workloads are ordinary programs, built as distributions build them: optimised, without frame pointers. One that
# needs other flags says so in a comment of one line, "FLAGS: …".
WORKLOAD_CFLAGS := -O2 -g -fomit-frame-pointer -Wall -Wextra -Wno-unused-parameter -D_GNU_SOURCE
own_flags = $$(sed -nE 's,^(/\*|//) FLAGS: ([^*]*).*,\2,p' $<)

WORKLOAD_HEADERS := $(wildcard tests/workloads/*.h)
$(O)/tests/workloads/%: tests/workloads/%.c $(WORKLOAD_HEADERS)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(WORKLOAD_CFLAGS) $(if $(filter lib%,$(notdir $@)),-shared -fPIC) $(own_flags) \
		-o $@ $< -lm -lpthread -ldl

$(O)/tests/workloads/%: tests/workloads/%.cc $(WORKLOAD_HEADERS)
	$(call say,CXX,$@)
	$(Q)mkdir -p $(@D) && g++ -O2 -g -fomit-frame-pointer -Wall -Wextra $(own_flags) -o $@ $< -lpthread

$(O)/tests/workloads/%: tests/workloads/%.rs
	$(call say,RUSTC,$@)
	$(Q)mkdir -p $(@D) && env -u MAKEFLAGS $(RUSTC) $(own_flags) -o $@ $<

# Two hundred libraries, each with a function of its own name.
$(O)/tests/workloads/numbered/lib%: tests/workloads/libnumbered.c $(WORKLOAD_HEADERS)
	$(if $(filter 000,$*),$(call say,CC,$(@D)/lib000 … lib199))
	$(Q)mkdir -p $(@D) && $(CC) $(WORKLOAD_CFLAGS) -shared -fPIC -DNUMBER=$* $(own_flags) -o $@ $<

$(B)/libexec/kiln/demo-workload: tests/workloads/demo-workload.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && gcc -O2 -g -fomit-frame-pointer -Wall -Wextra -D_GNU_SOURCE -o $@ $< -lm -lpthread

$(TEST_SUPPORT): $(patsubst %.c,$(B)/%.o,$(wildcard tests/support/*.c))
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/tests/%: $(B)/tests/%.o $(TEST_SUPPORT) $(B)/libkiln.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBS)

$(O)/tests/bench/%: tests/bench/%.c $(O)/libkiln.a
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) -o $@ $^ $(LIBS)

.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)

unit: $(UNIT) ## build the unit and screen tests
tools: $(TOOLS) 
workloads: $(WORKLOADS) ## build the test targets
.PHONY: all unit workloads tools
include tests/targets.mk
