# The targets for people: set-up, demo, tests, lint, install.

BUILD_PACKAGES := make gcc libc6-dev clang bpftool libbpf-dev libelf-dev libdw-dev libncurses-dev libiberty-dev \
	libsqlite3-dev libjansson-dev libcap-dev
TEST_PACKAGES := g++ libcmocka-dev clang-format binutils elfutils tmux python3 sudo procps redis-server redis-tools sqlite3 \
	linux-perf qemu-system-x86 busybox-static cpio strace gdb fzf libjemalloc2 libtcmalloc-minimal4 libmimalloc2.0 \
	rustc golang-go llvm-14 dwz libc6-dbg
SOAK_PACKAGES := debootstrap llvm-14-dev nginx-light nodejs
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

# What is new goes below $(O)/fuzz; what is worth keeping, into tests/fuzz/corpus (libFuzzer: -merge=1), where
# test_walker_corpus runs it.
FUZZ_SECONDS ?= 60
FUZZ_SOURCES := tests/fuzz/fuzz_walker.c bpf/tables.c base/error.c
$(O)/fuzz/fuzz_walker: $(FUZZ_SOURCES) $(wildcard tests/fuzz/*.h bpf/*.h base/*.h)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)/corpus && $(CLANG) -std=gnu11 -O1 -g -Wall -Wextra -Werror -Wno-unused-parameter \
		-D_GNU_SOURCE -I. -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
		-o $@ $(FUZZ_SOURCES) -lbpf

fuzz: ## the walker on garbage, under libFuzzer for FUZZ_SECONDS (60); what breaks it is in build/fuzz
	$(call install_packages,$(BUILD_PACKAGES) $(FUZZ_PACKAGES))
	@$(AS_USER) $(MAKE) --no-print-directory $(O)/fuzz/fuzz_walker
	@$(AS_USER) $(O)/fuzz/fuzz_walker -max_len=2048 -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -verbosity=0 \
		-artifact_prefix=$(O)/fuzz/ $(O)/fuzz/corpus tests/fuzz/corpus

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
