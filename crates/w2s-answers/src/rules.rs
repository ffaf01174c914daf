//! The sets of rules, and an answer as they see it.

use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::{corrected, published};

/// How the final answer of a solution is found and compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rules {
    /// The last answer that is marked with `####`, `The answer is`, `\boxed{}`, or a line `A:` or `Answer:` counts, wherever
    /// it stands. Numbers are compared exactly: `$29.00` is `29`, `0.5` is `\frac12`, `1,234.` is `1234`. A percent sign is a
    /// unit, so `50%` is `50` and not `0.5`.
    #[default]
    Corrected,
    /// Those of the public code of weak-to-strong reasoning, arXiv 2407.13647: the answer stands behind `#### ` or `The answer
    /// is: ` in the last line, and is compared as a text after the substitutions of Minerva.
    Published,
    /// Those of openai/grade-school-math: what stands behind `#### ` or `A: ` in the last line counts, without commas, as it is
    /// written. `20.5` and `20.50` differ.
    Gsm8k,
}

/// There are no such rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesError(String);

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` are no rules for answers; there are corrected, published and gsm8k",
            self.0
        )
    }
}

impl std::error::Error for RulesError {}

impl Rules {
    /// All of them, the default first.
    pub const ALL: [Self; 3] = [Self::Corrected, Self::Published, Self::Gsm8k];

    /// The final answer of a solution; an empty one where there is none.
    pub fn find(self, solution: &str) -> Answer {
        match self {
            Self::Corrected => match corrected::marked(solution) {
                Some(found) => corrected::answer(&found),
                None => corrected::bare(solution),
            },
            Self::Published => {
                let found = published::PUBLISHED_KEYS
                    .iter()
                    .map(|key| published::published_answer(solution, key))
                    .find(|found| !found.is_empty());
                Answer::plain(published::published_form(&found.unwrap_or_default()))
            }
            Self::Gsm8k => {
                let last = last_line(solution);
                let found = ["#### ", "A: "]
                    .iter()
                    .find_map(|key| last.strip_prefix(key));
                Answer::plain(literal(found.unwrap_or_default()))
            }
        }
    }

    /// The right answer: that of a solution, or the whole text where it is no solution but the answer itself.
    pub fn gold(self, text: &str) -> Answer {
        let found = self.find(text);
        if found.is_some() {
            return found;
        }
        match self {
            Self::Corrected => match corrected::marked(text) {
                Some(_) => found,
                None => corrected::answer(text),
            },
            Self::Published => {
                // Worked solutions of grade-school-math end with `A: N`.
                let right = last_line(text).strip_prefix("A: ").unwrap_or(text);
                Answer::plain(published::published_form(right))
            }
            Self::Gsm8k => Answer::plain(literal(text)),
        }
    }
}

fn last_line(text: &str) -> &str {
    text.trim().rsplit('\n').next().unwrap_or_default()
}

fn literal(answer: &str) -> String {
    answer.trim().replace(',', "")
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Corrected => "corrected",
            Self::Published => "published",
            Self::Gsm8k => "gsm8k",
        })
    }
}

impl FromStr for Rules {
    type Err = RulesError;

    fn from_str(text: &str) -> Result<Self, RulesError> {
        let mut all = Self::ALL.into_iter();
        all.find(|rules| rules.to_string() == text)
            .ok_or_else(|| RulesError(text.to_owned()))
    }
}

/// A final answer. Two are equal if they mean the same under the rules that made them.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    text: String,
    key: String,
}

impl Answer {
    /// An answer that is compared as it is written.
    pub(crate) fn plain(text: String) -> Self {
        let key = text.clone();
        Self { text, key }
    }

    /// An answer that is compared by `key`.
    pub(crate) fn new(text: String, key: String) -> Self {
        Self { text, key }
    }

    /// The answer in its normal form, for people.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether there is an answer at all.
    pub fn is_some(&self) -> bool {
        !self.key.is_empty()
    }
}

impl PartialEq for Answer {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Answer {}

impl Hash for Answer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_others_refused() {
        for rules in Rules::ALL {
            assert_eq!(rules.to_string().parse(), Ok(rules));
        }
        assert_eq!(
            "minerva".parse::<Rules>().unwrap_err().to_string(),
            "`minerva` are no rules for answers; there are corrected, published and gsm8k"
        );
    }

    #[test]
    fn a_right_answer_may_be_a_solution_or_the_answer_itself() {
        for rules in Rules::ALL {
            let right = rules.gold("1 + 1 = <<1+1=2>>2\n#### 2");
            assert_eq!(right.text(), "2", "{rules}");
            assert_eq!(rules.gold("2"), right, "{rules}");
            assert_eq!(rules.gold("one and one\nA: 2"), right, "{rules}");
        }
        let polar = r"\left( 3, \frac{\pi}{2} \right)";
        let solution = format!("Therefore it is $\\boxed{{{polar}}}.$");
        assert_eq!(
            Rules::Corrected.find(&solution),
            Rules::Corrected.gold(polar)
        );
        assert!(!Rules::Corrected.gold("").is_some());
    }

    #[test]
    fn grade_school_math_compares_what_is_written() {
        let found = |text: &str| Rules::Gsm8k.find(text);
        assert_eq!(found("so\nA: 1,250").text(), "1250");
        assert_eq!(found("so\n#### -3").text(), "-3");
        assert_ne!(found("A: 20.5"), found("A: 20.50"));
        assert!(!found("A: 3\nand more").is_some());
        assert_eq!(
            Rules::Corrected.find("A: 20.5"),
            Rules::Corrected.find("A: 20.50")
        );
    }

    #[test]
    fn the_published_rules_know_both_keys() {
        let found = |text: &str| Rules::Published.find(text).text().to_owned();
        assert_eq!(found("so\n#### 1,000"), "1000");
        assert_eq!(found(r"so The answer is: \frac12"), r"\frac{1}{2}");
        // What they lose, the corrected ones find.
        for (text, right) in [
            ("a\n#### 5\nmore text", "5"),
            (r"so it is $\boxed{7}$.", "7"),
            ("so\nA: 26", "26"),
        ] {
            assert_eq!(found(text), "", "{text}");
            assert_eq!(Rules::Corrected.find(text).text(), right, "{text}");
        }
    }
}
