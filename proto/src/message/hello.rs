//! A worker's first message: who it is.

use settings::catalogue::AddedPart;

use crate::{
    HOST_BYTES_MAX,
    invalid::{Invalid, text_in},
    v1,
};

/// Who a worker is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hello {
    /// Version of the program.
    pub version: String,
    /// Host name.
    pub host: String,
    /// Process id on that host.
    pub pid: u32,
    /// Kind of device, as `--device` names it.
    pub device: String,
    /// Number of threads that compute; 0 stands for the run's number.
    pub threads: u32,
    /// Whether the worker came over a Unix domain socket.
    pub local: bool,
    /// The parts that the worker's binary adds to the built-in ones, at most [`crate::PARTS_MAX`].
    pub parts: Vec<AddedPart>,
}

impl From<Hello> for v1::Hello {
    fn from(hello: Hello) -> v1::Hello {
        let Hello { version, host, pid, device, threads, local, parts } = hello;
        let parts = parts.into_iter().map(|AddedPart { what, name, origin }| v1::Part { what, name, origin }).collect();
        v1::Hello { version, host, pid, device, threads, local, parts }
    }
}

impl TryFrom<v1::Hello> for Hello {
    type Error = Invalid;

    fn try_from(hello: v1::Hello) -> Result<Hello, Invalid> {
        let v1::Hello { version, host, pid, device, threads, local, parts } = hello;
        let (version, host, device) = (text_in(version)?, text_in(host)?, text_in(device)?);
        if host.len() > HOST_BYTES_MAX {
            return Err(Invalid::Host { bytes: host.len() });
        }
        if parts.len() > crate::PARTS_MAX {
            return Err(Invalid::Parts { count: parts.len() });
        }
        let part = |v1::Part { what, name, origin }| {
            Ok(AddedPart { what: text_in(what)?, name: text_in(name)?, origin: text_in(origin)? })
        };
        let parts = parts.into_iter().map(part).collect::<Result<_, Invalid>>()?;
        Ok(Hello { version, host, pid, device, threads, local, parts })
    }
}
