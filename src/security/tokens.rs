//! Bearer tokens: JWTs signed with HS256 and a key that only this machine has.
//!
//! Invariants: one algorithm, one header, nothing in the header chooses a key; every token expires, within
//! [`MAX_LIFETIME_S`]; a revocation is durable before it is confirmed and counts at once, also for connections that are
//! open ([`Tokens::lapse`]). Not here: where in a request the token is (`http/gate.rs`).

use std::path::Path;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::keyfile::{self, KeyError};
use super::revocations::Revocations;
use super::scope::{BadSubject, Principal, Scope, TokenRef, check_subject};
use crate::clock::{SharedClock, random_bytes};

/// The longest that a token may live, in seconds: a year.
pub const MAX_LIFETIME_S: u64 = 366 * 24 * 3600;
/// How far another machine's clock may be off, in seconds.
const LEEWAY_S: u64 = 5;
/// Longer texts are no tokens of ours.
const MAX_LENGTH: usize = 2048;
const ISSUER: &str = "packetboat";

/// A new token. The only time that its text is seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IssuedToken {
    /// As `token revoke` takes it.
    pub id: String,
    /// The bearer: whoever has it may do what its scopes say.
    pub token: String,
    /// Seconds since 1970 UTC.
    pub expires_at: u64,
}

/// Why a token is not honoured. The caller learns no more than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Not one of ours: another key, another algorithm, another form.
    #[error("the token is not valid")]
    Invalid,
    /// It was one.
    #[error("the token has expired; ask for a new one")]
    Expired,
    /// Somebody ended it.
    #[error("the token was revoked; ask for a new one")]
    Revoked,
}

/// Why no token was made or ended.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// No key, no tokens.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A name that could be mistaken for another.
    #[error(transparent)]
    Subject(#[from] BadSubject),
    /// A token that may do nothing.
    #[error("a token needs at least one scope: chat, read, operate, admin or full_access")]
    NoScope,
    /// Too long, or nothing.
    #[error("a token lives 1 to {MAX_LIFETIME_S} seconds")]
    Lifetime,
    /// No token has such an id.
    #[error("that is no token id; it is 32 hexadecimal digits, printed when the token was made")]
    BadId,
    /// Signing failed.
    #[error("could not sign: {0}")]
    Sign(jsonwebtoken::errors::Error),
    /// The list of revoked tokens could not be read or written.
    #[error("can't keep the list of revoked tokens: {0}; check that the disk has room")]
    Revocations(#[from] std::io::Error),
}

/// The header that we write, and the only one that we read: `kid`, `jku`, `x5u`, `jwk` and `crit` are no part of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OurHeader {
    alg: String,
    #[serde(default)]
    typ: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    /// Separated by spaces, as RFC 8693 has it.
    scope: String,
    jti: String,
    iat: u64,
    nbf: u64,
    exp: u64,
}

/// Makes, checks and ends tokens.
pub struct Tokens {
    clock: SharedClock,
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
    revocations: RwLock<Revocations>,
    /// Counts revocations, so that open connections look again.
    changes: watch::Sender<u64>,
}

impl Tokens {
    /// Opens the folder of tokens, making it and the key if they are not there. Blocks.
    pub fn open(folder: &Path, clock: SharedClock) -> Result<Self, TokenError> {
        keyfile::private_folder(folder)?;
        let key = keyfile::load_or_make(&folder.join("key"))?;
        let oldest = (clock.now_ms() / 1000).saturating_sub(MAX_LIFETIME_S + LEEWAY_S);
        let revocations = Revocations::open(folder.join("revoked"), oldest)?;
        let mut validation = Validation::new(Algorithm::HS256);
        // times are ours to check: the library asks the system's clock
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        validation.set_issuer(&[ISSUER]);
        Ok(Self {
            clock,
            signing: EncodingKey::from_secret(&key),
            checking: DecodingKey::from_secret(&key),
            validation,
            revocations: RwLock::new(revocations),
            changes: watch::channel(0).0,
        })
    }

    /// Makes a token.
    pub fn issue(&self, subject: &str, scopes: &[Scope], expiry_s: u64) -> Result<IssuedToken, TokenError> {
        check_subject(subject)?;
        if scopes.is_empty() {
            return Err(TokenError::NoScope);
        }
        if !(1..=MAX_LIFETIME_S).contains(&expiry_s) {
            return Err(TokenError::Lifetime);
        }
        let now = self.now_s();
        let expires_at = now + expiry_s;
        let id = random_bytes::<16>().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: subject.to_owned(),
            scope: scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" "),
            jti: id.clone(),
            iat: now,
            nbf: now,
            exp: expires_at,
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing);
        Ok(IssuedToken { id, token: token.map_err(TokenError::Sign)?, expires_at })
    }

    /// Whose token it is.
    pub fn verify(&self, token: &str) -> Result<Principal, AuthError> {
        check_form(token)?;
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.checking, &self.validation);
        let claims = decoded.map_err(|_| AuthError::Invalid)?.claims;
        let now = self.now_s();
        let lives = claims.exp.checked_sub(claims.iat).is_some_and(|lifetime| lifetime <= MAX_LIFETIME_S);
        let begun = claims.nbf.max(claims.iat) <= now.saturating_add(LEEWAY_S);
        if !lives || !begun || check_subject(&claims.sub).is_err() || !is_id(&claims.jti) {
            return Err(AuthError::Invalid);
        }
        if now >= claims.exp.saturating_add(LEEWAY_S) {
            return Err(AuthError::Expired);
        }
        if self.is_revoked(&claims.jti) {
            return Err(AuthError::Revoked);
        }
        let scopes = claims.scope.split(' ').map(str::parse).collect::<Result<Vec<Scope>, _>>();
        Ok(Principal {
            subject: claims.sub,
            scopes: scopes.map_err(|_| AuthError::Invalid)?,
            token: Some(TokenRef { id: claims.jti, expires_at: claims.exp }),
        })
    }

    /// Ends a token; durable on return. An id that no token has is taken as well: we keep no list of tokens. Blocks.
    pub fn revoke(&self, id: &str) -> Result<(), TokenError> {
        if !is_id(id) {
            return Err(TokenError::BadId);
        }
        let now = self.now_s();
        self.revocations.write().unwrap_or_else(PoisonError::into_inner).add(id, now)?;
        self.changes.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Returns when the principal's token is revoked or expires; never for the local owner.
    pub async fn lapse(&self, principal: &Principal) {
        let Some(token) = &principal.token else { return std::future::pending().await };
        let mut changes = self.changes.subscribe();
        loop {
            let left = token.expires_at.saturating_sub(self.now_s());
            if left == 0 || self.is_revoked(&token.id) {
                return;
            }
            // looks again every hour, in case the wall clock was set
            let nap = tokio::time::sleep(Duration::from_secs(left.min(3600)));
            tokio::select! {
                () = nap => {}
                _ = changes.changed() => {}
            }
        }
    }

    fn is_revoked(&self, id: &str) -> bool {
        self.revocations.read().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    fn now_s(&self) -> u64 {
        self.clock.now_ms() / 1000
    }
}

/// The header is read strictly, before any library that would be kinder.
fn check_form(token: &str) -> Result<(), AuthError> {
    if token.len() > MAX_LENGTH {
        return Err(AuthError::Invalid);
    }
    let head = token.split('.').next().unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD.decode(head).map_err(|_| AuthError::Invalid)?;
    let header: OurHeader = serde_json::from_slice(&bytes).map_err(|_| AuthError::Invalid)?;
    let typed = header.typ.is_none_or(|typ| typ == "JWT");
    if header.alg == "HS256" && typed { Ok(()) } else { Err(AuthError::Invalid) }
}

fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests;
