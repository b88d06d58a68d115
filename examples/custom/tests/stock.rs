//! A worker of the stock program is refused by a run with parts of one's own. The test's program is
//! that worker, too: it has the built-in parts alone.

use std::{
    io::{BufRead, BufReader},
    process::{Command, ExitCode, Stdio},
};

use trunkline::Catalogue;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("worker") {
        return trunkline::run(Catalogue::built_in());
    }
    a_worker_that_lacks_a_part_is_refused_by_its_name_and_origin();
    ExitCode::SUCCESS
}

fn a_worker_that_lacks_a_part_is_refused_by_its_name_and_origin() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_custom"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["coordinator", "experiment.toml", "--listen", "127.0.0.1:0"]);
    command.arg("--run-dir").arg(folder.path().join("run"));
    let mut coordinator = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(coordinator.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let address = lines.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
    let refused = address.as_ref().map(|address| {
        let myself = std::env::current_exe().expect("has a path");
        Command::new(myself).args(["worker", "--wait", "20", "--coordinator", address]).output().expect("starts")
    });
    coordinator.kill().expect("the coordinator is there");
    coordinator.wait().expect("ends");
    let refused = refused.expect("the coordinator listens");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "{said}");
    let origin = concat!("custom ", env!("CARGO_PKG_VERSION"));
    let names_a_part = ["residual", "squared_hinge", "brier", "easiest_first"].iter().any(|part| said.contains(part));
    assert!(names_a_part && said.contains(origin), "{said}");
}
