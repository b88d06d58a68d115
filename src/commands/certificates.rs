//! `trunkline certificates`: a small private authority for a cluster, with certificates for its
//! coordinator and its workers, and a join token.
//!
//! An authority that is in the folder already signs what is added, so that a cluster can grow; no
//! file is ever overwritten. What is signed is checked before any of it is written.

use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use proto::tls::{self, Identity, TlsError};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use crate::{exit::Failure, screen::say};

/// The authority's name in its certificate. An authority that is in the folder already has it too.
const AUTHORITY: &str = "Trunkline cluster authority";
/// How long the authority is valid, days: longer than the certificates that it signs.
const AUTHORITY_DAYS: u32 = 3650;
/// How far back certificates are valid, for clocks that are behind.
const CLOCK_SKEW: Duration = Duration::hours(1);
/// Random bytes in a join token.
const TOKEN_BYTES: usize = 32;

/// Mode of the files that others may read.
const PUBLIC: u32 = 0o644;
/// Mode of the files that only their owner may read.
const SECRET: u32 = 0o600;
/// Mode of a new folder.
const SECRET_FOLDER: u32 = 0o700;
/// The bit of a mode that lets all users write.
const OTHERS_WRITE: u32 = 0o002;

/// Arguments of `trunkline certificates`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Folder to write to: ca.pem, ca.key, token, coordinator.pem, coordinator.key, worker.pem,
    /// worker.key.
    folder: PathBuf,
    /// Name or address by which workers reach the coordinator. It can be given several times.
    #[arg(long = "coordinator", value_name = "NAME")]
    coordinators: Vec<String>,
    /// Worker that gets its own certificate, NAME.pem and NAME.key. It can be given several times
    /// [default: one certificate for all, `worker`].
    #[arg(long = "worker", value_name = "NAME")]
    workers: Vec<String>,
    /// Days for which the certificates are valid.
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
}

/// What a certificate is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Coordinator,
    Worker,
}

/// Writes the files.
///
/// # Errors
/// A name is wrong, a file exists already, or the folder can't be written to.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let folder = &arguments.folder;
    let is_new = check_folder(folder)?;
    if is_new && arguments.coordinators.is_empty() {
        let message =
            "a new cluster needs `--coordinator NAME`: the name or address by which workers reach the coordinator";
        return Err(Failure::Refused(message.into()));
    }
    if let Some(wrong) = arguments.coordinators.iter().find(|name| !tls::is_name(name)) {
        let message = format!("--coordinator: `{wrong}` is not a machine's name or address; leave out scheme and port");
        return Err(Failure::Refused(message));
    }
    let workers = match &arguments.workers[..] {
        [] if is_new => vec!["worker".to_owned()],
        given => given.to_vec(),
    };
    let mut wanted: Vec<(&str, Purpose, Vec<String>)> = Vec::new();
    if !arguments.coordinators.is_empty() {
        wanted.push(("coordinator", Purpose::Coordinator, arguments.coordinators.clone()));
    }
    for worker in &workers {
        check_file_name(worker)?;
        wanted.push((worker, Purpose::Worker, vec![worker.clone()]));
    }
    if wanted.is_empty() {
        return Err(Failure::Refused(format!(
            "{} has an authority already; say what to add: --worker NAME or --coordinator NAME",
            folder.display()
        )));
    }
    for (name, ..) in &wanted {
        for file in [format!("{name}.pem"), format!("{name}.key")] {
            if folder.join(&file).exists() {
                return Err(Failure::Refused(format!(
                    "{} exists and is not overwritten; give another name or remove it",
                    folder.join(file).display()
                )));
            }
        }
    }
    std::fs::DirBuilder::new().recursive(true).mode(SECRET_FOLDER).create(folder).map_err(|e| failed(folder, &e))?;
    let now = now();
    let issuer = if is_new { begin(folder, now)? } else { take_up(folder, now)? };
    let not_after = now + Duration::days(arguments.days.into());
    let validity = (now - CLOCK_SKEW, not_after);
    check_authority(folder, &issue(&issuer, "probe", Purpose::Worker, vec!["probe".to_owned()], validity)?)?;
    for (name, purpose, names) in wanted {
        let identity = Identity { cert: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) };
        issue(&issuer, name, purpose, names, validity)?.write(&identity)?;
        say(&format!("wrote {} and its key, valid until {}", identity.cert.display(), not_after.date()));
    }
    Ok(())
}

/// Whether there is no authority in the folder yet.
fn check_folder(folder: &Path) -> Result<bool, Failure> {
    let mode = folder.metadata().map_or(SECRET_FOLDER, |metadata| metadata.permissions().mode() & 0o777);
    if mode & OTHERS_WRITE != 0 {
        let path = folder.display();
        return Err(Failure::Refused(format!(
            "{path}: other users can write to this folder (mode {mode:04o}) and replace its keys; run `chmod 700 {path}`"
        )));
    }
    let [certificate, key] = ["ca.pem", "ca.key"].map(|name| folder.join(name));
    let (there, missing) = match (certificate.exists(), key.exists()) {
        (true, true) => return Ok(false),
        (false, false) => return Ok(true),
        (true, false) => (certificate, key),
        (false, true) => (key, certificate),
    };
    Err(Failure::Refused(format!(
        "{} exists but {} does not; put it back, or give another folder for a new authority",
        there.display(),
        missing.display()
    )))
}

/// A new authority, and a new token.
fn begin(folder: &Path, now: OffsetDateTime) -> Result<Issuer<'static, KeyPair>, Failure> {
    let key = KeyPair::generate().map_err(Failure::failed)?;
    let params = authority(now);
    let certificate = params.self_signed(&key).map_err(Failure::failed)?;
    write(&folder.join("ca.key"), &key.serialize_pem(), SECRET)?;
    write(&folder.join("ca.pem"), &certificate.pem(), PUBLIC)?;
    let mut token = [0; TOKEN_BYTES];
    getrandom::getrandom(&mut token).map_err(Failure::failed)?;
    let token: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
    if !folder.join("token").exists() {
        write(&folder.join("token"), &format!("{token}\n"), SECRET)?;
    }
    say(&format!("wrote {}; keep ca.key secret: whoever has it can join the cluster", folder.join("ca.pem").display()));
    Ok(Issuer::new(params, key))
}

/// The authority that this command wrote before; [`check_authority`] makes sure of it.
fn take_up(folder: &Path, now: OffsetDateTime) -> Result<Issuer<'static, KeyPair>, Failure> {
    let path = folder.join("ca.key");
    let text = std::fs::read_to_string(&path).map_err(|e| failed(&path, &e))?;
    let key = KeyPair::from_pem(&text)
        .map_err(|error| Failure::Refused(format!("{}: this is not a private key: {error}", path.display())))?;
    Ok(Issuer::new(authority(now), key))
}

fn authority(now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(AUTHORITY);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + Duration::days(AUTHORITY_DAYS.into());
    params
}

/// A certificate and its key, PEM.
struct Issued {
    certificate: String,
    key: String,
}

/// Checks that a certificate of the folder's key is accepted by those who trust its authority.
fn check_authority(folder: &Path, probe: &Issued) -> Result<(), Failure> {
    let beside = tempfile::tempdir_in(folder).map_err(|error| failed(folder, &error))?;
    let identity = Identity { cert: beside.path().join("probe.pem"), key: beside.path().join("probe.key") };
    probe.write(&identity)?;
    let [authority, key] = ["ca.pem", "ca.key"].map(|name| folder.join(name));
    match tls::client(&authority, Some(&identity)) {
        Ok(_) => Ok(()),
        Err(TlsError::Unfit { reason, .. }) => {
            let (key, authority) = (key.display(), authority.display());
            Err(Failure::Refused(format!("{key}: this is not the key of {authority}: {reason}")))
        }
        Err(error) => Err(Failure::failed(error)),
    }
}

impl Issued {
    fn write(&self, identity: &Identity) -> Result<(), Failure> {
        write(&identity.key, &self.key, SECRET)?;
        write(&identity.cert, &self.certificate, PUBLIC)
    }
}

fn issue(
    issuer: &Issuer<'_, KeyPair>,
    name: &str,
    purpose: Purpose,
    names: Vec<String>,
    (not_before, not_after): (OffsetDateTime, OffsetDateTime),
) -> Result<Issued, Failure> {
    let mut params = CertificateParams::new(names).map_err(|error| {
        Failure::Refused(format!("--coordinator, --worker: this is not a name or an address: {error}"))
    })?;
    params.distinguished_name = named(name);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![match purpose {
        Purpose::Coordinator => ExtendedKeyUsagePurpose::ServerAuth,
        Purpose::Worker => ExtendedKeyUsagePurpose::ClientAuth,
    }];
    (params.not_before, params.not_after) = (not_before, not_after);
    let key = KeyPair::generate().map_err(Failure::failed)?;
    let certificate = params.signed_by(&key, issuer).map_err(Failure::failed)?;
    Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem() })
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// Refuses a worker's name that can't be the name of its files.
fn check_file_name(name: &str) -> Result<(), Failure> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
        return Err(Failure::Refused(format!("--worker: `{name}` is not a host name")));
    }
    if ["ca", "coordinator"].contains(&name) {
        return Err(Failure::Refused(format!("--worker: `{name}` is the name of another file; choose another name")));
    }
    Ok(())
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::Refused(format!(
            "{} exists and is not overwritten; give another name or remove it",
            path.display()
        )),
        _ => failed(path, &error),
    })
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("{}: {error}", path.display()))
}

#[expect(clippy::disallowed_methods, reason = "certificates are valid from now on")]
fn now() -> OffsetDateTime {
    OffsetDateTime::from(std::time::SystemTime::now())
}
