//! The shard of a pending batch is split: the batch is finished, then the rest of the parent, then the children.

use kcl::Position;

use super::changes::{pending_at, within_second_batch};
use super::oracle::{Calm, check_consistency, rows_of};
use super::scenario::{LINES, Scenario};

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_split_while_a_batch_is_pending_loses_and_repeats_nothing() {
    for scenario in [Scenario::PLAIN, Scenario::MULTIPART] {
        let calm = Calm::of(&scenario).await;
        for at in within_second_batch(&calm) {
            let cell = format!("{}, split, killed before call {at} ({})", scenario.name, calm.steps[at]);
            let world = pending_at(&scenario, at).await;
            let announced = world.announced();
            assert_eq!(announced.len(), 2, "{cell}: the second batch is pending");
            world.bed.stream().split(&world.leases()[0].key.shard());
            world.feeder.put_lines(LINES + 1, LINES + 6);
            world.feeder.put_ends(2);
            let second = world.start(None).await;
            world.finish(&second).await;
            let (objects, leases) = (world.objects.objects(), world.leases());
            check_consistency(&cell, &objects, &leases);
            calm.check_announced(&cell, &objects, &announced);
            let lines = rows_of(&cell, &objects).lines;
            assert!(lines.into_keys().eq(1..=LINES + 6), "{cell}: every line once");
            assert_eq!(leases.len(), 3, "{cell}: parent and children");
            assert_eq!(leases[0].checkpoint, Position::ShardEnd, "{cell}: the parent is over");
            assert!(leases[1..].iter().all(|child| child.own.batch.0 > 0), "{cell}: both children wrote");
        }
    }
}
