//! Where a request comes from: the socket's peer, or the client behind a reverse proxy that we trust.
//!
//! Invariants: a forwarded address counts only when the peer itself is trusted, and then only as far as trusted hops go;
//! an address is proof of nothing (a proxy makes everybody loopback), it only chooses a limiter's bucket.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Over the network, loopback included.
    Network(SocketAddr),
    /// Over the control socket, and the kernel says that it is the daemon's own user (or root).
    LocalOwner,
}

/// The reverse proxies that we believe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// An entry that is neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("server.trusted_proxies: `{0}` is neither an address nor a network; write 10.0.0.5 or 10.0.0.0/8")]
pub struct BadProxy(String);

impl TrustedProxies {
    /// Reads the configured list.
    pub fn parse(entries: &[String]) -> Result<Self, BadProxy> {
        let network = |entry: &String| {
            let address = entry.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
            address.or_else(|_| entry.parse::<IpNet>()).map_err(|_| BadProxy(entry.clone()))
        };
        entries.iter().map(network).collect::<Result<_, _>>().map(Self)
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address.to_canonical()))
    }

    /// The address whose bucket pays: the last hop that is not ours.
    pub fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.ip().to_canonical();
        // several header lines are one list, in order; the nearest hop is written last
        let lines: Vec<&str> =
            headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
        let hops = lines.iter().flat_map(|line| line.split(',')).rev();
        for hop in hops {
            if !self.trust(client) {
                break;
            }
            let Some(address) = read_hop(hop.trim()) else { break };
            client = address.to_canonical();
        }
        client
    }
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1` or `[2001:db8::1]:4711`.
fn read_hop(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        headers
    }

    fn client(trusted: &[&str], peer: &str, lines: &[&str]) -> String {
        let entries: Vec<String> = trusted.iter().map(ToString::to_string).collect();
        let trusted = TrustedProxies::parse(&entries).unwrap();
        trusted.client(SocketAddr::new(peer.parse().unwrap(), 9), &headers(lines)).to_string()
    }

    #[test]
    fn nobody_is_believed_unless_configured_and_loopback_neither() {
        assert_eq!(client(&[], "127.0.0.1", &["203.0.113.9"]), "127.0.0.1");
        assert_eq!(client(&["10.0.0.0/8"], "192.0.2.7", &["203.0.113.9"]), "192.0.2.7");
    }

    #[test]
    fn a_trusted_proxy_tells_its_client_and_a_client_can_not_pretend() {
        assert_eq!(client(&["127.0.0.1"], "127.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(client(&["127.0.0.1"], "127.0.0.1", &["1.1.1.1, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(client(&["127.0.0.1"], "127.0.0.1", &["1.1.1.1", "203.0.113.9"]), "203.0.113.9");
    }

    #[test]
    fn hops_are_followed_only_through_proxies_that_we_trust() {
        let trusted = ["127.0.0.1", "10.0.0.0/8"];
        assert_eq!(client(&trusted, "127.0.0.1", &["1.1.1.1, 203.0.113.9, 10.2.3.4"]), "203.0.113.9");
        assert_eq!(client(&trusted, "127.0.0.1", &["nonsense, 10.2.3.4"]), "10.2.3.4");
    }

    #[test]
    fn every_spelling_of_an_address_is_read() {
        assert_eq!(client(&["127.0.0.1"], "::ffff:127.0.0.1", &["203.0.113.9:4711"]), "203.0.113.9");
        assert_eq!(client(&["127.0.0.1"], "127.0.0.1", &["[2001:db8::1]:80"]), "2001:db8::1");
        assert_eq!(client(&["127.0.0.1"], "127.0.0.1", &["::ffff:203.0.113.9"]), "203.0.113.9");
    }

    #[test]
    fn a_wrong_entry_is_named() {
        assert_eq!(TrustedProxies::parse(&["proxy.example".into()]), Err(BadProxy("proxy.example".into())));
    }
}
