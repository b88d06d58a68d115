//! The arguments with which coordinators and their peers prove who they are.

use std::path::PathBuf;

use coordinator::Listener;
use proto::{
    tls::{self, Identity},
    token::Token,
};
use worker::access::{Access, Tls};

use crate::exit::Failure;

/// The credentials that both sides can show.
#[derive(clap::Args)]
struct Shown {
    /// Certificate of this side, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// File with the join token [default: the environment's TRUNKLINE_TOKEN].
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Security arguments of a coordinator.
#[derive(clap::Args)]
pub struct Coordinator {
    #[command(flatten)]
    shown: Shown,
    /// Authority whose certificates workers must show, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_ca: Option<PathBuf>,
    /// Listen to other machines without TLS or without a token.
    #[arg(long)]
    pub insecure: bool,
}

/// Security arguments of the commands that speak to a coordinator.
#[derive(clap::Args)]
pub struct Peer {
    #[command(flatten)]
    shown: Shown,
    /// Speak TLS with a coordinator whose certificate this authority has signed, PEM.
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Name in the coordinator's certificate [default: the address's].
    #[arg(long, value_name = "NAME", requires = "tls_ca")]
    tls_name: Option<String>,
    /// Speak with a coordinator on another machine without TLS.
    #[arg(long)]
    insecure: bool,
}

impl Shown {
    fn identity(&self) -> Option<Identity> {
        Some(Identity { cert: self.tls_cert.clone()?, key: self.tls_key.clone()? })
    }

    fn token(&self) -> Result<Option<Token>, Failure> {
        Token::find(self.token_file.as_deref()).map_err(Failure::refused)
    }
}

impl Coordinator {
    /// What a coordinator lacks before other machines may reach it, in words.
    ///
    /// # Errors
    /// The token can't be read.
    pub fn lacks(&self) -> Result<Option<&'static str>, Failure> {
        Ok(match (self.shown.tls_cert.is_some(), self.shown.token()?.is_some()) {
            (true, true) => None,
            (true, false) => Some("anyone who reaches it may join: give --token-file or TRUNKLINE_TOKEN"),
            (false, true) => Some("the connection is not encrypted: give --tls-cert and --tls-key"),
            (false, false) => Some(
                "the connection is neither encrypted nor authenticated: give --tls-cert and --tls-key, and --token-file or \
                 TRUNKLINE_TOKEN",
            ),
        })
    }

    /// Speaks TLS, if a certificate is given.
    ///
    /// # Errors
    /// The certificate or its key can't be used.
    pub fn encrypt(&self, listener: Listener) -> Result<Listener, Failure> {
        let Some(identity) = self.shown.identity() else { return Ok(listener) };
        let config = tls::server(&identity, self.tls_ca.as_deref()).map_err(Failure::refused)?;
        Ok(listener.with_tls(config, self.tls_ca.is_some()))
    }

    /// Asks for the token, if there is one.
    ///
    /// # Errors
    /// The token can't be read.
    pub fn guard(&self, listener: Listener) -> Result<Listener, Failure> {
        Ok(match self.shown.token()? {
            Some(token) => listener.with_token(token),
            None => listener,
        })
    }

    /// Whether a certificate is given.
    pub fn has_tls(&self) -> bool {
        self.shown.tls_cert.is_some()
    }
}

impl Peer {
    /// The way to speak to the coordinator.
    ///
    /// # Errors
    /// The credentials can't be used.
    pub fn access(&self) -> Result<Access, Failure> {
        let identity = self.shown.identity();
        let tls = match &self.tls_ca {
            None if identity.is_some() => {
                return Err(Failure::Refused("--tls-cert needs the coordinator's authority; give --tls-ca too".into()));
            }
            None => None,
            Some(ca) => {
                let config = tls::client(ca, identity.as_ref()).map_err(Failure::refused)?;
                let name = self.tls_name.as_ref().map(|name| {
                    let no_name =
                        |_| Failure::Refused(format!("--tls-name: `{name}` is not a name that a certificate can have"));
                    name.clone().try_into().map_err(no_name)
                });
                Some(Tls { config, name: name.transpose()? })
            }
        };
        Ok(Access { tls, token: self.shown.token()?, insecure: self.insecure })
    }
}
