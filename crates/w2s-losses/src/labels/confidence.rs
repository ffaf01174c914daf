//! The confidence loss: the student may disagree with the weak label where it is sure of itself.
//!
//! Auxiliary confidence loss of Burns et al. 2023 (arXiv 2312.09390, section 4.3.2 and appendix A.4, equation 1), and
//! `logconf` of openai/weak-to-strong, which is another loss.
//!
//! ```text
//! L = (1 - a) CE(z, w) + a CE(z, h)  =  CE(z, (1 - a) w + a h)
//! ```
//!
//! `w` are the weak labels, `h` the student's own predictions `p = softmax(z)` made hard by a threshold over the whole
//! batch, without gradient, and `a` grows from zero:
//!
//! | variant | `a` at progress `s`, warm-up `u` | rows made class 0 | default maximum, warm-up |
//! | --- | --- | --- | --- |
//! | `paper` | `a_max min(1, s/u)` | exactly half of the batch, those with the largest `p_0` | 0.5 (the paper: 0.75 for its largest students), 0.2 |
//! | `openai` | `a_max s` up to `s = u`, then `a_max` at once | `p_0 ≥ quantile(p_0, mean w_1)` | 0.5, 0.1 |
//! | `openai-fixed` | `a_max min(1, s/u)` | as `openai` | 0.5, 0.1 |
//! | `deception` | as `openai` | `p_0 ≥ quantile(p_0, median w_0)` | 0.5, 0.2 |
//!
//! `openai` is what the public code does, jump included; `openai-fixed` is its pull request 33; `deception` is `logconf_bce`
//! of weak-to-strong-deception (arXiv 2406.11431), for reward models, with the lower median of an even number of labels. The
//! quantile is interpolated linearly, and rows at the threshold go to class 0.
//!
//! *Exactly half*: the rows are put in order of the student's `p_1`, largest first, and the first `⌊rows / 2⌋` become
//! class 1. Of an odd number the middle row becomes class 0, which is the strict `p_1 > median`. Rows on which the
//! student is undecided between each other (equal `p_1`, as with a head of zeros) are put in the order of the weak
//! label's `w_1`, and last in their order in the batch.
//!
//! A batch of one row has no distribution to divide: its own larger probability is taken by every variant.
//!
//! # Shapes
//! student probabilities, weak labels and targets are `[rows, 2]`, with all rows of the batch, not of a micro-batch.

use std::{fmt, str::FromStr};

use burn::tensor::Tensor;

use crate::error::LossError;
use crate::numeric::{host, like};

/// Which confidence loss is meant; see the table of `docs/losses.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConfidenceVariant {
    /// The paper's: half of the batch, linear warm-up over a fifth of the training.
    Paper,
    /// `logconf` of openai/weak-to-strong as published: a quantile at the weak prior, and a jump at the end of warm-up.
    OpenAi,
    /// The same with the warm-up mended.
    OpenAiFixed,
    /// `logconf_bce` of weak-to-strong-deception: a quantile at the labels' median.
    Deception,
}

impl ConfidenceVariant {
    /// Every variant.
    pub const ALL: [Self; 4] = [
        Self::Paper,
        Self::OpenAi,
        Self::OpenAiFixed,
        Self::Deception,
    ];

    /// The name in recipes and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::OpenAi => "openai",
            Self::OpenAiFixed => "openai-fixed",
            Self::Deception => "deception",
        }
    }

    /// The threshold on `P(class 0)` that divides the batch: the median (`paper`), the quantile at the weak labels'
    /// mean `P(class 1)`, or that at their median `P(class 0)` (`deception`).
    pub fn threshold(self, student: &Tensor<2>, weak: &Tensor<2>) -> Result<f64, LossError> {
        let (student, weak) = binary(student, weak)?;
        Ok(self.cut(&student, &weak))
    }

    /// The student's predictions made hard, one row of zero and one for each row of the batch, without gradient.
    pub fn harden(self, student: &Tensor<2>, weak: &Tensor<2>) -> Result<Tensor<2>, LossError> {
        let (rows, weak_rows) = binary(student, weak)?;
        let first: Vec<bool> = match self {
            _ if rows.len() == 1 => vec![rows[0][0] >= rows[0][1]],
            Self::Paper => upper_half(&rows, &weak_rows),
            Self::OpenAi | Self::OpenAiFixed | Self::Deception => {
                let threshold = self.cut(&rows, &weak_rows);
                rows.iter().map(|p| p[0] >= threshold).collect()
            }
        };
        let hard = first
            .iter()
            .flat_map(|&first| if first { [1.0, 0.0] } else { [0.0, 1.0] })
            .collect();
        Ok(like(hard, [rows.len(), 2], weak))
    }

    fn cut(self, student: &[[f64; 2]], weak: &[[f64; 2]]) -> f64 {
        let at = match self {
            Self::Paper => 0.5,
            Self::OpenAi | Self::OpenAiFixed => {
                weak.iter().map(|w| w[1]).sum::<f64>() / weak.len() as f64
            }
            Self::Deception => lower_median(weak.iter().map(|w| w[0]).collect()),
        };
        quantile(student.iter().map(|p| p[0]).collect(), at)
    }
}

impl fmt::Display for ConfidenceVariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ConfidenceVariant {
    type Err = LossError;

    fn from_str(name: &str) -> Result<Self, LossError> {
        Self::ALL
            .into_iter()
            .find(|variant| variant.name() == name)
            .ok_or_else(|| LossError::UnknownName {
                what: "confidence variant",
                name: name.into(),
                known: Self::ALL.map(Self::name).to_vec(),
                meant: match name {
                    "logconf" | "repo" => Some("`openai`".into()),
                    "repo-fixed" | "repo_fixed" => Some("`openai-fixed`".into()),
                    "logconf_bce" => Some("`deception`".into()),
                    _ => None,
                },
            })
    }
}

/// A confidence loss with its schedule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Confidence {
    /// Threshold and shape of the warm-up.
    pub variant: ConfidenceVariant,
    /// `a_max`, the weight of the student's own prediction after the warm-up, in `[0, 1]`.
    pub max_weight: f64,
    /// The part of the training that the warm-up takes, in `[0, 1]`.
    pub warmup_fraction: f64,
}

impl Confidence {
    /// A variant with the maximum weight and warm-up of its source.
    pub const fn new(variant: ConfidenceVariant) -> Self {
        Self {
            variant,
            max_weight: 0.5,
            warmup_fraction: match variant {
                ConfidenceVariant::Paper | ConfidenceVariant::Deception => 0.2,
                ConfidenceVariant::OpenAi | ConfidenceVariant::OpenAiFixed => 0.1,
            },
        }
    }

    /// The weight `a` at a step, given as `step / steps` with steps counted from zero.
    pub fn weight(&self, step_fraction: f64) -> f64 {
        let warmup = self.warmup_fraction;
        use ConfidenceVariant::*;
        let part = match self.variant {
            OpenAi | Deception if step_fraction > warmup => 1.0,
            OpenAi | Deception => step_fraction,
            Paper | OpenAiFixed => ramp(step_fraction, warmup),
        };
        part * self.max_weight
    }

    /// The targets of a whole batch at a step: weak labels mixed with the student's hardened predictions.
    ///
    /// At weight zero they are the weak labels themselves, so the loss is the naive one bit for bit.
    pub fn targets(
        &self,
        student: &Tensor<2>,
        weak: Tensor<2>,
        step_fraction: f64,
    ) -> Result<Tensor<2>, LossError> {
        let hard = self.variant.harden(student, &weak)?;
        Ok(mix(weak, hard, self.weight(step_fraction)))
    }
}

/// `min(1, s/u)`
pub(super) fn ramp(step_fraction: f64, warmup: f64) -> f64 {
    if step_fraction >= warmup {
        1.0
    } else {
        step_fraction / warmup
    }
}

/// `(1 - weight) weak + weight own`, without gradient; the weak labels themselves at weight zero.
pub fn mix(weak: Tensor<2>, own: Tensor<2>, weight: f64) -> Tensor<2> {
    if weight == 0.0 {
        return weak.detach();
    }
    (weak.mul_scalar(1.0 - weight) + own.mul_scalar(weight)).detach()
}

type Rows = Vec<[f64; 2]>;

/// Both as rows on the host, or why they are not two classes of the same rows.
fn binary(student: &Tensor<2>, weak: &Tensor<2>) -> Result<(Rows, Rows), LossError> {
    same_shape(student, weak)?;
    let [rows, classes] = weak.dims();
    if classes != 2 {
        let loss = "confidence";
        return Err(LossError::NotBinary { loss, classes });
    }
    if rows == 0 {
        return Err(LossError::TooSmall {
            what: "a confidence threshold",
            count: 0,
            needed: 1,
        });
    }
    let pairs = |t: &Tensor<2>| host(t).as_chunks().0.to_vec();
    Ok((pairs(student), pairs(weak)))
}

/// Refuses student probabilities and weak labels of different shapes.
fn same_shape(student: &Tensor<2>, weak: &Tensor<2>) -> Result<(), LossError> {
    if student.dims() == weak.dims() {
        return Ok(());
    }
    Err(LossError::Shapes {
        left: "student predictions",
        left_shape: student.dims(),
        right: "weak labels",
        right_shape: weak.dims(),
    })
}

/// Whether each row is class 0 when exactly `⌊rows / 2⌋` of them must be class 1.
fn upper_half(student: &[[f64; 2]], weak: &[[f64; 2]]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..student.len()).collect();
    // p_0 tells rows apart whose p_1 has rounded to one. The sort is stable: equal rows keep their order.
    order.sort_by(|&a, &b| {
        let (p, q) = (student[a], student[b]);
        q[1].total_cmp(&p[1])
            .then(p[0].total_cmp(&q[0]))
            .then(weak[b][1].total_cmp(&weak[a][1]))
    });
    let mut first = vec![true; student.len()];
    for &row in &order[..student.len() / 2] {
        first[row] = false;
    }
    first
}

/// Quantile of at least one value, interpolated linearly between order statistics.
fn quantile(mut values: Vec<f64>, at: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let position = at.clamp(0.0, 1.0) * (values.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = position.ceil() as usize;
    values[below] + (values[above] - values[below]) * (position - below as f64)
}

/// The lower of the two middle values of at least one, as `torch.median` has it.
fn lower_median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) / 2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::tests::{close, matrix};
    use ConfidenceVariant::*;

    #[test]
    fn by_hand() {
        // p_0 = .9, .8, .7, .2; the weak mean of class 1 is (.1 + .1 + .1 + .7) / 4 = .25, at position .25 * 3 = .75 of
        // .2, .7, .8, .9: .2 + .75 * .5 = .575. One row is below it; the paper makes two class 1, with median .75.
        let student = matrix(&[[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.2, 0.8]]);
        let weak = matrix(&[[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.3, 0.7]]);
        assert!((OpenAi.threshold(&student, &weak).unwrap() - 0.575).abs() < 1e-12);
        assert!((Paper.threshold(&student, &weak).unwrap() - 0.75).abs() < 1e-12);
        close(
            OpenAi.harden(&student, &weak).unwrap(),
            &[1., 0., 1., 0., 1., 0., 0., 1.],
        );
        let hard = Paper.harden(&student, &weak).unwrap();
        close(hard.clone(), &[1., 0., 1., 0., 0., 1., 0., 1.]);
        // Weight .5 on the third row: (.9 + 0) / 2 and (.1 + 1) / 2.
        close(mix(weak, hard, 0.5).slice([2..3, 0..2]), &[0.45, 0.55]);
    }

    #[test]
    fn one_row_takes_its_own_side() {
        for variant in ConfidenceVariant::ALL {
            let hard = variant.harden(&matrix(&[[0.3, 0.7]]), &matrix(&[[0.9, 0.1]]));
            close(hard.unwrap(), &[0.0, 1.0]);
        }
    }

    #[test]
    fn names() {
        for variant in ConfidenceVariant::ALL {
            assert_eq!(variant.to_string().parse(), Ok(variant));
        }
        let error = "logconf".parse::<ConfidenceVariant>().unwrap_err();
        assert_eq!(error.to_string(), "unknown confidence variant `logconf`");
        assert_eq!(error.hint().unwrap(), "it is called `openai` here");
    }
}
