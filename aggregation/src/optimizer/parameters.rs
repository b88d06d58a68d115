//! Parameters that several optimizers share.

use settings::{Invalid, Range, Reader};

/// The range of decay factors.
pub(super) const BETA: Range = Range::HalfOpen(0.0, 1.0);

/// The decay factors of Adam's first and second moments.
pub(super) fn betas(reader: &mut Reader<'_>) -> Result<[f64; 2], Invalid> {
    reader.pair("betas", [0.9, 0.999], BETA, "decay of the first and of the second moment")
}

/// The term that keeps a divisor away from 0.
pub(super) fn eps(reader: &mut Reader<'_>, default: f64) -> Result<f64, Invalid> {
    reader.number("eps", default, Range::NotNegative, "added to the root that the step is divided by")
}

/// The factor of the momentum buffer.
pub(super) fn momentum(reader: &mut Reader<'_>) -> Result<f64, Invalid> {
    reader.number("momentum", 0.0, BETA, "factor of the running direction; 0 for none")
}

/// The weight decay. It is part of the gradient unless `decoupled` is set.
pub(super) fn decay(reader: &mut Reader<'_>) -> Result<f64, Invalid> {
    reader.number("weight_decay", 0.0, Range::NotNegative, "pull of the parameters towards zero")
}

/// Whether the weight decay acts on the parameters instead of the gradient.
pub(super) fn decoupled(reader: &mut Reader<'_>) -> Result<bool, Invalid> {
    reader.flag("decoupled_weight_decay", false, "pull the parameters themselves, not through the gradient")
}
