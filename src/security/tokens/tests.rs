//! What a token must and must not do. The forged ones follow RFC 7515 A.1, RFC 7519 and the field's known attacks.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::clock::FakeClock;

const NOW_S: u64 = 1_800_000_000;

struct Desk {
    folder: TempDir,
    clock: Arc<FakeClock>,
    tokens: Tokens,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = FakeClock::at(NOW_S * 1000);
        let tokens = Tokens::open(&folder.path().join("tokens"), clock.clone()).unwrap();
        Self { folder, clock, tokens }
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    fn key(&self) -> Vec<u8> {
        std::fs::read(self.home().join("key")).unwrap()
    }

    /// Signs whatever it is told, as somebody with the key could.
    fn forge(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap());
        let message = format!("{}.{}", part(header), part(claims));
        let key = EncodingKey::from_secret(&self.key());
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        format!("{message}.{signature}")
    }
}

fn good_claims() -> Value {
    json!({
        "iss": "packetboat", "sub": "owner", "scope": "chat read", "jti": "0123456789abcdef0123456789abcdef",
        "iat": NOW_S, "nbf": NOW_S, "exp": NOW_S + 60,
    })
}

fn with(mut claims: Value, key: &str, value: Value) -> Value {
    claims[key] = value;
    claims
}

#[test]
fn an_issued_token_tells_whose_it_is_and_what_it_may() {
    let desk = Desk::new();
    let issued = desk.tokens.issue("owner", &[Scope::Chat, Scope::Read], 60).unwrap();
    let principal = desk.tokens.verify(&issued.token).unwrap();
    assert_eq!(principal.subject, "owner");
    assert_eq!(principal.scopes, [Scope::Chat, Scope::Read]);
    assert_eq!(principal.token, Some(TokenRef { id: issued.id, expires_at: NOW_S + 60 }));
    assert_eq!(issued.expires_at, NOW_S + 60);
}

#[test]
fn a_token_survives_a_restart_and_an_expired_one_does_not_count() {
    let desk = Desk::new();
    let issued = desk.tokens.issue("owner", &[Scope::Chat], 60).unwrap();
    let again = Tokens::open(&desk.home(), desk.clock.clone()).unwrap();
    assert!(again.verify(&issued.token).is_ok());
    desk.clock.advance((60 + LEEWAY_S) * 1000);
    assert_eq!(again.verify(&issued.token), Err(AuthError::Expired));
}

#[test]
fn a_revoked_token_is_refused_at_once_and_after_a_restart() {
    let desk = Desk::new();
    let issued = desk.tokens.issue("owner", &[Scope::Chat], 60).unwrap();
    let other = desk.tokens.issue("owner", &[Scope::Chat], 60).unwrap();
    desk.tokens.revoke(&issued.id).unwrap();
    assert_eq!(desk.tokens.verify(&issued.token), Err(AuthError::Revoked));
    assert!(desk.tokens.verify(&other.token).is_ok());
    let again = Tokens::open(&desk.home(), desk.clock.clone()).unwrap();
    assert_eq!(again.verify(&issued.token), Err(AuthError::Revoked));
}

#[test]
fn what_can_not_be_an_id_is_not_written_into_the_list() {
    let desk = Desk::new();
    for bad in ["", "short", "0123456789abcdef0123456789abcde\n", "0123456789ABCDEF0123456789ABCDEF"] {
        assert!(matches!(desk.tokens.revoke(bad), Err(TokenError::BadId)), "{bad:?}");
    }
    assert!(!desk.home().join("revoked").exists());
}

#[test]
fn a_token_without_scope_subject_or_sane_lifetime_is_not_made() {
    let desk = Desk::new();
    assert!(matches!(desk.tokens.issue("owner", &[], 60), Err(TokenError::NoScope)));
    assert!(matches!(desk.tokens.issue("a:b", &[Scope::Chat], 60), Err(TokenError::Subject(_))));
    for lifetime in [0, MAX_LIFETIME_S + 1, u64::MAX] {
        assert!(matches!(desk.tokens.issue("owner", &[Scope::Chat], lifetime), Err(TokenError::Lifetime)));
    }
}

#[test]
fn the_forge_makes_good_tokens_when_told_to() {
    let desk = Desk::new();
    assert!(desk.tokens.verify(&desk.forge(&json!({"alg": "HS256"}), &good_claims())).is_ok());
}

#[test]
fn a_header_that_names_another_algorithm_or_chooses_a_key_is_refused() {
    let desk = Desk::new();
    let headers = [
        json!({"alg": "none"}),
        json!({"alg": "HS384"}),
        json!({"alg": "HS512"}),
        json!({"alg": "RS256"}),
        json!({"alg": "hs256"}),
        json!({"alg": ["HS256"]}),
        json!({}),
        json!({"alg": "HS256", "kid": "../../dev/null"}),
        json!({"alg": "HS256", "jku": "https://evil.example/keys"}),
        json!({"alg": "HS256", "x5u": "https://evil.example/cert"}),
        json!({"alg": "HS256", "jwk": {"kty": "oct", "k": "AA"}}),
        json!({"alg": "HS256", "crit": ["exp"]}),
        json!({"alg": "HS256", "b64": false}),
        json!({"alg": "HS256", "typ": "JWE"}),
    ];
    for header in headers {
        assert_eq!(desk.tokens.verify(&desk.forge(&header, &good_claims())), Err(AuthError::Invalid), "{header}");
    }
}

#[test]
fn claims_that_are_absent_absurd_or_of_another_issuer_are_refused() {
    let desk = Desk::new();
    let mut bad: Vec<Value> = ["iss", "sub", "scope", "jti", "iat", "nbf", "exp"]
        .into_iter()
        .map(|claim| {
            let mut claims = good_claims();
            claims.as_object_mut().unwrap().remove(claim);
            claims
        })
        .collect();
    bad.extend([
        with(good_claims(), "iss", json!("somebody")),
        with(good_claims(), "exp", json!("9999999999")),
        with(good_claims(), "exp", json!(1e300)),
        with(good_claims(), "exp", json!(1_u64 << 63)),
        with(good_claims(), "exp", json!(-1)),
        with(good_claims(), "exp", json!(NOW_S - 1)),
        with(good_claims(), "exp", json!(NOW_S + MAX_LIFETIME_S + 1)),
        with(good_claims(), "nbf", json!(NOW_S + LEEWAY_S + 1)),
        with(good_claims(), "iat", json!(NOW_S + LEEWAY_S + 1)),
        with(good_claims(), "scope", json!("")),
        with(good_claims(), "scope", json!("chat root")),
        with(good_claims(), "scope", json!(["chat"])),
        with(good_claims(), "sub", json!("a:b")),
        with(good_claims(), "jti", json!("x")),
    ]);
    for claims in bad {
        let verdict = desk.tokens.verify(&desk.forge(&json!({"alg": "HS256"}), &claims));
        assert_eq!(verdict, Err(AuthError::Invalid), "{claims}");
    }
}

#[test]
fn a_token_of_another_key_or_with_a_changed_letter_is_refused() {
    let desk = Desk::new();
    let token = desk.tokens.issue("owner", &[Scope::Chat], 60).unwrap().token;
    assert_eq!(Desk::new().tokens.verify(&token), Err(AuthError::Invalid));
    let (head, signature) = token.rsplit_once('.').unwrap();
    let forms = [
        format!("{head}."),
        head.to_owned(),
        format!("{token}="),
        format!("{token}.x"),
        format!(" {token}"),
        format!("{head}.{}", signature.to_lowercase()),
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "x".repeat(MAX_LENGTH + 1),
    ];
    for form in forms {
        assert_eq!(desk.tokens.verify(&form), Err(AuthError::Invalid), "{form}");
    }
    // the last letter holds spare bits: another spelling of the same bytes must not pass either
    let spellings = ('A'..='Z').chain('a'..='z').chain('0'..='9').filter(|letter| !signature.ends_with(*letter));
    for letter in spellings {
        let spelled = format!("{head}.{}{letter}", &signature[..signature.len() - 1]);
        assert_eq!(desk.tokens.verify(&spelled), Err(AuthError::Invalid), "{letter}");
    }
}

#[test]
fn the_examples_of_the_standards_are_no_tokens_of_ours() {
    let desk = Desk::new();
    let rfc7519 = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let none = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.";
    // signed with an empty key
    let empty = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.tUQsEpsOh2SuYlrWZMwQYLMtWY6WSRmKjhvqtArlyI8";
    for token in [rfc7519, none, empty] {
        assert_eq!(desk.tokens.verify(token), Err(AuthError::Invalid));
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_connection_learns_of_a_revocation_and_of_the_end() {
    let desk = Desk::new();
    let issued = desk.tokens.issue("owner", &[Scope::Chat], 60).unwrap();
    let principal = desk.tokens.verify(&issued.token).unwrap();
    let mut lapse = std::pin::pin!(desk.tokens.lapse(&principal));
    assert!(futures::poll!(lapse.as_mut()).is_pending());
    desk.tokens.revoke(&issued.id).unwrap();
    lapse.await;

    let short = desk.tokens.issue("owner", &[Scope::Chat], 1).unwrap();
    let principal = desk.tokens.verify(&short.token).unwrap();
    let mut lapse = std::pin::pin!(desk.tokens.lapse(&principal));
    assert!(futures::poll!(lapse.as_mut()).is_pending());
    desk.clock.advance(1_000);
    lapse.await;
}
