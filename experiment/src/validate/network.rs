//! `[model]`, and the layers of datasets and tasks.

use super::{Check, Range, between, in_range, require};
use crate::fault::index_key;
use crate::network::{Encoder, Head, Model};

/// Wider layers than this are slips of the keyboard, and would end in a failed allocation.
const WIDTH_MAX: u64 = 1 << 20;

pub(super) fn check_model(model: &Model) -> Check {
    let trunk = &model.trunk;
    require(!trunk.hidden.is_empty(), &["trunk", "hidden"], || {
        "must have at least one layer: without any, tasks share nothing".to_owned()
    })?;
    layers(&trunk.hidden, trunk.dropout).map_err(|fault| fault.under("trunk"))?;
    match &model.encoder {
        Some(encoder) => check_encoder(encoder).map_err(|fault| fault.under("encoder")),
        None => Ok(()),
    }
}

pub(super) fn check_encoder(encoder: &Encoder) -> Check {
    match encoder {
        Encoder::None => Ok(()),
        Encoder::Mlp { hidden, width, dropout, .. } => {
            if let Some(width) = width {
                between(1, *width as u64, WIDTH_MAX, &["width"])?;
            }
            layers(hidden, *dropout)
        }
    }
}

pub(super) fn check_head(head: &Head) -> Check {
    layers(&head.hidden, head.dropout)
}

fn layers(hidden: &[usize], dropout: f32) -> Check {
    for (index, width) in hidden.iter().enumerate() {
        between(1, *width as u64, WIDTH_MAX, &["hidden", &index_key(index)])?;
    }
    in_range(Range::HalfOpen(0.0, 1.0), f64::from(dropout), &["dropout"])
}
