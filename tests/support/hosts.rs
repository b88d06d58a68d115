//! Hosts on one network, each a network namespace of this machine. Their links can be cut, so that
//! packets vanish, and healed.

use std::process::{Command, Stdio};

/// The prefix of the hosts' addresses. The first host is `10.77.0.1`, the next `10.77.0.2`.
const NETWORK: &str = "10.77.0.";

/// A switch with hosts. Their namespaces have names of this process's own, and are removed on drop.
pub struct Hosts {
    switch: String,
    hosts: Vec<String>,
}

impl Hosts {
    /// Creates this many hosts.
    pub fn new(count: usize) -> Hosts {
        let name = |what: &str| format!("trunkline-{}-{what}", std::process::id());
        let mut made = Hosts { switch: name("switch"), hosts: Vec::new() };
        ip(&["netns", "add", &made.switch]);
        ip(&["-n", &made.switch, "link", "add", "bridge", "type", "bridge"]);
        ip(&["-n", &made.switch, "link", "set", "bridge", "up"]);
        for host in 0..count {
            let namespace = name(&host.to_string());
            ip(&["netns", "add", &namespace]);
            made.hosts.push(namespace);
            let (namespace, port) = (&made.hosts[host], port(host));
            let pair = ["link", "add", &port, "netns", &made.switch, "type", "veth", "peer", "name", "eth0", "netns"];
            ip(&[&pair[..], &[namespace]].concat());
            ip(&["-n", &made.switch, "link", "set", &port, "master", "bridge", "up"]);
            let address = format!("{}/24", address(host));
            ip(&["-n", namespace, "address", "add", &address, "dev", "eth0"]);
            ip(&["-n", namespace, "link", "set", "eth0", "up"]);
            ip(&["-n", namespace, "link", "set", "lo", "up"]);
        }
        made
    }

    /// A command that runs on a host.
    pub fn command(&self, host: usize) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.hosts[host], env!("CARGO_BIN_EXE_trunkline")]);
        command.env_remove("MLFLOW_TRACKING_URI").env_remove("TRUNKLINE_TOKEN").stdin(Stdio::null());
        command
    }

    /// Drops all packets from and to a host. Its own interface notices nothing.
    pub fn cut(&self, host: usize) {
        self.set_state(host, "disabled");
    }

    /// Undoes [`Hosts::cut`].
    pub fn heal(&self, host: usize) {
        self.set_state(host, "forwarding");
    }

    fn set_state(&self, host: usize, state: &str) {
        run("bridge", &["-n", &self.switch, "link", "set", "dev", &port(host), "state", state]);
    }
}

/// A host's address.
pub fn address(host: usize) -> String {
    format!("{NETWORK}{}", host + 1)
}

fn port(host: usize) -> String {
    format!("port{host}")
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for namespace in self.hosts.iter().chain([&self.switch]) {
            let _ = Command::new("ip").args(["netns", "delete", namespace]).stderr(Stdio::null()).status();
        }
    }
}

fn ip(arguments: &[&str]) {
    run("ip", arguments);
}

fn run(program: &str, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).output();
    let done = done.unwrap_or_else(|error| {
        panic!("`{program}`: {error}; this test needs iproute2: apt-get install iproute2");
    });
    assert!(
        done.status.success(),
        "`{program} {}`: {}; this test makes network namespaces, which needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN)",
        arguments.join(" "),
        String::from_utf8_lossy(&done.stderr).trim()
    );
}
