//! The running daemon, asked over its control socket in the data folder. The socket's permissions are the credential:
//! who may open it owns the instance.
//!
//! Not here: what the answers mean.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use reqwest::{Client, Method, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::Context;
use super::error::CliError;

/// Long enough for `queue verify` over a full store.
const PATIENCE: Duration = Duration::from_secs(600);

/// A daemon that answered when it was found.
#[derive(Debug)]
pub struct Daemon {
    http: Client,
    base: Url,
}

/// RFC 9457, as the daemon writes it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ProblemJson {
    title: String,
    detail: String,
    hint: String,
}

impl Daemon {
    /// The daemon of the configuration's data folder.
    pub fn find(context: &Context) -> Result<Self, CliError> {
        Self::at(&context.load()?.config.control_socket())
    }

    /// The daemon behind this socket.
    pub fn at(socket: &Path) -> Result<Self, CliError> {
        // asked once by hand: the HTTP client would not say why it could not connect
        UnixStream::connect(socket).map_err(|error| absent(socket, &error))?;
        let http = Client::builder()
            .unix_socket(socket.to_owned())
            .build()
            .map_err(|error| CliError::new(format!("can't make an HTTP client: {error}"), ""))?;
        let base = Url::parse("http://localhost/").map_err(|error| CliError::new(error.to_string(), ""))?;
        Ok(Self { http, base })
    }

    /// `GET`, its answer read as JSON.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        let response = self.send(Method::GET, self.url(path)?, None, Some(PATIENCE)).await?;
        read(response).await
    }

    /// `POST`, its answer not looked at.
    pub async fn post(&self, path: &str) -> Result<(), CliError> {
        self.send(Method::POST, self.url(path)?, None, Some(PATIENCE)).await.map(drop)
    }

    /// `POST` of a JSON body, its answer read as JSON.
    pub async fn post_json<T: DeserializeOwned>(&self, path: &str, body: Json) -> Result<T, CliError> {
        let response = self.send(Method::POST, self.url(path)?, Some(body), Some(PATIENCE)).await?;
        read(response).await
    }

    /// `DELETE` of the last of `parts`.
    pub async fn delete(&self, parts: &[&str]) -> Result<(), CliError> {
        self.send(Method::DELETE, self.url_of(parts)?, None, Some(PATIENCE)).await.map(drop)
    }

    /// A stream of events that stays open.
    pub async fn events(&self, conversation: &str) -> Result<Response, CliError> {
        let url = self.url_of(&["api", "conversations", conversation, "events"])?;
        self.send(Method::GET, url, None, None).await
    }

    fn url(&self, path: &str) -> Result<Url, CliError> {
        self.base.join(path).map_err(|error| CliError::new(error.to_string(), ""))
    }

    /// Percent-encodes each part.
    fn url_of(&self, parts: &[&str]) -> Result<Url, CliError> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| CliError::new("the daemon's address can't hold a path", ""))?
            .clear()
            .extend(parts);
        Ok(url)
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        body: Option<Json>,
        patience: Option<Duration>,
    ) -> Result<Response, CliError> {
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        if let Some(patience) = patience {
            request = request.timeout(patience);
        }
        let response = request.send().await.map_err(broken)?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refused(response).await)
    }
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, CliError> {
    let bytes = response.bytes().await.map_err(broken)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let hint = "is the daemon of another version than this program? restart it after an update";
        CliError::new(format!("the daemon's answer is not understood: {error}"), hint)
    })
}

async fn refused(response: Response) -> CliError {
    let status = response.status();
    let bytes = response.bytes().await.unwrap_or_default();
    let problem: ProblemJson = serde_json::from_slice(&bytes).unwrap_or_default();
    let message = [problem.detail, problem.title].into_iter().find(|text| !text.is_empty());
    CliError::new(message.unwrap_or_else(|| format!("the daemon refused: {status}")), problem.hint)
}

fn broken(error: reqwest::Error) -> CliError {
    let error = error.without_url();
    let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
    CliError::new(format!("the daemon broke off: {cause}"), "look at its log; `packetboat doctor` helps")
}

fn absent(socket: &Path, error: &std::io::Error) -> CliError {
    let start = "start it with `packetboat serve` (or `systemctl start packetboat`); --config chooses another instance";
    let place = socket.display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            CliError::new(format!("no daemon runs (nothing answers at {place})"), start)
        }
        ErrorKind::PermissionDenied => {
            let message = format!("this user may not talk to the daemon ({place})");
            CliError::new(message, "run this as the user that the daemon runs as, or as root")
        }
        _ => CliError::new(format!("can't talk to the daemon at {place}: {error}"), start),
    }
}
