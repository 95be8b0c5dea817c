//! Which names this listener answers to, and which web pages may call it.
//!
//! Invariants: a listener on loopback answers only to loopback's names and to `public_url`'s (otherwise a web page whose
//! name is pointed at 127.0.0.1 could call it: DNS rebinding); a call from a web page is taken only from our own page.

use std::net::{IpAddr, SocketAddr};

use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, header};

use super::problem::Problem;

/// The names of one listener.
#[derive(Debug, Clone)]
pub struct Names {
    /// Only these count; `None`: every name does, because the listener is meant for others.
    only: Option<Vec<String>>,
    /// `public_url` as `scheme://host[:port]`.
    public_origin: Option<String>,
}

impl Names {
    /// For a listener bound to `bound`.
    pub fn new(bound: SocketAddr, public_url: Option<&str>) -> Self {
        let public = public_url.and_then(|text| url::Url::parse(text).ok());
        let only = bound.ip().to_canonical().is_loopback().then(|| {
            let public_host = public.as_ref().and_then(|url| url.host_str());
            ["localhost"].into_iter().chain(public_host).map(str::to_ascii_lowercase).collect()
        });
        Self { only, public_origin: public.map(|url| url.origin().ascii_serialization()) }
    }

    /// The request names us.
    pub fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let mut named = headers.get_all(header::HOST).iter();
        let (first, second) = (named.next(), named.next());
        let text = first.and_then(|value| value.to_str().ok()).or_else(|| uri.authority().map(Authority::as_str));
        let host = text.and_then(host_of);
        let (Some(host), None) = (host, second) else {
            return Err(Problem::new(StatusCode::BAD_REQUEST, "bad_host", "send exactly one Host header"));
        };
        let Some(only) = &self.only else { return Ok(()) };
        let loopback = host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        if loopback || only.contains(&host) {
            return Ok(());
        }
        let hint = "this listener answers to localhost and to the host of server.public_url; set that if a proxy stands before it";
        Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "wrong_host", hint))
    }

    /// A browser says which page calls; everybody else says nothing.
    pub fn check_origin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let foreign =
            || Problem::new(StatusCode::FORBIDDEN, "foreign_origin", "calls from other web pages are not taken");
        let origin = origin.to_str().map_err(|_| foreign())?.to_ascii_lowercase();
        let (scheme, authority) = origin.split_once("://").ok_or_else(foreign)?;
        let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let same = !authority.is_empty() && authority == host.to_ascii_lowercase();
        let web = scheme == "http" || scheme == "https";
        if (web && same) || self.public_origin.as_ref() == Some(&origin) { Ok(()) } else { Err(foreign()) }
    }
}

/// The host of `host[:port]`, in lower case, without an IPv6 address's brackets.
fn host_of(text: &str) -> Option<String> {
    let authority: Authority = text.parse().ok()?;
    // a user name has no place in a Host header
    if text.contains('@') {
        return None;
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(bound: &str, public_url: Option<&str>) -> Names {
        Names::new(bound.parse().unwrap(), public_url)
    }

    fn status(names: &Names, pairs: &[(&str, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name: http::HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        let verdict = names.check_host(&Uri::from_static("/"), &headers).and_then(|()| names.check_origin(&headers));
        verdict.map_or_else(|problem| problem.status.as_u16(), |()| 200)
    }

    #[test]
    fn a_loopback_listener_answers_to_loopbacks_names_only() {
        let names = names("127.0.0.1:18789", None);
        for host in ["localhost", "LOCALHOST:18789", "127.0.0.1:18789", "[::1]:80", "127.8.9.1", "[::ffff:127.0.0.1]"] {
            assert_eq!(status(&names, &[("host", host)]), 200, "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "192.0.2.1", "localhost."] {
            assert_eq!(status(&names, &[("host", host)]), 421, "{host}");
        }
    }

    #[test]
    fn no_host_two_hosts_and_nonsense_are_malformed() {
        let names = names("127.0.0.1:18789", None);
        assert_eq!(status(&names, &[]), 400);
        assert_eq!(status(&names, &[("host", "localhost"), ("host", "evil.example")]), 400);
        for host in ["", "a b", "localhost@evil.example", "/"] {
            assert_eq!(status(&names, &[("host", host)]), 400, "{host:?}");
        }
    }

    #[test]
    fn the_public_name_counts_and_a_public_listener_answers_to_any() {
        assert_eq!(
            status(&names("127.0.0.1:1", Some("https://Chat.example.org/x")), &[("host", "chat.example.org")]),
            200
        );
        assert_eq!(status(&names("192.0.2.1:1", None), &[("host", "whatever.example")]), 200);
    }

    #[test]
    fn only_our_own_page_may_call() {
        let names = names("127.0.0.1:18789", Some("https://chat.example.org"));
        let host = ("host", "localhost:18789");
        assert_eq!(status(&names, &[host, ("origin", "http://localhost:18789")]), 200);
        assert_eq!(status(&names, &[("host", "chat.example.org"), ("origin", "https://chat.example.org")]), 200);
        for origin in [
            "http://evil.example",
            "null",
            "http://localhost:1",
            "http://",
            "file://localhost:18789",
            "localhost:18789",
        ] {
            assert_eq!(status(&names, &[host, ("origin", origin)]), 403, "{origin}");
        }
    }
}
