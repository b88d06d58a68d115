//! Devices: the one place that maps `--device` to a burn [`Device`](burn::tensor::Device).
//!
//! | name | what | cargo feature |
//! |---|---|---|
//! | `flex`, `cpu` | the processor, pure Rust | (always) |
//! | `libtorch`, `libtorch:cuda:N` | LibTorch on the processor or a CUDA card | `tch` |
//! | `cuda:N` | a CUDA card, through CubeCL | `cuda` |
//! | `wgpu` | the default graphics card | `wgpu` |

use std::fmt;
use std::str::FromStr;

use crate::ModelError;

/// A place where tensors live and are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Device {
    /// The processor, pure Rust.
    Flex,
    /// LibTorch on the processor.
    LibTorch,
    /// LibTorch on a CUDA card.
    LibTorchCuda(usize),
    /// A CUDA card through CubeCL.
    Cuda(usize),
    /// The default graphics card.
    Wgpu,
}

impl Device {
    /// The kind without the card's number: runs on one kind give the same bits.
    pub fn kind(self) -> &'static str {
        match self {
            Device::Flex => "flex",
            Device::LibTorch => "libtorch",
            Device::LibTorchCuda(_) => "libtorch:cuda",
            Device::Cuda(_) => "cuda",
            Device::Wgpu => "wgpu",
        }
    }

    /// Whether results depend on the number of threads, which is then part of the experiment.
    pub fn depends_on_threads(self) -> bool {
        matches!(self, Device::LibTorch)
    }

    /// The burn device behind the name.
    ///
    /// # Errors
    /// [`ModelError::DeviceNotBuilt`] if the binary lacks the device's cargo feature.
    pub fn burn(self) -> Result<burn::tensor::Device, ModelError> {
        match self {
            Device::Flex => Ok(burn::tensor::Device::flex()),
            Device::LibTorch | Device::LibTorchCuda(_) => self.libtorch(),
            Device::Cuda(_) => self.cuda(),
            Device::Wgpu => self.wgpu(),
        }
    }

    #[cfg(feature = "tch")]
    #[allow(deprecated)] // burn deprecates its LibTorch backend as a whole; this is the one place that names it
    fn libtorch(self) -> Result<burn::tensor::Device, ModelError> {
        Ok(match self {
            Device::LibTorchCuda(index) => burn::tensor::Device::libtorch_cuda(index),
            _ => burn::tensor::Device::libtorch(),
        })
    }

    #[cfg(not(feature = "tch"))]
    fn libtorch(self) -> Result<burn::tensor::Device, ModelError> {
        Err(self.not_built("tch", " (scripts/libtorch sets LibTorch up and prints what to export)"))
    }

    #[cfg(feature = "cuda")]
    fn cuda(self) -> Result<burn::tensor::Device, ModelError> {
        let Device::Cuda(index) = self else { unreachable!("called for cuda only") };
        Ok(burn::tensor::Device::cuda(index))
    }

    #[cfg(not(feature = "cuda"))]
    fn cuda(self) -> Result<burn::tensor::Device, ModelError> {
        Err(self.not_built("cuda", " (with a CUDA toolkit installed)"))
    }

    #[cfg(feature = "wgpu")]
    fn wgpu(self) -> Result<burn::tensor::Device, ModelError> {
        Ok(burn::tensor::Device::wgpu(burn::tensor::DeviceKind::DefaultDevice))
    }

    #[cfg(not(feature = "wgpu"))]
    fn wgpu(self) -> Result<burn::tensor::Device, ModelError> {
        Err(self.not_built("wgpu", ""))
    }

    #[allow(dead_code)] // not called in a build with every device
    fn not_built(self, feature: &'static str, note: &'static str) -> ModelError {
        ModelError::DeviceNotBuilt { name: self.to_string(), feature, note }
    }
}

impl FromStr for Device {
    type Err = ModelError;

    fn from_str(name: &str) -> Result<Self, ModelError> {
        let unknown = || ModelError::UnknownDevice { name: name.to_owned(), hint: hint(name) };
        let index = |text: &str| text.parse::<usize>().map_err(|_| unknown());
        match name {
            "flex" | "cpu" => Ok(Device::Flex),
            "libtorch" | "libtorch:cpu" => Ok(Device::LibTorch),
            "libtorch:cuda" => Ok(Device::LibTorchCuda(0)),
            "cuda" => Ok(Device::Cuda(0)),
            "wgpu" => Ok(Device::Wgpu),
            _ => match (name.strip_prefix("libtorch:cuda:"), name.strip_prefix("cuda:")) {
                (Some(text), _) => Ok(Device::LibTorchCuda(index(text)?)),
                (_, Some(text)) => Ok(Device::Cuda(index(text)?)),
                _ => Err(unknown()),
            },
        }
    }
}

/// What a name from another library is here, in words.
fn hint(name: &str) -> &'static str {
    match name.to_lowercase().as_str() {
        "gpu" | "nvidia" | "cudnn" => "; the first CUDA card is cuda:0",
        "mps" | "metal" | "vulkan" | "webgpu" | "rocm" => "; a graphics card without CUDA is wgpu",
        "torch" | "pytorch" => "; LibTorch is libtorch",
        _ => "",
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::LibTorchCuda(index) => write!(f, "libtorch:cuda:{index}"),
            Device::Cuda(index) => write!(f, "cuda:{index}"),
            _ => f.write_str(self.kind()),
        }
    }
}

/// Sets the number of threads that this process computes with, once, before the first tensor.
///
/// # Errors
/// [`ModelError::Threads`] if another number was set before.
pub fn configure(threads: usize) -> Result<(), ModelError> {
    let refused = |reason: String| ModelError::Threads { threads, reason };
    if threads == 0 {
        return Err(refused("at least one is needed".to_owned()));
    }
    match rayon::ThreadPoolBuilder::new().num_threads(threads).build_global() {
        Ok(()) => {}
        Err(_) if rayon::current_num_threads() == threads => {}
        Err(error) => return Err(refused(error.to_string())),
    }
    #[cfg(feature = "tch")]
    tch::set_num_threads(i32::try_from(threads).map_err(|error| refused(error.to_string()))?);
    Ok(())
}
