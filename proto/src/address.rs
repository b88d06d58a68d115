//! Where a coordinator listens: `unix:/path` on one machine, `host:port` across machines.

use std::{fmt, path::PathBuf, str::FromStr};

/// The scheme of Unix domain sockets.
const UNIX: &str = "unix:";

/// An address that a coordinator listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A Unix domain socket.
    Unix(PathBuf),
    /// `HOST:PORT`; the host is a name or an IP address.
    Tcp(String),
}

/// The text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address: use HOST:PORT (127.0.0.1:50051, [::1]:50051) or unix:/PATH")]
pub struct NoAddress(String);

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Address, NoAddress> {
        let wrong = || NoAddress(text.to_owned());
        if let Some(path) = text.strip_prefix(UNIX) {
            return if path.is_empty() { Err(wrong()) } else { Ok(Address::Unix(path.into())) };
        }
        let host_port = text.strip_prefix("http://").unwrap_or(text);
        let (host, port) = host_port.rsplit_once(':').ok_or_else(wrong)?;
        if host.is_empty() || host.contains('/') || port.parse::<u16>().is_err() {
            return Err(wrong());
        }
        Ok(Address::Tcp(host_port.to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "{UNIX}{}", path.display()),
            Address::Tcp(address) => f.write_str(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_printed_as_it_was_given() {
        for text in ["unix:/tmp/x.sock", "127.0.0.1:50051", "[::1]:0", "node-3:1234"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_address_without_port_or_host_is_refused() {
        for text in ["", "unix:", "node", "node:", ":5", "node:70000", "http://node"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
