//! Peers that show nothing and follow no client's rules: they lose their places in time, and cost
//! the coordinator bounded memory and its own thread no time.

mod support;

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use support::{
    Coordinator, Growth, example,
    http2::{call, data, ping, preface},
    report, wait_at_most, wait_for,
};

/// What the coordinator's memory may grow by, whatever strangers send.
const GROWTH_MAX: u64 = 48 << 20;
/// The most strangers at a time.
const STRANGERS_MAX: usize = 256;

fn coordinator(folder: &tempfile::TempDir) -> Coordinator {
    Coordinator::start(&example("digits"), &folder.path().join("run"), &[])
}

/// A connection on which nothing is ever read.
fn connect(coordinator: &Coordinator) -> TcpStream {
    let stream = TcpStream::connect(&coordinator.address).expect("connects");
    stream.set_write_timeout(Some(Duration::from_millis(200))).expect("set");
    stream
}

/// Sends the same again and again, until so many bytes are sent or no more are taken.
fn flood(stream: &mut TcpStream, bytes: &[u8], most: usize) {
    let many = bytes.repeat((32 << 10) / bytes.len() + 1);
    for _ in 0..most / many.len() {
        if stream.write_all(&many).is_err() {
            return;
        }
    }
}

/// Time that a thread of a process has computed, clock ticks.
fn computed(coordinator: &Coordinator, name: &str) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", coordinator.pid())).expect("the process is there");
    let stats = tasks.map(|task| fs::read_to_string(task.expect("a thread").path().join("stat")).expect("is read"));
    let of_thread = stats.filter(|stat| stat.contains(&format!("({name})")));
    let ticks = of_thread.map(|stat| {
        let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
        fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number")
    });
    ticks.sum()
}

#[test]
fn strangers_that_ping_and_read_nothing_lose_their_places() {
    let folder = tempfile::tempdir().expect("a folder");
    let coordinator = coordinator(&folder);
    let growth = Growth::of(coordinator.pid());
    let mut crowd: Vec<TcpStream> = (0..STRANGERS_MAX).map(|_| connect(&coordinator)).collect();
    for stream in &mut crowd {
        let _ = stream.write_all(&preface());
        // Less than what is read from a stranger at most, so that only time ends it.
        flood(stream, &ping(), 48 << 10);
    }
    let full = wait_at_most(Duration::from_secs(5), || (!coordinator.status(&[]).status.success()).then_some(()));
    assert!(full.is_some(), "the places are not taken");
    // Ten seconds after they came, all of them are gone.
    let let_in = wait_at_most(Duration::from_secs(30), || coordinator.status(&[]).status.success().then_some(()));
    assert!(let_in.is_some(), "the strangers still have all places");
    wait_for("the counts", || (coordinator.refusals("handshake", &[]) >= STRANGERS_MAX as u64).then_some(()));
    let grown = growth.bytes();
    eprintln!("{STRANGERS_MAX} strangers that ping: the coordinator's memory grew by {} KiB", grown / 1024);
    assert!(grown < GROWTH_MAX, "{grown} bytes");
    drop(crowd);
}

#[test]
fn strangers_that_send_much_are_cut_off_and_cost_bounded_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let coordinator = coordinator(&folder);
    let growth = Growth::of(coordinator.pid());
    let check = "/grpc.health.v1.Health/Check";
    // Messages of 4 MiB that never end, each of another call that asks for no token.
    let begin: Vec<u8> =
        (0..16).flat_map(|n| [call(2 * n + 1, check), data(2 * n + 1, &[0, 0, 64, 0, 0])].concat()).collect();
    let rest: Vec<u8> = (0..16).flat_map(|n| data(2 * n + 1, &[7; 8 << 10])).collect();
    for _ in 0..64 {
        let mut stream = connect(&coordinator);
        let _ = stream.write_all(&[preface(), begin.clone()].concat());
        flood(&mut stream, &rest, 4 << 20);
        flood(&mut stream, &ping(), 1 << 20);
    }
    wait_for("the counts", || (coordinator.refusals("handshake", &[]) >= 64).then_some(()));
    let grown = growth.bytes();
    eprintln!("64 strangers that send much: the coordinator's memory grew by {} KiB", grown / 1024);
    assert!(grown < GROWTH_MAX, "{grown} bytes");
}

#[test]
fn a_flood_of_strangers_takes_no_time_of_the_run_s_thread() {
    let folder = tempfile::tempdir().expect("a folder");
    let coordinator = coordinator(&folder);
    let before = (computed(&coordinator, "trunkline"), computed(&coordinator, "door"));
    let floods: Vec<_> = (0..4)
        .map(|_| {
            let address = coordinator.address.clone();
            thread::spawn(move || {
                for _ in 0..1500 {
                    let mut stream = TcpStream::connect(&address).expect("connects");
                    let _ = stream.write_all(&preface());
                    flood(&mut stream, &ping(), 128 << 10);
                    let _ = stream.read(&mut [0; 1 << 10]);
                }
            })
        })
        .collect();
    floods.into_iter().for_each(|flood| flood.join().expect("does not panic"));
    let run = computed(&coordinator, "trunkline") - before.0;
    let door = computed(&coordinator, "door") - before.1;
    eprintln!("6,000 strangers: {run} ticks of the run's thread, {door} of the door's");
    assert!(door >= 20, "the flood is too small to be seen: {door} ticks");
    assert!(run <= door / 4, "{run} ticks of the run's thread, {door} of the door's");
    assert_eq!(report(&coordinator.status(&[]))["name"], "digits");
}
