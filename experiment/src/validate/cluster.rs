//! `[cluster]` and `[tracking]`.

use super::check::{Check, between, require};
use crate::cluster::{Cluster, Tracking};

/// The most workers: no step has more microbatches to hand out.
const WORKERS_MAX: u64 = 4096;

/// The most threads of one worker.
const THREADS_MAX: u64 = 1024;

/// The longest lease: a day.
const LEASE_MS_MAX: u64 = 86_400_000;

pub(super) fn check(cluster: &Cluster) -> Check {
    let Cluster { workers, heartbeat_ms, lease_ms, min_workers, mixed: _, threads } = *cluster;
    between(1, workers.into(), WORKERS_MAX, &["workers"])?;
    between(1, min_workers.into(), WORKERS_MAX, &["min_workers"])?;
    require(min_workers <= workers, &["min_workers"], || {
        format!("must be at most `workers`, which is {workers}, not {min_workers}: training would wait for ever")
    })?;
    between(1, threads.into(), THREADS_MAX, &["threads"])?;
    between(1, lease_ms, LEASE_MS_MAX, &["lease_ms"])?;
    between(1, heartbeat_ms, LEASE_MS_MAX, &["heartbeat_ms"])?;
    require(heartbeat_ms < lease_ms, &["heartbeat_ms"], || {
        format!("every worker would be taken for lost: it must be below `lease_ms`, which is {lease_ms}")
    })
}

pub(super) fn check_tracking(tracking: &Tracking) -> Check {
    if let Some(address) = &tracking.mlflow {
        let host = address.strip_prefix("http://").or_else(|| address.strip_prefix("https://"));
        require(host.is_some_and(|host| !host.is_empty() && !host.starts_with('/')), &["mlflow"], || {
            "must be the address of an MLflow server, as http://HOST:PORT or https://HOST".to_owned()
        })?;
        let server = host.and_then(|host| host.split(['/', '?', '#']).next());
        require(!server.is_some_and(|server| server.contains('@')), &["mlflow"], || {
            "must hold no user name and no password, which would be written down with the run and sent to its workers: give them in \
             the environment, as MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
                .to_owned()
        })?;
    }
    require(tracking.every != Some(0), &["every"], || "must be 1 or more".to_owned())?;
    require(tracking.weighting_every != Some(0), &["weighting_every"], || "must be 1 or more".to_owned())?;
    require(tracking.experiment.as_deref() != Some(""), &["experiment"], || "must not be empty".to_owned())
}
