//! Lanes by example, and against the obvious model: a list of work per lane.

use proptest::prelude::*;

use super::*;

fn lane(name: &str) -> LaneKey {
    LaneKey::new(&AdapterName::new("test"), &ConversationId::new(name))
}

fn ids(lanes: &mut Lanes) -> Vec<u64> {
    std::iter::from_fn(|| lanes.lease(1000).map(|grant| grant.id)).collect()
}

#[test]
fn conversations_take_turns_and_each_has_one_lease() {
    let mut lanes = Lanes::default();
    for (name, id) in [("a", 1), ("a", 2), ("b", 3), ("c", 4)] {
        lanes.push(&lane(name), id);
    }
    assert_eq!(ids(&mut lanes), [1, 3, 4]);
    assert_eq!(lanes.leased(), 3);
}

#[test]
fn a_waiting_head_holds_up_its_own_lane_only() {
    let mut lanes = Lanes::default();
    for (name, id) in [("a", 1), ("a", 2), ("b", 3)] {
        lanes.push(&lane(name), id);
    }
    let first = lanes.lease(1000).expect("a lease");
    assert!(lanes.delay(&first, 500));
    assert_eq!(ids(&mut lanes), [3]);
    assert!(!lanes.tick(499));
    assert!(lanes.tick(500));
    assert_eq!(ids(&mut lanes), [1]);
}

#[test]
fn an_expired_lease_is_given_again_and_the_late_worker_is_told() {
    let mut lanes = Lanes::default();
    lanes.push(&lane("a"), 1);
    let late = lanes.lease(100).expect("a lease");
    assert!(lanes.extend(&late, 200));
    assert!(!lanes.tick(150));
    assert!(lanes.tick(200));
    let again = lanes.lease(1000).expect("a lease");
    assert_eq!(again.id, 1);
    assert!(!lanes.done(&late));
    assert!(lanes.done(&again));
    assert!(lanes.is_empty());
}

#[test]
fn removing_a_leased_head_frees_its_lane() {
    let mut lanes = Lanes::default();
    lanes.push(&lane("a"), 1);
    lanes.push(&lane("a"), 2);
    let grant = lanes.lease(100).expect("a lease");
    assert!(lanes.remove(1));
    assert!(!lanes.done(&grant));
    assert_eq!(ids(&mut lanes), [2]);
}

#[derive(Debug, Clone)]
enum Op {
    Push(u8),
    Lease,
    Done(usize),
    Delay(usize, u64),
    Remove(u64),
    Tick(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..4_u8).prop_map(Op::Push),
        3 => Just(Op::Lease),
        2 => (0..8_usize).prop_map(Op::Done),
        1 => (0..8_usize, 0..30_u64).prop_map(|(n, wait)| Op::Delay(n, wait)),
        1 => (0..40_u64).prop_map(Op::Remove),
        1 => (0..40_u64).prop_map(Op::Tick),
    ]
}

proptest! {
    /// Against the obvious model: a list of work per lane.
    #[test]
    fn order_is_kept_nothing_is_lost_and_one_lease_a_lane(ops in proptest::collection::vec(op(), 1..120)) {
        let mut lanes = Lanes::default();
        let mut model: Vec<(u8, u64)> = Vec::new();
        let mut grants: Vec<Grant> = Vec::new();
        let mut now = 0;
        let mut next = 0;
        for op in ops {
            match op {
                Op::Push(n) => {
                    next += 1;
                    lanes.push(&lane(&n.to_string()), next);
                    model.push((n, next));
                }
                Op::Lease => {
                    if let Some(grant) = lanes.lease(now + 20) {
                        let name = grant.lane.conversation().as_str().to_owned();
                        let head = model.iter().find(|(n, _)| n.to_string() == name).map(|(_, id)| *id);
                        prop_assert_eq!(Some(grant.id), head, "the head of its lane");
                        let same_lane = |other: &&Grant| other.lane == grant.lane && lanes.holds(other);
                        prop_assert!(grants.iter().find(same_lane).is_none(), "one lease a lane");
                        grants.push(grant);
                    }
                }
                Op::Done(n) => {
                    if let Some(grant) = grants.get(n).cloned() {
                        let held = lanes.holds(&grant);
                        prop_assert_eq!(lanes.done(&grant), held);
                        if held {
                            model.retain(|(_, id)| *id != grant.id);
                        }
                    }
                }
                Op::Delay(n, wait) => {
                    if let Some(grant) = grants.get(n).cloned() {
                        lanes.delay(&grant, now + wait);
                    }
                }
                Op::Remove(id) => {
                    let known = model.iter().any(|(_, other)| *other == id);
                    prop_assert_eq!(lanes.remove(id), known);
                    model.retain(|(_, other)| *other != id);
                }
                Op::Tick(by) => {
                    now += by;
                    lanes.tick(now);
                }
            }
            prop_assert_eq!(lanes.len(), model.len());
            prop_assert_eq!(lanes.leased(), grants.iter().filter(|grant| lanes.holds(grant)).count());
            prop_assert_eq!(lanes.oldest(), model.iter().map(|(_, id)| *id).min());
        }
        // nothing is stuck: with time, everything comes out
        for _ in 0..model.len() {
            now += 1000;
            lanes.tick(now);
            let grant = lanes.lease(now + 1).expect("work is left");
            prop_assert!(lanes.done(&grant));
        }
        prop_assert!(lanes.is_empty());
    }
}
