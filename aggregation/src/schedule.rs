//! Learning-rate schedules: pure functions of (base rate, step, total steps).
//!
//! Every kind takes `warmup_steps` (0): during the first `w` steps the rate rises linearly, at step
//! s by the factor (s + 1) / w, to where the schedule begins; the schedule then runs over the rest,
//! with its own step s - w of total - w.

use serde::{Deserialize, Serialize};

use settings::{Invalid, Range, Reader, Table, Value};

/// A schedule with its parameters: `{ kind = "cosine", warmup_steps = 50 }`.
///
/// In the formulas b is the base rate, s the step since warm-up, counted from 0, and n the number
/// of steps since warm-up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table")]
pub struct Schedule {
    /// The shape after warm-up.
    #[serde(flatten)]
    pub kind: ScheduleKind,
    /// Steps of linear warm-up (0).
    pub warmup_steps: u64,
}

/// The shape of a [`Schedule`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ScheduleKind {
    /// b.
    Constant,
    /// b (1 + (end_factor - 1) s / n).
    Linear {
        /// What is left of the rate at the end (0).
        end_factor: f64,
    },
    /// eta_min + (b - eta_min) (1 + cos(pi s / n)) / 2.
    Cosine {
        /// The rate at the end (0).
        eta_min: f64,
    },
    /// b gamma^floor(s / step_size).
    Step {
        /// Steps between two falls; has to be given.
        step_size: u64,
        /// Factor of one fall (0.1).
        gamma: f64,
    },
    /// b gamma^s.
    Exponential {
        /// Factor of one step; has to be given.
        gamma: f64,
    },
    /// From b / div_factor up to b over the first `pct_start` of the steps, then down to b /
    /// div_factor / final_div_factor.
    OneCycle {
        /// Share of the steps on the way up (0.3).
        pct_start: f64,
        /// First rate: b / div_factor (25).
        div_factor: f64,
        /// Last rate: first rate / final_div_factor (1e4).
        final_div_factor: f64,
        /// The curve between them (cos).
        anneal_strategy: Anneal,
    },
}

/// The curve of `one_cycle`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Anneal {
    /// Half a cosine.
    Cos,
    /// A line.
    Linear,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { kind: ScheduleKind::Constant, warmup_steps: 0 }
    }
}

const KINDS: [&str; 6] = ["constant", "linear", "cosine", "step", "exponential", "one_cycle"];

impl TryFrom<Table> for Schedule {
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
        let warmup_steps = r.count("warmup_steps", 0, 0.., "steps of linear warm-up")?;
        let kind = match kind {
            "constant" => ScheduleKind::Constant,
            "linear" => ScheduleKind::Linear {
                end_factor: r.number("end_factor", 0.0, Range::NotNegative, "share of the rate at the end")?,
            },
            "cosine" => {
                ScheduleKind::Cosine { eta_min: r.number("eta_min", 0.0, Range::NotNegative, "rate at the end")? }
            }
            "step" => ScheduleKind::Step {
                step_size: r.required_count("step_size", 1.., "steps between two falls")?,
                gamma: r.number("gamma", 0.1, Range::LeftOpen(0.0, 1.0), "factor of a fall")?,
            },
            "exponential" => ScheduleKind::Exponential {
                gamma: r.required_number("gamma", Range::LeftOpen(0.0, 1.0), "factor of a step")?,
            },
            _ => ScheduleKind::OneCycle {
                pct_start: r.number("pct_start", 0.3, Range::Closed(0.0, 1.0), "share of the steps on the way up")?,
                div_factor: r.number("div_factor", 25.0, Range::Positive, "base rate over first rate")?,
                final_div_factor: r.number("final_div_factor", 1e4, Range::Positive, "first rate over last rate")?,
                anneal_strategy: match r.name("anneal_strategy", "cos", &["cos", "linear"], "the curve")? {
                    "linear" => Anneal::Linear,
                    _ => Anneal::Cos,
                },
            },
        };
        r.finish()?;
        Ok(Self { kind, warmup_steps })
    }
}

impl Schedule {
    /// The learning rate of step `step` (from 0) of a training of `total_steps`, for the
    /// optimizer's `base` rate.
    ///
    /// A step beyond the end has the last rate. Computed in software floating point, so that it is
    /// the same on every machine.
    pub fn learning_rate(&self, base: f64, step: u64, total_steps: u64) -> f64 {
        if step < self.warmup_steps {
            return self.after(base, 0, self.rest(total_steps)) * ((step + 1) as f64 / self.warmup_steps as f64);
        }
        self.after(base, step - self.warmup_steps, self.rest(total_steps))
    }

    fn rest(&self, total_steps: u64) -> u64 {
        total_steps.saturating_sub(self.warmup_steps).max(1)
    }

    /// The rate of step s of n after warm-up.
    fn after(&self, base: f64, s: u64, n: u64) -> f64 {
        let progress = s.min(n) as f64 / n as f64;
        match self.kind {
            ScheduleKind::Constant => base,
            ScheduleKind::Linear { end_factor } => base * (1.0 + (end_factor - 1.0) * progress),
            ScheduleKind::Cosine { eta_min } => eta_min + (base - eta_min) * falling_cosine(progress),
            ScheduleKind::Step { step_size, gamma } => base * libm::pow(gamma, (s / step_size) as f64),
            ScheduleKind::Exponential { gamma } => base * libm::pow(gamma, s as f64),
            ScheduleKind::OneCycle { pct_start, div_factor, final_div_factor, anneal_strategy } => {
                let first = base / div_factor;
                let last = first / final_div_factor;
                // As in PyTorch the peak is at pct_start n - 1 and the last step, n - 1, has the
                // last rate.
                let (s, end) = (s.min(n - 1) as f64, (n - 1) as f64);
                let peak = (pct_start * n as f64 - 1.0).max(0.0);
                let (from, to, share) = if s <= peak && peak > 0.0 {
                    (first, base, s / peak)
                } else if end > peak {
                    (base, last, (s - peak) / (end - peak))
                } else {
                    (base, last, 0.0)
                };
                match anneal_strategy {
                    Anneal::Cos => to + (from - to) * falling_cosine(share),
                    Anneal::Linear => from + (to - from) * share,
                }
            }
        }
    }
}

/// From 1 at 0 to 0 at 1.
fn falling_cosine(progress: f64) -> f64 {
    (1.0 + libm::cos(std::f64::consts::PI * progress)) / 2.0
}
