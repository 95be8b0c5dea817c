//! Webhook mode: Telegram calls us.
//!
//! Invariants: the secret is compared, in constant time, before anything of the call is read; 200 only after the intake said `Ok` (or
//! `Denied`, or there was nothing for us); a full queue is 503, and Telegram comes again, in order.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use packetboat_adapter_api::adapter::Intake;
use packetboat_adapter_api::error::{ListenError, Refused};
use packetboat_adapter_api::secret::Secret;
use subtle::ConstantTimeEq as _;
use teloxide::payloads::{GetWebhookInfo, SetWebhook, SetWebhookSetters as _};
use teloxide::types::AllowedUpdate;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use url::Url;

use crate::Shared;
use crate::api::CallError;
use crate::backoff::{Backoff, pause};
use crate::poll::fatal;
use crate::wire::{Update, WebhookInfo};

/// How often we ask Telegram whether its calls get through.
pub(crate) const CHECK: Duration = Duration::from_secs(60);

/// Where Telegram calls, and what it says to prove itself.
#[derive(Debug)]
pub(crate) struct Hook {
    pub(crate) url: Url,
    pub(crate) secret: Secret,
}

/// Registers the webhook, and watches over it until `stop`. It stays registered, so that Telegram keeps what comes meanwhile.
pub(crate) async fn listen(shared: &Shared, hook: &Hook, stop: &CancellationToken) -> Result<(), ListenError> {
    let mut backoff = Backoff::new(shared);
    let mut registered = false;
    while !stop.is_cancelled() {
        let outcome = tokio::select! {
            () = stop.cancelled() => break,
            outcome = async { if registered { inspect(shared, hook).await } else { register(shared, hook).await } } => outcome,
        };
        match outcome {
            Ok(well) => {
                registered = well;
                backoff.reset();
                if well {
                    pause(CHECK, stop).await;
                }
            }
            Err(error) => {
                shared.pulse.trouble(error.to_string());
                if let Some(fatal) = fatal(&error).or_else(|| unfit(&error)) {
                    shared.pulse.trouble(fatal.to_string());
                    return Err(fatal);
                }
                let asked = if let CallError::Refused { retry_after, .. } = &error { *retry_after } else { None };
                let wait = asked.unwrap_or_else(|| backoff.next_wait());
                warn!(cause = %error, wait.ms = wait.as_millis() as u64, "can't set Telegram's webhook; will try again");
                pause(wait, stop).await;
            }
        }
    }
    Ok(())
}

async fn register(shared: &Shared, hook: &Hook) -> Result<bool, CallError> {
    let call = SetWebhook::new(hook.url.clone()).secret_token(hook.secret.expose());
    let call = call.allowed_updates([AllowedUpdate::Message]);
    let _: bool = shared.sender.api.call(&call).await?;
    shared.pulse.beat();
    Ok(true)
}

/// `false` when somebody else's webhook is set, and ours must be set again.
async fn inspect(shared: &Shared, hook: &Hook) -> Result<bool, CallError> {
    let info: WebhookInfo = shared.sender.api.call(&GetWebhookInfo::new()).await?;
    if info.url != hook.url.as_str() {
        shared.pulse.trouble("another program changed the webhook of this bot; run one instance only".to_owned());
        warn!("the webhook of this bot was changed by somebody else; setting ours again");
        return Ok(false);
    }
    match info.last_error_message.filter(|_| info.pending_update_count > 0) {
        Some(cause) => shared.pulse.trouble(format!("Telegram can't reach the webhook: {cause}")),
        None => shared.pulse.beat(),
    }
    Ok(true)
}

/// An address that Telegram will never call.
fn unfit(error: &CallError) -> Option<ListenError> {
    let CallError::Refused { code: 400, description, .. } = error else { return None };
    let hint = "server.public_url must be https on port 443, 80, 88 or 8443 and reachable from the internet; or use mode = \"poll\"";
    Some(ListenError {
        cause: format!("Telegram refuses the webhook: {description}"),
        hint: hint.to_owned(),
        retry: false,
    })
}

/// One call of Telegram's.
pub(crate) async fn receive(
    shared: &Shared,
    hook: &Hook,
    request: Request<Bytes>,
    intake: &dyn Intake,
) -> Response<Bytes> {
    let given = request.headers().get("X-Telegram-Bot-Api-Secret-Token").map_or(&b""[..], HeaderValue::as_bytes);
    if !bool::from(given.ct_eq(hook.secret.expose().as_bytes())) {
        return answer(StatusCode::UNAUTHORIZED);
    }
    if shared.identity().is_none() {
        return come_back(Duration::from_secs(1));
    }
    let Ok(update) = serde_json::from_slice::<Update>(request.body()) else {
        return answer(StatusCode::BAD_REQUEST);
    };
    shared.pulse.beat();
    let Some(inbound) = shared.read(&update) else { return answer(StatusCode::OK) };
    match shared.take(inbound, intake).await {
        Err(Refused::Busy { retry_after, cause }) => {
            info!(update.id = update.update_id, cause, "the queue takes nothing now; Telegram will come again");
            come_back(retry_after)
        }
        Ok(()) | Err(Refused::Denied { .. }) => answer(StatusCode::OK),
    }
}

fn answer(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

fn come_back(after: Duration) -> Response<Bytes> {
    let mut response = answer(StatusCode::SERVICE_UNAVAILABLE);
    let seconds = after.as_secs_f64().ceil().max(1.0) as u64;
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}
