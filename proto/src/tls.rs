//! TLS from files: what a coordinator shows and asks for, what a worker shows and trusts.
//!
//! Both sides speak TLS 1.3 with rustls. A certificate is held against the authority when it is
//! read, so that one that has expired, or was signed by somebody else, is refused where it lies,
//! with its file's name, and not by a peer far away.

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

/// What HTTP/2 is called in a handshake.
const HTTP_2: &[u8] = b"h2";

/// A certificate with the key that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Certificates, PEM: its own first.
    pub cert: PathBuf,
    /// Its private key, PEM, in a file that only its owner, and perhaps a group, can read.
    pub key: PathBuf,
}

/// Why TLS can't be spoken with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read, or is no PEM.
    #[error("{what} file {}: {reason}", path.display())]
    File {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Everybody on the machine can read the key.
    #[error("key file {}: other users can read it (mode {mode:04o}): make it `chmod 600`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The key is another certificate's.
    #[error("key file {}: it does not belong to the certificate in {}: {reason}", identity.key.display(), identity.cert.display())]
    Key {
        /// Both files.
        identity: Identity,
        /// What rustls said.
        reason: String,
    },
    /// The certificate is not good for its purpose.
    #[error("certificate file {}: {reason}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// What a coordinator does: shows `identity`, and with `ca` asks its peers for certificates of that
/// authority.
///
/// A peer that shows none still gets through the handshake: it is told what it lacks where it can
/// be told in words.
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

/// What a worker does: trusts coordinators that `ca` has signed, and shows `identity` where it has
/// one.
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

/// Whether a certificate can be for this: a name of a machine, or an address.
pub fn is_name(text: &str) -> bool {
    ServerName::try_from(text).is_ok()
}

/// Says in words why a handshake failed.
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
            "the certificate is not valid yet: is the clock right?".into()
        }
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "the certificate is not for `{}`, but for {}",
            expected.to_str(),
            if presented.is_empty() { "no name".into() } else { presented.join(", ") }
        ),
        CertificateError::NotValidForName => "the certificate is for another name".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the certificate is for another purpose: coordinators and workers have different ones".into()
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

/// Whether the authority that is asked of workers has signed the coordinator's own certificate too,
/// as one of a server.
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
        // Names are the peers' matter; and a public authority may have signed the coordinator's
        // certificate.
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
