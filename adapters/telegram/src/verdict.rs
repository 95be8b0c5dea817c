//! What a failed call means for a delivery. Pure.
//!
//! Telegram's error codes are coarse, so the description decides; the known ones are in the tests below.

use std::time::Duration;

use packetboat_adapter_api::error::SendError;

use crate::api::CallError;

/// What to do about a failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The message shows this already: a success.
    Unchanged,
    /// The message to edit is gone or closed to edits: send anew.
    Gone,
    /// The formatting was refused: send plain text.
    Unformatted,
    /// The group has another id now.
    Moved(i64),
    /// Nothing more to do here.
    Fail(SendError),
}

/// Judges a failed call. An ambiguous failure counts as `Retry`: an edit may be repeated, and a placeholder sent twice holds
/// no answer.
pub(crate) fn judge(error: &CallError) -> Verdict {
    let CallError::Refused { code, description, retry_after, migrate_to } = error else {
        return Verdict::Fail(SendError::Retry { cause: error.to_string() });
    };
    if let Some(chat) = migrate_to {
        return Verdict::Moved(*chat);
    }
    let cause = error.to_string();
    let said = description.to_lowercase();
    let says = |text: &str| said.contains(text);
    match code {
        429 => Verdict::Fail(SendError::RetryAfter { wait: retry_after.unwrap_or(Duration::from_secs(5)), cause }),
        400 if says("message is not modified") => Verdict::Unchanged,
        400 if says("message to edit not found") || says("message can't be edited") || says("message_id_invalid") => {
            Verdict::Gone
        }
        400 if says("can't parse entities") || says("entity begin") || says("entity_") => Verdict::Unformatted,
        400 | 401 | 403 | 413 => Verdict::Fail(SendError::Reject { cause }),
        _ => Verdict::Fail(SendError::Retry { cause }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, description: &str) -> CallError {
        CallError::Refused { code, description: description.to_owned(), retry_after: None, migrate_to: None }
    }

    fn rejects(code: u16, description: &str) -> bool {
        matches!(judge(&refused(code, description)), Verdict::Fail(SendError::Reject { .. }))
    }

    #[test]
    fn what_can_never_arrive_is_rejected() {
        assert!(rejects(403, "Forbidden: bot was blocked by the user"));
        assert!(rejects(403, "Forbidden: bot was kicked from the supergroup chat"));
        assert!(rejects(403, "Forbidden: user is deactivated"));
        assert!(rejects(400, "Bad Request: chat not found"));
        assert!(rejects(400, "Bad Request: message thread not found"));
        assert!(rejects(401, "Unauthorized"));
    }

    #[test]
    fn a_full_or_silent_server_is_tried_again() {
        let failures = [
            refused(500, "Internal Server Error"),
            CallError::Garbled { status: 502 },
            CallError::Unreached("connection refused".into()),
            CallError::NoAnswer("timed out".into()),
        ];
        for failure in failures {
            assert!(matches!(judge(&failure), Verdict::Fail(SendError::Retry { .. })), "{failure}");
        }
    }

    #[test]
    fn a_requested_wait_is_passed_on() {
        let description = "Too Many Requests: retry after 7".to_owned();
        let wait = Duration::from_secs(7);
        let error = CallError::Refused { code: 429, description, retry_after: Some(wait), migrate_to: None };
        assert!(matches!(judge(&error), Verdict::Fail(SendError::RetryAfter { wait: asked, .. }) if asked == wait));
    }

    #[test]
    fn edits_have_outcomes_of_their_own() {
        assert_eq!(judge(&refused(400, "Bad Request: message is not modified: specified …")), Verdict::Unchanged);
        assert_eq!(judge(&refused(400, "Bad Request: message to edit not found")), Verdict::Gone);
        assert_eq!(judge(&refused(400, "Bad Request: message can't be edited")), Verdict::Gone);
        let entities = "Bad Request: can't parse entities: Unsupported start tag \"x\" at byte offset 0";
        assert_eq!(judge(&refused(400, entities)), Verdict::Unformatted);
        assert_eq!(
            judge(&refused(400, "Bad Request: entity begins in a middle of a UTF-16 symbol")),
            Verdict::Unformatted
        );
    }

    #[test]
    fn an_upgraded_group_names_its_new_id() {
        let description = "Bad Request: group chat was upgraded to a supergroup chat".to_owned();
        let error = CallError::Refused { code: 400, description, retry_after: None, migrate_to: Some(-1001) };
        assert_eq!(judge(&error), Verdict::Moved(-1001));
    }
}
