#!/bin/sh
# Documentation tests first, so that the last line is the test runner's own.
set -eu
cd "$(dirname "$0")/.."
# the page's own renderer, where there is a JavaScript to run it; the browser test covers it everywhere
if command -v node >/dev/null 2>&1; then
    node --test tests/clients/markdown.test.js >/dev/null || node --test tests/clients/markdown.test.js
fi
cargo test --doc --workspace --locked
if cargo nextest --version >/dev/null 2>&1; then
    exec cargo nextest run --workspace --locked --no-fail-fast
fi
exec cargo test --workspace --all-targets --locked --no-fail-fast
