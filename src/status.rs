//! `trunkline status`: what a running coordinator is doing.

use std::time::Duration;

use proto::{address::Address, v1};

use crate::{
    exit::{Failure, print},
    table,
};

/// Arguments of `trunkline status`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Where the coordinator listens: HOST:PORT or unix:/PATH.
    address: Address,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Asks.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let status = runtime.block_on(async {
        let mut client =
            worker::connection::connect(&arguments.address, Duration::from_secs(2)).await.map_err(Failure::failed)?;
        let reply = client.status(v1::StatusRequest {}).await.map_err(|status| Failure::failed(status.message()))?;
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
        });
        print(&object.to_string());
        return Ok(());
    }
    let mut workers = table::new(&["worker", "host", "process", "state", "works", "MiB"]);
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
    print(&format!("{run}: {state}, step {step}/{steps}, {rows_per_second:.0} rows/s\n{workers}"));
    Ok(())
}
