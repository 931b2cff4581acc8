# Everything that must hold before a change lands.
check: format lint test docs deny gates

# The code is formatted.
format:
    cargo fmt --all -- --check

# No warning of the compiler or of clippy.
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# All tests and doctests.
test:
    cargo test --workspace

# The documentation builds without warnings.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Licences, sources and bans; advisories where their database can be reached.
deny:
    cargo deny check --hide-inclusion-graph bans licenses sources
    .ci/advisories

# Dependencies that must never exist, file lengths, and paths named in documents.
gates:
    .ci/gates

# The tests on real input, found by LEASEHOLD_SAMPLE_DATA.
sample:
    cargo test --workspace --test it --test suite -- --ignored --nocapture sample_

# The planner beside the published autoscalers on synthetic traffic of these seeds: the table, and each bar beside what is
# listed of it in autoscaler/tests/suite/bars.toml.
suite seeds="1,2,3,4,5":
    LEASEHOLD_SUITE_SEEDS={{seeds}} cargo test --workspace --test suite -- --ignored --nocapture seeds_

# The autoscaler's controllers under so many seeds of crashes, pauses, late calls, operators and rivals.
autoscale-faults seeds="100000":
    LEASEHOLD_SEEDS={{seeds}} cargo test --profile sim -p leasehold-autoscaler --test reconcile -- --ignored --nocapture many_seeds

# Coordinators under schedules chosen by bytes, and every order of events within small bounds.
sim:
    cargo test -p leasehold-sim

# The safety suite and the planted bugs, as a table: property, layers and how much they ran, bugs caught.
prove *options:
    cargo build --workspace --bin leasehold-prove
    "${CARGO_TARGET_DIR:-target}/debug/leasehold-prove" {{options}}

# The same with 10^5 schedules, one more tick of the exhaustive search and 30 minutes of real processes.
prove-long: (prove "--long")

# The figures of speed against their bars, from a release build; `--list` names the rows that `--only` takes.
figures *options:
    cargo build --release -p leasehold -p leasehold-figures
    target/release/leasehold-figures {{options}}

# One cargo-fuzz target, for so many seconds: `just fuzz log_line 600`; without a name, the list. What it finds lies in
# tests/fuzz/fuzz/artifacts and belongs into tests/fuzz/corpus once it is mended.
fuzz target="" seconds="60":
    tests/fuzz/run "{{target}}" "{{seconds}}"

# Real processes killed, stopped and throttled for so many minutes, then every object verified.
soak minutes="3" *options="":
    cargo build -p leasehold -p leasehold-soak
    "${CARGO_TARGET_DIR:-target}/debug/leasehold-soak" {{minutes}} {{options}}

# The stream conformance suite against kinesis-local, installed by npm at its pinned version.
interop:
    tests/interop/kinesis-local/run

# The page of `autoscale simulate --html` in a headless Chromium, with screenshots beside it in the target folder's `browser`.
# Needs node, npm and Chromium.
browser:
    tests/browser/run

# The hot paths: the `weblog` pipeline from record bytes to a compressed object, with the share of each step.
# And one plan of the autoscaler for a thousand shards, branch by branch.
bench:
    cargo bench -p leasehold-workers --bench weblog
    cargo bench -p leasehold-autoscaler --bench plan

# The CloudFormation and Terraform of infra, checked and deployed on an emulator, and alarms that lead to more shards: there,
# and on the local services. Needs python3, and terraform with its provider in the folder TF_PLUGIN_DIR, or `--skip-terraform`.
infra *options:
    tests/infra/run {{options}}
