//! Long polling: we ask, Telegram holds the call until something happens.
//!
//! Invariant: the offset passes an update only when the intake has said `Ok` or `Denied` to it (or it holds nothing for us), and
//! to every one before it. Telegram keeps the rest, over any crash of ours.

use std::time::Duration;

use packetboat_adapter_api::adapter::Intake;
use packetboat_adapter_api::error::{ListenError, Refused};
use serde_json::Value;
use teloxide::payloads::{DeleteWebhook, GetUpdates, GetUpdatesSetters as _};
use teloxide::types::AllowedUpdate;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::Shared;
use crate::api::CallError;
use crate::backoff::{Backoff, pause};
use crate::wire::Update;

/// Beyond the time that Telegram holds a poll.
pub(crate) const MARGIN: Duration = Duration::from_secs(10);
/// How long stopping may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Polls until `stop`.
pub(crate) async fn listen(
    shared: &Shared,
    timeout: Duration,
    intake: &dyn Intake,
    stop: &CancellationToken,
) -> Result<(), ListenError> {
    let mut poll = Poll { shared, timeout, offset: None, asked: None, backoff: Backoff::new(shared) };
    if !poll.take_over(stop).await? {
        return Ok(());
    }
    while !stop.is_cancelled() {
        let updates = tokio::select! {
            () = stop.cancelled() => break,
            updates = poll.ask() => updates,
        };
        match updates {
            Ok(updates) => {
                poll.backoff.reset();
                shared.pulse.beat();
                if let Some(wait) = poll.hand_over(updates, intake, stop).await {
                    pause(wait, stop).await;
                }
            }
            Err(error) => poll.recover(error, stop).await?,
        }
    }
    poll.confirm().await;
    Ok(())
}

struct Poll<'a> {
    shared: &'a Shared,
    timeout: Duration,
    /// The next update's id, once one has been seen.
    offset: Option<i64>,
    /// The offset that Telegram knows of.
    asked: Option<i64>,
    backoff: Backoff<'a>,
}

impl Poll<'_> {
    /// A webhook that is still set keeps updates from us. `false` when stopped meanwhile.
    async fn take_over(&mut self, stop: &CancellationToken) -> Result<bool, ListenError> {
        let call = DeleteWebhook::new();
        loop {
            let deleted: Result<bool, CallError> = tokio::select! {
                () = stop.cancelled() => return Ok(false),
                deleted = self.shared.sender.api.call(&call) => deleted,
            };
            match deleted {
                Ok(_) => return Ok(true),
                Err(error) => self.recover(error, stop).await?,
            }
        }
    }

    async fn ask(&mut self) -> Result<Vec<Value>, CallError> {
        let held = self.timeout.as_secs().min(50) as u32;
        let mut call = GetUpdates::new().timeout(held).allowed_updates([AllowedUpdate::Message]);
        if let Some(offset) = self.offset.and_then(|offset| i32::try_from(offset).ok()) {
            call = call.offset(offset);
        }
        let updates = self.shared.sender.api.call_within(&call, self.timeout + MARGIN).await?;
        self.asked = self.offset;
        Ok(updates)
    }

    /// Hands updates to the intake in order. `Some`: it is full, come back after that time.
    async fn hand_over(
        &mut self,
        updates: Vec<Value>,
        intake: &dyn Intake,
        stop: &CancellationToken,
    ) -> Option<Duration> {
        for raw in updates {
            if stop.is_cancelled() {
                return None;
            }
            // an update without an id can't be passed over, and Telegram makes none
            let id = raw.get("update_id").and_then(Value::as_i64)?;
            if let Ok(update) = serde_json::from_value::<Update>(raw)
                && let Some(inbound) = self.shared.read(&update)
                && let Err(Refused::Busy { retry_after, cause }) = self.shared.take(inbound, intake).await
            {
                info!(update.id = id, cause, "the queue takes nothing now; Telegram keeps the message");
                return Some(retry_after.clamp(Duration::from_millis(50), Duration::from_secs(60)));
            }
            // one that is delivered twice must not move the offset back
            self.offset = Some(self.offset.unwrap_or(0).max(id + 1));
        }
        None
    }

    /// Waits as long as the failure asks for, or gives up for good.
    async fn recover(&mut self, error: CallError, stop: &CancellationToken) -> Result<(), ListenError> {
        if let Some(fatal) = fatal(&error) {
            self.shared.pulse.trouble(fatal.to_string());
            return Err(fatal);
        }
        let wait = match &error {
            CallError::Refused { code: 409, description, .. } => {
                let cause = if description.contains("webhook") {
                    "a webhook is set for this bot by somebody else; use one mode for one bot"
                } else {
                    "another program polls for this bot; run one instance only"
                };
                self.shared.pulse.trouble(cause.to_owned());
                let wait = self.backoff.next_slow();
                warn!(cause, wait.ms = wait.as_millis() as u64, "Telegram reports a conflict");
                pause(wait, stop).await;
                return self.drop_webhook(description).await;
            }
            CallError::Refused { retry_after: Some(wait), .. } => *wait,
            _ => self.backoff.next_wait(),
        };
        self.shared.pulse.trouble(error.to_string());
        warn!(cause = %error, wait.ms = wait.as_millis() as u64, "can't get updates from Telegram; will try again");
        pause(wait, stop).await;
        Ok(())
    }

    /// Once per conflict and after its wait, so that two instances do not fight.
    async fn drop_webhook(&self, description: &str) -> Result<(), ListenError> {
        if description.contains("webhook") {
            // the next poll tells whether it helped
            let _: Result<bool, CallError> = self.shared.sender.api.call(&DeleteWebhook::new()).await;
        }
        Ok(())
    }

    /// Tells Telegram what was accepted since the last call, so that a restart begins with new messages.
    async fn confirm(&self) {
        let Some(offset) = self.offset.filter(|_| self.offset != self.asked) else { return };
        let Ok(offset) = i32::try_from(offset) else { return };
        let call = GetUpdates::new().offset(offset).limit(1).timeout(0);
        // what is not confirmed comes again, and is recognised
        let _: Result<Value, CallError> = self.shared.sender.api.call_within(&call, FAREWELL).await;
    }
}

/// Failures that only a changed configuration helps against.
pub(crate) fn fatal(error: &CallError) -> Option<ListenError> {
    let CallError::Refused { code, .. } = error else { return None };
    let (cause, hint) = match code {
        401 => {
            ("Telegram does not know this token", "put the token that @BotFather shows into adapters.telegram.token")
        }
        404 => (
            "Telegram knows neither this token nor this address",
            "check adapters.telegram.token (digits, a colon, letters) and adapters.telegram.api_url",
        ),
        _ => return None,
    };
    Some(ListenError { cause: cause.to_owned(), hint: hint.to_owned(), retry: false })
}
