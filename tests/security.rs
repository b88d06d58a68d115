//! TLS, certificates, the join token and the data root, between real processes.

mod support;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Output,
};

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, date_time_ymd};
use support::{Coordinator, bits, example, journal, journal_so_far, report, results, train, trunkline, wait_for};

const SHORT: [&str; 4] = ["--set", "train.steps=60", "--set", "train.evaluate_every=30"];

fn certificates(folder: &Path, more: &[&str]) -> Output {
    trunkline().arg("certificates").arg(folder).args(more).output().expect("starts")
}

/// A folder with a cluster's certificates, and the arguments for its files.
struct Cluster(PathBuf);

impl Cluster {
    fn new(folder: &Path, more: &[&str]) -> Cluster {
        let made = certificates(folder, more);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Cluster(folder.to_owned())
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("text").to_owned()
    }

    fn arguments(&self, given: &[(&str, &str)]) -> Vec<String> {
        given.iter().flat_map(|(name, file)| [format!("--{name}"), self.file(file)]).collect()
    }

    fn all_of(&self, side: &str) -> Vec<String> {
        let (cert, key) = (format!("{side}.pem"), format!("{side}.key"));
        self.arguments(&[("tls-ca", "ca.pem"), ("tls-cert", &cert), ("tls-key", &key), ("token-file", "token")])
    }
}

fn texts(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

fn failed(output: &Output, code: i32, said: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{error}");
    for part in said {
        assert!(error.contains(part), "no `{part}` in: {error}");
    }
}

#[test]
fn over_mutual_tls_with_a_token_a_run_gives_the_same_bits_and_keeps_the_token_to_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let quiet = folder.path().join("quiet");
    let expected = report(&train(&example("digits"), &quiet, &SHORT).output().expect("starts"));
    let cluster =
        Cluster::new(&folder.path().join("cluster"), &["--coordinator", "127.0.0.1", "--coordinator", "node"]);
    let (ours, theirs) = (cluster.all_of("coordinator"), cluster.all_of("worker"));
    let run = folder.path().join("run");
    // The run begins once both workers are there.
    let more = [&texts(&ours)[..], &SHORT[..], &["--set", "cluster.min_workers=2"]].concat();
    let coordinator = Coordinator::start(&example("digits"), &run, &more);
    assert_eq!(report(&coordinator.status(&texts(&theirs)))["name"], "digits");
    let token = fs::read_to_string(cluster.file("token")).expect("the token");
    let token = token.trim();
    assert_eq!(token.len(), 64);
    for what in ["cmdline", "environ"] {
        let seen = fs::read(format!("/proc/{}/{what}", coordinator.pid())).expect("the process is there");
        assert!(!String::from_utf8_lossy(&seen).contains(token), "{what}");
    }
    // The first worker reads the token from its file, the second from the environment.
    let first = coordinator.start_worker(&texts(&theirs));
    let without_token =
        cluster.arguments(&[("tls-ca", "ca.pem"), ("tls-cert", "worker.pem"), ("tls-key", "worker.key")]);
    let mut second = coordinator.worker(&texts(&without_token));
    let second = support::Running(second.env("TRUNKLINE_TOKEN", token).spawn().expect("starts"));
    let (found, said) = coordinator.finish();
    assert_eq!(bits(&expected), bits(&found));
    assert_eq!(results(&quiet), results(&run));
    assert!(first.wait().status.success());
    let second = second.wait();
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
    assert!(!said.contains(token));
    for file in ["journal.jsonl", "experiment.toml"] {
        assert!(!fs::read_to_string(run.join(file)).expect("text").contains(token), "{file}");
    }
}

#[test]
fn a_peer_without_credentials_is_refused_told_why_counted_and_recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = Cluster::new(&folder.path().join("cluster"), &["--coordinator", "127.0.0.1"]);
    let stranger = Cluster::new(&folder.path().join("stranger"), &["--coordinator", "127.0.0.1"]);
    let run = folder.path().join("run");
    let ours = cluster.all_of("coordinator");
    let coordinator = Coordinator::start(&example("digits"), &run, &[&texts(&ours)[..], &SHORT[..]].concat());
    let worker =
        |given: &[(&str, &str)]| coordinator.worker(&texts(&cluster.arguments(given))).output().expect("starts");
    let (ca, cert, key, token) =
        (("tls-ca", "ca.pem"), ("tls-cert", "worker.pem"), ("tls-key", "worker.key"), ("token-file", "token"));
    failed(&worker(&[ca, token]), 1, &["refuses this worker (certificate)", "--tls-cert and --tls-key"]);
    failed(&worker(&[ca, cert, key]), 1, &["refuses this worker (token)", "--token-file"]);
    failed(&worker(&[ca, cert, key, ("token-file", "../stranger/token")]), 1, &["(token)", "not the coordinator's"]);
    // Errors on this side are reported on this side.
    failed(&worker(&[("tls-ca", "../stranger/ca.pem"), token]), 1, &["was not signed by the authority"]);
    let theirs = [("tls-cert", "../stranger/worker.pem"), ("tls-key", "../stranger/worker.key")];
    failed(&worker(&[ca, theirs[0], theirs[1], token]), 2, &["stranger/worker.pem", "was not signed by the authority"]);
    failed(
        &worker(&[ca, ("tls-cert", "coordinator.pem"), ("tls-key", "coordinator.key"), token]),
        2,
        &["another purpose"],
    );
    failed(&worker(&[ca, cert, ("tls-key", "coordinator.key"), token]), 2, &["coordinator.key", "does not belong"]);
    let mut named = cluster.all_of("worker");
    named.extend(["--tls-name".into(), "elsewhere.example".into()]);
    failed(
        &coordinator.worker(&texts(&named)).output().expect("starts"),
        1,
        &["is not for `elsewhere.example`", "127.0.0.1"],
    );
    // Without TLS nothing is understood. The other authority is not trusted here.
    failed(&coordinator.status(&[]), 1, &["give `--tls-ca`"]);
    let mut in_plain_text = trunkline();
    in_plain_text.args(["worker", "--wait", "1", "--coordinator", &coordinator.address]);
    failed(&in_plain_text.output().expect("starts"), 1, &["give `--tls-ca`"]);
    let foreign = stranger.all_of("worker");
    let mut foreign = texts(&foreign);
    let ours = cluster.file("ca.pem");
    foreign[1] = &ours;
    failed(&coordinator.status(&foreign), 2, &["was not signed by the authority"]);
    let theirs = cluster.all_of("worker");
    let counted = wait_for("the counts", || {
        let status = report(&coordinator.status(&texts(&theirs)));
        let seen = ["certificate", "token", "handshake"].map(|kind| status["refusals"][kind].as_u64().unwrap_or(0));
        (seen[0] >= 1 && seen[1] >= 2 && seen[2] >= 1).then_some(seen)
    });
    assert_eq!(counted[1], 2, "the wrong token and the missing one");
    for code in ["certificate", "token", "handshake"] {
        let is_it = |record: &serde_json::Value| record["kind"] == "turned_away" && record["reason"]["code"] == code;
        let record = wait_for(code, || journal_so_far(&run).into_iter().find(is_it));
        assert_eq!(record["peer"], "127.0.0.1");
    }
}

#[test]
fn certificates_are_for_their_owner_alone_never_overwritten_and_can_be_added_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cluster");
    failed(&certificates(&path, &[]), 2, &["--coordinator NAME"]);
    for name in ["", "a b", "http://node:50051", "127.0.0.1:50051"] {
        failed(
            &certificates(&path, &["--coordinator", name]),
            2,
            &[&format!("`{name}` is not a machine's name or address")],
        );
    }
    failed(&certificates(&path, &["--coordinator", "a", "--worker", "../x"]), 2, &["../x"]);
    failed(&certificates(&path, &["--coordinator", "a", "--worker", "ca"]), 2, &["another file"]);
    let cluster = Cluster::new(&path, &["--coordinator", "127.0.0.1", "--worker", "node-1", "--days", "2"]);
    let mode = |name: &str| fs::metadata(cluster.file(name)).expect(name).permissions().mode() & 0o777;
    assert_eq!(["ca.key", "coordinator.key", "node-1.key", "token"].map(mode), [0o600; 4]);
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o700);
    let before = fs::read(cluster.file("ca.pem")).expect("there");
    failed(&certificates(&path, &["--coordinator", "b"]), 2, &["coordinator.pem exists and is not overwritten"]);
    failed(&certificates(&path, &["--worker", "node-1"]), 2, &["node-1.pem exists"]);
    failed(&certificates(&path, &[]), 2, &["say what to add"]);
    // A worker that is added is trusted like the others.
    assert!(certificates(&path, &["--worker", "node-2"]).status.success());
    assert_eq!(fs::read(cluster.file("ca.pem")).expect("there"), before);
    let ours = cluster.all_of("coordinator");
    let run = folder.path().join("run");
    let coordinator = Coordinator::start(&example("digits"), &run, &[&texts(&ours)[..], &SHORT[..]].concat());
    assert!(coordinator.status(&texts(&cluster.all_of("node-2"))).status.success());
}

#[test]
fn an_authority_that_is_not_whole_or_a_folder_that_others_write_to_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let named = |path: &Path| {
        let names = fs::read_dir(path).expect("there").map(|entry| entry.expect("there").file_name());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let cluster = Cluster::new(&folder.path().join("cluster"), &["--coordinator", "127.0.0.1"]);
    let stranger = Cluster::new(&folder.path().join("stranger"), &["--coordinator", "127.0.0.1"]);
    fs::remove_file(cluster.file("coordinator.pem")).expect("removed");
    fs::remove_file(cluster.file("coordinator.key")).expect("removed");
    for (file, said) in [
        ("ca.pem", vec!["ca.key exists but", "ca.pem does not"]),
        ("ca.key", vec!["ca.pem exists but", "ca.key does not"]),
    ] {
        let away = folder.path().join("away");
        fs::rename(cluster.file(file), &away).expect("moved");
        let before = named(&cluster.0);
        failed(&certificates(&cluster.0, &["--coordinator", "a", "--worker", "b"]), 2, &said);
        assert_eq!(named(&cluster.0), before);
        fs::rename(&away, cluster.file(file)).expect("moved");
    }
    // The key of another authority.
    fs::copy(stranger.file("ca.key"), cluster.file("ca.key")).expect("copied");
    let before = named(&cluster.0);
    for more in [["--worker", "b"], ["--coordinator", "a"]] {
        failed(
            &certificates(&cluster.0, &more),
            2,
            &["ca.key: this is not the key of", "was not signed by the authority"],
        );
        assert_eq!(named(&cluster.0), before);
    }
    // An existing folder stays as it is, unless other users can write to it.
    let open = folder.path().join("open");
    fs::create_dir(&open).expect("made");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("set");
    failed(
        &certificates(&open, &["--coordinator", "a"]),
        2,
        &["open: other users can write to this folder (mode 0777)"],
    );
    assert!(named(&open).is_empty());
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).expect("set");
    assert!(certificates(&open, &["--coordinator", "a"]).status.success());
}

#[test]
fn a_file_that_is_missing_garbled_expired_or_open_to_all_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = Cluster::new(&folder.path().join("cluster"), &["--coordinator", "127.0.0.1"]);
    fs::write(cluster.file("garbled.pem"), "-----BEGIN CERTIFICATE-----\nnot base64!\n").expect("written");
    fs::write(cluster.file("empty.pem"), "").expect("written");
    let authority = KeyPair::from_pem(&fs::read_to_string(cluster.file("ca.key")).expect("a key")).expect("a key");
    let mut named = CertificateParams::default();
    named.distinguished_name.push(rcgen::DnType::CommonName, "Trunkline cluster authority");
    let issuer = Issuer::new(named, authority);
    let key = KeyPair::generate().expect("a key");
    for (name, mode) in [("old.key", 0o600), ("shared.key", 0o640), ("open.key", 0o644)] {
        fs::write(cluster.file(name), key.serialize_pem()).expect("written");
        fs::set_permissions(cluster.file(name), fs::Permissions::from_mode(mode)).expect("set");
    }
    for (file, (from, to), usage) in [
        ("old.pem", (2001, 2002), ExtendedKeyUsagePurpose::ClientAuth),
        ("early.pem", (2901, 2902), ExtendedKeyUsagePurpose::ClientAuth),
        ("old-coordinator.pem", (2001, 2002), ExtendedKeyUsagePurpose::ServerAuth),
    ] {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        params.extended_key_usages = vec![usage];
        fs::write(cluster.file(file), params.signed_by(&key, &issuer).expect("signed").pem()).expect("written");
    }
    let (ca, token) = (("tls-ca", "ca.pem"), ("token-file", "token"));
    let (cert, key) = (("tls-cert", "worker.pem"), ("tls-key", "worker.key"));
    for (given, said) in [
        (vec![("tls-ca", "none.pem")], "none.pem: No such file"),
        (vec![("tls-ca", "garbled.pem")], "garbled.pem: it is not PEM"),
        (vec![("tls-ca", "empty.pem")], "empty.pem: there is no PEM-encoded authority"),
        (vec![ca, ("tls-cert", "empty.pem"), key], "empty.pem: there is no PEM-encoded certificate"),
        (vec![ca, cert, ("tls-key", "worker.pem")], "worker.pem: there is no PEM-encoded key"),
        (vec![ca, ("tls-cert", "old.pem"), ("tls-key", "old.key")], "old.pem: the certificate has expired"),
        (vec![ca, ("tls-cert", "early.pem"), ("tls-key", "old.key")], "early.pem: the certificate is not valid yet"),
        (vec![("token-file", "none")], "none: No such file"),
        (vec![("token-file", "ca.pem")], "other users can read it"),
        (vec![("token-file", "open.key")], "other users can read it"),
        (vec![ca, ("tls-cert", "old.pem"), ("tls-key", "open.key")], "open.key: other users can read it (mode 0644)"),
        (vec![ca, ("tls-cert", "old.pem"), ("tls-key", "shared.key")], "old.pem: the certificate has expired"),
        (vec![("token-file", "ca.key")], "a token is 16 to 1024 visible ASCII characters"),
        (vec![cert, key, token], "--tls-cert needs the coordinator's authority"),
    ] {
        let mut command = trunkline();
        command.args(["worker", "--coordinator", "127.0.0.1:9"]).args(cluster.arguments(&given));
        failed(&command.output().expect("starts"), 2, &[said]);
    }
    let mut command = trunkline();
    command.arg("coordinator").arg(example("digits")).args(["--listen", "127.0.0.1:0", "--run-dir"]);
    command.arg(folder.path().join("run")).args(cluster.arguments(&[
        ca,
        ("tls-cert", "old-coordinator.pem"),
        ("tls-key", "old.key"),
        token,
    ]));
    failed(&command.output().expect("starts"), 2, &["old-coordinator.pem: the certificate has expired"]);
}

#[test]
fn beyond_this_machine_tls_and_a_token_are_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = Cluster::new(&folder.path().join("cluster"), &["--coordinator", "127.0.0.1"]);
    let (cert, key) = (("tls-cert", "coordinator.pem"), ("tls-key", "coordinator.key"));
    for (given, said) in [
        (vec![], "neither encrypted nor authenticated"),
        (vec![cert, key], "anyone who reaches it may join"),
        (vec![("token-file", "token")], "not encrypted"),
    ] {
        let mut command = trunkline();
        command.arg("coordinator").arg(example("digits")).args(["--listen", "0.0.0.0:0", "--run-dir"]);
        command.arg(folder.path().join(said)).args(cluster.arguments(&given));
        failed(&command.output().expect("starts"), 2, &[said, "--insecure"]);
    }
}

#[test]
fn a_worker_reads_nothing_outside_of_its_data_root() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/data/digits.parquet");
    let text = fs::read_to_string(example("digits")).expect("text");
    let base = folder.path().join("base");
    fs::create_dir(&base).expect("a folder");
    fs::copy(&data, base.join("digits.parquet")).expect("copied");
    let file = base.join("digits.toml");
    fs::write(&file, text.replace("../datasets/data/digits.parquet", "digits.parquet")).expect("written");
    let root = |name: &str| {
        let root = folder.path().join(name);
        fs::create_dir(&root).expect("a folder");
        root
    };
    let (good, linked) = (root("good"), root("linked"));
    fs::copy(&data, good.join("digits.parquet")).expect("copied");
    symlink(&data, linked.join("digits.parquet")).expect("linked");
    let run = folder.path().join("run");
    let coordinator = Coordinator::start(&file, &run, &SHORT);
    let worker = |root: &Path| coordinator.worker(&["--data-root", root.to_str().expect("text")]);
    failed(&worker(&linked).output().expect("starts"), 1, &["(data)", "outside of the data root"]);
    assert!(worker(&good).output().expect("starts").status.success());
    let (found, _) = coordinator.finish();
    assert_eq!(found["status"], "finished");
    let refused = journal(&run).into_iter().find(|record| record["kind"] == "worker_refused").expect("recorded");
    assert_eq!(refused["reason"]["code"], "data");
}

#[test]
fn a_worker_whose_table_has_another_value_is_refused_and_the_table_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = |name: &str, first: u32| {
        let root = folder.path().join(name);
        fs::create_dir(&root).expect("a folder");
        let rows: String =
            (0..200).map(|i| format!("{},{}\n", if i == 0 { first } else { i * 37 % 160 }, i * 61 % 300)).collect();
        fs::write(root.join("houses.csv"), format!("area,price\n{rows}")).expect("written");
        root
    };
    let (mine, other) = (table("mine", 0), table("other", 1));
    let text = "name = \"houses\"\n[dataset.houses]\npath = \"houses.csv\"\n[task.price]\ndataset = \"houses\"\ntarget = \"price\"\n\
                kind = \"regression\"\n[train]\nsteps = 20\n";
    fs::write(mine.join("houses.toml"), text).expect("written");
    let run = folder.path().join("run");
    let coordinator = Coordinator::start(&mine.join("houses.toml"), &run, &[]);
    let worker = |root: &Path| coordinator.worker(&["--data-root", root.to_str().expect("text")]);
    failed(&worker(&other).output().expect("starts"), 1, &["(data)", "`houses`"]);
    // The worker's user is told what is in a file, and the coordinator is not.
    let secret = table("secret", 0).join("houses.csv");
    let text = fs::read_to_string(&secret).expect("text");
    fs::write(&secret, text.replacen("244", "key", 1)).expect("written");
    let secret = secret.parent().expect("a folder");
    failed(&worker(secret).output().expect("starts"), 1, &["(data)", "`key`"]);
    assert!(worker(&mine).output().expect("starts").status.success());
    let (_, said) = coordinator.finish();
    let records = journal(&run);
    let refused: Vec<_> = records.iter().filter(|record| record["kind"] == "worker_refused").collect();
    assert_eq!(refused.len(), 2);
    assert!(refused.iter().all(|record| record["reason"]["code"] == "data"), "{refused:?}");
    assert!(!said.contains("`key`") && !format!("{records:?}").contains("`key`"), "{said}");
}
