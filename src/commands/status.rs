//! `trunkline status`: shows what a running coordinator does.

use std::time::Duration;

use proto::{address::Address, v1};
use tokio::time::timeout;
use worker::{WorkerError, connection};

use crate::{
    exit::Failure,
    screen::{self, one_line, print, print_json},
    security,
    table::Table,
};

/// How long a coordinator may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// Arguments of `trunkline status`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Address of the coordinator: HOST:PORT or unix:/PATH.
    address: Address,
    #[command(flatten)]
    security: security::Peer,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Asks the coordinator, and prints its answer.
///
/// # Errors
/// The coordinator can't be reached, refuses to answer, or does not answer in time.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let access = arguments.security.access()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let status = runtime.block_on(async {
        let client = connection::connect(&arguments.address, &access, Duration::from_secs(2)).await;
        let mut client = client.map_err(Failure::failed)?;
        let reply = timeout(ANSWER_WAIT, client.status(v1::StatusRequest {})).await.map_err(|_| {
            let (address, seconds) = (&arguments.address, ANSWER_WAIT.as_secs());
            Failure::failed(format!("the coordinator at {address} did not answer within {seconds} s"))
        })?;
        let reply =
            reply.map_err(|status| match connection::first_call_failed(&status, &arguments.address, &access) {
                WorkerError::Refused(refusal) => Failure::failed(refusal.reason),
                other => Failure::failed(other),
            })?;
        Ok(reply.into_inner())
    })?;
    if arguments.json {
        let workers = status.workers.iter().map(|w| {
            serde_json::json!({"lease": w.lease, "host": w.host, "pid": w.pid, "state": w.state,
                "works_done": w.works_done, "resident_bytes": w.resident_bytes})
        });
        let object = serde_json::json!({
            "run": status.run, "name": status.name, "state": status.state, "step": status.step,
            "steps": status.steps, "rows_per_second": status.rows_per_second, "workers": workers.collect::<Vec<_>>(),
            "refusals": status.refusals.iter().map(|r| (r.kind.clone(), r.count.into())).collect::<serde_json::Map<_, _>>(),
        });
        return print_json(&object).map_err(Failure::failed);
    }
    let mut workers = Table::new(["worker", "host", "process", "state", "works", "MiB"]);
    for w in &status.workers {
        workers.add_row([
            w.lease.to_string(),
            w.host.clone(),
            w.pid.to_string(),
            w.state.clone(),
            w.works_done.to_string(),
            (w.resident_bytes >> 20).to_string(),
        ]);
    }
    let v1::StatusReply { run, state, step, steps, rows_per_second, .. } = &status;
    let refusals: Vec<String> = status.refusals.iter().map(|r| format!("{} {}", r.count, one_line(&r.kind))).collect();
    let refused = if refusals.is_empty() { String::new() } else { format!("\nrefused: {}", refusals.join(", ")) };
    let (run, state, workers) = (one_line(run), one_line(state), workers.shown(screen::width()));
    print(&format!("{run}: {state}, step {step}/{steps}, {rows_per_second:.0} rows/s\n{workers}{refused}"));
    Ok(())
}
