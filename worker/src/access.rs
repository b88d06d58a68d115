//! What a peer needs to call a coordinator: TLS and the join token.

use std::sync::Arc;

use proto::token::Token;
use tokio_rustls::rustls::{ClientConfig, pki_types::ServerName};
use tonic::{Request, Status, service::Interceptor};

/// How a coordinator is called. The default is plain text, without a token, on this machine only.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// TLS; `None` stands for plain text.
    pub tls: Option<Tls>,
    /// The join token that every call carries.
    pub token: Option<Token>,
    /// Allows plain text to other machines too.
    pub insecure: bool,
}

/// The coordinators that are trusted.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The trusted authority, and this side's certificate.
    pub config: Arc<ClientConfig>,
    /// The name that the coordinator's certificate must have; `None` stands for the host of its
    /// address.
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
