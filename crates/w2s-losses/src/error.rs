//! What a loss refuses, in words that name the value found and the values allowed.

use std::{error::Error, fmt};

/// Why a loss cannot be computed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum LossError {
    /// A name that stands for no variant.
    UnknownName {
        /// What was to be named, such as `preference loss`.
        what: &'static str,
        /// The name as it was given.
        name: String,
        /// Every name there is.
        known: Vec<&'static str>,
        /// What it is here, when it is another tool's word.
        meant: Option<String>,
    },
    /// A setting outside its range.
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        must: &'static str,
    },
    /// A setting that the loss would not read.
    UnusedSetting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f64,
        /// The loss.
        loss: &'static str,
    },
    /// A loss for two classes with another number of them.
    NotBinary {
        /// The loss.
        loss: &'static str,
        /// The number of classes.
        classes: usize,
    },
    /// Two tensors that must be of one shape.
    Shapes {
        /// The first tensor.
        left: &'static str,
        /// Its shape.
        left_shape: [usize; 2],
        /// The second tensor.
        right: &'static str,
        /// Its shape.
        right_shape: [usize; 2],
    },
    /// Two parts of a batch with different numbers of entries.
    Counts {
        /// The first part.
        left: &'static str,
        /// Its number of entries.
        left_count: usize,
        /// The second part.
        right: &'static str,
        /// Its number of entries.
        right_count: usize,
    },
    /// A response without tokens, whose mean log-probability is 0/0.
    NoTokens {
        /// `chosen` or `rejected`.
        side: &'static str,
        /// Index of the pair in the batch.
        pair: usize,
    },
    /// Policy and reference counted different numbers of tokens in one response.
    TokenCounts {
        /// `chosen` or `rejected`.
        side: &'static str,
        /// Index of the pair in the batch.
        pair: usize,
        /// Tokens that the policy scored.
        policy: usize,
        /// Tokens that the reference scored.
        reference: usize,
    },
    /// A loss relative to a reference model, without its log-probabilities.
    NoReference {
        /// The loss.
        loss: &'static str,
    },
    /// KTO without the KL estimate of the whole batch.
    NoKl,
    /// A loss that sorts the batch, without the partners of its pairs.
    NoPartners {
        /// The loss.
        loss: &'static str,
    },
    /// A loss that no conflict is defined for.
    NoConflict {
        /// The loss.
        loss: &'static str,
    },
    /// A statistic of a batch that is too small for it.
    TooSmall {
        /// The statistic.
        what: &'static str,
        /// Entries in the batch.
        count: usize,
        /// Entries needed.
        needed: usize,
    },
}

impl LossError {
    /// What to do about it, when there is a usual answer.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownName { known, meant, .. } => Some(match meant {
                Some(meant) => format!("it is called {meant} here"),
                None => format!("one of {}", known.join(", ")),
            }),
            Self::UnusedSetting { name, .. } => Some(format!(
                "leave `{name}` out, or choose a loss that reads it"
            )),
            Self::NotBinary { .. } => {
                Some("use a loss such as `cross-entropy`, which takes any number of classes".into())
            }
            Self::NoTokens { .. } => Some("drop pairs with an empty response, and count them".into()),
            Self::TokenCounts { .. } => Some(
                "the reference was made with another tokenizer, template or length limit: compute it again"
                    .into(),
            ),
            Self::NoReference { .. } => Some(
                "score the pairs with the reference model, or use `simpo` or `orpo`, which need none"
                    .into(),
            ),
            Self::NoKl => {
                Some("compute it once for the whole batch with `kto_kl`, and set `kl`".into())
            }
            Self::NoPartners { .. } => Some(
                "compute them once for the whole batch with `aot_partners`, and set `partners`".into(),
            ),
            Self::NoConflict { .. } => Some("use `sigmoid` or `simpo`".into()),
            _ => None,
        }
    }
}

impl fmt::Display for LossError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownName { what, name, .. } => write!(f, "unknown {what} `{name}`"),
            Self::Setting { name, value, must } => {
                write!(f, "`{name}` is {value} but must be {must}")
            }
            Self::UnusedSetting { name, value, loss } => {
                write!(
                    f,
                    "`{name}` is {value} but the loss `{loss}` does not read it"
                )
            }
            Self::NotBinary { loss, classes } => {
                write!(
                    f,
                    "the loss `{loss}` is for 2 classes but there are {classes}"
                )
            }
            Self::Shapes {
                left,
                left_shape,
                right,
                right_shape,
            } => write!(
                f,
                "{left} have shape {left_shape:?} but {right} have shape {right_shape:?}"
            ),
            Self::Counts {
                left,
                left_count,
                right,
                right_count,
            } => write!(f, "{left_count} {left} but {right_count} {right}"),
            Self::NoTokens { side, pair } => {
                write!(f, "the {side} response of pair {pair} has no tokens")
            }
            Self::TokenCounts {
                side,
                pair,
                policy,
                reference,
            } => write!(
                f,
                "the {side} response of pair {pair} has {policy} tokens in the policy but {reference} in the reference"
            ),
            Self::NoReference { loss } => write!(
                f,
                "the loss `{loss}` needs the log-probabilities of a reference model"
            ),
            Self::NoKl => write!(f, "the loss `kto` needs the KL estimate of the whole batch"),
            Self::NoPartners { loss } => write!(
                f,
                "the loss `{loss}` sorts the whole batch and needs what each pair is compared with"
            ),
            Self::NoConflict { loss } => {
                write!(f, "no conflicting reward is defined for the loss `{loss}`")
            }
            Self::TooSmall {
                what,
                count,
                needed,
            } => write!(f, "{what} needs at least {needed} entries but has {count}"),
        }
    }
}

impl Error for LossError {}

/// A setting must hold a condition; NaN never does.
pub(crate) fn check(
    holds: bool,
    name: &'static str,
    value: f64,
    must: &'static str,
) -> Result<(), LossError> {
    if holds {
        Ok(())
    } else {
        Err(LossError::Setting { name, value, must })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_values_and_a_hint() {
        let error = LossError::TokenCounts {
            side: "rejected",
            pair: 3,
            policy: 12,
            reference: 13,
        };
        assert_eq!(
            error.to_string(),
            "the rejected response of pair 3 has 12 tokens in the policy but 13 in the reference"
        );
        assert!(error.hint().unwrap().contains("tokenizer"));
        let error = check(false, "beta", 0.0, "above 0").unwrap_err();
        assert_eq!(error.to_string(), "`beta` is 0 but must be above 0");
    }
}
