//! Connections as a misbehaving client makes them.

use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    /// Lets `/slow` answer.
    gate: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(connections: usize, grace: Duration) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop, gate) = (tcp.local_addr().unwrap(), CancellationToken::new(), CancellationToken::new());
        let opens = gate.clone();
        let slow = move || async move {
            opens.cancelled().await;
            "late"
        };
        let router = Router::new().route("/", get(async || "hello")).route("/slow", get(slow));
        let limits = Limits { connections: Arc::new(Semaphore::new(connections)), grace };
        let task = tokio::spawn(serve(Listener::Plain(tcp), router, limits, stop.clone()));
        Self { address, stop, gate, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

async fn ask(stream: &mut TcpStream, path: &str) {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await.unwrap();
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    // a reset counts as an end
    let _ = stream.read_to_string(&mut text).await;
    text
}

async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 4096];
    let length = stream.read(&mut bytes).await.unwrap();
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_stop_lets_the_request_in_progress_finish_and_takes_no_new_connection() {
    let server = Server::start(8, LONG).await;
    let mut busy = server.connect().await;
    ask(&mut busy, "/slow").await;
    let mut idle = server.connect().await;
    ask(&mut idle, "/").await;
    assert!(head(&mut idle).await.ends_with("hello"));
    server.stop.cancel();
    assert_eq!(rest(&mut idle).await, "", "an idle connection is closed");
    server.gate.cancel();
    assert!(rest(&mut busy).await.ends_with("late"));
    server.task.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_request_that_does_not_finish_within_the_grace_is_cut_off() {
    let server = Server::start(8, Duration::from_millis(10)).await;
    let mut busy = server.connect().await;
    ask(&mut busy, "/slow").await;
    let mut other = server.connect().await;
    ask(&mut other, "/").await;
    assert!(head(&mut other).await.ends_with("hello"));
    server.stop.cancel();
    assert_eq!(rest(&mut busy).await, "");
    server.task.await.unwrap();
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_a_place() {
    let server = Server::start(1, LONG).await;
    let mut first = server.connect().await;
    ask(&mut first, "/").await;
    assert!(head(&mut first).await.ends_with("hello"));
    let mut second = server.connect().await;
    ask(&mut second, "/").await;
    assert!(futures::poll!(std::pin::pin!(head(&mut second))).is_pending());
    drop(first);
    assert!(head(&mut second).await.ends_with("hello"));
}

#[tokio::test(start_paused = true)]
async fn who_sends_its_headers_too_slowly_is_cut_off() {
    let server = Server::start(8, LONG).await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
    // time is paused: it jumps to the header timeout as soon as everybody waits
    let answer = rest(&mut slow).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn what_is_no_http_gets_a_4xx_and_the_next_client_is_served() {
    let server = Server::start(8, LONG).await;
    let long_path = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(70_000));
    let long_header = format!("GET / HTTP/1.1\r\nhost: x\r\ny: {}\r\n\r\n", "x".repeat(70_000));
    let many_headers = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "y: z\r\n".repeat(500));
    let cases: [&str; 6] =
        ["\x16\x03\x01\x02", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", &long_path, &long_header, &many_headers];
    for case in cases {
        let mut stream = server.connect().await;
        // the server may close before it has read all of it
        let _ = stream.write_all(case.as_bytes()).await;
        let _ = stream.shutdown().await;
        let answer = rest(&mut stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let mut good = server.connect().await;
    ask(&mut good, "/").await;
    assert!(head(&mut good).await.ends_with("hello"));
}

#[tokio::test]
async fn the_control_socket_knows_its_caller() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let listener = crate::http::bind::control(&path).await.unwrap();
    let who = async |request: Request| format!("{:?}", request.extensions().get::<Peer>());
    let limits = Limits { connections: Arc::new(Semaphore::new(8)), grace: LONG };
    let stop = CancellationToken::new();
    let router = Router::new().route("/", get(who));
    let task = tokio::spawn(serve(Listener::Control(listener), router, limits, stop.clone()));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("Some(LocalOwner)"), "{answer}");
    stop.cancel();
    task.await.unwrap();
}

/// A certificate for `localhost` that signs itself, made for this test: `openssl req -x509 -newkey ec …`.
fn testdata(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/serve/testdata").join(name)
}

#[tokio::test]
async fn https_is_served_and_plain_http_on_the_same_port_is_not() {
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, ServerName};
    use tokio_rustls::rustls;

    let (cert, key) = (testdata("localhost.cert.pem"), testdata("localhost.key.pem"));
    let acceptor = crate::http::tls::acceptor(&crate::http::config::TlsConfig { cert: cert.clone(), key }).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (tcp.local_addr().unwrap(), CancellationToken::new());
    let limits = Limits { connections: Arc::new(Semaphore::new(8)), grace: LONG };
    let router = Router::new().route("/", get(async || "sealed"));
    let task = tokio::spawn(serve(Listener::Tls(tcp, acceptor), router, limits, stop.clone()));

    let mut plain = TcpStream::connect(address).await.unwrap();
    ask(&mut plain, "/").await;
    assert!(!rest(&mut plain).await.contains("sealed"));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(cert).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let client = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut sealed = tokio_rustls::TlsConnector::from(client).connect(name, tcp).await.unwrap();
    sealed.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    // HTTP/1.0 ends with the connection, which may end without TLS's own goodbye
    let _ = sealed.read_to_string(&mut answer).await;
    assert!(answer.ends_with("sealed"), "{answer}");
    stop.cancel();
    task.await.unwrap();
}
