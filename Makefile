# SPDX-License-Identifier: LGPL-2.1-or-later
# The front door. Everything is built and tested by meson; this only names the usual walks.
# What is missing on the machine is installed by scripts/setup, which says what and why.

BUILD ?= build

.PHONY: build demo test test-real bench lint-deep format install clean

build: $(BUILD)/build.ninja
	meson compile -C $(BUILD)

$(BUILD)/build.ninja:
	@scripts/setup build
	meson setup $(BUILD)

demo:
	@scripts/setup demo
	@$(MAKE) --no-print-directory build
	@scripts/demo $(BUILD)/cli/procsnap

test:
	@scripts/setup test
	@scripts/test

test-real:
	@scripts/setup real
	@$(MAKE) --no-print-directory build
	@tests/real/run $(BUILD)/cli/procsnap

bench:
	@scripts/setup bench
	@[ -e $(BUILD)/build.ninja ] || meson setup $(BUILD)
	@meson compile -C $(BUILD) bench-programs
	@bench/bench --json $(BUILD)/bench.json --svg $(BUILD)/pause.svg \
		--folder $(BUILD)/cli $(BENCH) $(BUILD)/bench

lint-deep:
	@scripts/setup test
	@scripts/test deep

format:
	find include src cli examples tests bench -name '*.[ch]' | xargs clang-format -i

install: build
	meson install -C $(BUILD) --no-rebuild
	@# The loader learns of a new library from its cache; in a package (DESTDIR) dpkg sees to it.
	@[ -n "$(DESTDIR)" ] || [ "$$(id -u)" -ne 0 ] || ldconfig

clean:
	rm -rf build build-asan build-aarch64 build-clang build-analyzer
