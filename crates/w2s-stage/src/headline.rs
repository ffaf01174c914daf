//! What an artifact is, in a few words, for a step that does not say it itself.

use indicatif::HumanCount;
use serde::de::DeserializeOwned;
use serde_json::Value;
use w2s_artifact::Kind;
use w2s_artifact::summary::{
    CorpusSummary, LabelsSummary, PairsSummary, PredictionsSummary, PreparedSummary,
    PromptsSummary, ReferencesSummary, ResponsesSummary, ScoresSummary, SplitSummary,
    TrainingSummary,
};

/// The words for a summary of what its kind agrees on; `None` for any other.
pub(crate) fn of(kind: Kind, summary: &Value) -> Option<String> {
    let count = |number: usize, what: &str| format!("{} {what}", HumanCount(number as u64));
    let accuracy = |value: f64| format!("accuracy {value:.3}");
    let words = match kind {
        Kind::Corpus => vec![count(
            read::<CorpusSummary>(summary)?.documents,
            "documents",
        )],
        Kind::Examples => vec![count(read::<SplitSummary>(summary)?.rows, "examples")],
        Kind::Labels => {
            let labels: LabelsSummary = read(summary)?;
            vec![count(labels.rows, "labels"), accuracy(labels.accuracy)]
        }
        Kind::Tokens | Kind::Features => {
            vec![count(read::<PreparedSummary>(summary)?.rows, "rows")]
        }
        Kind::Predictions => {
            let predictions: PredictionsSummary = read(summary)?;
            vec![
                count(predictions.rows, "rows"),
                accuracy(predictions.accuracy),
            ]
        }
        Kind::Checkpoint => {
            let training: TrainingSummary = read(summary)?;
            let parameters = training
                .parameters
                .map(|number| count(number, "parameters"));
            let fit = training.fit;
            let rate = HumanCount(fit.tokens_per_second.round() as u64);
            parameters
                .into_iter()
                .chain([
                    format!("loss {:.3}", fit.final_loss),
                    format!("{rate} tokens/s"),
                ])
                .collect()
        }
        Kind::Prompts => vec![count(read::<PromptsSummary>(summary)?.rows, "prompts")],
        Kind::Responses => vec![count(
            read::<ResponsesSummary>(summary)?.responses,
            "responses",
        )],
        Kind::Pairs => vec![count(read::<PairsSummary>(summary)?.rows, "pairs")],
        Kind::References => vec![count(read::<ReferencesSummary>(summary)?.pairs, "pairs")],
        Kind::Scores => vec![count(read::<ScoresSummary>(summary)?.items, "items")],
        // Kinds that agree on no summary.
        _ => return None,
    };
    Some(words.join(", "))
}

fn read<T: DeserializeOwned>(summary: &Value) -> Option<T> {
    T::deserialize(summary).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use w2s_artifact::summary::FitSummary;

    use super::*;

    #[test]
    fn a_summary_is_told_in_a_few_words() {
        let training = TrainingSummary {
            parameters: Some(912_384),
            fit: FitSummary {
                final_loss: 0.41234,
                tokens_per_second: 12_345.6,
                ..FitSummary::default()
            },
            ..TrainingSummary::default()
        };
        assert_eq!(
            of(Kind::Checkpoint, &json!(training)).as_deref(),
            Some("912,384 parameters, loss 0.412, 12,346 tokens/s")
        );
        let labels = json!({"rows": 1600, "classes": ["a", "b"], "mean_confidence": 0.9, "accuracy": 0.8215,
                            "dropped_too_long": 0, "truncated": 0, "tokens": 9, "tokens_per_second": 1.0});
        assert_eq!(
            of(Kind::Labels, &labels).as_deref(),
            Some("1,600 labels, accuracy 0.822")
        );
        // An imported model was not trained.
        assert_eq!(of(Kind::Checkpoint, &json!({"parameters": 3})), None);
        assert_eq!(of(Kind::Report, &Value::Null), None);
    }
}
