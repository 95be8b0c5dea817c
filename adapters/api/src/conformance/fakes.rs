//! The daemon's side for tests: an intake that refuses on demand, a journal that dies on demand.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::PATIENCE;

use crate::adapter::{Accepted, Intake, Journal};
use crate::envelope::Inbound;
use crate::error::{JournalError, Refused};

/// An intake that remembers what it was offered and what it took.
#[derive(Debug)]
pub struct FakeIntake {
    state: Mutex<State>,
    bell: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    offered: Vec<Inbound>,
    taken: Vec<Inbound>,
    duplicates: usize,
    busy: usize,
    deny: Option<String>,
    hold: bool,
}

impl Default for FakeIntake {
    fn default() -> Self {
        Self { state: Mutex::default(), bell: watch::Sender::new(0) }
    }
}

impl FakeIntake {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.bell.send_modify(|changes| *changes += 1);
    }

    /// The next `times` offers are refused as busy.
    pub fn be_busy(&self, times: usize) {
        self.change(|state| state.busy = times);
    }

    /// Messages with this text are denied.
    pub fn deny(&self, text: &str) {
        self.change(|state| state.deny = Some(text.to_owned()));
    }

    /// Offers wait until [`Self::release`].
    pub fn hold(&self) {
        self.change(|state| state.hold = true);
    }

    /// Held offers go on.
    pub fn release(&self) {
        self.change(|state| state.hold = false);
    }

    /// Every offer so far, repeated ones too.
    pub fn offered(&self) -> Vec<Inbound> {
        self.lock().offered.clone()
    }

    /// What was taken, each message once.
    pub fn taken(&self) -> Vec<Inbound> {
        self.lock().taken.clone()
    }

    /// How many offers were of messages taken before.
    pub fn duplicates(&self) -> usize {
        self.lock().duplicates
    }

    /// Waits until `enough` says so of this intake; fails when that takes a minute.
    pub async fn wait(&self, enough: impl Fn(&Self) -> bool) {
        let in_time = tokio::time::timeout(PATIENCE, self.until(enough)).await.is_ok();
        let (offered, taken) = (self.offered().len(), self.taken().len());
        assert!(in_time, "waited in vain; {offered} messages were offered, {taken} taken");
    }

    async fn until(&self, enough: impl Fn(&Self) -> bool) {
        let mut bell = self.bell.subscribe();
        while !enough(self) {
            if bell.changed().await.is_err() {
                return;
            }
        }
    }

    fn decide(&self, inbound: Inbound) -> Result<Accepted, Refused> {
        let mut state = self.lock();
        if state.busy > 0 {
            state.busy -= 1;
            return Err(Refused::Busy { retry_after: Duration::from_millis(20), cause: "the test says so".to_owned() });
        }
        if state.deny.as_ref().is_some_and(|text| inbound.text().contains(text)) {
            return Err(Refused::Denied { cause: "the test says so".to_owned() });
        }
        let known = state.taken.iter().position(|taken| taken.envelope.message == inbound.envelope.message);
        if known.is_some() {
            state.duplicates += 1;
        } else {
            state.taken.push(inbound);
        }
        let job = known.unwrap_or(state.taken.len() - 1) as u64;
        Ok(Accepted { job, duplicate: known.is_some() })
    }
}

#[async_trait]
impl Intake for FakeIntake {
    async fn accept(&self, inbound: Inbound) -> Result<Accepted, Refused> {
        self.change(|state| state.offered.push(inbound.clone()));
        self.until(|it| !it.lock().hold).await;
        let decision = self.decide(inbound);
        self.change(|_| ());
        decision
    }
}

/// When a journal dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// At the record of that number (from 0), before it is stored.
    Before(usize),
    /// At the record of that number (from 0), after it was stored.
    After(usize),
}

/// A journal in memory that can die on the way and be found again.
#[derive(Debug, Default)]
pub struct FakeJournal {
    note: Mutex<Option<String>>,
    records: Mutex<usize>,
    death: Option<Death>,
}

impl FakeJournal {
    /// One that dies then: that record and all later ones fail.
    pub fn dying(death: Death) -> Self {
        Self { death: Some(death), ..Self::default() }
    }

    /// What a daemon finds that starts after this one died.
    pub fn found_again(&self) -> Self {
        Self { note: Mutex::new(self.read()), ..Self::default() }
    }

    /// Whether its death was reached.
    pub fn died(&self) -> bool {
        let records = *self.records.lock().unwrap_or_else(PoisonError::into_inner);
        match self.death {
            Some(Death::Before(number) | Death::After(number)) => records > number,
            None => false,
        }
    }
}

#[async_trait]
impl Journal for FakeJournal {
    fn read(&self) -> Option<String> {
        self.note.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn record(&self, note: &str) -> Result<(), JournalError> {
        let number = {
            let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
            *records += 1;
            *records - 1
        };
        let dead = |at: usize| number >= at;
        let died = || Err(JournalError("the test killed the daemon".to_owned()));
        match self.death {
            Some(Death::Before(at)) if dead(at) => return died(),
            Some(Death::After(at)) if number > at => return died(),
            _ => {}
        }
        *self.note.lock().unwrap_or_else(PoisonError::into_inner) = Some(note.to_owned());
        match self.death {
            Some(Death::After(at)) if dead(at) => died(),
            _ => Ok(()),
        }
    }
}
