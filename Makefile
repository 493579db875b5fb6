# VexFS tools. 'make' alone builds; 'make help' lists the rest.

CARGO ?= cargo
PREFIX ?= /usr
DESTDIR ?=
TARGET_DIR ?= $(or $(CARGO_TARGET_DIR),target)
# Line numbers are nine tenths of a program; names of functions stay, for reports of crashes. 'make install STRIP=:' keeps all.
STRIP ?= strip --strip-debug
FUZZ_SECONDS ?= 60

sbindir ?= $(PREFIX)/sbin
bindir ?= $(PREFIX)/bin
mandir ?= $(PREFIX)/share/man
bashdir ?= $(PREFIX)/share/bash-completion/completions
zshdir ?= $(PREFIX)/share/zsh/site-functions
fishdir ?= $(PREFIX)/share/fish/vendor_completions.d

# Names under which the tools are installed; cargo accepts no dot, and builds them with a dash in its place.
SBIN_TOOLS := mkfs.vexfs fsck.vexfs vexfs-tune vexfs-dump
BIN_TOOLS := vexfs-import vexfs-query vexfs-bench
TOOLS := $(SBIN_TOOLS) $(BIN_TOOLS)
PACKAGES := $(foreach tool,$(TOOLS),--package $(subst .,-,$(tool)))

# Where the system has HDF5 as an archive too, it becomes a part of the programs: the shared library brings three dozen others with it
# (curl, Kerberos, LDAP), and loading these takes longer than a query. The linker takes what it finds in the first folder.
HDF5_ARCHIVE := $(wildcard $(patsubst -L%,%/libhdf5.a,$(shell pkg-config --libs-only-L hdf5 2>/dev/null)))
ARCHIVES := $(abspath $(TARGET_DIR))/archives
HDF5_FLAGS := $(if $(HDF5_ARCHIVE),-L native=$(ARCHIVES) -C link-arg=-lsz -C link-arg=-lz)

.PHONY: all help deps build test test-vm prove demo lint generate fuzz bench install uninstall deb

all: build

help:
	@echo 'make deps       install what the build needs (root), or say what to install'
	@echo 'make build      build the tools, optimised'
	@echo 'make test       build and run all tests'
	@echo 'make test-vm    the tools on failing disks of a virtual machine (qemu-system-x86, dmsetup, busybox-static)'
	@echo 'make prove      try every damage on the repair, and write the totals into docs/proofs.md'
	@echo 'make demo       see the tools at work on an image'
	@echo 'make lint       formatting, clippy, shell scripts, generated files'
	@echo 'make generate   write man pages and completions from the flags'
	@echo 'make fuzz       each fuzz target for FUZZ_SECONDS ($(FUZZ_SECONDS)); needs cargo-fuzz'
	@echo 'make bench      measure'
	@echo 'make install    into DESTDIR and PREFIX ($(PREFIX)); make uninstall takes it back'
	@echo 'make deb        a Debian package, with udev rule and initramfs hook, in $(TARGET_DIR)/deb'

deb: build
	packaging/deb/build.sh $(TARGET_DIR)/deb

deps:
	@.ci/deps

build: deps
ifneq ($(HDF5_ARCHIVE),)
	@mkdir -p $(ARCHIVES)
	@ln -sf $(HDF5_ARCHIVE) $(ARCHIVES)/libhdf5.a
endif
	RUSTFLAGS="$$RUSTFLAGS $(HDF5_FLAGS)" $(CARGO) build --locked --release $(PACKAGES)

test: deps
	$(CARGO) test --locked --workspace

test-vm: deps
	tests/vm/run.sh

# Every damage that the proofs know, and long lives of a volume beside its model; 'make test' tries a sample.
prove: deps
	VEXFS_PROVE=all $(CARGO) test --locked --package vexfs-fs --test proofs --test model

demo: build
	demo/run.sh

lint: deps
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) run --locked --quiet --package xtask -- check
	@if command -v shellcheck >/dev/null; \
	then echo 'shellcheck $(SCRIPTS)'; shellcheck $(SCRIPTS); \
	else echo 'skipped: shellcheck is not installed'; fi

SCRIPTS = .ci/run .ci/deps $(wildcard demo/*.sh benches/*.sh tests/vm/*.sh packaging/deb/*.sh) packaging/initramfs/vexfs

generate: deps
	$(CARGO) run --locked --quiet --package xtask -- generate

# The sanitizers need nightly Rust; the panics, hangs and allocations we look for show without them.
fuzz: deps
	@$(CARGO) fuzz --version >/dev/null 2>&1 || { echo 'install it first: cargo install --locked cargo-fuzz'; exit 1; }
	set -e; for target in $$($(CARGO) fuzz list); do \
		$(CARGO) fuzz run --sanitizer none $$target -- -max_total_time=$(FUZZ_SECONDS); \
	done

bench: build
	benches/run.sh

# $(call install_tool,NAME,FOLDER): a program under its dotted name.
define install_tool
	install -m 755 $(TARGET_DIR)/release/$(subst .,-,$(1)) $(DESTDIR)$(2)/$(1)
	$(STRIP) $(DESTDIR)$(2)/$(1)

endef

# Does not build: whoever may write to PREFIX need not have cargo.
install:
	@for tool in $(subst .,-,$(TOOLS)); do \
		test -x $(TARGET_DIR)/release/$$tool || { echo "$$tool is not built: run 'make build' first" >&2; exit 1; }; \
	done
	install -d $(addprefix $(DESTDIR),$(sbindir) $(bindir) $(mandir)/man1 $(mandir)/man8 $(bashdir) $(zshdir) $(fishdir))
	$(foreach tool,$(SBIN_TOOLS),$(call install_tool,$(tool),$(sbindir)))
	$(foreach tool,$(BIN_TOOLS),$(call install_tool,$(tool),$(bindir)))
	install -m 644 man/*.1 $(DESTDIR)$(mandir)/man1
	install -m 644 man/*.8 $(DESTDIR)$(mandir)/man8
	$(foreach tool,$(TOOLS),install -m 644 completions/$(tool).bash $(DESTDIR)$(bashdir)/$(tool) &&) true
	install -m 644 $(addprefix completions/_,$(TOOLS)) $(DESTDIR)$(zshdir)
	install -m 644 $(foreach tool,$(TOOLS),completions/$(tool).fish) $(DESTDIR)$(fishdir)

uninstall:
	rm -f $(addprefix $(DESTDIR)$(sbindir)/,$(SBIN_TOOLS)) $(addprefix $(DESTDIR)$(bindir)/,$(BIN_TOOLS))
	rm -f $(addprefix $(DESTDIR)$(mandir)/man1/,$(notdir $(wildcard man/*.1)))
	rm -f $(addprefix $(DESTDIR)$(mandir)/man8/,$(notdir $(wildcard man/*.8)))
	rm -f $(addprefix $(DESTDIR)$(bashdir)/,$(TOOLS)) $(addprefix $(DESTDIR)$(zshdir)/_,$(TOOLS))
	rm -f $(foreach tool,$(TOOLS),$(DESTDIR)$(fishdir)/$(tool).fish)
