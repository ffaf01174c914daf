//! What is known of a metric: its name for people, whether more is better, and what it is read against.

use crate::format::Unit;

/// Which way a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// It says how something is, not how good.
    Neither,
}

/// A metric of an experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its key in files and flags.
    pub key: String,
    /// Its name for people.
    pub name: String,
    /// Which way it is better.
    pub better: Better,
    /// How its values are written.
    pub unit: Unit,
    /// The value of no effect, for a metric that compares with the base already.
    pub chance: Option<f64>,
    /// The base and teachers may lack it.
    pub partial: bool,
}

/// Metrics that say how far an arm has moved, not how good it is.
pub(crate) const DIVERGENCES: [&str; 2] = ["kl", "kl_per_token"];

/// Every metric with a name of its own.
const KNOWN: [(&str, &str, Better); 31] = [
    ("accuracy", "accuracy", Better::Higher),
    ("auroc", "AUROC", Better::Higher),
    ("prior_matched_accuracy", "prior-matched accuracy", Better::Higher),
    ("balanced_accuracy", "balanced accuracy", Better::Higher),
    ("weighted_f1", "weighted F1", Better::Higher),
    ("brier", "Brier score", Better::Lower),
    ("exact", "exact match", Better::Higher),
    ("words", "share of right words", Better::Higher),
    ("number", "right number", Better::Higher),
    ("judge", "judge", Better::Higher),
    ("finished", "finished answers", Better::Higher),
    ("length_characters", "characters an answer", Better::Neither),
    ("length_words", "words an answer", Better::Neither),
    ("length_tokens", "tokens an answer", Better::Neither),
    ("acc", "accuracy by likelihood", Better::Higher),
    ("acc_norm", "accuracy by likelihood a character", Better::Higher),
    ("acc_bytes", "accuracy by likelihood a byte", Better::Higher),
    ("log_likelihood", "log-likelihood, nats", Better::Higher),
    ("log_likelihood_per_token", "log-likelihood a token, nats", Better::Higher),
    ("log_likelihood_chosen", "log-likelihood of the chosen answer, nats", Better::Higher),
    ("log_likelihood_rejected", "log-likelihood of the rejected answer, nats", Better::Neither),
    ("nll_per_token", "loss a token, nats", Better::Lower),
    ("nll_per_token_chosen", "loss a token of the chosen answer, nats", Better::Lower),
    ("nll_per_token_rejected", "loss a token of the rejected answer, nats", Better::Neither),
    ("preference_accuracy", "chosen answer more likely", Better::Higher),
    ("reward_accuracy", "reward accuracy", Better::Higher),
    ("reward_margin", "reward margin", Better::Higher),
    ("kl", "divergence from the reference, nats an answer", Better::Neither),
    ("kl_per_token", "divergence from the reference, nats a token", Better::Neither),
    ("bold_sections", "bold sections", Better::Higher),
    ("list_items", "list items", Better::Higher),
];

impl Metric {
    /// What is known of the metric `key`. One that nobody has heard of is taken to be better the higher it is: somebody
    /// asked for it.
    pub fn new(key: &str) -> Self {
        let known = KNOWN.iter().find(|(known, ..)| *known == key);
        let (name, better) = match known {
            Some((_, name, better)) => ((*name).to_owned(), *better),
            None => (key.replace(['_', '-'], " "), Better::Higher),
        };
        Self {
            key: key.to_owned(),
            name,
            better,
            unit: Unit::Score,
            chance: match key {
                "reward_accuracy" => Some(0.5),
                "reward_margin" => Some(0.0),
                _ => None,
            },
            partial: key.starts_with("reward_") || DIVERGENCES.contains(&key),
        }
    }

    /// Whether a difference of this sign is good; none where it is neither.
    pub fn is_better(&self, difference: f64) -> Option<bool> {
        match self.better {
            Better::Higher => Some(difference > 0.0),
            Better::Lower => Some(difference < 0.0),
            Better::Neither => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_words() {
        assert_eq!(Metric::new("kl").name, "divergence from the reference, nats an answer");
        assert_eq!(Metric::new("my_own-metric").name, "my own metric");
        assert!(KNOWN.iter().all(|(_, name, _)| !name.contains('_')));
    }

    #[test]
    fn good_is_not_a_sign() {
        assert_eq!(Metric::new("nll_per_token").is_better(-0.1), Some(true));
        assert_eq!(Metric::new("exact").is_better(-0.1), Some(false));
        assert_eq!(Metric::new("kl").is_better(-0.1), None);
    }
}
