//! From scores of single items to what a manifest says about them: means, standard errors, and who was scored on what.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::json;
use w2s_artifact::summary::{Dropped, ScoresSummary};
use w2s_artifact::{Manifest, Message, Role, Score, prompt_fingerprint};

use w2s_stats::metrics;

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
    /// Part that the arm plays
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "NAME", value_parser = w2s_stage::choices(Role::ALL))
    )]
    pub role: Role,
    /// What else tells the arm from others, for the report: `steps=N`, `chosen=NAME` and `rejected=NAME` have a meaning there,
    /// and `test=NAME` where arms have several tests; repeat the flag for more
    #[cfg_attr(feature = "cli", arg(long, value_name = "NAME=VALUE"))]
    pub tag: Vec<Tag>,
}

impl ArmArgs {
    /// What else tells the arm from others, by name.
    pub fn tags(&self) -> BTreeMap<String, String> {
        let tags = self.tag.iter();
        tags.map(|tag| (tag.name.clone(), tag.value.clone()))
            .collect()
    }

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

/// What the manifest of scores says: whose they are, the mean and standard error of each metric, and how many of how many
/// `items` were scored. Why others were not, and what else an operation knows, it adds itself.
pub fn summary(
    arm: &ArmArgs,
    seed: u64,
    scores: &[Score],
    items: usize,
    task_hash: String,
) -> ScoresSummary {
    let means = means(scores);
    let ids: BTreeSet<u64> = scores.iter().map(|score| score.id).collect();
    ScoresSummary {
        arm: arm.arm.clone(),
        role: arm.role,
        seed,
        tags: arm.tags(),
        metrics: means
            .iter()
            .map(|(name, mean)| (name.clone(), mean.mean))
            .collect(),
        stderr: means
            .iter()
            .map(|(name, mean)| (name.clone(), mean.stderr))
            .collect(),
        n: ids.len(),
        items,
        dropped: Dropped::new(),
        task_hash,
        template_hash: None,
        answers: None,
        unmatched: BTreeMap::new(),
        delimiter: None,
        totals: BTreeMap::new(),
        truncated: 0,
    }
}

/// The seed by which arms are paired: the one given, or that of the model's own training; 0 for a model that was trained
/// elsewhere.
pub fn model_seed(given: Option<u64>, model: &Manifest) -> u64 {
    given
        .or_else(|| model.parameters["seed"].as_u64())
        .unwrap_or_default()
}

/// Fingerprint of an item: what is asked, and `more` that tells it from others with the same question, such as its right answer.
pub fn content<'a>(
    messages: &[Message],
    more: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> u64 {
    let more = more.into_iter().map(|(role, content)| Message {
        role: role.to_owned(),
        content: content.to_owned(),
    });
    let all: Vec<Message> = messages.iter().cloned().chain(more).collect();
    prompt_fingerprint(&all)
}

/// Fingerprint of a prompt with what is known of its answer.
pub fn prompt_content(prompt: &w2s_artifact::Prompt) -> u64 {
    let answer = prompt.answer.iter().map(|answer| ("answer", &answer[..]));
    let choices = prompt.choices.iter().enumerate().map(|(at, choice)| {
        let right = prompt.gold == Some(at as u32);
        (if right { "right choice" } else { "choice" }, &choice[..])
    });
    content(&prompt.messages, answer.chain(choices))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(id: u64, sample: u32, values: &[(&str, f64)]) -> Score {
        let values = values.iter().map(|&(name, value)| (name.to_owned(), value));
        Score {
            id,
            sample,
            group: id,
            content: id,
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
        let summary = summary(&arm, 2, &scores, 3, "ab".into());
        assert_eq!(
            (&summary.arm[..], summary.role, summary.seed),
            ("delta", Role::Student, 2)
        );
        assert_eq!(summary.tags["chosen"], "mini");
        assert_eq!((summary.n, summary.items), (1, 3));
        assert_eq!(
            (summary.metrics["exact"], summary.stderr["exact"]),
            (1.0, None)
        );
        assert_eq!(json!(arm)["tag"], json!(["chosen=mini", "steps=40"]));
    }

    #[test]
    fn names_are_checked() {
        assert_eq!(
            "=3".parse::<Tag>().unwrap_err(),
            "tag `=3` is not written NAME=VALUE"
        );
        let twice = ArmArgs {
            arm: "delta".into(),
            role: Role::Student,
            tag: vec!["steps=1".parse().unwrap(), "steps=2".parse().unwrap()],
        };
        assert_eq!(
            twice.check().unwrap_err(),
            "tag `steps` is both `1` and `2`"
        );
    }

    #[test]
    fn an_item_is_what_it_asks_and_what_is_right() {
        let prompt = |text: &str, answer: Option<&str>| w2s_artifact::Prompt {
            id: 7,
            group: 7,
            messages: vec![Message {
                role: "user".into(),
                content: text.into(),
            }],
            answer: answer.map(str::to_owned),
            choices: vec![],
            gold: None,
            tags: BTreeMap::new(),
        };
        let asked = prompt_content(&prompt("why ?", Some("so")));
        assert_eq!(asked, prompt_content(&prompt(" why  ?", Some("so"))));
        assert_ne!(asked, prompt_content(&prompt("why ?", None)));
        assert_ne!(asked, prompt_content(&prompt("how ?", Some("so"))));
    }
}
