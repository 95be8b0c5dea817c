//! How strict and how slow the stand-in is, and what goes wrong on demand.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Telegram's rules. Those that only cost time can be shortened; the others always hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Messages a second and a minute; `None` switches 429 off (except on demand).
    pub limits: Option<RateLimits>,
    /// Asking for updates again with the same offset within this time waits at least 3 s (and within half a second gets one update).
    pub repeat_guard: bool,
    /// A second 409 answer within this time of the last is held back until it has passed.
    pub conflict_pause: Duration,
    /// A webhook's first retry; doubles.
    pub webhook_retry_first: Duration,
    /// A webhook's longest wait, and the cap on its Retry-After.
    pub webhook_retry_most: Duration,
    /// As `telegram-bot-api --local`: webhooks may be plain HTTP, on any address and port.
    pub local: bool,
}

impl Rules {
    /// As on api.telegram.org (webhooks may still be local, or nothing could be tested).
    pub fn real() -> Self {
        Self {
            limits: Some(RateLimits::default()),
            repeat_guard: true,
            conflict_pause: Duration::from_secs(3),
            webhook_retry_first: Duration::from_secs(1),
            webhook_retry_most: Duration::from_secs(60),
            local: true,
        }
    }

    /// The same rules without the waiting: no rate limits, millisecond retries.
    pub fn quick() -> Self {
        Self {
            limits: None,
            repeat_guard: false,
            conflict_pause: Duration::ZERO,
            webhook_retry_first: Duration::from_millis(10),
            webhook_retry_most: Duration::from_millis(200),
            local: true,
        }
    }
}

/// How much a bot may send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// Messages into one chat at once; one more comes back every second.
    pub chat_burst: u32,
    /// Messages and edits into one group per minute.
    pub group_per_minute: u32,
    /// Messages a second over all chats.
    pub per_second: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { chat_burst: 5, group_per_minute: 20, per_second: 30 }
    }
}

/// Something goes wrong, for the next calls that match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Only this method (any case); `None` = all.
    #[serde(default)]
    pub method: Option<String>,
    /// Only this chat; `None` = all.
    #[serde(default)]
    pub chat: Option<i64>,
    /// How many matching calls go well first.
    #[serde(default)]
    pub after: u32,
    /// How many calls go wrong.
    #[serde(default = "once")]
    pub times: u32,
    /// What goes wrong.
    pub what: Wrong,
}

fn once() -> u32 {
    1
}

impl Fault {
    /// The next call of `method`.
    pub fn next(method: &str, what: Wrong) -> Self {
        Self::times(method, 1, what)
    }

    /// The next `times` calls of `method`.
    pub fn times(method: &str, times: u32, what: Wrong) -> Self {
        Self { method: Some(method.to_owned()), chat: None, after: 0, times, what }
    }

    /// Lets `after` matching calls go well first.
    #[must_use]
    pub fn after(mut self, after: u32) -> Self {
        self.after = after;
        self
    }
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// Nothing is done; the answer is an HTML page with this status (502, 504).
    Html(u16),
    /// Nothing is done; the connection is closed.
    DropBefore,
    /// The call is executed; the connection is closed without an answer: the lost response.
    DropAfter,
    /// Nothing is done and no answer comes.
    Hang,
    /// The call is executed and no answer comes.
    HangAfter,
    /// 429 with this `retry_after`, in seconds.
    RetryAfter(u64),
    /// Nothing is done; this error code and description.
    Refuse {
        /// `error_code`
        code: u16,
        /// `description`, whole.
        description: String,
    },
}

/// Takes the first fault that matches, counting it down.
pub(crate) fn strike(faults: &mut Vec<Fault>, method: &str, chat: Option<i64>) -> Option<Wrong> {
    let matches = |fault: &Fault| {
        fault.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && fault.chat.is_none_or(|wanted| Some(wanted) == chat)
    };
    let index = faults.iter().position(matches)?;
    let fault = faults.get_mut(index)?;
    if fault.after > 0 {
        fault.after -= 1;
        return None;
    }
    fault.times = fault.times.saturating_sub(1);
    let what = fault.what.clone();
    if fault.times == 0 {
        faults.remove(index);
    }
    Some(what)
}
