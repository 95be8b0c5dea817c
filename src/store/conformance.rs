//! The suite that every store runs. Test code only.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::{Batch, Store, StoreError, Write, counter_value};

/// Runs every check, each on a fresh store.
pub async fn run(mut fresh: impl FnMut() -> Arc<dyn Store>) {
    a_put_is_read_back(fresh()).await;
    a_refused_batch_writes_nothing(fresh()).await;
    a_posted_batch_takes_its_place_in_the_order(fresh()).await;
    counters_add_up_within_and_across_batches(fresh()).await;
    a_scan_is_ordered_bounded_and_stays_in_its_prefix(fresh()).await;
    of_concurrent_inserts_one_wins(fresh()).await;
    agrees_with_a_map(fresh).await;
}

async fn a_put_is_read_back(store: Arc<dyn Store>) {
    store.commit(Batch::default().put(b"a", b"1")).await.expect("commits");
    assert_eq!(store.get(b"a"), Ok(Some(b"1".to_vec())));
    store.commit(Batch::default().put(b"a", b"2").delete(b"b")).await.expect("commits");
    assert_eq!(store.get(b"a"), Ok(Some(b"2".to_vec())));
    store.commit(Batch::default().delete(b"a")).await.expect("commits");
    assert_eq!(store.get(b"a"), Ok(None));
}

async fn a_refused_batch_writes_nothing(store: Arc<dyn Store>) {
    store.commit(Batch::default().put(b"seen", b"first")).await.expect("commits");
    let second = Batch::default().absent(b"seen").put(b"job", b"second").add(b"n", 1);
    assert_eq!(store.commit(second).await, Err(StoreError::Exists(b"first".to_vec())));
    assert_eq!(store.get(b"job"), Ok(None));
    assert_eq!(store.get(b"n"), Ok(None));
}

async fn a_posted_batch_takes_its_place_in_the_order(store: Arc<dyn Store>) {
    store.post(Batch::default().put(b"a", b"posted").put(b"b", b"posted"));
    store.commit(Batch::default().put(b"a", b"committed")).await.expect("commits");
    assert_eq!(store.get(b"a"), Ok(Some(b"committed".to_vec())));
    assert_eq!(store.get(b"b"), Ok(Some(b"posted".to_vec())));
}

async fn counters_add_up_within_and_across_batches(store: Arc<dyn Store>) {
    store.commit(Batch::default().add(b"n", 2).add(b"n", 3)).await.expect("commits");
    store.commit(Batch::default().add(b"n", -1)).await.expect("commits");
    assert_eq!(counter_value(store.get(b"n").expect("reads").as_deref()), 4);
}

async fn a_scan_is_ordered_bounded_and_stays_in_its_prefix(store: Arc<dyn Store>) {
    for key in [b"p2", b"p1", b"q1", b"o9", b"p3"] {
        store.commit(Batch::default().put(key, key)).await.expect("commits");
    }
    let keys = |from: &[u8], limit| -> Vec<Vec<u8>> {
        store.scan(b"p", from, limit).expect("scans").into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(keys(b"", 10), [b"p1", b"p2", b"p3"]);
    assert_eq!(keys(b"p2", 10), [b"p2", b"p3"]);
    assert_eq!(keys(b"", 2), [b"p1", b"p2"]);
}

async fn of_concurrent_inserts_one_wins(store: Arc<dyn Store>) {
    let tries = (0..32_u8).map(|n| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.commit(Batch::default().absent(b"k").put(b"k", [n]).add(b"won", 1)).await })
    });
    let mut won = 0;
    for outcome in futures::future::join_all(tries).await {
        won += i32::from(outcome.expect("no panic").is_ok());
    }
    assert_eq!(won, 1);
    assert_eq!(counter_value(store.get(b"won").expect("reads").as_deref()), 1);
}

/// Random batches on few keys, against a plain map.
async fn agrees_with_a_map(mut fresh: impl FnMut() -> Arc<dyn Store>) {
    let mut runner = TestRunner::deterministic();
    for _ in 0..16 {
        let batches = vec(batch(), 1..20).new_tree(&mut runner).expect("a case").current();
        let store = fresh();
        let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for batch in batches {
            let exists = batch.absent.iter().find_map(|key| model.get(key).cloned());
            let expected = exists.map_or(Ok(()), |value| Err(StoreError::Exists(value)));
            assert_eq!(store.commit(batch.clone()).await, expected);
            if expected.is_ok() {
                batch.writes.into_iter().for_each(|write| apply(&mut model, write));
            }
        }
        assert_eq!(
            store.last(b"k"),
            Ok(model.range(b"k".to_vec()..b"l".to_vec()).next_back().map(|(k, v)| (k.clone(), v.clone())))
        );
        let all = store.scan(b"", b"", usize::MAX).expect("scans");
        assert_eq!(all, model.into_iter().collect::<Vec<_>>());
    }
}

fn apply(model: &mut BTreeMap<Vec<u8>, Vec<u8>>, write: Write) {
    match write {
        Write::Put(key, value) => drop(model.insert(key, value)),
        Write::Delete(key) => drop(model.remove(&key)),
        Write::Add(key, delta) => {
            let sum = counter_value(model.get(&key).map(Vec::as_slice)) + delta;
            model.insert(key, sum.to_le_bytes().to_vec());
        }
    }
}

fn batch() -> impl Strategy<Value = Batch> {
    let key = || (0..6_u8).prop_map(|n| vec![b'k', n]);
    let counter = (0..2_u8).prop_map(|n| vec![b'n', n]);
    let write = prop_oneof![
        (key(), vec(any::<u8>(), 0..40)).prop_map(|(key, value)| Write::Put(key, value)),
        key().prop_map(Write::Delete),
        (counter, -5..9_i64).prop_map(|(key, delta)| Write::Add(key, delta)),
    ];
    (vec(key(), 0..2), vec(write, 0..6)).prop_map(|(absent, writes)| Batch { absent, writes, grows: false })
}
