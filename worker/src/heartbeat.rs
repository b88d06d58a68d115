//! Signs of life, on a thread and a connection of their own: neither a long computation nor a long vector
//! delays them.

use std::{thread, time::Duration};

use proto::{
    address::Address,
    convert, memory,
    message::{Beat, Envelope},
};
use tokio::{sync::oneshot, time};
use tokio_stream::{StreamExt, wrappers::IntervalStream};

use crate::{
    access::Access,
    connection::{Client, connect},
};

/// Signs of life that are being sent; they end with it.
pub(crate) struct Heartbeat {
    _going_on: oneshot::Sender<()>,
}

/// Sends a beat every `interval` until the coordinator ends them, or the heartbeat is dropped.
pub(crate) fn start(
    address: Address,
    access: Access,
    wait: Duration,
    envelope: Envelope,
    interval: Duration,
) -> Heartbeat {
    let (going_on, over) = oneshot::channel::<()>();
    thread::spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return tracing::warn!(%error, "no signs of life: the lease will run out"),
        };
        let beating = async {
            let Ok(mut client) = connect(&address, &access, wait).await else { return };
            if let Err(status) = beats(&mut client, envelope, interval).await {
                tracing::debug!(%status, "signs of life ended");
            }
        };
        runtime.block_on(async {
            tokio::select! {
                () = beating => {}
                _ = over => {}
            }
        });
    });
    Heartbeat { _going_on: going_on }
}

async fn beats(client: &mut Client, envelope: Envelope, interval: Duration) -> Result<(), tonic::Status> {
    let mut sequence = 0;
    let beats = IntervalStream::new(time::interval(interval)).map(move |_| {
        sequence += 1;
        convert::beat_out(Beat {
            run: envelope.run.clone(),
            epoch: envelope.epoch,
            lease: envelope.lease,
            sequence,
            resident_bytes: memory::resident().peak_bytes,
        })
    });
    let mut echoes = client.heartbeat(beats).await?.into_inner();
    while echoes.message().await?.is_some() {}
    Ok(())
}
