//! TLS from files: the certificates that coordinators and workers show and trust.
//!
//! Both sides use TLS 1.3 with rustls. A certificate is checked against the authority as soon as it
//! is read. So an expired certificate, or one of another authority, is refused with the name of its
//! file on its own machine, and not by a remote peer.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, RootCertStore, ServerConfig,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem, pem::PemObject},
    server::WebPkiClientVerifier,
    version::TLS13,
};

/// The name of HTTP/2 in a handshake.
const HTTP_2: &[u8] = b"h2";

/// A certificate with the key that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, PEM, followed by those of its authorities, if any.
    pub cert: PathBuf,
    /// The private key, PEM, in a file that only its owner, and perhaps a group, can read.
    pub key: PathBuf,
}

/// Why these files can't be used for TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read, or is not PEM.
    #[error("{what} file {}: {reason}", path.display())]
    File {
        /// What the file should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Everybody on the machine can read the key.
    #[error("key file {}: other users can read it (mode {mode:04o}): run `chmod 600` on it", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The key belongs to another certificate.
    #[error("key file {}: it does not belong to the certificate in {}: {reason}", identity.key.display(), identity.cert.display())]
    Key {
        /// Both files.
        identity: Identity,
        /// The error of rustls.
        reason: String,
    },
    /// The certificate can't be used for its purpose.
    #[error("certificate file {}: {reason}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// The TLS configuration of a coordinator: it shows `identity`, and if `ca` is given it requires
/// certificates of that authority from its peers.
///
/// A peer without a certificate gets through the handshake. Its call is then refused with a reason
/// in words.
///
/// # Errors
/// [`TlsError`] names the file.
pub fn server(identity: &Identity, ca: Option<&Path>) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let (certs, key) = read_identity(identity)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| unfit(&identity.cert, &error))?;
    let builder = match ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let roots = read_roots(ca)?;
            fits_coordinator(identity, &certs, &roots, &provider)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).allow_unauthenticated();
            builder.with_client_cert_verifier(verifier.build().map_err(|e| file("authority", ca, e))?)
        }
    };
    let mut config = builder.with_single_cert(certs, key).map_err(|error| mismatch(identity, &error))?;
    config.alpn_protocols = vec![HTTP_2.to_vec()];
    Ok(Arc::new(config))
}

/// The TLS configuration of a worker: it trusts coordinators that `ca` has signed, and shows
/// `identity` if it has one.
///
/// # Errors
/// [`TlsError`] names the file.
pub fn client(ca: &Path, identity: Option<&Identity>) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let roots = read_roots(ca)?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| file("authority", ca, error))?
        .with_root_certificates(Arc::clone(&roots));
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (certs, key) = read_identity(identity)?;
            fits_worker(identity, &certs, roots, provider)?;
            builder.with_client_auth_cert(certs, key).map_err(|error| mismatch(identity, &error))?
        }
    };
    config.alpn_protocols = vec![HTTP_2.to_vec()];
    Ok(Arc::new(config))
}

/// Whether a certificate can have this name: the name of a machine, or an IP address.
pub fn is_name(text: &str) -> bool {
    ServerName::try_from(text).is_ok()
}

/// The reason in words why a handshake failed.
pub fn reason(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(why) => certificate_reason(why),
        rustls::Error::InvalidMessage(_) => "what comes is not TLS".into(),
        rustls::Error::AlertReceived(alert) => format!("the other side ended the handshake: {alert:?}"),
        other => other.to_string(),
    }
}

fn certificate_reason(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the certificate was not signed by the authority that is trusted here".into()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "the certificate has expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet: check the clock of this machine".into()
        }
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "the certificate is not for `{}`, but for {}",
            expected.to_str(),
            if presented.is_empty() { "no name".into() } else { presented.join(", ") }
        ),
        CertificateError::NotValidForName => "the certificate is for another name".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the certificate is for another purpose: coordinators and workers have different certificates".into()
        }
        other => format!("the certificate can't be trusted: {other:?}"),
    }
}

fn read_identity(identity: &Identity) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let certs = read_certificates("certificate", &identity.cert)?;
    let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(|error| pem_error("key", &identity.key, error))?;
    let mode = fs::metadata(&identity.key).map_err(|error| file("key", &identity.key, error))?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(TlsError::Open { path: identity.key.clone(), mode: mode & 0o777 });
    }
    Ok((certs, key))
}

fn read_certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_file_iter(path).and_then(|certs| certs.collect::<Result<Vec<_>, _>>());
    let certs = found.map_err(|error| pem_error(what, path, error))?;
    if certs.is_empty() {
        return Err(pem_error(what, path, pem::Error::NoItemsFound));
    }
    Ok(certs)
}

fn read_roots(path: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates("authority", path)? {
        roots.add(certificate).map_err(|error| file("authority", path, error))?;
    }
    Ok(Arc::new(roots))
}

/// Checks that the coordinator's own certificate can be used for a server, against the authority
/// that workers must have. A certificate of another authority passes.
fn fits_coordinator(
    identity: &Identity,
    certs: &[CertificateDer<'_>],
    roots: &Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
) -> Result<(), TlsError> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider)).build();
    let verifier = verifier.map_err(|error| file("authority", &identity.cert, error))?;
    let any = ServerName::try_from("name.invalid").expect("a name");
    use CertificateError::{NotValidForName, NotValidForNameContext, UnknownIssuer};
    match verifier.verify_server_cert(&certs[0], &certs[1..], &any, &[], UnixTime::now()) {
        // Peers check the name. A public authority may have signed the coordinator's certificate.
        Ok(_)
        | Err(rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. } | UnknownIssuer)) => {
            Ok(())
        }
        Err(error) => Err(unfit(&identity.cert, &error)),
    }
}

fn fits_worker(
    identity: &Identity,
    certs: &[CertificateDer<'_>],
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
) -> Result<(), TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
    let verifier = verifier.map_err(|error| file("authority", &identity.cert, error))?;
    let checked = verifier.verify_client_cert(&certs[0], &certs[1..], UnixTime::now());
    checked.map(|_| ()).map_err(|error| unfit(&identity.cert, &error))
}

fn file(what: &'static str, path: &Path, reason: impl ToString) -> TlsError {
    TlsError::File { what, path: path.to_owned(), reason: reason.to_string() }
}

fn pem_error(what: &'static str, path: &Path, error: pem::Error) -> TlsError {
    let reason = match error {
        pem::Error::NoItemsFound => format!("there is no PEM-encoded {what} in it"),
        pem::Error::Io(error) => error.to_string(),
        other => format!("it is not PEM: {other}"),
    };
    file(what, path, reason)
}

fn unfit(path: &Path, error: &rustls::Error) -> TlsError {
    TlsError::Unfit { path: path.to_owned(), reason: reason(error) }
}

fn mismatch(identity: &Identity, error: &rustls::Error) -> TlsError {
    TlsError::Key { identity: identity.clone(), reason: reason(error) }
}
