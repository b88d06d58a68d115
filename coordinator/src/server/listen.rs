//! The gRPC server: the service of workers, health and reflection on one listener.

use proto::{CONNECTION_WINDOW_BYTES, MESSAGE_BYTES_MAX, STREAM_WINDOW_BYTES, v1};
use tokio::sync::oneshot;
use tonic::{service::interceptor::InterceptedService, transport::Server};

use super::Service;
use crate::door::{Listener, TurnedAway};

/// Calls that one connection may have at a time; a worker makes one.
const STREAMS_MAX: u32 = 16;
/// The longest header of a call.
const HEADER_BYTES_MAX: u32 = 16 << 10;

/// Serves `service` to the peers that come through the door, until `closed` is told or dropped.
pub(crate) async fn listen(
    service: Service,
    listener: Listener,
    turned_away: TurnedAway,
    closed: oneshot::Receiver<()>,
) {
    let doorkeeper = listener.doorkeeper(&turned_away);
    let service = v1::coordinator_server::CoordinatorServer::new(service)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<v1::coordinator_server::CoordinatorServer<Service>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .build_v1();
    // The health service asks for no token: whether the coordinator is up is not a secret.
    let mut router = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .add_service(InterceptedService::new(service, doorkeeper.clone()))
        .add_service(health_service);
    match reflection {
        Ok(reflection) => router = router.add_service(InterceptedService::new(reflection, doorkeeper)),
        Err(error) => tracing::warn!(%error, "gRPC reflection is not available"),
    }
    let closed = async {
        let _ = closed.await;
    };
    let connections = listener.connections(turned_away);
    if let Err(error) = router.serve_with_incoming_shutdown(connections, closed).await {
        tracing::warn!(%error, "the gRPC server ended");
    }
}
