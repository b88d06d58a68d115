//! The gRPC server: the service of workers, health and reflection on one listener.

use proto::{MESSAGE_BYTES_MAX, v1};
use tokio::sync::oneshot;
use tonic::service::{Routes, interceptor::InterceptedService};

use super::Service;
use crate::door::{Listener, TurnedAway};

/// The largest message of a health check, which anyone may make, bytes.
const HEALTH_BYTES_MAX: usize = 1 << 10;

/// Serves `service` to the peers that come through the door, until `closed` is told or dropped.
pub(crate) async fn listen(
    service: Service,
    listener: Listener,
    turned_away: TurnedAway,
    closed: oneshot::Receiver<()>,
) {
    let doorkeeper = listener.doorkeeper(&turned_away);
    let message_bytes_max = service.message_bytes_max();
    let service = v1::coordinator_server::CoordinatorServer::new(service)
        .max_decoding_message_size(message_bytes_max)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<v1::coordinator_server::CoordinatorServer<Service>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .build_v1();
    // The health service asks for no token: whether the coordinator is up is not a secret.
    let mut routes = Routes::new(InterceptedService::new(service, doorkeeper.clone()))
        .add_service(health_service.max_decoding_message_size(HEALTH_BYTES_MAX));
    match reflection {
        Ok(reflection) => routes = routes.add_service(InterceptedService::new(reflection, doorkeeper)),
        Err(error) => tracing::warn!(%error, "gRPC reflection is not available"),
    }
    if let Err(error) = listener.serve(routes.prepare(), turned_away, closed).await {
        tracing::warn!(%error, "the gRPC server ended");
    }
}
