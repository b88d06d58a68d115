//! What the experiment file says about the optimizer.

use serde::{Deserialize, Serialize};

use settings::{Invalid, Range, Reader, Table, Value};

/// An optimizer with its parameters: `{ kind = "adam", learning_rate = 1e-3 }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", try_from = "Table")]
pub enum Optimizer {
    /// Stochastic gradient descent, with momentum or Nesterov's.
    Sgd(Sgd),
    /// Adam (Kingma and Ba, ICLR 2015).
    Adam(Adam),
    /// Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019).
    AdamW(AdamW),
    /// RMSprop (Tieleman and Hinton, 2012).
    RmsProp(RmsProp),
    /// Adagrad (Duchi, Hazan and Singer, JMLR 2011).
    Adagrad(Adagrad),
    /// Lion (Chen et al., NeurIPS 2023).
    Lion(Lion),
    /// LAMB (You et al., ICLR 2020).
    Lamb(Lamb),
}

/// Parameters of `sgd`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sgd {
    /// Step size (1e-3).
    pub learning_rate: f64,
    /// Factor of the running direction (0: none).
    pub momentum: f64,
    /// What the gradient loses on its way into the running direction (0).
    pub dampening: f64,
    /// Nesterov's look-ahead; needs momentum and no dampening (false).
    pub nesterov: bool,
    /// Pull of the parameters towards zero (0).
    pub weight_decay: f64,
    /// Whether the pull bypasses the gradient (false).
    pub decoupled_weight_decay: bool,
}

/// Parameters of `adam`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Adam {
    /// Step size (1e-3).
    pub learning_rate: f64,
    /// Decay of the first and second moment (0.9, 0.999).
    pub betas: [f64; 2],
    /// Added to the root of the second moment (1e-8).
    pub eps: f64,
    /// Pull of the parameters towards zero (0).
    pub weight_decay: f64,
    /// Divide by the largest second moment so far (false).
    pub amsgrad: bool,
    /// Whether the pull bypasses the gradient, which makes it AdamW (false).
    pub decoupled_weight_decay: bool,
}

/// Parameters of `adamw`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AdamW {
    /// Step size (1e-3).
    pub learning_rate: f64,
    /// Decay of the first and second moment (0.9, 0.999).
    pub betas: [f64; 2],
    /// Added to the root of the second moment (1e-8).
    pub eps: f64,
    /// Pull of the parameters towards zero, decoupled from the gradient (0.01).
    pub weight_decay: f64,
    /// Divide by the largest second moment so far (false).
    pub amsgrad: bool,
}

/// Parameters of `rmsprop`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RmsProp {
    /// Step size (1e-3).
    pub learning_rate: f64,
    /// Decay of the mean square (0.99).
    pub alpha: f64,
    /// Added to the root of the mean square (1e-8).
    pub eps: f64,
    /// Factor of the running direction (0: none).
    pub momentum: f64,
    /// Subtract the squared mean from the mean square (false).
    pub centered: bool,
    /// Pull of the parameters towards zero (0).
    pub weight_decay: f64,
    /// Whether the pull bypasses the gradient (false).
    pub decoupled_weight_decay: bool,
}

/// Parameters of `adagrad`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Adagrad {
    /// Step size (1e-3).
    pub learning_rate: f64,
    /// Fall of the step size: divided by 1 + (step - 1) lr_decay (0).
    pub lr_decay: f64,
    /// What the sums of squares begin with (0).
    pub initial_accumulator_value: f64,
    /// Added to the root of the sum of squares (1e-10).
    pub eps: f64,
    /// Pull of the parameters towards zero (0).
    pub weight_decay: f64,
    /// Whether the pull bypasses the gradient (false).
    pub decoupled_weight_decay: bool,
}

/// Parameters of `lion`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lion {
    /// Step size (1e-3).
    pub learning_rate: f64,
    /// Share of the running direction in the update, and its decay (0.9, 0.99).
    pub betas: [f64; 2],
    /// Pull of the parameters towards zero, decoupled from the gradient (0).
    pub weight_decay: f64,
}

/// Parameters of `lamb`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lamb {
    /// Step size (1e-3).
    pub learning_rate: f64,
    /// Decay of the first and second moment (0.9, 0.999).
    pub betas: [f64; 2],
    /// Added to the root of the second moment (1e-6).
    pub eps: f64,
    /// Pull of the parameters towards zero, part of the direction whose length is adapted (0).
    pub weight_decay: f64,
}

impl Default for Optimizer {
    fn default() -> Self {
        Optimizer::Adam(Adam {
            learning_rate: 1e-3,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.0,
            amsgrad: false,
            decoupled_weight_decay: false,
        })
    }
}

const KINDS: [&str; 7] = ["sgd", "adam", "adamw", "rmsprop", "adagrad", "lion", "lamb"];
const BETA: Range = Range::HalfOpen(0.0, 1.0);

impl TryFrom<Table> for Optimizer {
    type Error = Invalid;

    fn try_from(table: Table) -> Result<Self, Invalid> {
        let kind = match table.get("kind") {
            None => return Err(Invalid::missing("kind", format!("one of {}", KINDS.join(", ")))),
            Some(Value::Text(text)) => text.as_str(),
            Some(value) => return Err(Invalid::value("kind", value, format!("one of {}", KINDS.join(", ")))),
        };
        if !KINDS.contains(&kind) {
            return Err(Invalid::name("kind", kind, &KINDS));
        }
        let mut r = Reader::new(&table, kind).tagged("kind");
        let learning_rate = r.number("learning_rate", 1e-3, Range::Positive, "step size")?;
        let optimizer = match kind {
            "sgd" => Optimizer::Sgd(Sgd {
                learning_rate,
                momentum: r.number("momentum", 0.0, BETA, "factor of the running direction; 0 for none")?,
                dampening: r.number(
                    "dampening",
                    0.0,
                    Range::Closed(0.0, 1.0),
                    "what the gradient loses on its way into the running direction",
                )?,
                nesterov: r.flag("nesterov", false, "look ahead as Nesterov does")?,
                weight_decay: r.number(
                    "weight_decay",
                    0.0,
                    Range::NotNegative,
                    "pull of the parameters towards zero",
                )?,
                decoupled_weight_decay: r.flag(
                    "decoupled_weight_decay",
                    false,
                    "pull the parameters themselves, not the gradient",
                )?,
            }),
            "adam" => Optimizer::Adam(Adam {
                learning_rate,
                betas: r.pair("betas", [0.9, 0.999], BETA, "decay of the first and second moment")?,
                eps: r.number("eps", 1e-8, Range::NotNegative, "added to the root of the second moment")?,
                weight_decay: r.number(
                    "weight_decay",
                    0.0,
                    Range::NotNegative,
                    "pull of the parameters towards zero",
                )?,
                amsgrad: r.flag("amsgrad", false, "divide by the largest second moment so far")?,
                decoupled_weight_decay: r.flag(
                    "decoupled_weight_decay",
                    false,
                    "pull the parameters themselves, not the gradient",
                )?,
            }),
            "adamw" => Optimizer::AdamW(AdamW {
                learning_rate,
                betas: r.pair("betas", [0.9, 0.999], BETA, "decay of the first and second moment")?,
                eps: r.number("eps", 1e-8, Range::NotNegative, "added to the root of the second moment")?,
                weight_decay: r.number(
                    "weight_decay",
                    0.01,
                    Range::NotNegative,
                    "pull of the parameters towards zero",
                )?,
                amsgrad: r.flag("amsgrad", false, "divide by the largest second moment so far")?,
            }),
            "rmsprop" => Optimizer::RmsProp(RmsProp {
                learning_rate,
                alpha: r.number("alpha", 0.99, BETA, "decay of the mean square")?,
                eps: r.number("eps", 1e-8, Range::NotNegative, "added to the root of the second moment")?,
                momentum: r.number("momentum", 0.0, BETA, "factor of the running direction; 0 for none")?,
                centered: r.flag("centered", false, "subtract the squared mean")?,
                weight_decay: r.number(
                    "weight_decay",
                    0.0,
                    Range::NotNegative,
                    "pull of the parameters towards zero",
                )?,
                decoupled_weight_decay: r.flag(
                    "decoupled_weight_decay",
                    false,
                    "pull the parameters themselves, not the gradient",
                )?,
            }),
            "adagrad" => Optimizer::Adagrad(Adagrad {
                learning_rate,
                lr_decay: r.number("lr_decay", 0.0, Range::NotNegative, "fall of the step size")?,
                initial_accumulator_value: r.number(
                    "initial_accumulator_value",
                    0.0,
                    Range::NotNegative,
                    "what the sums of squares begin with",
                )?,
                eps: r.number("eps", 1e-10, Range::NotNegative, "added to the root of the second moment")?,
                weight_decay: r.number(
                    "weight_decay",
                    0.0,
                    Range::NotNegative,
                    "pull of the parameters towards zero",
                )?,
                decoupled_weight_decay: r.flag(
                    "decoupled_weight_decay",
                    false,
                    "pull the parameters themselves, not the gradient",
                )?,
            }),
            "lion" => Optimizer::Lion(Lion {
                learning_rate,
                betas: r.pair("betas", [0.9, 0.99], BETA, "decay of the first and second moment")?,
                weight_decay: r.number(
                    "weight_decay",
                    0.0,
                    Range::NotNegative,
                    "pull of the parameters towards zero",
                )?,
            }),
            _ => Optimizer::Lamb(Lamb {
                learning_rate,
                betas: r.pair("betas", [0.9, 0.999], BETA, "decay of the first and second moment")?,
                eps: r.number("eps", 1e-6, Range::NotNegative, "added to the root of the second moment")?,
                weight_decay: r.number(
                    "weight_decay",
                    0.0,
                    Range::NotNegative,
                    "pull of the parameters towards zero",
                )?,
            }),
        };
        r.finish()?;
        optimizer.validate()?;
        Ok(optimizer)
    }
}

impl Optimizer {
    /// The kind's name, as the file says it.
    pub fn kind(&self) -> &'static str {
        match self {
            Optimizer::Sgd(_) => "sgd",
            Optimizer::Adam(_) => "adam",
            Optimizer::AdamW(_) => "adamw",
            Optimizer::RmsProp(_) => "rmsprop",
            Optimizer::Adagrad(_) => "adagrad",
            Optimizer::Lion(_) => "lion",
            Optimizer::Lamb(_) => "lamb",
        }
    }

    /// The step size before the schedule.
    pub fn learning_rate(&self) -> f64 {
        match self {
            Optimizer::Sgd(o) => o.learning_rate,
            Optimizer::Adam(o) => o.learning_rate,
            Optimizer::AdamW(o) => o.learning_rate,
            Optimizer::RmsProp(o) => o.learning_rate,
            Optimizer::Adagrad(o) => o.learning_rate,
            Optimizer::Lion(o) => o.learning_rate,
            Optimizer::Lamb(o) => o.learning_rate,
        }
    }

    /// Refuses parameters that make no sense together or alone. What comes from a file has been
    /// through this.
    ///
    /// # Errors
    /// [`Invalid`] with the key, its value and what is allowed.
    pub fn validate(&self) -> Result<(), Invalid> {
        let decay = |value| check(Range::NotNegative, "weight_decay", value);
        let eps = |value| check(Range::NotNegative, "eps", value);
        let betas = |pair: [f64; 2]| pair.iter().try_for_each(|&beta| check(BETA, "betas", beta));
        check(Range::Positive, "learning_rate", self.learning_rate())?;
        match self {
            Optimizer::Sgd(o) => {
                check(BETA, "momentum", o.momentum)?;
                check(Range::Closed(0.0, 1.0), "dampening", o.dampening)?;
                decay(o.weight_decay)?;
                if o.nesterov && (o.momentum == 0.0 || o.dampening != 0.0) {
                    return Err(Invalid::value("nesterov", true, "used with momentum above 0 and dampening 0"));
                }
                Ok(())
            }
            Optimizer::Adam(o) => betas(o.betas).and(eps(o.eps)).and(decay(o.weight_decay)),
            Optimizer::AdamW(o) => betas(o.betas).and(eps(o.eps)).and(decay(o.weight_decay)),
            Optimizer::RmsProp(o) => {
                check(BETA, "alpha", o.alpha)?;
                check(BETA, "momentum", o.momentum)?;
                eps(o.eps).and(decay(o.weight_decay))
            }
            Optimizer::Adagrad(o) => {
                check(Range::NotNegative, "lr_decay", o.lr_decay)?;
                check(Range::NotNegative, "initial_accumulator_value", o.initial_accumulator_value)?;
                eps(o.eps).and(decay(o.weight_decay))
            }
            Optimizer::Lion(o) => betas(o.betas).and(decay(o.weight_decay)),
            Optimizer::Lamb(o) => betas(o.betas).and(eps(o.eps)).and(decay(o.weight_decay)),
        }
    }
}

fn check(range: Range, key: &str, value: f64) -> Result<(), Invalid> {
    if range.contains(value) { Ok(()) } else { Err(Invalid::value(key, value, range)) }
}
