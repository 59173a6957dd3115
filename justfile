# `just` lists what there is to do.
default:
    @just --list

# Everything that CI runs; changes nothing in the clone.
check:
    .ci/run

# Formats the sources.
fmt:
    cargo fmt --all

# Runs all tests.
test *ARGS:
    cargo test --workspace {{ ARGS }}

# Runs all tests at their full length: a million events to recover, long crash loops.
test-long:
    RELAMPAGO_LONG=1 cargo test --release --workspace

# Starts a shop on 127.0.0.1:8080.
serve *ARGS:
    cargo run --release -- serve {{ ARGS }}

# Holds a flash sale, kills its server in the middle and audits the outcome.
demo *ARGS:
    cargo run --release -- demo {{ ARGS }}

# Kills the server under load again and again and looks for what it acknowledged.
crash:
    cargo test -p relampago-tests --test blackbox recovery -- --nocapture

# Cuts the power of the disk under the server (root, loop devices).
powercut:
    cargo test -p relampago-tests --test blackbox power_cut -- --nocapture

# Flipped bits, missing and older files, failing and full disks, the long way (root, loop devices).
disk-faults:
    RELAMPAGO_LONG=1 RELAMPAGO_CI=1 cargo test -p relampago-tests --test blackbox -- damage:: failing_disk:: --nocapture

# Half a million entities, and a tail of five million events.
memory:
    RELAMPAGO_LONG=1 cargo test --release -p relampago-tests --test blackbox many:: -- --nocapture
    RELAMPAGO_LONG=1 cargo test --release -p relampago-tests --test blackbox recovery:: -- --nocapture

# A busy shop for twenty minutes.
soak SECONDS="1200":
    RELAMPAGO_SOAK={{ SECONDS }} cargo test --release -p relampago-tests --test blackbox soak:: -- --nocapture

# Worlds under crashes, on every core.
worlds SEEDS="100000":
    RELAMPAGO_SEEDS={{ SEEDS }} cargo test --release -p relampago-actors --test domain world:: -- --nocapture

# Two million schedules of what is concurrent, a model.
models:
    RELAMPAGO_LONG=1 cargo test --release -p relampago-engine --lib models:: -- --nocapture

# The alert rules, and where they fire (promtool).
alerts:
    cd config && promtool check rules alerts.yml && promtool test rules alerts_test.yml

# More than the engine can serve, and clients that only hold connections: `just overload --quick`, `--only flood`.
overload *ARGS:
    cargo bench -p relampago-benches --bench overload -- {{ ARGS }}

# Shows that the power-cut test notices a server that leaves out every fdatasync: the test must fail.
powercut-proof:
    cargo build --release -p relampago-http -p relampago-snapshots --features relampago-snapshots/unsafe-no-fdatasync
    cp "${CARGO_TARGET_DIR:-target}/release/relampago" "${TMPDIR:-/tmp}/relampago-no-fdatasync"
    ! RELAMPAGO_BINARY="${TMPDIR:-/tmp}/relampago-no-fdatasync" cargo test --release -p relampago-tests --test blackbox power_cut -- --nocapture

# Feeds what reads requests, stored records and keys with anything: `just fuzz vault 600` (nightly, cargo-fuzz).
fuzz TARGET SECONDS="60":
    mkdir -p target/corpus/{{ TARGET }}
    cargo +nightly fuzz run --fuzz-dir tests/fuzz {{ TARGET }} target/corpus/{{ TARGET }} tests/fuzz/seeds/{{ TARGET }} -- -max_total_time={{ SECONDS }} -timeout=60 -rss_limit_mb=2048

# Micro benches of the parts; `just speed` and `just curves` are about the whole.
bench *ARGS:
    cargo bench -p relampago-benches --bench engine --bench parts {{ ARGS }}

# Licences, advisories and sources of what we depend on.
deny:
    cargo deny check

# The engine beside an axum handler that does nothing and two shops on PostgreSQL, and its targets: `just speed --help`.
speed *ARGS:
    cargo bench -p relampago-benches --bench speed -- {{ ARGS }}

# How checkouts scale with threads, connections, skus and orders; pictures in benches/curves.
curves *ARGS:
    cargo bench -p relampago-benches --bench curves -- {{ ARGS }}

# What a request costs the load tester beside wrk.
load-cost:
    cargo bench -p relampago-load --bench cost
