//! Where and how to track a run.

use std::time::Duration;

use experiment::Experiment;

/// Where and how to track a run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server's address: `http://` or `https://`, as in `MLFLOW_TRACKING_URI`.
    pub uri: String,
    /// The MLflow experiment's name.
    pub experiment: String,
    /// The MLflow run's name, usually the run folder's.
    pub run_name: String,
    /// The login, if the server asks for one.
    pub credentials: Option<Credentials>,
    /// The time between two looks at the journal.
    pub poll: Duration,
    /// The backoff after a first failure. It doubles with each further failure.
    pub retry_first: Duration,
    /// The longest backoff while the run goes on.
    pub retry_max: Duration,
    /// The longest backoff once the run is over and waits for the tracker.
    pub retry_at_end_max: Duration,
    /// The timeout of one request.
    pub request_timeout: Duration,
}

impl Config {
    /// Tracking on the server `uri` with the default times, and with the credentials in the
    /// environment.
    pub fn new(uri: impl Into<String>, experiment: impl Into<String>, run_name: impl Into<String>) -> Config {
        Config {
            uri: uri.into(),
            experiment: experiment.into(),
            run_name: run_name.into(),
            credentials: Credentials::from_environment(|name| std::env::var(name).ok()),
            poll: Duration::from_secs(1),
            retry_first: Duration::from_millis(500),
            retry_max: Duration::from_secs(30),
            retry_at_end_max: Duration::from_millis(500),
            request_timeout: Duration::from_secs(30),
        }
    }
}

impl Config {
    /// Tracking of a run of `experiment` on the server `uri`. `run_id` is the name of its folder.
    pub fn of_run(uri: &str, experiment: &Experiment, run_id: &str) -> Config {
        let name = experiment.tracking.experiment.as_deref().unwrap_or(&experiment.name);
        // Runs of one experiment differ in method and seed more often than in anything else.
        let run_name = format!("{}-seed{}-{run_id}", experiment.weighting.method(), experiment.seed);
        Config::new(uri, name, run_name)
    }
}

/// A login.
#[derive(Clone)]
pub enum Credentials {
    /// The value of `MLFLOW_TRACKING_TOKEN`.
    Token(String),
    /// The values of `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
}

impl Credentials {
    /// The credentials in MLflow's environment variables. User and password win over a token, as in
    /// MLflow's own client.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Option<Credentials> {
        let set = |name| variable(name).filter(|value: &String| !value.is_empty());
        match (set("MLFLOW_TRACKING_USERNAME"), set("MLFLOW_TRACKING_PASSWORD"), set("MLFLOW_TRACKING_TOKEN")) {
            (Some(user), Some(password), _) => Some(Credentials::Password { user, password }),
            (_, _, token) => token.map(Credentials::Token),
        }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Credentials::Token(_) => "Token(..)",
            Credentials::Password { .. } => "Password { .. }",
        })
    }
}

/// How long the end of a run waits for the tracker.
#[derive(Clone, Debug)]
pub struct Patience {
    /// How long a server that has not answered anything may stay silent.
    pub silent: Duration,
    /// How long a server that has answered may accept nothing.
    pub idle: Duration,
    /// The longest wait, however much the server accepts in it.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { silent: Duration::from_secs(3), idle: Duration::from_secs(30), total: Duration::from_secs(600) }
    }
}

impl Patience {
    /// Waits as long as this, whatever the server does.
    pub fn of(wait: Duration) -> Patience {
        Patience { silent: wait, idle: wait, total: wait }
    }
}

/// Why tracking could not start. A later failure is a warning:
/// [`TrackerHandle::warning`](super::TrackerHandle::warning).
#[derive(Debug, thiserror::Error)]
pub enum TrackingError {
    /// The address is not that of an HTTP server.
    #[error("{uri:?}: {message}; give the address of an MLflow server, for example \"http://127.0.0.1:5000\"")]
    Uri {
        /// The address.
        uri: String,
        /// What is wrong.
        message: String,
    },
    /// The HTTP client can't be built.
    #[error("tracking: the HTTP client can't be built: {message}")]
    Client {
        /// The client's error.
        message: String,
    },
}

/// An address without user name and password. They must not be shown, and may change while the
/// server stays the same.
pub fn without_login(uri: &str) -> String {
    match reqwest::Url::parse(uri) {
        Ok(mut url) if !url.username().is_empty() || url.password().is_some() => {
            let _ = url.set_username("").and_then(|()| url.set_password(None));
            url.as_str().trim_end_matches('/').to_owned()
        }
        _ => uri.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_and_stored_without_its_login() {
        assert_eq!(without_login("https://me:secret@host:5000/mlflow/"), "https://host:5000/mlflow");
        assert_eq!(without_login("http://token@host"), "http://host");
        assert_eq!(without_login("http://127.0.0.1:5000/"), "http://127.0.0.1:5000/");
        assert_eq!(without_login("no address"), "no address");
    }
}
