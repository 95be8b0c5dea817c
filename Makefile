# packetboat: the two commands are `make run` and `make test`. `make help` lists the others.
SHELL := /bin/sh
.DEFAULT_GOAL := help

TARGET := $(or $(CARGO_TARGET_DIR),target)
PROGRAM := $(TARGET)/release/packetboat
HOME_OF_RUN := .packetboat
PREFIX ?= /usr/local
UNITDIR ?= /etc/systemd/system

.PHONY: help run build runtime test test-deps check audit bench install uninstall clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

run: build ## build, make a private configuration in .packetboat, start the daemon with the bundled model
	$(PROGRAM) init --dir $(HOME_OF_RUN) --yes >/dev/null
	exec $(PROGRAM) serve --config $(HOME_OF_RUN)/packetboat.toml --login-link

build: runtime
	cargo build --release --locked --bin packetboat

runtime: ## fetch the pinned ONNX Runtime library into .runtime
	python3 models/fetch_runtime.py .runtime

test: check ## everything: format, lints, dependencies' licences, documentation, all tests
	@sh tests/run.sh

check: test-deps runtime
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --offline check bans licenses sources; \
	else echo "cargo-deny is not installed: licences and sources not checked (cargo install cargo-deny --locked)"; fi

test-deps: ## install what the tests need and is missing
	@sh tests/deps.sh

audit: ## known vulnerabilities of the dependencies (needs cargo-deny and the network)
	cargo deny check

bench: build ## measure the whole line on this machine
	$(PROGRAM) bench line

install: build ## program, ONNX Runtime, bundled model, systemd unit (PREFIX, DESTDIR, UNITDIR)
	install -D -m 0755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/packetboat
	install -d $(DESTDIR)$(PREFIX)/lib/packetboat $(DESTDIR)$(PREFIX)/share/packetboat/bundled
	cp -R .runtime/. $(DESTDIR)$(PREFIX)/lib/packetboat/
	cp -R models/bundled/. $(DESTDIR)$(PREFIX)/share/packetboat/bundled/
	$(PROGRAM) man $(DESTDIR)$(PREFIX)/share/man/man1
	install -D -m 0644 config/packetboat.example.toml $(DESTDIR)$(PREFIX)/share/doc/packetboat/packetboat.example.toml
	install -D -m 0644 systemd/packetboat.service.d/gpu.conf.example \
		$(DESTDIR)$(PREFIX)/share/doc/packetboat/gpu.conf.example
	install -d $(DESTDIR)$(UNITDIR)
	sed 's,/usr/local/bin/,$(PREFIX)/bin/,' systemd/packetboat.service > $(DESTDIR)$(UNITDIR)/packetboat.service
	@echo "next: packetboat init --system, then systemctl daemon-reload and systemctl enable --now packetboat"

uninstall: ## what install put there; configuration and data stay
	rm -f $(DESTDIR)$(PREFIX)/bin/packetboat $(DESTDIR)$(UNITDIR)/packetboat.service
	rm -f $(DESTDIR)$(PREFIX)/share/man/man1/packetboat.1 $(DESTDIR)$(PREFIX)/share/man/man1/packetboat-*.1
	rm -rf $(DESTDIR)$(PREFIX)/lib/packetboat $(DESTDIR)$(PREFIX)/share/packetboat $(DESTDIR)$(PREFIX)/share/doc/packetboat

clean: ## what was built and fetched; .packetboat (configuration and data) stays
	cargo clean
	rm -rf .runtime .venv
