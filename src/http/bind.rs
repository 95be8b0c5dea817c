//! Opening the doors: which addresses may be listened on, and what to do when one can't be.
//!
//! Invariants: beyond loopback nothing is served in the clear unless the configuration says so in so many words; an error
//! names the key, the address, who holds it and the next step. Not here: what is served (`mod.rs`), how (`serve.rs`).

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::config::ServerConfig;

/// Why a door stays shut.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Tokens would travel in the clear.
    #[error(
        "server.{key} = \"{address}\" is not loopback, and tokens would travel in the clear: set server.tls (or put a reverse \
         proxy before it and name it in server.trusted_proxies), or set server.insecure = true if this network is yours alone"
    )]
    Exposed {
        /// `listen` or `console_listen`.
        key: &'static str,
        /// As configured.
        address: SocketAddr,
    },
    /// Somebody else listens there.
    #[error("server.{key}: port {} of {} is taken by {holder}; stop that program or choose another port", .address.port(), .address.ip())]
    Taken {
        /// `listen` or `console_listen`.
        key: &'static str,
        /// As configured.
        address: SocketAddr,
        /// As far as the system tells.
        holder: String,
    },
    /// The system said no.
    #[error(
        "server.{key}: can't listen on {address}: {source}; check that the address is this machine's and that the port is above 1023"
    )]
    Refused {
        /// `listen` or `console_listen`.
        key: &'static str,
        /// As configured.
        address: SocketAddr,
        /// What it said.
        source: io::Error,
    },
    /// Another daemon answers there.
    #[error("another packetboat serves {0} already; stop it, or give this one its own storage.path")]
    Running(PathBuf),
    /// Unix has a short limit.
    #[error(
        "the path of the control socket is too long ({length} bytes, at most {MAX_SOCKET_PATH}): {path}; choose a shorter storage.path"
    )]
    TooLong {
        /// The socket.
        path: PathBuf,
        /// Its bytes.
        length: usize,
    },
    /// The system said no.
    #[error("can't open the control socket {path}: {source}; check who owns the data folder")]
    Control {
        /// The socket.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// What `sockaddr_un` holds.
const MAX_SOCKET_PATH: usize = 107;

/// Which of the two TCP listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// `server.listen`.
    Public,
    /// `server.console_listen`.
    Console,
}

impl Door {
    fn key(self) -> &'static str {
        match self {
            Self::Public => "listen",
            Self::Console => "console_listen",
        }
    }

    fn address(self, config: &ServerConfig) -> SocketAddr {
        match self {
            Self::Public => config.listen,
            Self::Console => config.console_listen,
        }
    }

    /// Whether the configured address may be listened on.
    pub fn check(self, config: &ServerConfig) -> Result<(), BindError> {
        let address = self.address(config);
        let local = address.ip().to_canonical().is_loopback();
        // only the public listener speaks TLS
        let sealed = self == Self::Public && config.tls.is_some();
        if local || sealed || config.insecure || !config.trusted_proxies.is_empty() {
            return Ok(());
        }
        Err(BindError::Exposed { key: self.key(), address })
    }

    /// Listens.
    pub async fn open(self, config: &ServerConfig) -> Result<TcpListener, BindError> {
        self.check(config)?;
        let (key, address) = (self.key(), self.address(config));
        TcpListener::bind(address).await.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::Taken { key, address, holder: holder_of(address.port()) },
            _ => BindError::Refused { key, address, source },
        })
    }
}

/// Listens on the control socket. Its folder must be private already; the socket is made private too, and `serve.rs` asks
/// the kernel who calls.
pub async fn control(path: &Path) -> Result<UnixListener, BindError> {
    let length = path.as_os_str().len();
    if length > MAX_SOCKET_PATH {
        return Err(BindError::TooLong { path: path.to_owned(), length });
    }
    if UnixStream::connect(path).await.is_ok() {
        return Err(BindError::Running(path.to_owned()));
    }
    let failed = |source| BindError::Control { path: path.to_owned(), source };
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Who listens on a TCP port of this machine, for people: `nginx (process 812)`.
pub fn holder_of(port: u16) -> String {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let sockets: Vec<String> = tables.iter().flat_map(|table| listening(table, port)).collect();
    let owner = processes().into_iter().find(|folder| holds(folder, &sockets));
    owner
        .and_then(|folder| describe(&folder))
        .unwrap_or_else(|| "another user's program (run `ss -ltnp` as root)".to_owned())
}

/// The inodes, as links in `/proc/PID/fd` show them, of sockets that listen on `port`.
fn listening(table: &str, port: u16) -> Vec<String> {
    let local_end = format!(":{port:04X}");
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let matching = rows.filter(|row| row.len() > 9 && row[1].ends_with(&local_end) && row[3] == "0A");
    matching.map(|row| format!("socket:[{}]", row[9])).collect()
}

fn processes() -> Vec<PathBuf> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().parse::<u32>().is_ok())).collect()
}

fn holds(process: &Path, sockets: &[String]) -> bool {
    let links = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let mut targets = links.filter_map(|link| fs::read_link(link.path()).ok());
    targets.any(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str()))
}

fn describe(process: &Path) -> Option<String> {
    let name = fs::read_to_string(process.join("comm")).ok()?;
    Some(format!("{} (process {})", name.trim(), process.file_name()?.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::config::TlsConfig;

    fn config(listen: &str) -> ServerConfig {
        ServerConfig { listen: listen.parse().unwrap(), ..ServerConfig::default() }
    }

    #[test]
    fn beyond_loopback_nothing_is_served_in_the_clear_unless_told_so() {
        for local in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(Door::Public.check(&config(local)).is_ok(), "{local}");
        }
        for exposed in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[2001:db8::1]:1"] {
            let text = Door::Public.check(&config(exposed)).unwrap_err().to_string();
            assert!(text.contains("server.tls") && text.contains("server.insecure"), "{text}");
        }
        let tls = Some(TlsConfig { cert: "c".into(), key: "k".into() });
        assert!(Door::Public.check(&ServerConfig { tls: tls.clone(), ..config("0.0.0.0:1") }).is_ok());
        assert!(Door::Public.check(&ServerConfig { insecure: true, ..config("0.0.0.0:1") }).is_ok());
        let proxied = ServerConfig { trusted_proxies: vec!["10.0.0.1".into()], ..config("0.0.0.0:1") };
        assert!(Door::Public.check(&proxied).is_ok());
        let console = ServerConfig { console_listen: "0.0.0.0:1".parse().unwrap(), tls, ..ServerConfig::default() };
        assert!(Door::Console.check(&console).is_err(), "TLS is the public listener's");
    }

    #[tokio::test]
    async fn a_busy_port_names_its_holder_and_the_next_step() {
        let first = Door::Public.open(&config("127.0.0.1:0")).await.unwrap();
        let taken = config(&first.local_addr().unwrap().to_string());
        let text = Door::Public.open(&taken).await.unwrap_err().to_string();
        assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
        assert!(text.contains("choose another port"), "{text}");
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_told_apart_from_a_busy_port() {
        let elsewhere = ServerConfig { insecure: true, ..config("192.0.2.1:18789") };
        assert!(matches!(Door::Public.open(&elsewhere).await, Err(BindError::Refused { .. })));
    }

    #[tokio::test]
    async fn the_control_socket_is_private_replaces_a_dead_one_and_never_a_living_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let living = control(&path).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(control(&path).await, Err(BindError::Running(_))));
        drop(living);
        assert!(control(&path).await.is_ok());
    }

    #[tokio::test]
    async fn a_path_that_unix_can_not_hold_is_explained() {
        let path = PathBuf::from("/tmp").join("x".repeat(120));
        assert!(control(&path).await.unwrap_err().to_string().contains("shorter storage.path"));
    }
}
