//! How long one plan takes for a thousand shards under a load known in 4,096 parts, branch by branch. The bar is 50 ms, and
//! `autoscaler/tests/planner/speed.rs` holds it in the development profile.

#[path = "../tests/planner/situations.rs"]
mod situations;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use situations::{kind, situations};

fn planning(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan, 1,000 shards × 4,096 parts");
    for situation in situations() {
        assert_eq!(kind(&situation.plan()), situation.answer, "{}", situation.name);
        let name = format!("{} → {}", situation.name, situation.answer);
        group.bench_function(name, |bencher| bencher.iter(|| black_box(&situation).plan()));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().without_plots().sample_size(20);
    targets = planning
}
criterion_main!(benches);
