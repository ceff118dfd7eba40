# The two commands that set everything up are `make run` and `make test`; the others are parts of them.

.PHONY: run test demo-check lint conformance bench-waf bench-waf-http bench-proxy bench-scale bench-instructions install

PREFIX ?= /usr/local

# Builds, deploys tests/apps/flask-hello behind the firewall, shows an attack being refused, stays up.
run:
	@tests/setup/install run
	@tests/demo/run

# The same, asserted step by step, and ended.
demo-check:
	@tests/setup/install run
	@tests/demo/run --check

# Installs what the tests need and runs them all.
test:
	@tests/setup/install test
	cargo build --package hop3
	cargo test --workspace

# Formatting, lints, licences.
lint:
	@tests/setup/install lint
	cargo fmt --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo deny --all-features check licenses bans sources

# The conformance suites alone: a line for each, above it what failed or was skipped and why, and how many requests of each
# class the base ruleset refuses.
conformance:
	@tests/setup/install test
	@cargo build --quiet --package hop3
	@failed=$$(mktemp) && { HOP3_CONFORMANCE=all cargo test --quiet --no-fail-fast -p hop3-libinjection -p hop3-tests \
	    -- --nocapture 2>&1 || echo failed >"$$failed"; } \
	    | grep -E '^(FAIL|SKIP|NOTE|DIFFERENCE|CLASS|suite=)'; \
	    [ ! -s "$$failed" ]; status=$$?; rm -f "$$failed"; exit $$status

# CPU time of the engine by class of request, beside the engines of others that can be installed.
bench-waf:
	@tests/setup/install bench
	@benches/scripts/compare $(if $(CRS),--crs $(CRS))

# The same through the proxy, over HTTP, beside nginx with ModSecurity.
bench-waf-http:
	@tests/setup/install bench
	@benches/scripts/http $(if $(CRS),--crs $(CRS))

# The proxy without its firewall, beside nginx, HAProxy and Caddy.
bench-proxy:
	@tests/setup/install bench
	@benches/scripts/proxy

# How time and memory grow: with rules, with bytes, with applications.
bench-scale:
	@tests/setup/install bench
	@benches/scripts/scale $(if $(CRS),--crs $(CRS))

# Instructions of a handful of inspections, compared with benches/instructions.json.
bench-instructions:
	@tests/setup/install count
	@benches/scripts/instructions

# The optimised executable, under both of its names.
install:
	cargo build --release --package hop3 --bin hop3
	install -D -m 755 $${CARGO_TARGET_DIR:-target}/release/hop3 $(DESTDIR)$(PREFIX)/bin/hop3
	ln -sf hop3 $(DESTDIR)$(PREFIX)/bin/hop
