//! `queue verify`: every record is read, and the conservation law is counted anew.

use std::collections::HashSet;

use super::records::{self, JobRecord, PlaceRecord};
use super::view::{Stage, Totals, VerifyReport};
use super::{Queue, open};
use crate::store::{StoreError, counter_value};

impl Queue {
    /// Reads everything. The line may be busy meanwhile: what moves between two tables during the reading is looked at again.
    pub fn verify(&self) -> Result<VerifyReport, StoreError> {
        let before = self.counters()?;
        let mut report = VerifyReport::default();
        let waiting = self.places(records::WAITING, &mut report)?;
        let outbox = self.places(records::OUTBOX, &mut report)?;
        report.deliveries = outbox.len() as u64;
        for (key, value) in open::pages(self.store.as_ref(), records::JOBS) {
            report.jobs += 1;
            let Some(job) = records::job_of(&key) else { continue };
            match records::decode::<JobRecord>(&value) {
                Ok(record) => self.check_job(job, &record, &waiting, &outbox, &mut report)?,
                Err(error) => report.problems.push(format!("the record of job {job} is {error}")),
            }
        }
        let totals = Totals { pending: waiting.union(&outbox).count() as u64, ..before };
        report.totals = totals;
        // a moving line can't be counted in one moment; a standing one must add up
        if self.counters()? == before && !totals.hold() {
            report.problems.push(format!(
                "the conservation law does not hold: accepted {} ≠ delivered {} + dead {} + cancelled {} + pending {}",
                totals.accepted, totals.delivered, totals.dead, totals.cancelled, totals.pending
            ));
        }
        Ok(report)
    }

    fn counters(&self) -> Result<Totals, StoreError> {
        let counter = |name: &[u8]| -> Result<u64, StoreError> {
            Ok(u64::try_from(counter_value(self.store.get(name)?.as_deref())).unwrap_or(0))
        };
        Ok(Totals {
            accepted: counter(records::ACCEPTED)?,
            delivered: counter(records::DELIVERED)?,
            dead: counter(records::DEAD)?,
            cancelled: counter(records::CANCELLED)?,
            pending: 0,
        })
    }

    fn places(&self, table: &[u8], report: &mut VerifyReport) -> Result<HashSet<u64>, StoreError> {
        let mut found = HashSet::new();
        for (key, value) in open::pages(self.store.as_ref(), table) {
            let Some(job) = records::job_of(&key) else { continue };
            found.insert(job);
            if let Err(error) = records::decode::<PlaceRecord>(&value) {
                report.problems.push(format!("the place of job {job} is {error}"));
            } else if self.store.get(&records::job_key(records::JOBS, job))?.is_none() {
                report.problems.push(format!("job {job} has a place on the line and no record"));
            }
        }
        Ok(found)
    }

    fn check_job(
        &self,
        job: u64,
        record: &JobRecord,
        waiting: &HashSet<u64>,
        outbox: &HashSet<u64>,
        report: &mut VerifyReport,
    ) -> Result<(), StoreError> {
        let envelope = &record.inbound.envelope;
        let seen = self.store.get(&records::seen_key(&envelope.adapter, &envelope.message))?;
        if seen.and_then(|value| records::job_of(&value)) != Some(job) {
            report.problems.push(format!("job {job} has no dedupe key of its own"));
        }
        let places = (waiting.contains(&job), outbox.contains(&job));
        let expected = match record.state {
            Stage::Accepted | Stage::Leased | Stage::Retryable => (true, false),
            Stage::Completed => (false, true),
            Stage::Delivered | Stage::Cancelled | Stage::Dead => (false, false),
        };
        if places != expected {
            // it may have moved since its table was read
            let now = self.load(job)?.map(|record| record.state);
            if now == Some(record.state) && self.places_now(job)? != expected {
                report.problems.push(format!("job {job} is {:?} and stands in the wrong place", record.state));
            }
        }
        Ok(())
    }

    fn places_now(&self, job: u64) -> Result<(bool, bool), StoreError> {
        let stands = |table| Ok(self.store.get(&records::job_key(table, job))?.is_some());
        Ok::<_, StoreError>((stands(records::WAITING)?, stands(records::OUTBOX)?))
    }
}
