//! From the numbers that the model sees back to the target's own units.

/// How a regression's target was scaled for the model, by output. For all other kinds nothing is
/// scaled, and both lists are empty.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Units {
    /// Added to `scale * x`; 0 where the list ends.
    pub offset: Vec<f64>,
    /// What a scaled value is multiplied by; 1 where the list ends.
    pub scale: Vec<f64>,
    /// Whether `e^x - 1` comes after that.
    pub log1p: bool,
}

impl Units {
    /// A scaled value of an output, in the target's units.
    pub fn original(&self, output: usize, value: f32) -> f64 {
        let scale = self.scale.get(output).copied().unwrap_or(1.0);
        let offset = self.offset.get(output).copied().unwrap_or(0.0);
        let value = f64::from(value) * scale + offset;
        if self.log1p { libm::expm1(value) } else { value }
    }
}
