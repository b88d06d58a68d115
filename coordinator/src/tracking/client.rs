//! The part of MLflow's REST interface that the tracker uses.

use std::error::Error;

use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Method, Response, StatusCode, Url};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::batch::MlflowBatch;
use super::config::{Config, Credentials, TrackingError, without_login};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The server does not answer. A retry may succeed.
    #[error("{0}")]
    Unreachable(String),
    /// The server is not ready, refuses our login, or is not MLflow. A retry may succeed.
    #[error("{0}")]
    Unavailable(String),
    /// The server refuses the call itself. A retry would fail again.
    #[error("{code}: {message}")]
    Refused {
        /// MLflow's error code.
        code: String,
        /// MLflow's message.
        message: String,
    },
}

impl CallError {
    /// Whether the server does not have the experiment or run of the call.
    pub fn is_missing(&self) -> bool {
        matches!(self, CallError::Refused { code, .. } if code == "RESOURCE_DOES_NOT_EXIST")
    }
}

/// The longest answer that is read, in bytes. MLflow's are a few thousand.
const ANSWER_MAX: usize = 4 << 20;
/// How much of an answer that is not MLflow's own is shown, in characters.
const SHOWN_MAX: usize = 200;
/// How many redirects of the server to itself are followed.
const REDIRECTS_MAX: usize = 5;

/// A client of one server.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    credentials: Option<Credentials>,
}

impl Client {
    /// A client of the server in `config`. It connects with the first call.
    ///
    /// # Errors
    /// The address is not that of an HTTP server, or the HTTP client can't be built.
    pub fn new(config: &Config) -> Result<Client, TrackingError> {
        check_address(&config.uri)?;
        let http = reqwest::Client::builder().timeout(config.request_timeout).redirect(Policy::custom(redirect));
        let http = http.build().map_err(|e| TrackingError::Client { message: chain(&e) })?;
        Ok(Client { http, base: config.uri.trim_end_matches('/').to_owned(), credentials: config.credentials.clone() })
    }

    /// The id of the experiment called `name`, which is created if it is missing.
    pub async fn experiment(&self, name: &str) -> Result<String, CallError> {
        if let Some(id) = self.find_experiment(name).await? {
            return Ok(id);
        }
        // Else the server takes it for an experiment with language models, and shows traces first.
        let tags = [json!({ "key": "mlflow.experimentKind", "value": "custom_model_development" })];
        match self.call(Method::POST, "experiments/create", &json!({ "name": name, "tags": tags })).await {
            Ok(answer) => text(&answer, "/experiment_id"),
            // Another run has just created it.
            Err(CallError::Refused { code, .. }) if code == "RESOURCE_ALREADY_EXISTS" => self
                .find_experiment(name)
                .await?
                .ok_or_else(|| unavailable("it says that the experiment exists, and that it does not")),
            Err(error) => Err(error),
        }
    }

    async fn find_experiment(&self, name: &str) -> Result<Option<String>, CallError> {
        let found = match self.call(Method::GET, "experiments/get-by-name", &json!({ "experiment_name": name })).await {
            Err(error) if error.is_missing() => return Ok(None),
            found => found?,
        };
        if found.pointer("/experiment/lifecycle_stage").and_then(Value::as_str) == Some("deleted") {
            let message = format!(
                "experiment {name:?} is deleted on the server: restore it there, or name another in tracking.experiment"
            );
            return Err(CallError::Unavailable(message));
        }
        text(&found, "/experiment/experiment_id").map(Some)
    }

    /// The id of the run with the key `key`. `None` if there is no such run.
    pub async fn find_run(&self, experiment_id: &str, key: &str) -> Result<Option<String>, CallError> {
        let filter = format!("tags.`{KEY_TAG}` = '{key}'");
        let query = json!({ "experiment_ids": [experiment_id], "filter": filter, "max_results": 1 });
        let found = self.call(Method::POST, "runs/search", &query).await?;
        Ok(found.pointer("/runs/0/info/run_id").and_then(Value::as_str).map(str::to_owned))
    }

    /// Creates a run with the key `key`, and returns its id. `start_ms` is in milliseconds since
    /// the Unix epoch.
    pub async fn create_run(
        &self,
        experiment_id: &str,
        name: &str,
        key: &str,
        start_ms: u64,
    ) -> Result<String, CallError> {
        let tag = |key: &str, value: &str| json!({ "key": key, "value": value });
        let tags = [tag(KEY_TAG, key), tag("mlflow.source.name", "trunkline"), tag("mlflow.source.type", "LOCAL")];
        let run = json!({ "experiment_id": experiment_id, "run_name": name, "start_time": start_ms, "tags": tags });
        text(&self.call(Method::POST, "runs/create", &run).await?, "/run/info/run_id")
    }

    /// Sets a run's status. A final status comes with an end time, in milliseconds since the Unix
    /// epoch.
    pub async fn set_status(&self, run_id: &str, status: &str, end_ms: Option<u64>) -> Result<(), CallError> {
        let mut update = json!({ "run_id": run_id, "status": status });
        if let Some(end_ms) = end_ms {
            update["end_time"] = json!(end_ms);
        }
        self.call(Method::POST, "runs/update", &update).await.map(drop)
    }

    /// Logs a batch, which must be within MLflow's limits.
    pub async fn log(&self, run_id: &str, batch: &MlflowBatch) -> Result<(), CallError> {
        #[derive(Serialize)]
        struct LogBatch<'a> {
            run_id: &'a str,
            #[serde(flatten)]
            batch: &'a MlflowBatch,
        }
        self.call(Method::POST, "runs/log-batch", &LogBatch { run_id, batch }).await.map(drop)
    }

    async fn call(&self, method: Method, name: &str, body: &impl Serialize) -> Result<Value, CallError> {
        let get = method == Method::GET;
        let request = self.http.request(method, format!("{}/api/2.0/mlflow/{name}", self.base));
        let request = if get { request.query(body) } else { request.json(body) };
        let request = match &self.credentials {
            Some(Credentials::Token(token)) => request.bearer_auth(token),
            Some(Credentials::Password { user, password }) => request.basic_auth(user, Some(password)),
            None => request,
        };
        let answer = request.send().await.map_err(no_answer)?;
        let status = answer.status();
        let body = read(answer).await?;
        if status.is_success() {
            return serde_json::from_str(&body).map_err(|_| unavailable("its answer is not that of an MLflow server"));
        }
        Err(refusal(status, &body))
    }
}

/// The tag that holds a run's key.
const KEY_TAG: &str = "trunkline.run_key";

/// Refuses what is not the address of an HTTP server, such as the folders and databases that
/// `MLFLOW_TRACKING_URI` may also name.
///
/// # Errors
/// [`TrackingError::Uri`]
pub(super) fn check_address(uri: &str) -> Result<(), TrackingError> {
    let wrong = |message: String| Err(TrackingError::Uri { uri: without_login(uri), message });
    match Url::parse(uri) {
        Err(_) => wrong("this is not the address of a server".to_owned()),
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            wrong(format!("this is the address of a {} store, not of a server", url.scheme()))
        }
        Ok(_) => Ok(()),
    }
}

/// Follows redirects of the server to itself only. Another server would learn the login.
fn redirect(attempt: Attempt<'_>) -> Action {
    let first = attempt.previous().first().map(Url::origin);
    if first == Some(attempt.url().origin()) && attempt.previous().len() <= REDIRECTS_MAX {
        return attempt.follow();
    }
    let to = attempt.url().origin().ascii_serialization();
    attempt.error(format!("it redirects to {to}: give the address at which MLflow itself answers"))
}

/// The error of a call that got no whole answer.
fn no_answer(error: reqwest::Error) -> CallError {
    let message = chain(&error.without_url());
    CallError::Unreachable(message)
}

/// The body of an answer.
async fn read(mut answer: Response) -> Result<String, CallError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(no_answer)? {
        if bytes.len() + chunk.len() > ANSWER_MAX {
            return Err(unavailable("its answer is too long for one of MLflow"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The error of an answer that is not a success: unavailable if a retry may succeed, else refused.
fn refusal(status: StatusCode, body: &str) -> CallError {
    #[derive(Deserialize)]
    struct Refusal {
        error_code: String,
        #[serde(default)]
        message: String,
    }
    let refusal = serde_json::from_str::<Refusal>(body).ok();
    match (status, refusal) {
        // MLflow's own check of the name by which it is called.
        (StatusCode::FORBIDDEN, None) if body.contains("Invalid Host header") => CallError::Unavailable(format!(
            "it answers \"{}\": start the server with `--allowed-hosts` and this host's name",
            shown(body)
        )),
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => CallError::Unavailable(format!(
            "it answers {status}: set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )),
        (status, Some(Refusal { error_code: code, message }))
            if status.is_client_error() && !can_be_retried(status) =>
        {
            CallError::Refused { code: shown(&code), message: shown(&message) }
        }
        (status, _) => CallError::Unavailable(format!("it answers {status}")),
    }
}

/// The beginning of a text of the server, on one line.
fn shown(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

fn can_be_retried(status: StatusCode) -> bool {
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

fn text(answer: &Value, pointer: &str) -> Result<String, CallError> {
    let found = answer.pointer(pointer).and_then(Value::as_str);
    found.map(str::to_owned).ok_or_else(|| unavailable("its answer is not that of an MLflow server"))
}

fn unavailable(message: &str) -> CallError {
    CallError::Unavailable(message.to_owned())
}

/// An error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
