//! Webhooks: `setWebhook` and its kin, and the pusher that POSTs updates.
//!
//! Invariant: in order within a chat, chats independent of each other; an update is repeated until a 2xx.
//! Not here: that 23 hours of 410 remove the webhook, and certificates.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use http::header;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::answer::{Answer, Refusal, done, done_with};
use super::calls;
use super::params::Params;
use super::rules::Rules;
use super::updates::Update;
use super::world::{Shared, World};

/// A webhook that is set.
#[derive(Debug)]
pub(crate) struct Hook {
    pub(crate) url: Url,
    pub(crate) secret: Option<String>,
    max_connections: i64,
    busy: HashSet<i64>,
    resting: HashMap<i64, (Instant, Duration)>,
    pub(crate) last_error: Option<String>,
}

/// `setWebhook`
pub(crate) fn set(world: &mut World, params: &Params) -> Answer {
    if params.text("url").is_empty() {
        return delete(world, params);
    }
    let url = checked_url(params.text("url"), &world.rules)?;
    let secret = params.get("secret_token").filter(|secret| !secret.is_empty()).map(str::to_owned);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if secret.as_deref().is_some_and(|secret| secret.len() > 256 || !secret.chars().all(allowed)) {
        return Err(Refusal::bad_request("secret token contains unallowed characters"));
    }
    world.updates.allow(params);
    if params.flag("drop_pending_updates") {
        world.updates.queue.clear();
    }
    let same = world.hook.as_ref().is_some_and(|hook| hook.url == url && hook.secret == secret);
    if same {
        return done_with("Webhook is already set");
    }
    let max_connections = params.int("max_connections").unwrap_or(40).clamp(1, 100);
    let (busy, resting) = (HashSet::new(), HashMap::new());
    world.hook = Some(Hook { url, secret, max_connections, busy, resting, last_error: None });
    world.updates.end_poll();
    done_with("Webhook was set")
}

fn checked_url(text: &str, rules: &Rules) -> Result<Url, Refusal> {
    let bad = |why: &str| Refusal::bad_request(&format!("bad webhook: {why}"));
    let url = Url::parse(text).map_err(|_| bad("invalid webhook URL specified"))?;
    if rules.local {
        return Ok(url);
    }
    if url.scheme() != "https" {
        return Err(bad("An HTTPS URL must be provided for webhook"));
    }
    if !matches!(url.port_or_known_default(), Some(80 | 88 | 443 | 8443)) {
        return Err(bad("Webhook can be set up only on ports 80, 88, 443 or 8443"));
    }
    Ok(url)
}

/// `deleteWebhook`
pub(crate) fn delete(world: &mut World, params: &Params) -> Answer {
    if params.flag("drop_pending_updates") {
        world.updates.queue.clear();
    }
    match world.hook.take() {
        Some(_) => done_with("Webhook was deleted"),
        None => done_with("Webhook is already deleted"),
    }
}

/// `getWebhookInfo`
pub(crate) fn info(world: &World) -> Answer {
    let pending = world.updates.queue.len();
    let Some(hook) = &world.hook else {
        return done(json!({"url": "", "has_custom_certificate": false, "pending_update_count": pending}));
    };
    let mut info = json!({
        "url": hook.url.as_str(),
        "has_custom_certificate": false,
        "pending_update_count": pending,
        "max_connections": hook.max_connections,
        "ip_address": "127.0.0.1",
    });
    if let Some(error) = &hook.last_error {
        info["last_error_date"] = 1_795_000_000.into();
        info["last_error_message"] = error.clone().into();
    }
    if !world.updates.allowed.is_empty() {
        info["allowed_updates"] = json!(world.updates.allowed);
    }
    done(info)
}

/// Pushes until the stand-in stops.
pub(crate) async fn run(shared: Arc<Shared>, client: reqwest::Client) {
    let mut bell = shared.bell();
    loop {
        bell.mark_unchanged();
        let (ready, wake) = shared.read(due);
        if !ready.is_empty() {
            for update in ready {
                shared.write(|world| world.hook.as_mut().map(|hook| hook.busy.insert(update.chat)));
                tokio::spawn(push(Arc::clone(&shared), client.clone(), update));
            }
            continue;
        }
        let wake = wake.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = tokio::time::sleep_until(wake) => {}
            _ = bell.changed() => {}
        }
    }
}

/// The first update of each chat that may go now; and when the next one may.
fn due(world: &World) -> (Vec<Update>, Option<Instant>) {
    let Some(hook) = &world.hook else { return (Vec::new(), None) };
    let (mut ready, mut wake, mut seen) = (Vec::new(), None::<Instant>, HashSet::new());
    for update in world.updates.again.iter().chain(&world.updates.queue) {
        if !seen.insert(update.chat) || hook.busy.contains(&update.chat) {
            continue;
        }
        match hook.resting.get(&update.chat) {
            Some((until, _)) if *until > Instant::now() => {
                wake = Some(wake.map_or(*until, |wake| wake.min(*until)));
            }
            _ => ready.push(update.clone()),
        }
    }
    (ready, wake)
}

async fn push(shared: Arc<Shared>, client: reqwest::Client, update: Update) {
    let target = shared.read(|world| world.hook.as_ref().map(|hook| (hook.url.clone(), hook.secret.clone())));
    let Some((url, secret)) = target else { return };
    let mut request = client.post(url).header(header::CONTENT_TYPE, "application/json").body(update.json.to_string());
    if let Some(secret) = secret {
        request = request.header("X-Telegram-Bot-Api-Secret-Token", secret);
    }
    let outcome = tokio::select! {
        () = shared.stop.cancelled() => return,
        outcome = request.send() => outcome,
    };
    match outcome {
        Ok(response) if response.status().is_success() => {
            let body = response.bytes().await.unwrap_or_default();
            shared.write(|world| delivered(world, &update));
            reply(&shared, &body).await;
        }
        Ok(response) => {
            let after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let error = format!("Wrong response from the webhook: {}", response.status());
            shared.write(|world| rest(world, &update, after.map(Duration::from_secs), error));
        }
        Err(error) => {
            let error = if error.is_timeout() { "Read timeout expired" } else { "Connection refused" };
            shared.write(|world| rest(world, &update, None, error.to_owned()));
        }
    }
}

fn delivered(world: &mut World, update: &Update) {
    match world.updates.again.iter().position(|again| again.id == update.id) {
        Some(index) => drop(world.updates.again.remove(index)),
        None => world.updates.confirm(update.id),
    }
    if let Some(hook) = &mut world.hook {
        hook.busy.remove(&update.chat);
        hook.resting.remove(&update.chat);
    }
}

fn rest(world: &mut World, update: &Update, asked: Option<Duration>, error: String) {
    let (first, most) = (world.rules.webhook_retry_first, world.rules.webhook_retry_most);
    let Some(hook) = &mut world.hook else { return };
    hook.busy.remove(&update.chat);
    hook.last_error = Some(error);
    let doubled = hook.resting.get(&update.chat).map_or(first, |(_, last)| *last * 2).min(most);
    let wait = asked.map_or(doubled, |asked| asked.min(most));
    hook.resting.insert(update.chat, (Instant::now() + wait, doubled));
}

/// A method call in the webhook's answer is executed; nobody learns its result.
async fn reply(shared: &Arc<Shared>, body: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return };
    if let Some(method) = value.get("method").and_then(Value::as_str) {
        let params = Params::from_json(&value);
        let _ = calls::execute(shared, &method.to_lowercase(), &params).await;
    }
}
