//! The records steps hand to each other, one type a kind, with the promises each of them keeps. The promises are checked
//! before a file is written and again after it is read.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::reference::Kind;

/// How far the sum of a row of probabilities may be from one.
const SUM_TOLERANCE: f64 = 1e-4;

/// A row of a record file.
pub trait Record: Serialize + DeserializeOwned {
    /// The kind of artifact that holds such rows.
    const KIND: Kind;
    /// The number of the row's layout, raised whenever the fields change.
    const FORMAT: u32;
    /// The file inside the artifact folder.
    const FILE: &'static str = "records.bin";

    /// Checks what every reader relies on; the error is a lower-case sentence.
    fn validate(&self) -> Result<(), String>;
}

/// The part of the examples a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Rows with ground truth, on which the weak teacher is trained.
    Gold,
    /// Rows the teacher labels and the student learns from.
    Transfer,
    /// Rows nobody trains on.
    Test,
}

impl Split {
    /// Every split, in the order in which rows are stored.
    pub const ALL: [Self; 3] = [Self::Gold, Self::Transfer, Self::Test];

    /// The lower-case word used in flags and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gold => "gold",
            Self::Transfer => "transfer",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Split {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|split| split.name() == text)
            .ok_or_else(|| {
                format!("`{text}` is not a split; the splits are gold, transfer and test")
            })
    }
}

/// A piece of unlabelled text to pretrain on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Number of the document, unique in its corpus.
    pub id: u64,
    /// The text itself.
    pub text: String,
}

impl Record for Document {
    const KIND: Kind = Kind::Corpus;
    const FORMAT: u32 = 1;

    fn validate(&self) -> Result<(), String> {
        check_text(&self.text)
    }
}

/// A labelled text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// Number of the row, unique in its data set.
    pub id: u64,
    /// The part it belongs to.
    pub split: Split,
    /// Rows that must stay in one split share this number.
    pub group: u64,
    /// Index of the class.
    pub label: u32,
    /// The text to classify.
    pub text: String,
}

impl Record for Example {
    const KIND: Kind = Kind::Examples;
    const FORMAT: u32 = 1;

    fn validate(&self) -> Result<(), String> {
        check_text(&self.text)
    }
}

/// A teacher's opinion of one transfer row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// The example it belongs to.
    pub id: u64,
    /// Probability of each class.
    pub probabilities: Vec<f32>,
}

impl Record for Label {
    const KIND: Kind = Kind::Labels;
    const FORMAT: u32 = 1;

    fn validate(&self) -> Result<(), String> {
        check_probabilities(&self.probabilities)
    }
}

/// One text in its prompt as a model reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// The example it belongs to.
    pub id: u64,
    /// Token ids.
    pub ids: Vec<u32>,
}

impl Record for Tokens {
    const KIND: Kind = Kind::Tokens;
    const FORMAT: u32 = 1;

    fn validate(&self) -> Result<(), String> {
        match self.ids.is_empty() {
            true => Err("there are no tokens".to_owned()),
            false => Ok(()),
        }
    }
}

/// What a probe reads of one example: the hidden state that a frozen model makes of its text, or a row of a user's matrix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// The example it belongs to.
    pub id: u64,
    /// One number a feature, the same count for all rows of an artifact.
    pub values: Vec<f32>,
}

impl Record for Features {
    const KIND: Kind = Kind::Features;
    const FORMAT: u32 = 1;

    fn validate(&self) -> Result<(), String> {
        match self.values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(format!("a feature is {value}")),
            None if self.values.is_empty() => Err("there are no features".to_owned()),
            None => Ok(()),
        }
    }
}

/// A model's answer on one test row, beside the truth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The example it belongs to.
    pub id: u64,
    /// The example's group: rows of one group are no independent evidence.
    pub group: u64,
    /// Index of the gold class.
    pub label: u32,
    /// Probability of each class.
    pub probabilities: Vec<f32>,
}

impl Record for Prediction {
    const KIND: Kind = Kind::Predictions;
    const FORMAT: u32 = 2;

    fn validate(&self) -> Result<(), String> {
        check_probabilities(&self.probabilities)?;
        if self.label as usize >= self.probabilities.len() {
            return Err(format!(
                "gold class {} of {} classes",
                self.label,
                self.probabilities.len()
            ));
        }
        Ok(())
    }
}

/// Rows without words are dropped and counted where data is read, so none may arrive here.
fn check_text(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        Err("the text is empty".to_owned())
    } else {
        Ok(())
    }
}

/// A distribution over classes: finite, not negative, summing to one.
fn check_probabilities(probabilities: &[f32]) -> Result<(), String> {
    if probabilities.is_empty() {
        return Err("it has no probabilities".to_owned());
    }
    if let Some(class) = probabilities
        .iter()
        .position(|p| !p.is_finite() || *p < 0.0)
    {
        return Err(format!(
            "the probability of class {class} is {}",
            probabilities[class]
        ));
    }
    let sum: f64 = probabilities.iter().map(|p| f64::from(*p)).sum();
    if (sum - 1.0).abs() > SUM_TOLERANCE {
        return Err(format!("its probabilities sum to {sum}, not to 1"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(probabilities: &[f32]) -> Result<(), String> {
        Label {
            id: 0,
            probabilities: probabilities.to_vec(),
        }
        .validate()
    }

    #[test]
    fn probabilities_must_be_a_distribution() {
        assert_eq!(label(&[0.25, 0.75]), Ok(()));
        assert_eq!(label(&[0.33335, 0.33335, 0.33335]), Ok(()));
        assert_eq!(label(&[]), Err("it has no probabilities".to_owned()));
        assert_eq!(
            label(&[1.5, -0.5]),
            Err("the probability of class 1 is -0.5".to_owned())
        );
        assert_eq!(
            label(&[f32::NAN, 1.0]),
            Err("the probability of class 0 is NaN".to_owned())
        );
        assert_eq!(
            label(&[0.5, 0.25]),
            Err("its probabilities sum to 0.75, not to 1".to_owned())
        );
    }

    #[test]
    fn a_row_has_tokens() {
        let tokens = |ids: &[u32]| {
            let ids = ids.to_vec();
            Tokens { id: 0, ids }.validate()
        };
        assert_eq!(tokens(&[7]), Ok(()));
        assert_eq!(tokens(&[]), Err("there are no tokens".to_owned()));
    }

    #[test]
    fn features_are_numbers() {
        let features = |values: &[f32]| {
            let values = values.to_vec();
            Features { id: 0, values }.validate()
        };
        assert_eq!(features(&[-1.5, 0.0]), Ok(()));
        assert_eq!(features(&[]), Err("there are no features".to_owned()));
        assert_eq!(
            features(&[0.0, f32::INFINITY]),
            Err("a feature is inf".to_owned())
        );
    }

    #[test]
    fn a_prediction_knows_its_gold_class() {
        let prediction = |label| Prediction {
            id: 1,
            group: 1,
            label,
            probabilities: vec![0.5, 0.5],
        };
        assert_eq!(prediction(1).validate(), Ok(()));
        assert_eq!(
            prediction(2).validate(),
            Err("gold class 2 of 2 classes".to_owned())
        );
    }

    #[test]
    fn empty_text_is_refused() {
        assert!(
            Document {
                id: 0,
                text: " \n".to_owned()
            }
            .validate()
            .is_err()
        );
        let example = Example {
            id: 0,
            split: Split::Gold,
            group: 0,
            label: 0,
            text: String::new(),
        };
        assert_eq!(example.validate(), Err("the text is empty".to_owned()));
    }

    #[test]
    fn splits_read_back_from_their_names() {
        for split in Split::ALL {
            assert_eq!(split.to_string().parse::<Split>().unwrap(), split);
        }
        assert!(
            "train"
                .parse::<Split>()
                .unwrap_err()
                .contains("gold, transfer and test")
        );
    }
}
