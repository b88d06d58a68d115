//! What a peer shows a coordinator, and what it asks of it.

use std::sync::Arc;

use proto::token::Token;
use tokio_rustls::rustls::{ClientConfig, pki_types::ServerName};
use tonic::{Request, Status, service::Interceptor};

/// How a coordinator is spoken to. By default in plain text, with no token, and only on this
/// machine.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Speaks TLS.
    pub tls: Option<Tls>,
    /// Shown with every call.
    pub token: Option<Token>,
    /// Speaks in plain text to other machines too.
    pub insecure: bool,
}

/// Whom to trust, and by which name.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The authority, and this side's certificate.
    pub config: Arc<ClientConfig>,
    /// The name that the coordinator's certificate has to have; none: that of its address.
    pub name: Option<ServerName<'static>>,
}

impl Interceptor for Access {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.token {
            token.show(request.metadata_mut());
        }
        Ok(request)
    }
}
