//! From scores of single items to what a manifest says about them: means, standard errors, and who was scored on what.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use w2s_artifact::Score;

use w2s_stats::metrics;

/// What a scored model is in its experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The model that the students start from, which they are compared with.
    Base,
    /// A trained model.
    Student,
    /// A model whose answers are learnt from.
    Teacher,
    /// A model trained on gold.
    Ceiling,
}

impl std::str::FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "base" => Self::Base,
            "student" => Self::Student,
            "teacher" => Self::Teacher,
            "ceiling" => Self::Ceiling,
            other => {
                return Err(format!(
                    "role `{other}` is none of base, student, teacher, ceiling"
                ));
            }
        })
    }
}

/// A name with a value, written `NAME=VALUE`, by which a report can order arms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// What it is about, such as `chosen`.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl std::str::FromStr for Tag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err(format!("tag `{text}` is not written NAME=VALUE")),
        }
    }
}

impl Serialize for Tag {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}={}", self.name, self.value))
    }
}

/// Where scores belong in a report; flags and key of every operation that scores.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct ArmArgs {
    /// Name of the arm in the report
    #[cfg_attr(feature = "cli", arg(long, value_name = "NAME"))]
    pub arm: String,
    /// Part that the arm plays: base, student, teacher, ceiling
    #[cfg_attr(feature = "cli", arg(long, value_name = "NAME"))]
    pub role: Part,
    /// What else tells the arm from others, for the report; repeat the flag for more
    #[cfg_attr(feature = "cli", arg(long, value_name = "NAME=VALUE"))]
    pub tag: Vec<Tag>,
}

impl ArmArgs {
    /// Refuses a name without letters and a tag that is given twice.
    pub fn check(&self) -> Result<(), String> {
        if self.arm.trim().is_empty() {
            return Err("--arm is empty; it names the arm in the report".to_owned());
        }
        let mut tags = BTreeMap::new();
        for Tag { name, value } in &self.tag {
            if let Some(other) = tags.insert(name, value) {
                return Err(format!("tag `{name}` is both `{other}` and `{value}`"));
            }
        }
        Ok(())
    }
}

/// A mean over items.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// The arithmetic mean.
    pub mean: f64,
    /// Its standard error, with n - 1; unknown for one item.
    pub stderr: Option<f64>,
}

/// The mean of each metric. Samples of one item are not independent of each other: they are averaged first, and it is items
/// that count.
pub fn means(scores: &[Score]) -> BTreeMap<String, Mean> {
    let mut items: BTreeMap<&str, BTreeMap<u64, Vec<f64>>> = BTreeMap::new();
    for score in scores {
        for (metric, &value) in &score.values {
            let samples = items.entry(metric).or_default().entry(score.id);
            samples.or_default().push(value);
        }
    }
    let mean = |items: BTreeMap<u64, Vec<f64>>| {
        let values: Vec<f64> = items.values().filter_map(|v| metrics::mean(v)).collect();
        Some(Mean {
            mean: metrics::mean(&values)?,
            stderr: metrics::stderr(&values),
        })
    };
    items
        .into_iter()
        .filter_map(|(metric, items)| Some((metric.to_owned(), mean(items)?)))
        .collect()
}

/// What identifies a task: the blake3 of its rows as JSON, one a line, what is asked and what is right alike. Two sets of
/// scores may be compared where it is the same.
pub fn task_hash<T: Serialize>(rows: impl IntoIterator<Item = T>) -> String {
    let mut hasher = blake3::Hasher::new();
    for row in rows {
        hasher.update(json!(row).to_string().as_bytes());
        hasher.update(b"\n");
    }
    hasher.finalize().to_hex().to_string()
}

/// What the manifest of scores says: whose they are, the mean and standard error of each metric, how many of how many
/// `items` were scored and why others were not, and the hashes of the task and of the chat template (`None` for answers
/// that were not rendered here).
pub fn summary(
    arm: &ArmArgs,
    seed: u64,
    scores: &[Score],
    items: usize,
    dropped: &BTreeMap<&'static str, usize>,
    task_hash: &str,
    template_hash: Option<&str>,
) -> serde_json::Map<String, Value> {
    let means = means(scores);
    let each = |value: fn(&Mean) -> Value| -> serde_json::Map<String, Value> {
        let values = means.iter().map(|(name, mean)| (name.clone(), value(mean)));
        values.collect()
    };
    let tags: serde_json::Map<String, Value> = arm
        .tag
        .iter()
        .map(|tag| (tag.name.clone(), json!(tag.value)))
        .collect();
    let ids: BTreeSet<u64> = scores.iter().map(|score| score.id).collect();
    let fields = [
        ("arm", json!(arm.arm)),
        ("role", json!(arm.role)),
        ("seed", json!(seed)),
        ("tags", json!(tags)),
        ("metrics", json!(each(|m| json!(m.mean)))),
        ("stderr", json!(each(|m| json!(m.stderr)))),
        ("n", json!(ids.len())),
        ("items", json!(items)),
        ("dropped", json!(dropped)),
        ("task_hash", json!(task_hash)),
        ("template_hash", json!(template_hash)),
    ];
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(id: u64, sample: u32, values: &[(&str, f64)]) -> Score {
        let values = values.iter().map(|&(name, value)| (name.to_owned(), value));
        Score {
            id,
            sample,
            values: values.collect(),
        }
    }

    #[test]
    fn items_count_and_their_samples_are_averaged() {
        // Item 1 is half right, item 2 is right, item 3 has one metric more.
        let scores = [
            score(1, 0, &[("exact", 0.0)]),
            score(1, 1, &[("exact", 1.0)]),
            score(2, 0, &[("exact", 1.0)]),
            score(3, 0, &[("exact", 0.0), ("judge", 0.25)]),
        ];
        let means = means(&scores);
        assert_eq!(means["exact"].mean, 0.5);
        // The deviations are 0, 1/2 and 1/2: sqrt((1/2) / 2) / sqrt(3).
        assert!((means["exact"].stderr.unwrap() - 0.5 / 3f64.sqrt()).abs() < 1e-12);
        assert_eq!((means["judge"].mean, means["judge"].stderr), (0.25, None));
    }

    #[test]
    fn a_task_is_told_by_every_row() {
        let hash = task_hash(["a", "b"]);
        assert_eq!(hash.len(), 64);
        assert_eq!(hash, task_hash(["a", "b"]));
        assert_ne!(hash, task_hash(["b", "a"]));
        assert_ne!(hash, task_hash(["a"]));
    }

    #[test]
    fn a_summary_says_whose_scores_they_are() {
        let arm = ArmArgs {
            arm: "delta".into(),
            role: "student".parse().unwrap(),
            tag: vec!["chosen=mini".parse().unwrap(), "steps=40".parse().unwrap()],
        };
        arm.check().unwrap();
        let scores = [
            score(4, 0, &[("exact", 1.0)]),
            score(4, 1, &[("exact", 1.0)]),
        ];
        let dropped = BTreeMap::from([("no_room", 2)]);
        let summary = Value::Object(summary(&arm, 2, &scores, 3, &dropped, "ab", None));
        assert_eq!(
            summary,
            json!({
                "arm": "delta", "role": "student", "seed": 2, "tags": {"chosen": "mini", "steps": "40"},
                "metrics": {"exact": 1.0}, "stderr": {"exact": null}, "n": 1, "items": 3,
                "dropped": {"no_room": 2}, "task_hash": "ab", "template_hash": null,
            })
        );
        assert_eq!(json!(arm)["tag"], json!(["chosen=mini", "steps=40"]));
    }

    #[test]
    fn names_are_checked() {
        assert_eq!(
            "weak".parse::<Part>().unwrap_err(),
            "role `weak` is none of base, student, teacher, ceiling"
        );
        assert_eq!(
            "=3".parse::<Tag>().unwrap_err(),
            "tag `=3` is not written NAME=VALUE"
        );
        let twice = ArmArgs {
            arm: "delta".into(),
            role: Part::Student,
            tag: vec!["steps=1".parse().unwrap(), "steps=2".parse().unwrap()],
        };
        assert_eq!(
            twice.check().unwrap_err(),
            "tag `steps` is both `1` and `2`"
        );
    }
}
