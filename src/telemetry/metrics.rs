//! Every metric's name, in one place. Whoever counts calls a field: `metrics.accepted.inc()`.
//!
//! Invariants: names and labels are promises to dashboards; no label ever holds a person, a conversation or content, so
//! the number of series stays small. The conservation law's terms are counters that start with the process, beside
//! gauges of the stored totals, which survive it. Not here: where it is served (`http/`), what raises an alert.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::queue::view::QueueStats;

/// What became of one attempt to deliver a reply.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DeliverLabels {
    /// The adapter's name, as configured.
    pub adapter: String,
    /// `delivered`, `retry`, `retry_after`, `reject` or `unknown`.
    pub outcome: &'static str,
}

/// One endpoint and how it answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The route's pattern, never the path that was asked for.
    pub route: String,
    /// The HTTP status.
    pub status: u16,
}

/// One platform connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AdapterLabels {
    /// The adapter's name, as configured.
    pub adapter: String,
}

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    /// What [`Metrics::observe_queue`] saw last: the counters grow by the difference.
    seen: Mutex<Option<QueueStats>>,
    /// Messages made durable (C1) since the start.
    pub accepted: Counter,
    /// Replies with the platform's receipt (C3) since the start.
    pub delivered: Counter,
    /// Messages given up since the start.
    pub dead: Counter,
    /// Messages withdrawn since the start.
    pub cancelled: Counter,
    /// Messages that had been accepted before and were recognised.
    pub duplicates: Counter,
    /// Messages refused because queue or disk is full, or the daemon stops.
    pub refused: Counter,
    /// Messages on the line now.
    pub pending: Gauge,
    /// Milliseconds that the oldest of them has waited.
    pub oldest_pending_ms: Gauge<u64, AtomicU64>,
    /// Stored total of accepted messages; with the next three it survives a restart.
    pub total_accepted: Gauge<u64, AtomicU64>,
    /// Stored total of delivered replies.
    pub total_delivered: Gauge<u64, AtomicU64>,
    /// Stored total of dead letters.
    pub total_dead: Gauge<u64, AtomicU64>,
    /// Stored total of withdrawn messages.
    pub total_cancelled: Gauge<u64, AtomicU64>,
    /// 1 while `accepted = delivered + dead + cancelled + pending` does not hold. Alert on it.
    pub conservation_violation: Gauge,
    /// Bytes of the store on disk.
    pub store_bytes: Gauge<u64, AtomicU64>,
    /// How long an answer took to generate.
    pub generate_seconds: Histogram,
    /// How long until the first piece of an answer.
    pub first_token_seconds: Histogram,
    /// Tokens generated.
    pub generated_tokens: Counter,
    /// Attempts of the model that failed.
    pub generate_failures: Counter,
    /// Attempts to deliver, by adapter and outcome.
    pub deliver_attempts: Family<DeliverLabels, Counter>,
    /// HTTP requests, by route and status.
    pub http_requests: Family<RequestLabels, Counter>,
    /// How long one durable commit took.
    pub store_commit_seconds: Histogram,
    /// How many commits shared one flush.
    pub store_group_size: Histogram,
    /// 1 while an adapter's platform answers.
    pub adapter_up: Family<AdapterLabels, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("packetboat"),
            seen: Mutex::default(),
            accepted: Counter::default(),
            delivered: Counter::default(),
            dead: Counter::default(),
            cancelled: Counter::default(),
            duplicates: Counter::default(),
            refused: Counter::default(),
            pending: Gauge::default(),
            oldest_pending_ms: Gauge::default(),
            total_accepted: Gauge::default(),
            total_delivered: Gauge::default(),
            total_dead: Gauge::default(),
            total_cancelled: Gauge::default(),
            conservation_violation: Gauge::default(),
            store_bytes: Gauge::default(),
            generate_seconds: Histogram::new(exponential_buckets(0.01, 2.0, 15)),
            first_token_seconds: Histogram::new(exponential_buckets(0.005, 2.0, 14)),
            generated_tokens: Counter::default(),
            generate_failures: Counter::default(),
            deliver_attempts: Family::default(),
            http_requests: Family::default(),
            store_commit_seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 16)),
            store_group_size: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            adapter_up: Family::default(),
        };
        metrics.register_line();
        metrics.register_parts();
        metrics
    }
}

impl Metrics {
    // the `_total` of a counter's name is added by the encoder
    fn register_line(&mut self) {
        let line = &mut self.registry;
        line.register("messages_accepted", "Messages made durable since the start", self.accepted.clone());
        line.register("messages_delivered", "Replies with a receipt since the start", self.delivered.clone());
        line.register("messages_dead", "Messages given up since the start", self.dead.clone());
        line.register("messages_cancelled", "Messages withdrawn since the start", self.cancelled.clone());
        line.register("duplicates", "Messages recognised as accepted before", self.duplicates.clone());
        line.register("messages_refused", "Messages refused before acceptance", self.refused.clone());
        line.register("messages_pending", "Messages on the line now", self.pending.clone());
        line.register("oldest_pending_milliseconds", "Age of the oldest of them", self.oldest_pending_ms.clone());
        line.register("stored_accepted", "Ever accepted, over restarts", self.total_accepted.clone());
        line.register("stored_delivered", "Ever delivered, over restarts", self.total_delivered.clone());
        line.register("stored_dead", "Dead letters kept now", self.total_dead.clone());
        line.register("stored_cancelled", "Ever withdrawn, over restarts", self.total_cancelled.clone());
        line.register(
            "conservation_violation",
            "1 while accepted = delivered + dead + cancelled + pending does not hold",
            self.conservation_violation.clone(),
        );
    }

    fn register_parts(&mut self) {
        let parts = &mut self.registry;
        parts.register("generate_seconds", "Time to generate an answer", self.generate_seconds.clone());
        parts.register("first_token_seconds", "Time to an answer's first piece", self.first_token_seconds.clone());
        parts.register("generated_tokens", "Tokens generated", self.generated_tokens.clone());
        parts.register("generate_failures", "Failed attempts of the model", self.generate_failures.clone());
        parts.register("deliver_attempts", "Attempts to deliver a reply", self.deliver_attempts.clone());
        parts.register("http_requests", "HTTP requests answered", self.http_requests.clone());
        parts.register("store_commit_seconds", "Time of one durable commit", self.store_commit_seconds.clone());
        parts.register("store_group_size", "Commits that shared one flush", self.store_group_size.clone());
        parts.register("store_bytes", "Bytes of the store on disk", self.store_bytes.clone());
        parts.register("adapter_up", "1 while the platform answers", self.adapter_up.clone());
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        parts.register("build", "What runs", build);
    }

    /// Takes over the queue's own figures; to be called once at the start, and before [`Metrics::render`].
    pub fn observe_queue(&self, stats: &QueueStats) {
        let totals = stats.totals;
        if let Some(before) = self.seen.lock().unwrap_or_else(PoisonError::into_inner).replace(stats.clone()) {
            self.accepted.inc_by(totals.accepted.saturating_sub(before.totals.accepted));
            self.delivered.inc_by(totals.delivered.saturating_sub(before.totals.delivered));
            // dead letters that were retried come back
            self.dead.inc_by(totals.dead.saturating_sub(before.totals.dead));
            self.cancelled.inc_by(totals.cancelled.saturating_sub(before.totals.cancelled));
            self.duplicates.inc_by(stats.duplicates.saturating_sub(before.duplicates));
        }
        self.pending.set(i64::try_from(totals.pending).unwrap_or(i64::MAX));
        self.oldest_pending_ms.set(stats.oldest_pending_ms);
        self.total_accepted.set(totals.accepted);
        self.total_delivered.set(totals.delivered);
        self.total_dead.set(totals.dead);
        self.total_cancelled.set(totals.cancelled);
        self.conservation_violation.set(i64::from(!totals.hold()));
        self.store_bytes.set(stats.disk_bytes);
    }

    /// One more attempt to deliver.
    pub fn delivery(&self, adapter: &str, outcome: &'static str) {
        let labels = DeliverLabels { adapter: adapter.to_owned(), outcome };
        self.deliver_attempts.get_or_create(&labels).inc();
    }

    /// One more HTTP request. `route` is the pattern, never the path.
    pub fn request(&self, route: &str, status: u16) {
        self.http_requests.get_or_create(&RequestLabels { route: route.to_owned(), status }).inc();
    }

    /// Whether an adapter's platform answers.
    pub fn adapter(&self, adapter: &str, up: bool) {
        self.adapter_up.get_or_create(&AdapterLabels { adapter: adapter.to_owned() }).set(i64::from(up));
    }

    /// All of it as OpenMetrics text (ends with `# EOF`), which Prometheus reads as its own format too.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // writing to a String can't fail
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::view::Totals;

    #[test]
    fn the_promised_names_are_there() {
        let metrics = Metrics::default();
        metrics.accepted.inc();
        metrics.delivery("telegram", "delivered");
        metrics.request("/api/message/{id}", 200);
        metrics.adapter("telegram", true);
        metrics.generate_seconds.observe(0.2);
        let text = metrics.render();
        for line in [
            "packetboat_messages_accepted_total 1",
            "packetboat_messages_delivered_total 0",
            "packetboat_messages_dead_total 0",
            "packetboat_messages_cancelled_total 0",
            "packetboat_messages_pending 0",
            "packetboat_duplicates_total 0",
            "packetboat_conservation_violation 0",
            "packetboat_deliver_attempts_total{adapter=\"telegram\",outcome=\"delivered\"} 1",
            "packetboat_http_requests_total{route=\"/api/message/{id}\",status=\"200\"} 1",
            "packetboat_adapter_up{adapter=\"telegram\"} 1",
            "packetboat_generate_seconds_count 1",
            "packetboat_first_token_seconds_count 0",
            "packetboat_store_commit_seconds_count 0",
            "packetboat_store_group_size_count 0",
        ] {
            assert!(text.contains(line), "{line} is missing in:\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn a_broken_conservation_law_shows_as_one() {
        let metrics = Metrics::default();
        let totals = Totals { accepted: 3, delivered: 1, dead: 0, cancelled: 0, pending: 1 };
        metrics.observe_queue(&QueueStats { totals, ..QueueStats::default() });
        assert!(metrics.render().contains("packetboat_conservation_violation 1"));
    }
}
