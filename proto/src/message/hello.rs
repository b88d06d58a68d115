//! A worker's first message: who it is.

use crate::{
    convert::{Invalid, text_in},
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
}

impl From<Hello> for v1::Hello {
    fn from(hello: Hello) -> v1::Hello {
        let Hello { version, host, pid, device, threads, local } = hello;
        v1::Hello { version, host, pid, device, threads, local }
    }
}

impl TryFrom<v1::Hello> for Hello {
    type Error = Invalid;

    fn try_from(hello: v1::Hello) -> Result<Hello, Invalid> {
        let v1::Hello { version, host, pid, device, threads, local } = hello;
        let (version, host, device) = (text_in(version)?, text_in(host)?, text_in(device)?);
        Ok(Hello { version, host, pid, device, threads, local })
    }
}
