//! Engines, which compute the passes of a network.
//!
//! The hand-written engine ([`host`]) is for the processor and for networks whose layers it knows:
//! it asks each layer ([`Layer::host`](crate::Layer::host)). Burn's autodiff ([`autodiff`]) is for
//! every other network and device. For both, losses and their derivatives with respect to the
//! heads' outputs are computed on the host.

pub(crate) mod autodiff;
pub(crate) mod host;

use std::fmt;
use std::sync::Arc;

use self::autodiff::Autodiff;
use self::host::Host;
use crate::pass::{FeedInput, Pass};
use crate::structure::Structure;
use crate::{Device, ModelError};

/// Receives a task's outputs: index of the input, index of its target, `[rows, outputs]`.
pub(crate) type Each<'a> = dyn FnMut(usize, usize, &[f32]) + 'a;
/// Receives a task's outputs and writes the derivative of the loss with respect to them.
pub(crate) type Differentiate<'a> = dyn FnMut(usize, usize, &[f32], &mut [f32]) + 'a;

/// Computes passes with the parameters that were set last. Each pass calls its function once for
/// every target of every input.
pub(crate) trait Engine: fmt::Debug + Send + Sync {
    /// Sets all parameters, in the layout's order.
    fn set_parameters(&mut self, parameters: &[f32]);

    /// The outputs of every target.
    fn forward(&self, pass: Pass, inputs: &[FeedInput<'_>], each: &mut Each<'_>) -> Result<(), ModelError>;

    /// Overwrites `gradient` with the gradient. `differentiate` writes the derivatives with respect
    /// to the outputs.
    fn combined_gradient(
        &self,
        pass: Pass,
        inputs: &[FeedInput<'_>],
        differentiate: &mut Differentiate<'_>,
        gradient: &mut [f32],
    ) -> Result<(), ModelError>;

    /// Overwrites each of `gradients` with the gradient of the task at the same place of `tasks`,
    /// which are among the targets of `input`.
    fn task_gradients(
        &self,
        pass: Pass,
        input: &FeedInput<'_>,
        tasks: &[usize],
        differentiate: &mut Differentiate<'_>,
        gradients: &mut [&mut [f32]],
    ) -> Result<(), ModelError>;

    /// An engine for the same structure on the same device, whose parameters are not set.
    fn twin(&self) -> Box<dyn Engine>;
}

/// The engine for a structure on a device.
pub(crate) fn of(structure: Arc<Structure>, device: Device) -> Result<Box<dyn Engine>, ModelError> {
    match (device, Host::new(&structure)) {
        (Device::Flex, Some(host)) => Ok(Box::new(host)),
        _ => Ok(Box::new(Autodiff::new(structure, device.burn()?))),
    }
}
