//! A real daemon in a folder of its own: started, killed, started again. Ready is what it tells systemd; nothing sleeps.

use std::os::unix::net::UnixDatagram as StdDatagram;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};

/// A start that takes longer has failed (the processor may be busy with other tests).
const PATIENCE: Duration = Duration::from_secs(60);

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_packetboat");

/// A daemon that runs, or did until it was killed.
pub struct Daemon {
    folder: TempDir,
    environment: Vec<(String, String)>,
    child: Option<Child>,
    /// How a browser reaches it.
    pub url: String,
    /// Scopes `chat`, `read`, `operate`.
    pub token: String,
    /// For calls; no proxy, no redirect.
    pub http: reqwest::Client,
}

impl Daemon {
    /// Starts one with this configuration besides the free ports.
    pub async fn start(config: &str) -> Self {
        Self::start_with(config, &[]).await
    }

    /// The same with environment variables.
    pub async fn start_with(config: &str, environment: &[(&str, &str)]) -> Self {
        let mut daemon = Self::prepare(config, environment);
        daemon.begin().await;
        let output =
            daemon.cli(&["token", "generate", "--expiry", "1h", "--scope", "chat,read,operate", "--json"]).await;
        let issued: Value = serde_json::from_str(&output).expect("a token as JSON");
        daemon.token = issued["token"].as_str().expect("a token").to_owned();
        daemon
    }

    /// The folder and the configuration, nothing started.
    pub fn prepare(config: &str, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ports = "listen = \"127.0.0.1:0\"\nconsole_listen = \"127.0.0.1:0\"\n";
        let text = match config.split_once("[server]\n") {
            Some((before, after)) => format!("{before}[server]\n{ports}{after}"),
            None => format!("[server]\n{ports}{config}"),
        };
        std::fs::write(folder.path().join("packetboat.toml"), text).expect("writes");
        Self {
            folder,
            environment: environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            child: None,
            url: String::new(),
            token: String::new(),
            http: reqwest::Client::builder().no_proxy().build().expect("a client"),
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("packetboat.toml")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("--config").arg(self.config()).kill_on_drop(true).stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts it, again perhaps, and waits until it is ready.
    pub async fn begin(&mut self) {
        let socket = self.folder.path().join("notify");
        let _ = std::fs::remove_file(&socket);
        let bound = StdDatagram::bind(&socket).expect("binds");
        bound.set_nonblocking(true).expect("a socket");
        let told = UnixDatagram::from_std(bound).expect("a socket");
        let log = std::fs::File::options().append(true).create(true).open(self.log_path()).expect("a log");
        let mut child = self
            .command()
            .arg("serve")
            .env("NOTIFY_SOCKET", &socket)
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("starts");
        let ready = async {
            let mut message = [0; 512];
            loop {
                let length = told.recv(&mut message).await.expect("receives");
                if message[..length].starts_with(b"READY=1") {
                    return;
                }
            }
        };
        tokio::select! {
            outcome = tokio::time::timeout(PATIENCE, ready) => assert!(outcome.is_ok(), "not ready\n{}", self.log()),
            ended = child.wait() => panic!("ended: {ended:?}\n{}", self.log()),
        }
        self.child = Some(child);
        let link = self.control("POST", "/api/admin/login-link", Value::Null).await;
        let link = link["url"].as_str().expect("a link");
        self.url = link.split("/#").next().expect("an address").to_owned();
    }

    /// SIGKILL: no time to write anything.
    pub async fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().await.expect("killed");
    }

    /// SIGTERM, and how it ended.
    pub async fn stop(&mut self) -> std::process::ExitStatus {
        let mut child = self.child.take().expect("it runs");
        let pid = i32::try_from(child.id().expect("it runs")).expect("a pid");
        let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signalled");
        tokio::time::timeout(PATIENCE, child.wait()).await.expect("it stops").expect("it stops")
    }

    /// A command of the CLI against this daemon; its standard output. It must succeed.
    pub async fn cli(&self, arguments: &[&str]) -> String {
        let output = self.command().args(arguments).output().await.expect("runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{arguments:?}: {}\n{}", text(&output.stderr), self.log());
        text(&output.stdout)
    }

    /// A command that must fail; its exit code and standard error.
    pub async fn cli_fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command().args(arguments).output().await.expect("runs");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{arguments:?} succeeded");
        (output.status.code().unwrap_or(-1), stderr)
    }

    /// A call on the control socket.
    pub async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let socket = self.folder.path().join("data/control.sock");
        let client = reqwest::Client::builder().no_proxy().unix_socket(socket).build().expect("a client");
        let method = method.parse().expect("a method");
        let response =
            client.request(method, format!("http://localhost{path}")).json(&body).send().await.expect("answers");
        let status = response.status();
        let text = response.text().await.expect("a body");
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Says something over HTTP; the response's status and body.
    pub async fn say(&self, body: Value, prefer: Option<&str>) -> (u16, Value) {
        let request = self.http.post(format!("{}/api/message", self.url)).bearer_auth(&self.token).json(&body);
        let request = match prefer {
            Some(prefer) => request.header("Prefer", prefer),
            None => request,
        };
        let response = request.send().await.expect("answers");
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    /// Asks and waits for the answer's text.
    pub async fn ask(&self, conversation: &str, text: &str) -> String {
        let body = json!({ "text": text, "conversation": conversation });
        let (status, answer) = self.say(body, Some("wait=60")).await;
        assert_eq!(status, 200, "{answer}\n{}", self.log());
        answer["reply"]["text"].as_str().expect("a reply").to_owned()
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        let response =
            self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token).send().await.expect("answers");
        (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
    }

    /// The conservation law holds and every record agrees, with nothing pending. Says the totals.
    pub async fn verify_settled(&self) -> Value {
        let report: Value = serde_json::from_str(&self.cli(&["queue", "verify", "--json"]).await).expect("JSON");
        assert_eq!(report["problems"], json!([]), "{report}");
        assert_eq!(report["totals"]["pending"], 0, "{report}\n{}", self.log());
        report["totals"].clone()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }
}
