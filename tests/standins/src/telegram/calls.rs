//! The bot's side: `/bot<token>/<method>`, the table of methods, and where faults strike.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::json;

use super::answer::{self, Answer, Refusal, done, respond};
use super::params::Params;
use super::rules::{Wrong, strike};
use super::world::{Call, Shared, World};
use super::{messages, updates, webhook};
use crate::wire::HangUp;

/// One call.
pub(crate) async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let parts = path.strip_prefix("/bot").and_then(|rest| rest.split_once('/'));
    let Some((token, method)) = parts else {
        return respond(&Err(Refusal::new(404, "Not Found")));
    };
    let token = token.replace("%3A", ":").replace("%3a", ":");
    if let Err(refusal) = shared.read(|world| authorise(world, &token)) {
        return respond(&Err(refusal));
    }
    let method = method.trim_end_matches('/').to_lowercase();
    let params = match Params::read(request).await {
        Ok(params) => params,
        Err(refusal) => return respond(&Err(refusal)),
    };
    let chat = params.int("chat_id");
    let wrong = shared.write(|world| {
        world.calls.push(Call { method: method.clone(), params: params.to_map() });
        strike(&mut world.faults, &method, chat)
    });
    answer(&shared, &method, &params, wrong).await
}

async fn answer(shared: &Arc<Shared>, method: &str, params: &Params, wrong: Option<Wrong>) -> Response {
    match wrong {
        None => respond(&execute(shared, method, params).await),
        Some(Wrong::Html(status)) => answer::html(status),
        Some(Wrong::DropBefore) => HangUp::response(),
        Some(Wrong::DropAfter) => {
            let _ = execute(shared, method, params).await;
            HangUp::response()
        }
        Some(Wrong::Hang) => silence(shared).await,
        Some(Wrong::HangAfter) => {
            let _ = execute(shared, method, params).await;
            silence(shared).await
        }
        Some(Wrong::RetryAfter(seconds)) => respond(&Err(Refusal::too_many(seconds))),
        Some(Wrong::Refuse { code, description }) => respond(&Err(Refusal::new(code, description))),
    }
}

/// Until the stand-in stops, or the caller goes away.
async fn silence(shared: &Arc<Shared>) -> Response {
    shared.stop.cancelled().await;
    HangUp::response()
}

fn authorise(world: &World, token: &str) -> Result<(), Refusal> {
    if token == world.bot.token {
        return Ok(());
    }
    let well_formed = token.split_once(':').is_some_and(|(id, rest)| id.parse::<u64>().is_ok() && !rest.is_empty());
    Err(if well_formed { Refusal::new(401, "Unauthorized") } else { Refusal::new(404, "Not Found") })
}

/// The table of methods.
pub(crate) async fn execute(shared: &Arc<Shared>, method: &str, params: &Params) -> Answer {
    match method {
        "getupdates" => updates::get_updates(shared, params).await,
        "getme" => shared.read(me),
        "getwebhookinfo" => shared.read(webhook::info),
        "setwebhook" => shared.write(|world| webhook::set(world, params)),
        "deletewebhook" => shared.write(|world| webhook::delete(world, params)),
        "sendmessage" => shared.write(|world| messages::send(world, params)),
        "editmessagetext" => shared.write(|world| messages::edit(world, params)),
        "deletemessage" => shared.write(|world| messages::delete(world, params)),
        "sendchataction" => shared.write(|world| messages::action(world, params)),
        "setmycommands" => done(json!(true)),
        _ => Err(Refusal::new(404, "Not Found: method not found")),
    }
}

/// `getMe`
fn me(world: &World) -> Answer {
    let mut me = world.user_json(world.bot.id, None);
    me["can_join_groups"] = true.into();
    me["can_read_all_group_messages"] = (!world.bot.privacy).into();
    me["supports_inline_queries"] = false.into();
    me["can_connect_to_business"] = false.into();
    me["has_main_web_app"] = false.into();
    done(me)
}
