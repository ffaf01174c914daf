//! What an answer is worth: named numbers from an answer and, where it is known, the right one.
//!
//! A [`Scorer`] is written as on the command line, so that a recipe, an error and a manifest spell it alike. It looks at one
//! answer at a time and knows no model; what is compared is first brought into one form by [`Normalization`].

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Serialize, Serializer};
use w2s_answers::Rules;
use w2s_artifact::Response;

/// Sections that begin with a bold header at the start of a line.
const BOLD_SECTIONS: &str = r"(?m)^[ \t]*\*\*[^*\n]+\*\*";
/// Items of a list, with a bullet or a number.
const LIST_ITEMS: &str = r"(?m)^[ \t]*(?:[-*+]|[0-9]+[.)])[ \t]+\S";
/// A number as people write it, with commas between thousands.
static NUMBER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"-?[0-9][0-9,]*(?:\.[0-9]+)?").expect("the pattern is valid"));

/// One way to score an answer, by its spelling:
///
/// | spelling | metrics |
/// |---|---|
/// | `exact` | `exact`: 1 if the answer is the right one, `exact_match` of lm-evaluation-harness |
/// | `words` | `words`: share of words that are right and at their place, of the longer of both answers |
/// | `number` | `number`: 1 if the last number of the answer is the last number of the right one |
/// | `answer`, `answer=RULES` | `answer`: 1 if the final answer of a solution is the right one, `no_answer`: 1 if it comes to none; found and compared by the [`Rules`] corrected, published or gsm8k |
/// | `regex=PATTERN` | `regex`: 1 if what the pattern's first group (or all of it) first finds is the right answer; without a right answer, 1 if it finds anything |
/// | `count=PATTERN` | `count`: how often the pattern is found |
/// | `count=bold-sections`, `count=list-items` | `bold_sections`, `list_items`: headers `**…**` at the start of a line, items of lists |
/// | `length` | `length_characters`, `length_words`, and `length_tokens` where a model made the answer |
/// | `finished` | `finished`: 1 if the answer came to its end |
/// | `log-likelihood` | `log_likelihood`, `log_likelihood_per_token`: nats under the model that made it, its end included |
///
/// A name before `regex` or `count` replaces that of the metric: `refusals:regex=(?i)i cannot`.
#[derive(Clone, Debug)]
pub struct Scorer {
    spelling: String,
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    Exact,
    Words,
    Number,
    Answer(Rules),
    Regex { metric: String, pattern: Regex },
    Count { metric: String, pattern: Regex },
    Length,
    Finished,
    LogLikelihood,
}

/// What one scorer says about one answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Metrics with their values.
    pub values: Vec<(String, f64)>,
    /// Whether the scorer found what it looks for; one that looks for nothing always does.
    pub matched: bool,
}

/// Why an answer cannot be scored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScorerError {
    /// The scorer compares with a right answer and there is none.
    #[error(
        "the scorer `{scorer}` compares with the right answer, which prompt {prompt} does not have\nhint: `regex=PATTERN`, `count=PATTERN` and `length` need none"
    )]
    NoRightAnswer {
        /// The scorer's spelling.
        scorer: String,
        /// The prompt.
        prompt: u64,
    },
    /// The scorer reads log-probabilities and there are none.
    #[error(
        "the scorer `{scorer}` reads log-probabilities, which the answer to prompt {prompt} does not have\nhint: only answers that a model made have them; `w2s-eval likelihood` computes them for others"
    )]
    NoLogProbs {
        /// The scorer's spelling.
        scorer: String,
        /// The prompt.
        prompt: u64,
    },
}

/// What does not count when an answer is compared with the right one; both sides are treated alike. Spaces around an answer
/// never count.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct Normalization {
    /// Remove what the pattern finds before answers are compared; repeat the flag for more
    #[cfg_attr(feature = "cli", arg(long, value_name = "PATTERN"))]
    pub ignore_regex: Vec<Pattern>,
    /// Compare answers without regard to case
    #[cfg_attr(feature = "cli", arg(long))]
    pub ignore_case: bool,
    /// Compare answers without ASCII punctuation
    #[cfg_attr(feature = "cli", arg(long))]
    pub ignore_punctuation: bool,
}

/// A regular expression that serializes as it was written.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl FromStr for Pattern {
    type Err = regex::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl Normalization {
    /// The form in which answers are compared. As in lm-evaluation-harness, patterns are removed before case and
    /// punctuation are.
    pub fn apply(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for Pattern(pattern) in &self.ignore_regex {
            text = pattern.replace_all(&text, "").into_owned();
        }
        if self.ignore_case {
            text = text.to_lowercase();
        }
        if self.ignore_punctuation {
            text.retain(|c| !c.is_ascii_punctuation());
        }
        text.trim().to_owned()
    }
}

impl FromStr for Scorer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rule = match text {
            "exact" => Rule::Exact,
            "words" => Rule::Words,
            "number" => Rule::Number,
            "answer" => Rule::Answer(Rules::default()),
            "length" => Rule::Length,
            "finished" => Rule::Finished,
            "log-likelihood" => Rule::LogLikelihood,
            other => search(other)?,
        };
        Ok(Self {
            spelling: text.to_owned(),
            rule,
        })
    }
}

/// A rule with a pattern: `[NAME:]regex=PATTERN` or `[NAME:]count=PATTERN`.
fn search(text: &str) -> Result<Rule, String> {
    let unknown = || {
        format!(
            "unknown scorer `{text}`; there are exact, words, number, answer, answer=RULES, regex=PATTERN, count=PATTERN, \
             count=bold-sections, count=list-items, length, finished, log-likelihood"
        )
    };
    let (head, pattern) = text.split_once('=').ok_or_else(unknown)?;
    if head == "answer" {
        let rules = pattern.parse::<Rules>().map_err(|error| error.to_string());
        return rules.map(Rule::Answer);
    }
    let (name, rule) = match head.split_once(':') {
        Some((name, rule)) => (Some(name), rule),
        None => (None, head),
    };
    if name == Some("") {
        return Err(format!("the scorer `{text}` has an empty name"));
    }
    let (default, pattern) = match (rule, pattern) {
        ("count", "bold-sections") => ("bold_sections", BOLD_SECTIONS),
        ("count", "list-items") => ("list_items", LIST_ITEMS),
        ("count" | "regex", pattern) => (rule, pattern),
        _ => return Err(unknown()),
    };
    if pattern.is_empty() {
        return Err(format!("the scorer `{text}` has an empty pattern"));
    }
    let metric = name.unwrap_or(default).to_owned();
    let pattern = pattern
        .parse()
        .map_err(|error| format!("the scorer `{text}` has no valid pattern: {error}"))?;
    Ok(match rule {
        "count" => Rule::Count { metric, pattern },
        _ => Rule::Regex { metric, pattern },
    })
}

impl fmt::Display for Scorer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spelling)
    }
}

impl Serialize for Scorer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.spelling)
    }
}

impl Scorer {
    /// The metrics it may give.
    pub fn metrics(&self) -> Vec<&str> {
        match &self.rule {
            Rule::Exact => vec!["exact"],
            Rule::Words => vec!["words"],
            Rule::Number => vec!["number"],
            Rule::Answer(_) => vec!["answer", "no_answer"],
            Rule::Regex { metric, .. } | Rule::Count { metric, .. } => vec![metric],
            Rule::Length => vec!["length_characters", "length_words", "length_tokens"],
            Rule::Finished => vec!["finished"],
            Rule::LogLikelihood => vec!["log_likelihood", "log_likelihood_per_token"],
        }
    }

    /// Scores an answer, against the right one where it is known.
    ///
    /// # Errors
    ///
    /// There is no right answer to compare with, or there are no log-probabilities to sum.
    pub fn score(
        &self,
        answer: &Response,
        right: Option<&str>,
        normalization: &Normalization,
    ) -> Result<Verdict, ScorerError> {
        let text = &answer.text;
        let right = || {
            right.ok_or_else(|| ScorerError::NoRightAnswer {
                scorer: self.spelling.clone(),
                prompt: answer.prompt,
            })
        };
        let one = |metric: &str, value: f64, matched: bool| Verdict {
            values: vec![(metric.to_owned(), value)],
            matched,
        };
        Ok(match &self.rule {
            Rule::Exact => {
                let equal = normalization.apply(text) == normalization.apply(right()?);
                one("exact", f64::from(equal), true)
            }
            Rule::Words => {
                let share = words(&normalization.apply(text), &normalization.apply(right()?));
                one("words", share, true)
            }
            Rule::Number => {
                let found = last_number(text);
                let equal = found.is_some() && found == last_number(right()?);
                one("number", f64::from(equal), found.is_some())
            }
            Rule::Answer(rules) => {
                let found = rules.find(text);
                let equal = found.is_some() && found == rules.gold(right()?);
                let none = !found.is_some();
                Verdict {
                    values: vec![
                        ("answer".to_owned(), f64::from(equal)),
                        ("no_answer".to_owned(), f64::from(none)),
                    ],
                    matched: !none,
                }
            }
            Rule::Regex { metric, pattern } => {
                let found = pattern
                    .captures(text)
                    .and_then(|groups| groups.get(1).or_else(|| groups.get(0)))
                    .map(|group| normalization.apply(group.as_str()));
                let hit = match (&found, right()) {
                    (Some(found), Ok(right)) => *found == normalization.apply(right),
                    (found, _) => found.is_some(),
                };
                one(metric, f64::from(hit), found.is_some())
            }
            Rule::Count { metric, pattern } => {
                let count = pattern.find_iter(text).count();
                one(metric, count as f64, count > 0)
            }
            Rule::Length => {
                let mut values = vec![
                    ("length_characters".to_owned(), text.chars().count() as f64),
                    (
                        "length_words".to_owned(),
                        text.split_whitespace().count() as f64,
                    ),
                ];
                // Only a model's answer has tokens; one that stopped at once has none of them.
                if text.is_empty() || !answer.ids.is_empty() {
                    values.push(("length_tokens".to_owned(), answer.ids.len() as f64));
                }
                Verdict {
                    values,
                    matched: true,
                }
            }
            Rule::Finished => one("finished", f64::from(answer.finished), true),
            Rule::LogLikelihood => {
                let tokens = answer.log_probs.len();
                if tokens == 0 {
                    return Err(ScorerError::NoLogProbs {
                        scorer: self.spelling.clone(),
                        prompt: answer.prompt,
                    });
                }
                let sum: f64 = answer.log_probs.iter().map(|&p| f64::from(p)).sum();
                Verdict {
                    values: vec![
                        ("log_likelihood".to_owned(), sum),
                        ("log_likelihood_per_token".to_owned(), sum / tokens as f64),
                    ],
                    matched: true,
                }
            }
        })
    }
}

/// Share of words that are equal and at the same place, of the longer of both texts: words too many cost as much as words
/// that are missing.
fn words(text: &str, right: &str) -> f64 {
    let (text, right): (Vec<_>, Vec<_>) = (
        text.split_whitespace().collect(),
        right.split_whitespace().collect(),
    );
    let hits = text.iter().zip(&right).filter(|(a, b)| a == b).count();
    hits as f64 / text.len().max(right.len()).max(1) as f64
}

/// The last number of a text.
fn last_number(text: &str) -> Option<f64> {
    let found = NUMBER.find_iter(text).last()?;
    found.as_str().replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Response {
        Response {
            prompt: 7,
            sample: 0,
            text: text.into(),
            ids: Vec::new(),
            log_probs: Vec::new(),
            finished: true,
            model: "checkpoint/00".into(),
        }
    }

    fn verdict(scorer: &str, text: &str, right: Option<&str>) -> Verdict {
        let scorer: Scorer = scorer.parse().unwrap();
        scorer
            .score(&answer(text), right, &Normalization::default())
            .unwrap()
    }

    /// The one value of a scorer with one metric.
    fn value(scorer: &str, text: &str, right: Option<&str>) -> f64 {
        let verdict = verdict(scorer, text, right);
        assert_eq!(verdict.values.len(), 1);
        verdict.values[0].1
    }

    #[test]
    fn exact_compares_after_normalization() {
        assert_eq!(value("exact", " Paris\n", Some("Paris")), 1.0);
        assert_eq!(value("exact", "paris.", Some("Paris")), 0.0);
        let exact: Scorer = "exact".parse().unwrap();
        let score = |normalization: &Normalization, text: &str, right: &str| {
            let verdict = exact.score(&answer(text), Some(right), normalization);
            verdict.unwrap().values[0].1
        };
        let mut normalization = Normalization {
            ignore_case: true,
            ..Normalization::default()
        };
        assert_eq!(score(&normalization, "paris.", "Paris"), 0.0);
        normalization.ignore_punctuation = true;
        assert_eq!(score(&normalization, "paris.", "Paris"), 1.0);
        // The pattern is removed from both sides, while the punctuation it names is still there.
        normalization.ignore_regex = vec![r"(?s).*#### ".parse().unwrap()];
        assert_eq!(score(&normalization, "so\n#### 18", "thus #### 18."), 1.0);
    }

    #[test]
    fn words_are_right_at_their_place() {
        assert_eq!(value("words", "moru tal ni", Some("moru tal ni")), 1.0);
        assert_eq!(
            value("words", "moru ni tal", Some("moru tal ni")),
            1.0 / 3.0
        );
        // Two of three are right, and one too many makes it two of four.
        assert_eq!(value("words", "moru tal x y", Some("moru tal ni")), 0.5);
        assert_eq!(value("words", "", Some("moru tal")), 0.0);
    }

    #[test]
    fn the_last_number_counts() {
        assert_eq!(
            value("number", "3 and 4, so $1,018.", Some("3+..\n#### 1018")),
            1.0
        );
        assert_eq!(value("number", "it is 18.0", Some("18")), 1.0);
        assert_eq!(value("number", "from 18 to -18", Some("18")), 0.0);
        let none = verdict("number", "no idea", Some("18"));
        assert!(!none.matched && none.values[0].1 == 0.0);
    }

    #[test]
    fn the_final_answer_of_a_solution_counts() {
        let values = |scorer: &str, text: &str| {
            let verdict = verdict(scorer, text, Some("9 * 2 = 18\n#### 18"));
            let values: Vec<f64> = verdict.values.iter().map(|(_, value)| *value).collect();
            (values, verdict.matched)
        };
        assert_eq!(
            values("answer", "so it is $18.00\n#### $18.00"),
            (vec![1.0, 0.0], true)
        );
        assert_eq!(
            values("answer", "18 and then\n#### 19"),
            (vec![0.0, 0.0], true)
        );
        assert_eq!(values("answer", "eighteen"), (vec![0.0, 1.0], false));
        assert_eq!(values("answer=gsm8k", "#### 18.00"), (vec![0.0, 0.0], true));
        assert_eq!(
            values("answer=published", "#### 18\nmore"),
            (vec![0.0, 1.0], false)
        );
    }

    #[test]
    fn a_pattern_extracts_or_only_matches() {
        let strict = r"regex=#### (-?[0-9.,]+)";
        assert_eq!(value(strict, "so #### 18 and #### 19", Some("18")), 1.0);
        assert_eq!(value(strict, "so #### 17", Some("18")), 0.0);
        assert!(verdict(strict, "so #### 17", Some("18")).matched);
        assert!(!verdict(strict, "so 18", Some("18")).matched);
        // Without a group the whole match is compared, without a right answer finding it is enough.
        assert_eq!(value("regex=[a-z]+", "= moru =", Some("moru")), 1.0);
        let named = verdict("refusals:regex=(?i)i cannot", "Sorry, I cannot.", None);
        assert_eq!(named.values, [("refusals".to_owned(), 1.0)]);
        assert_eq!(value("regex=(?i)i cannot", "Sure.", None), 0.0);
    }

    #[test]
    fn style_is_counted() {
        let text = "**First**\ntext with **bold** inside\n  **Second:** more\n- one\n* two\n12. three\n-4 is no item";
        let bold = verdict("count=bold-sections", text, None);
        assert_eq!(bold.values, [("bold_sections".to_owned(), 2.0)]);
        assert_eq!(value("count=list-items", text, None), 3.0);
        assert_eq!(value("count=wi|wo", text, None), 2.0);
        let none = verdict("lines:count=;", text, None);
        assert_eq!(none.values, [("lines".to_owned(), 0.0)]);
        assert!(!none.matched);
    }

    #[test]
    fn lengths_are_in_three_units() {
        let mut made = answer("zwölf  words");
        made.ids = vec![4, 5, 6];
        let length: Scorer = "length".parse().unwrap();
        let values = |answer: &Response| {
            let verdict = length.score(answer, None, &Normalization::default());
            let values = verdict.unwrap().values;
            values
                .into_iter()
                .map(|(_, value)| value)
                .collect::<Vec<_>>()
        };
        assert_eq!(values(&made), [12.0, 2.0, 3.0]);
        assert_eq!(values(&answer("zwölf  words")), [12.0, 2.0]);
        assert_eq!(values(&answer("")), [0.0, 0.0, 0.0]);
        assert_eq!(
            length.metrics(),
            ["length_characters", "length_words", "length_tokens"]
        );
    }

    #[test]
    fn a_model_s_own_log_probabilities_are_summed() {
        let mut made = answer("a b");
        made.ids = vec![4, 5];
        made.log_probs = vec![-0.5, -1.0, -0.25];
        let scorer: Scorer = "log-likelihood".parse().unwrap();
        let verdict = scorer
            .score(&made, None, &Normalization::default())
            .unwrap();
        assert_eq!(
            verdict.values,
            [
                ("log_likelihood".to_owned(), -1.75),
                ("log_likelihood_per_token".to_owned(), -1.75 / 3.0)
            ]
        );
        made.finished = false;
        let finished: Scorer = "finished".parse().unwrap();
        let verdict = finished.score(&made, None, &Normalization::default());
        assert_eq!(verdict.unwrap().values, [("finished".to_owned(), 0.0)]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let fails = |scorer: &str| {
            let scorer: Scorer = scorer.parse().unwrap();
            let verdict = scorer.score(&answer("18"), None, &Normalization::default());
            let text = verdict.unwrap_err().to_string();
            text.lines().next().unwrap().to_owned()
        };
        assert_eq!(
            fails("exact"),
            "the scorer `exact` compares with the right answer, which prompt 7 does not have"
        );
        assert_eq!(
            fails("log-likelihood"),
            "the scorer `log-likelihood` reads log-probabilities, which the answer to prompt 7 does not have"
        );
    }

    #[test]
    fn a_wrong_spelling_is_refused() {
        let fails = |text: &str| text.parse::<Scorer>().unwrap_err();
        assert!(fails("exakt").starts_with("unknown scorer `exakt`; there are exact, words"));
        assert!(fails("length=3").starts_with("unknown scorer `length=3`"));
        assert_eq!(
            fails("answer=minerva"),
            "`minerva` are no rules for answers; there are corrected, published and gsm8k"
        );
        assert_eq!(fails("regex="), "the scorer `regex=` has an empty pattern");
        assert_eq!(fails(":count=a"), "the scorer `:count=a` has an empty name");
        assert!(fails("regex=(").starts_with("the scorer `regex=(` has no valid pattern: "));
    }
}
