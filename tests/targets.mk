# The targets for people: set-up, demo, tests, lint, install.

BUILD_PACKAGES := make gcc libc6-dev clang bpftool libbpf-dev libelf-dev libdw-dev libncurses-dev libiberty-dev \
	libsqlite3-dev libjansson-dev libcap-dev libcapstone-dev liblzma-dev
TEST_PACKAGES := g++ libcmocka-dev clang-format binutils elfutils tmux python3 sudo procps redis-server redis-tools sqlite3 \
	linux-perf qemu-system-x86 busybox-static cpio strace gdb fzf libjemalloc2 libtcmalloc-minimal4 libmimalloc2.0 \
	rustc golang-go libc6-dbg dwz xz-utils debuginfod nodejs llvm-14
SOAK_PACKAGES := debootstrap llvm-14-dev nginx-light
BENCH_PACKAGES := heaptrack bpftrace
FUZZ_PACKAGES := libclang-rt-14-dev

# Under sudo, packages are installed and processes attached as root, but everything is compiled as the user who typed.
AS_USER := $(if $(SUDO_UID),$(if $(filter 0,$(shell id -u)),setpriv --reuid=$(SUDO_UID) --regid=$(SUDO_GID) --init-groups))

define install_packages
	@missing=; for package in $(1); do \
		dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
		echo "  APT     $$missing"; \
		run=; if [ "$$(id -u)" != 0 ]; then run=sudo; fi; \
		if [ -n "$$run" ] && ! command -v sudo >/dev/null; then \
			echo "kiln: missing packages, and no right to install them" >&2; \
			echo "  as root: apt-get install$$missing" >&2; exit 1; \
		fi; \
		$$run apt-get update -q >/dev/null && \
		DEBIAN_FRONTEND=noninteractive $$run apt-get install -y -q --no-install-recommends $$missing >/dev/null; \
	fi
endef

.PHONY: setup setup-test demo test check lint format soak bench fuzz install uninstall clean help
setup: ## install the packages that building needs (apt; as root or with sudo)
	$(call install_packages,$(BUILD_PACKAGES))

setup-test: ## install the packages that the tests need
	$(call install_packages,$(BUILD_PACKAGES) $(TEST_PACKAGES))

demo: setup ## build kiln, start the sample workload, and show it live (sudo make demo)
	@$(AS_USER) $(MAKE) --no-print-directory -j$(shell nproc) all
	@$(O)/kiln demo

# All that the tests run, plain and with the sanitizers.
test-programs: all unit workloads tools
.PHONY: test-programs
test: setup-test ## all tests (sudo make test); the last line is: N passed, N failed, N skipped
	@$(AS_USER) $(MAKE) --no-print-directory -j$(shell nproc) test-programs
	@$(AS_USER) $(MAKE) --no-print-directory -j$(shell nproc) SAN=address,undefined all unit
	@$(AS_USER) tests/kernel/fetch.sh $(O)/kernel
	@O=$(O) tests/run all

check: ## for every commit, at most 90 s: unit, screens, one real attach
	@$(AS_USER) $(MAKE) --no-print-directory -j$(shell nproc) test-programs
	@O=$(O) tests/run check

lint: ## formatting, include rules, both compilers, file sizes
	$(call install_packages,$(BUILD_PACKAGES) clang-format)
	@$(AS_USER) $(MAKE) --no-print-directory -j$(shell nproc) all
	@tests/lint.sh $(O)

format: ## format the sources
	clang-format -i $$(git ls-files '*.c' '*.h')

soak: setup-test ## the long figures: minutes to hours; results belong into docs/soak.md
	$(call install_packages,$(SOAK_PACKAGES))
	@$(AS_USER) $(MAKE) --no-print-directory -j$(shell nproc) test-programs
	@O=$(O) tests/soak/run.py

bench: setup-test ## ratios against peers in one run; results belong into docs/benchmarks.md
	$(call install_packages,$(BENCH_PACKAGES))
	@$(AS_USER) $(MAKE) --no-print-directory -j$(shell nproc) test-programs
	@O=$(O) tests/bench/run.py

# What is new goes below $(O)/fuzz; what is worth keeping, into tests/fuzz/corpus* (libFuzzer: -merge=1), which the unit
# tests run.
FUZZ_SECONDS ?= 60
FUZZ_CFLAGS := -std=gnu11 -O1 -g -Wall -Wextra -Werror -Wno-unused-parameter -D_GNU_SOURCE -I. \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
FUZZ_HEADERS := $(wildcard tests/fuzz/*.h bpf/*.h base/*.h symbolizer/*.h)
FUZZ_walker := bpf/tables.c base/error.c
FUZZ_text := base/text.c
FUZZ_jit := symbolizer/perf_map.c symbolizer/jitdump.c symbolizer/jitdump_lines.c symbolizer/code_ranges.c base/error.c base/file.c base/text.c
# All of a worker but its process: no sockets, no sandbox.
FUZZ_modules := $(filter-out symbolizer/client.c symbolizer/worker.c symbolizer/sandbox%.c,$(wildcard symbolizer/*.c)) \
	$(wildcard base/*.c) bpf/tables.c
FUZZ_TARGETS := $(foreach name,walker text jit modules,$(O)/fuzz/fuzz_$(name))

.SECONDEXPANSION:
$(O)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $$(FUZZ_$$*) $(FUZZ_HEADERS)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)/$* && $(CLANG) $(FUZZ_CFLAGS) -o $@ $(filter %.c,$^) $(LIBS)

# First inputs: one small library, as compilers and linkers write it.
FUZZ_LINK := -shared -nostdlib -fPIC -Wl,-z,noseparate-code,-z,norelro,--build-id,--hash-style=gnu
FUZZ_SEED_FLAGS_dwarf5 := -O2 -g
FUZZ_SEED_FLAGS_dwarf4 := -O2 -gdwarf-4 -fdebug-types-section
FUZZ_SEED_FLAGS_dwarf2 := -O1 -gdwarf-2 -gstrict-dwarf
FUZZ_SEED_FLAGS_zlib := -O2 -g -gz=zlib
FUZZ_SEED_FLAGS_zdebug := -O2 -g -gz=zlib-gnu
FUZZ_SEED_FLAGS_debug_frame := -O2 -g -fno-asynchronous-unwind-tables
FUZZ_SEED_FLAGS_stripped := -O2 -s
FUZZ_SEED_FLAGS_symbols := -O2
FUZZ_SEED_FLAGS_plain := -O0 -g3
FUZZ_SEEDS := $(foreach kind,dwarf5 dwarf4 dwarf2 zlib zdebug debug_frame stripped symbols plain,$(O)/fuzz/seeds/$(kind))
$(O)/fuzz/seeds/%: tests/fuzz/seeds/module.c
	$(Q)mkdir -p $(@D) && gcc -w $(FUZZ_LINK) $(FUZZ_SEED_FLAGS_$*) -o $@ $<

fuzz: ## the walker, the sanitizer, perf maps, jitdumps, the worker's parsing on garbage, FUZZ_SECONDS (60) each; finds are in build/fuzz
	$(call install_packages,$(BUILD_PACKAGES) $(FUZZ_PACKAGES))
	@$(AS_USER) $(MAKE) --no-print-directory $(FUZZ_TARGETS) $(FUZZ_SEEDS)
	@$(AS_USER) $(O)/fuzz/fuzz_walker -max_len=2048 -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -verbosity=0 \
		-artifact_prefix=$(O)/fuzz/ $(O)/fuzz/walker tests/fuzz/corpus
	@$(AS_USER) $(O)/fuzz/fuzz_text -max_len=512 -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -verbosity=0 \
		-artifact_prefix=$(O)/fuzz/ $(O)/fuzz/text
	@$(AS_USER) $(O)/fuzz/fuzz_jit -max_len=4096 -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -verbosity=0 \
		-artifact_prefix=$(O)/fuzz/ $(O)/fuzz/jit tests/fuzz/corpus-jit
	@$(AS_USER) tests/fuzz/modules.py $(O)/fuzz $(FUZZ_SECONDS)

install: all ## install below $(DESTDIR)$(prefix)
	install -D -m 755 $(O)/kiln $(DESTDIR)$(prefix)/bin/kiln
	install -D -m 755 $(O)/libexec/kiln/demo-workload $(DESTDIR)$(prefix)/libexec/kiln/demo-workload

uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(prefix)/bin/kiln $(DESTDIR)$(prefix)/libexec/kiln/demo-workload

clean: ## remove what was built
	rm -rf $(O)

help: ## this list
	@grep -hE '^[a-z0-9_.-]+:.*## ' Makefile tests/targets.mk | sed -E 's/^([^:]+):.*## /\1\t/' | sort | \
		awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'
