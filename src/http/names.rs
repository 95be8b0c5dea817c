//! How HTTP's names become the line's: a conversation and a message belong to the subject of the token.
//!
//! Invariant: `<subject>:<name>`, and a subject holds no colon (`security/scope.rs`), so that no holder of a token can
//! spell another's conversation or message.

use packetboat_adapter_api::ids::{AdapterName, ConversationId, MessageId, SenderId};

use super::problem::Problem;
use crate::live::Lane;
use crate::security::scope::Principal;

/// The adapter that HTTP is to the line.
pub const ADAPTER: &str = "http";
/// The longest name that a client may give.
pub const MAX_NAME: usize = 128;
/// Where messages without a conversation go.
pub const DEFAULT_CONVERSATION: &str = "default";

/// The adapter's name.
pub fn adapter() -> AdapterName {
    AdapterName::new(ADAPTER)
}

/// The lane of a conversation.
pub fn conversation(caller: &Principal, name: &str) -> Result<ConversationId, Problem> {
    check("conversation", name)?;
    Ok(ConversationId::new(format!("{}:{name}", caller.subject)))
}

/// The key of a message.
pub fn message(caller: &Principal, name: &str) -> Result<MessageId, Problem> {
    check("id", name)?;
    Ok(MessageId::new(format!("{}:{name}", caller.subject)))
}

/// Who writes: the holder of the token, or one of those that it speaks for.
pub fn sender(caller: &Principal, name: Option<&str>) -> Result<SenderId, Problem> {
    let Some(name) = name else { return Ok(SenderId::new(&caller.subject)) };
    check("sender", name)?;
    Ok(SenderId::new(format!("{}:{name}", caller.subject)))
}

/// The key of the live view.
pub fn lane(caller: &Principal, name: &str) -> Result<Lane, Problem> {
    Ok((adapter(), conversation(caller, name)?))
}

/// The client's part of a name.
pub fn outside<'a>(caller: &Principal, inside: &'a str) -> &'a str {
    inside.strip_prefix(caller.subject.as_str()).and_then(|rest| rest.strip_prefix(':')).unwrap_or(inside)
}

fn check(field: &'static str, name: &str) -> Result<(), Problem> {
    let clean = name.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\<>/?#%".contains(&byte));
    if clean && (1..=MAX_NAME).contains(&name.len()) {
        return Ok(());
    }
    let detail =
        format!("`{field}` is 1 to {MAX_NAME} letters, digits or signs of ASCII, without spaces and \" \\ < > / ? # %");
    Err(Problem::invalid(field, detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::scope::Scope;

    fn caller(subject: &str) -> Principal {
        Principal { subject: subject.into(), scopes: vec![Scope::Chat], token: None }
    }

    #[test]
    fn two_subjects_never_share_a_name() {
        let (a, b) = (message(&caller("a"), "b:c").unwrap(), message(&caller("b"), "c").unwrap());
        assert_ne!(a, b);
        assert_eq!(outside(&caller("a"), a.as_str()), "b:c");
        assert_eq!(outside(&caller("b"), b.as_str()), "c");
    }

    #[test]
    fn a_name_is_short_and_printable() {
        for good in ["x", "8e03978e-40d5-43dd-bc93-6894a57f9324", "user+1@example.org", &"x".repeat(MAX_NAME)] {
            assert!(message(&caller("a"), good).is_ok(), "{good}");
        }
        for bad in ["", " ", "a b", "ä", "a\nb", "a/b", "a\"b", &"x".repeat(MAX_NAME + 1)] {
            assert_eq!(message(&caller("a"), bad).unwrap_err().status.as_u16(), 422, "{bad:?}");
        }
    }
}
