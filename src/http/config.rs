//! The `[server]` section.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the daemon listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Web chat, HTTP API and platform webhooks. Port 0 = any free port (it is logged).
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Metrics and the operator's API; keep it on loopback.
    #[schemars(with = "String")]
    pub console_listen: SocketAddr,
    /// How the outside reaches `listen`, for links and webhooks, for example `https://chat.example.org`.
    pub public_url: Option<String>,
    /// Serve HTTPS with these PEM files.
    pub tls: Option<TlsConfig>,
    /// Addresses or networks of reverse proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<String>,
    /// Listen beyond loopback without TLS and without a trusted proxy. Tokens then travel in the clear.
    pub insecure: bool,
    /// The largest request body, in bytes.
    pub max_body: usize,
    /// Connections at the same time; more wait.
    pub max_connections: usize,
}

/// A certificate chain and its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM, the chain.
    pub cert: PathBuf,
    /// PEM, the private key.
    pub key: PathBuf,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 18789)),
            console_listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: None,
            tls: None,
            trusted_proxies: Vec::new(),
            insecure: false,
            max_body: 1024 * 1024,
            max_connections: 8192,
        }
    }
}
