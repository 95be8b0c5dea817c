//! Lanes: one conversation's work in order, conversations in turn. Pure: time is a number that is passed in.
//!
//! Used twice: for jobs that wait for the model and for replies that wait for their platform.
//!
//! Invariants: within a lane, work is leased strictly in order and one at a time; a lane whose head waits or is leased holds up
//! nobody else; among ready lanes the one that has waited longest is next.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use packetboat_adapter_api::envelope::Envelope;
use packetboat_adapter_api::ids::{AdapterName, ConversationId};

/// Names a lane; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneKey(Arc<(AdapterName, ConversationId)>);

impl LaneKey {
    /// The lane of one conversation.
    pub fn new(adapter: &AdapterName, conversation: &ConversationId) -> Self {
        Self(Arc::new((adapter.clone(), conversation.clone())))
    }

    /// The lane that a message belongs to.
    pub fn of(envelope: &Envelope) -> Self {
        Self::new(&envelope.adapter, &envelope.conversation)
    }

    /// Which connection.
    pub fn adapter(&self) -> &AdapterName {
        &self.0.0
    }

    /// Which conversation of it.
    pub fn conversation(&self) -> &ConversationId {
        &self.0.1
    }

    /// Both, as the live view wants them.
    pub fn pair(&self) -> (AdapterName, ConversationId) {
        (*self.0).clone()
    }
}

/// What the head of a lane is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    Ready,
    Leased { token: u64, until_ms: u64 },
    Waiting { due_ms: u64 },
}

#[derive(Debug)]
struct Lane {
    work: VecDeque<u64>,
    head: Head,
}

/// All lanes.
#[derive(Debug, Default)]
pub struct Lanes {
    by_key: HashMap<LaneKey, Lane>,
    lane_of: HashMap<u64, LaneKey>,
    ready: VecDeque<LaneKey>,
    /// Waiting heads by due time and leased heads by deadline.
    timers: BTreeSet<(u64, LaneKey)>,
    leased: usize,
    tokens: u64,
}

/// The right to work on the head of a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Which work.
    pub id: u64,
    /// Its lane.
    pub lane: LaneKey,
    /// Tells this lease from an earlier one of the same work.
    pub token: u64,
}

impl Lanes {
    /// Puts work at the end of its lane. Work that is known already is left where it is.
    pub fn push(&mut self, key: &LaneKey, id: u64) {
        self.push_due(key, id, 0);
    }

    /// The same, but not before `due_ms`, if it stands at the head.
    pub fn push_due(&mut self, key: &LaneKey, id: u64, due_ms: u64) {
        if self.lane_of.contains_key(&id) {
            return;
        }
        self.lane_of.insert(id, key.clone());
        match self.by_key.get_mut(key) {
            Some(lane) => lane.work.push_back(id),
            None => {
                let head = if due_ms == 0 { Head::Ready } else { Head::Waiting { due_ms } };
                self.by_key.insert(key.clone(), Lane { work: VecDeque::from([id]), head });
                self.schedule(key, head);
            }
        }
    }

    /// Leases the head of the lane whose turn it is, until `until_ms`.
    pub fn lease(&mut self, until_ms: u64) -> Option<Grant> {
        let key = self.ready.pop_front()?;
        self.tokens += 1;
        let head = Head::Leased { token: self.tokens, until_ms };
        let lane = self.by_key.get_mut(&key)?;
        lane.head = head;
        let id = *lane.work.front()?;
        self.leased += 1;
        self.schedule(&key, head);
        Some(Grant { id, lane: key, token: self.tokens })
    }

    /// Whether the lease still stands (it has not expired, nobody removed the work).
    pub fn holds(&self, grant: &Grant) -> bool {
        self.by_key.get(&grant.lane).is_some_and(|lane| {
            lane.work.front() == Some(&grant.id)
                && matches!(lane.head, Head::Leased { token, .. } if token == grant.token)
        })
    }

    /// Keeps the lease until `until_ms`. `false`: it was lost.
    pub fn extend(&mut self, grant: &Grant, until_ms: u64) -> bool {
        self.holds(grant) && self.set_head(&grant.lane, Head::Leased { token: grant.token, until_ms })
    }

    /// Keeps the lease until the holder has written its outcome: it neither expires nor can be withdrawn. `false`: it was lost.
    pub fn seal(&mut self, grant: &Grant) -> bool {
        self.extend(grant, u64::MAX)
    }

    /// Whether the holder of the lease is writing its outcome.
    pub fn is_sealed(&self, id: u64) -> bool {
        let lane = self.lane_of.get(&id).and_then(|key| self.by_key.get(key));
        lane.is_some_and(|lane| {
            lane.work.front() == Some(&id) && matches!(lane.head, Head::Leased { until_ms: u64::MAX, .. })
        })
    }

    /// The work is done: the lane's next is ready. `false`: the lease was lost.
    pub fn done(&mut self, grant: &Grant) -> bool {
        self.holds(grant) && self.remove(grant.id)
    }

    /// Not now: the same work again from `due_ms` on (0 = at once, after the others). `false`: the lease was lost.
    pub fn delay(&mut self, grant: &Grant, due_ms: u64) -> bool {
        let head = if due_ms == 0 { Head::Ready } else { Head::Waiting { due_ms } };
        self.holds(grant) && self.set_head(&grant.lane, head)
    }

    /// Takes work out of its lane, wherever it stands. `false`: unknown.
    pub fn remove(&mut self, id: u64) -> bool {
        let Some(key) = self.lane_of.remove(&id) else { return false };
        let Some(lane) = self.by_key.get_mut(&key) else { return false };
        let was_head = lane.work.front() == Some(&id);
        if was_head {
            lane.work.pop_front();
        } else {
            lane.work.retain(|other| *other != id);
        }
        if lane.work.is_empty() {
            self.unschedule(&key);
            self.by_key.remove(&key);
        } else if was_head {
            self.set_head(&key, Head::Ready);
        }
        true
    }

    /// Makes due heads ready again and takes back expired leases; says whether anything became ready.
    pub fn tick(&mut self, now_ms: u64) -> bool {
        let due: Vec<LaneKey> =
            self.timers.iter().take_while(|(at, _)| *at <= now_ms).map(|(_, key)| key.clone()).collect();
        for key in &due {
            self.set_head(key, Head::Ready);
        }
        !due.is_empty()
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub fn next_timer(&self) -> Option<u64> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Work in all lanes, leased included.
    pub fn len(&self) -> usize {
        self.lane_of.len()
    }

    /// Nothing to do.
    pub fn is_empty(&self) -> bool {
        self.lane_of.is_empty()
    }

    /// Leases out.
    pub fn leased(&self) -> usize {
        self.leased
    }

    /// Whether this very work is leased.
    pub fn is_leased(&self, id: u64) -> bool {
        let lane = self.lane_of.get(&id).and_then(|key| self.by_key.get(key));
        lane.is_some_and(|lane| lane.work.front() == Some(&id) && matches!(lane.head, Head::Leased { .. }))
    }

    /// The work of one lane, in order.
    pub fn lane(&self, key: &LaneKey) -> Vec<u64> {
        self.by_key.get(key).map_or_else(Vec::new, |lane| lane.work.iter().copied().collect())
    }

    /// The lowest number among all work: the oldest, when numbers grow with time.
    pub fn oldest(&self) -> Option<u64> {
        self.by_key.values().filter_map(|lane| lane.work.front().copied()).min()
    }

    fn set_head(&mut self, key: &LaneKey, head: Head) -> bool {
        self.unschedule(key);
        let Some(lane) = self.by_key.get_mut(key) else { return false };
        lane.head = head;
        self.leased += usize::from(matches!(head, Head::Leased { .. }));
        self.schedule(key, head);
        true
    }

    fn schedule(&mut self, key: &LaneKey, head: Head) {
        match head {
            Head::Ready => self.ready.push_back(key.clone()),
            Head::Leased { until_ms: at, .. } | Head::Waiting { due_ms: at } => {
                self.timers.insert((at, key.clone()));
            }
        }
    }

    /// Forgets where the lane's head was scheduled.
    fn unschedule(&mut self, key: &LaneKey) {
        match self.by_key.get(key).map(|lane| lane.head) {
            Some(Head::Ready) => self.ready.retain(|other| other != key),
            Some(Head::Leased { until_ms, .. }) => {
                self.leased -= 1;
                self.timers.remove(&(until_ms, key.clone()));
            }
            Some(Head::Waiting { due_ms }) => {
                self.timers.remove(&(due_ms, key.clone()));
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
