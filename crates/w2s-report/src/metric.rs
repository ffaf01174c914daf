//! What is known of a metric: its name for people, whether more is better, and what it is read against.

/// Which way a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Higher,
    Lower,
    /// It says how something is, not how good.
    Neither,
}

/// A metric of an experiment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Metric {
    /// Its key in files and flags.
    pub(crate) key: String,
    /// Its name for people.
    pub(crate) name: String,
    pub(crate) better: Better,
    /// The value of no effect, for a metric that compares with the base already.
    pub(crate) chance: Option<f64>,
    /// The base and teachers may lack it.
    pub(crate) partial: bool,
}

/// Metrics that say how far an arm has moved, not how good it is.
pub(crate) const DIVERGENCES: [&str; 2] = ["kl", "kl_per_token"];

/// Every metric whose key is not its name, or whose higher value is not better.
fn known(key: &str) -> Option<(&'static str, Better)> {
    use Better::{Higher, Lower, Neither};
    Some(match key {
        "auroc" => ("AUROC", Higher),
        "prior_matched_accuracy" => ("prior-matched accuracy", Higher),
        "weighted_f1" => ("weighted F1", Higher),
        "brier" => ("Brier score", Lower),
        "exact" => ("exact match", Higher),
        "words" => ("share of right words", Higher),
        "number" => ("right number", Higher),
        "answer" => ("right final answers", Higher),
        "no_answer" => ("answers without a final one", Lower),
        "finished" => ("finished answers", Higher),
        "length_characters" => ("characters an answer", Neither),
        "length_words" => ("words an answer", Neither),
        "length_tokens" => ("tokens an answer", Neither),
        "acc" => ("accuracy by likelihood", Higher),
        "acc_norm" => ("accuracy by likelihood a character", Higher),
        "acc_bytes" => ("accuracy by likelihood a byte", Higher),
        "log_likelihood" => ("log-likelihood, nats", Higher),
        "log_likelihood_per_token" => ("log-likelihood a token, nats", Higher),
        "log_likelihood_chosen" => ("log-likelihood of the chosen answer, nats", Higher),
        "log_likelihood_rejected" => ("log-likelihood of the rejected answer, nats", Neither),
        "nll_per_token" => ("loss a token, nats", Lower),
        "nll_per_token_chosen" => ("loss a token of the chosen answer, nats", Lower),
        "nll_per_token_rejected" => ("loss a token of the rejected answer, nats", Neither),
        "preference_accuracy" => ("chosen answer more likely", Higher),
        "kl" => ("divergence from the reference, nats an answer", Neither),
        "kl_per_token" => ("divergence from the reference, nats a token", Neither),
        _ => return None,
    })
}

impl Metric {
    /// What is known of the metric `key`. One that nobody has heard of is taken to be better the higher it is: somebody
    /// asked for it.
    pub(crate) fn new(key: &str) -> Self {
        let plain = || (key.replace(['_', '-'], " "), Better::Higher);
        let (name, better) = known(key).map_or_else(plain, |(name, better)| (name.into(), better));
        Self {
            key: key.to_owned(),
            name,
            better,
            chance: match key {
                "reward_accuracy" => Some(0.5),
                "reward_margin" => Some(0.0),
                _ => None,
            },
            partial: key.starts_with("reward_") || DIVERGENCES.contains(&key),
        }
    }

    /// Whether a difference of this sign is good; none where it is neither, or no difference.
    pub(crate) fn is_better(&self, difference: f64) -> Option<bool> {
        match self.better {
            _ if difference == 0.0 => None,
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
        let name = |key| Metric::new(key).name;
        assert_eq!(name("nll_per_token"), "loss a token, nats");
        assert_eq!(name("balanced_accuracy"), "balanced accuracy");
        assert_eq!(name("my_own-metric"), "my own metric");
    }

    #[test]
    fn good_is_not_a_sign() {
        assert_eq!(Metric::new("nll_per_token").is_better(-0.1), Some(true));
        assert_eq!(Metric::new("exact").is_better(-0.1), Some(false));
        assert_eq!(Metric::new("kl").is_better(-0.1), None);
        assert_eq!(Metric::new("exact").is_better(0.0), None);
    }
}
