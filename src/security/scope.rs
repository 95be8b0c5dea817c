//! What a caller may do, and who the caller is.
//!
//! Invariant: scopes come from a signed token or from the kernel (the control socket's peer), never from the request.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Talk to the bot and to the model, and see one's own conversations.
    Chat,
    /// See the state of the instance.
    Read,
    /// Run the instance: retry and discard messages. Includes `read`.
    Operate,
    /// Make and revoke tokens. Includes `operate` and `read`.
    Admin,
    /// Everything.
    FullAccess,
}

impl Scope {
    /// Every scope, in the order of the documentation.
    pub const ALL: [Self; 5] = [Self::Chat, Self::Read, Self::Operate, Self::Admin, Self::FullAccess];

    /// As written in tokens and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
            Self::FullAccess => "full_access",
        }
    }

    /// Whoever has `self` may do what `wanted` names.
    pub fn covers(self, wanted: Self) -> bool {
        match self {
            Self::FullAccess => true,
            Self::Admin => matches!(wanted, Self::Admin | Self::Operate | Self::Read),
            Self::Operate => matches!(wanted, Self::Operate | Self::Read),
            Self::Chat | Self::Read => self == wanted,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// It is no scope of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no scope `{0}`; use chat, read, operate, admin or full_access")]
pub struct UnknownScope(String);

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| UnknownScope(text.to_owned()))
    }
}

/// The token behind a principal: what ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRef {
    /// As `token revoke` takes it.
    pub id: String,
    /// Seconds since 1970 UTC.
    pub expires_at: u64,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The name that owns conversations.
    pub subject: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// `None`: the local owner, who is known by the control socket and needs no token.
    pub token: Option<TokenRef>,
}

impl Principal {
    /// The user who runs the daemon, calling over the control socket.
    pub fn local() -> Self {
        Self { subject: "local".to_owned(), scopes: vec![Scope::FullAccess], token: None }
    }

    /// May do what `wanted` names.
    pub fn may(&self, wanted: Scope) -> bool {
        self.scopes.iter().any(|scope| scope.covers(wanted))
    }
}

/// The longest subject.
const MAX_SUBJECT: usize = 64;

/// It can't be a subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a subject is 1 to {MAX_SUBJECT} of the characters A-Z a-z 0-9 . _ - @")]
pub struct BadSubject;

/// A subject never holds a colon: `<subject>:<name>` can be taken apart in one way only.
pub fn check_subject(subject: &str) -> Result<(), BadSubject> {
    let fits = (1..=MAX_SUBJECT).contains(&subject.len());
    let clean = subject.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte));
    if fits && clean { Ok(()) } else { Err(BadSubject) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_access_covers_every_scope_and_no_other_covers_it() {
        for scope in Scope::ALL {
            assert!(Scope::FullAccess.covers(scope));
            assert_eq!(scope.covers(Scope::FullAccess), scope == Scope::FullAccess);
        }
    }

    #[test]
    fn a_narrow_scope_covers_only_itself_and_what_it_includes() {
        let covered = |scope: Scope| Scope::ALL.into_iter().filter(|wanted| scope.covers(*wanted)).collect::<Vec<_>>();
        assert_eq!(covered(Scope::Chat), [Scope::Chat]);
        assert_eq!(covered(Scope::Read), [Scope::Read]);
        assert_eq!(covered(Scope::Operate), [Scope::Read, Scope::Operate]);
        assert_eq!(covered(Scope::Admin), [Scope::Read, Scope::Operate, Scope::Admin]);
    }

    #[test]
    fn every_scope_reads_back_as_written() {
        for scope in Scope::ALL {
            assert_eq!(scope.to_string().parse(), Ok(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
        }
        assert!("root".parse::<Scope>().is_err());
    }

    #[test]
    fn a_subject_holds_no_colon_and_no_space() {
        for good in ["owner", "a", "alice@example.org", "web-1_2.3"] {
            assert_eq!(check_subject(good), Ok(()));
        }
        for bad in ["", "a:b", "a b", "ä", "a/b", "x\n", &"x".repeat(65)] {
            assert_eq!(check_subject(bad), Err(BadSubject), "{bad:?}");
        }
    }
}
