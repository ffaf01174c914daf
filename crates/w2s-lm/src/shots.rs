//! Few-shot prompts: questions with worked answers in front of them, as "Weak-to-Strong Reasoning" (arXiv 2407.13647) asks an
//! untrained strong model.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Serialize, Serializer};
use w2s_answers::Rules;
use w2s_artifact::{Message, Prompt, Response};

use crate::Template;
use crate::generate::Settings;

/// What ends a question, so that an answer follows.
const ASK: &str = "Answer:";

/// Which answers may stand in front of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShotRule {
    /// Those in which a final answer is found, right or not: the paper's rule.
    Found,
    /// Any.
    Random,
    /// Those whose final answer is right: an oracle, for it reads gold answers.
    Right,
}

impl ShotRule {
    /// All rules.
    pub const ALL: [Self; 3] = [Self::Found, Self::Random, Self::Right];

    /// Whether it reads gold answers.
    pub fn is_oracle(self) -> bool {
        self == Self::Right
    }

    fn takes(self, prompt: &Prompt, response: &Response) -> bool {
        let found = Rules::Corrected.find(&response.text);
        match self {
            Self::Found => found.is_some(),
            Self::Random => true,
            Self::Right => {
                let gold = prompt
                    .answer
                    .as_deref()
                    .map(|gold| Rules::Corrected.gold(gold));
                found.is_some() && gold.is_some_and(|gold| gold == found)
            }
        }
    }
}

impl fmt::Display for ShotRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Found => "found",
            Self::Random => "random",
            Self::Right => "right",
        })
    }
}

impl FromStr for ShotRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut rules = Self::ALL.into_iter();
        rules
            .find(|rule| rule.to_string() == text)
            .ok_or_else(|| format!("`{text}` is none of found, random and right"))
    }
}

impl Serialize for ShotRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Few-shot prompts; flags and key of every operation that lets a model answer.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct ShotArgs {
    /// Answered questions in front of each prompt, as `Question: …` and `Answer: …`; an answer then also ends where the
    /// model goes on with another question
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0, value_name = "N"))]
    pub shots: usize,
    /// Which answers may stand there: found (a final answer is found in them), random, right (an oracle: it reads gold answers)
    #[cfg_attr(feature = "cli", arg(long, default_value_t = ShotRule::Found, value_name = "RULE"))]
    pub shot_rule: ShotRule,
    /// Seed of the choice
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 42, value_name = "N"))]
    pub shot_seed: u64,
}

impl ShotArgs {
    /// Refuses what cannot be asked: the message names the flag.
    pub fn check(&self, demonstrations: bool, template: &Template) -> Result<(), String> {
        match (self.shots, demonstrations) {
            (0, true) => return Err("--demonstrations is given, but --shots is 0".into()),
            (1.., false) => {
                return Err(format!(
                    "--shots is {}, but there are no --demonstrations to take them from",
                    self.shots
                ));
            }
            _ => {}
        }
        if self.shots > 0 && *template != Template::Plain {
            return Err(format!(
                "--shots writes prompts as plain text, but --template is {template}\nhint: give --template plain"
            ));
        }
        Ok(())
    }

    /// `prompts` with what was chosen of `responses`, answers to `asked`, in front of them.
    ///
    /// # Errors
    ///
    /// Those of [`demonstrations`].
    pub fn prompts(
        &self,
        prompts: &[Prompt],
        asked: &[Prompt],
        responses: &[Response],
    ) -> Result<Vec<Prompt>, String> {
        let chosen = demonstrations(asked, responses, self.shots, self.shot_rule, self.shot_seed)?;
        Ok(with_shots(prompts, &chosen))
    }

    /// The settings of a generation, which ends at another question where there are shots.
    pub fn settings(&self, mut settings: Settings) -> Settings {
        if self.shots > 0 {
            settings.stop_strings.push("Question".into());
        }
        settings
    }
}

/// A question with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demonstration {
    /// The question that is answered.
    pub prompt: u64,
    /// Question and answer as they stand in front of another question.
    pub text: String,
}

/// The first `shots` of `responses`, shuffled with `seed`, that `rule` takes, each of another question.
///
/// # Errors
///
/// If a response answers none of `prompts`, or if fewer than `shots` are taken.
pub fn demonstrations(
    prompts: &[Prompt],
    responses: &[Response],
    shots: usize,
    rule: ShotRule,
    seed: u64,
) -> Result<Vec<Demonstration>, String> {
    let asked: BTreeMap<u64, &Prompt> = prompts.iter().map(|p| (p.id, p)).collect();
    let mut order: Vec<&Response> = responses.iter().collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let mut taken: Vec<Demonstration> = Vec::new();
    for response in order {
        let prompt = asked.get(&response.prompt).ok_or_else(|| {
            format!(
                "a demonstration answers prompt {}, which is not among the prompts of the demonstrations\n\
                 hint: give the prompts that they answer to --demonstration-prompts",
                response.prompt
            )
        })?;
        let again = taken.iter().any(|known| known.prompt == prompt.id);
        if taken.len() < shots && !again && rule.takes(prompt, response) {
            taken.push(Demonstration {
                prompt: prompt.id,
                text: format!("{} {}", question(prompt), response.text.trim()),
            });
        }
    }
    if taken.len() < shots {
        return Err(format!(
            "{} of {} demonstrations can be used under the rule `{rule}`, but --shots is {shots}",
            taken.len(),
            responses.len()
        ));
    }
    Ok(taken)
}

/// Prompts with demonstrations in front of them, as plain text; none has its own answer there.
pub fn with_shots(prompts: &[Prompt], demonstrations: &[Demonstration]) -> Vec<Prompt> {
    let with_shots = |prompt: &Prompt| {
        let others = demonstrations.iter().filter(|one| one.prompt != prompt.id);
        let mut content: String = others.map(|one| format!("{}\n\n", one.text)).collect();
        content += &question(prompt);
        Prompt {
            messages: vec![Message {
                role: "user".into(),
                content,
            }],
            ..prompt.clone()
        }
    };
    prompts.iter().map(with_shots).collect()
}

/// `Question: …\nAnswer:`, unless the prompt ends so already.
fn question(prompt: &Prompt) -> String {
    let turns: Vec<&str> = prompt.messages.iter().map(|m| m.content.trim()).collect();
    let text = turns.join("\n");
    match text.ends_with(ASK) {
        true => text,
        false => format!("Question: {text}\n{ASK}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(id: u64, text: &str, answer: &str) -> Prompt {
        Prompt {
            id,
            group: id,
            messages: vec![Message {
                role: "user".into(),
                content: text.into(),
            }],
            answer: Some(answer.into()),
            choices: Vec::new(),
            gold: None,
            tags: BTreeMap::new(),
        }
    }

    fn response(prompt: u64, text: &str) -> Response {
        Response {
            prompt,
            sample: 0,
            text: text.into(),
            ids: Vec::new(),
            log_probs: Vec::new(),
            finished: true,
            model: "weak".into(),
        }
    }

    #[test]
    fn demonstrations_are_the_first_that_the_rule_takes() {
        let prompts = [
            prompt(0, "One and one?", "2"),
            prompt(1, "Question: Two and two?\nAnswer:", "4"),
            prompt(2, "Three and three?", "6"),
        ];
        let responses = [
            response(0, " 1 + 1 = 2.\n#### 2\n"),
            response(0, " Surely.\n#### 2"),
            response(1, " 2 + 2 = 5.\n#### 5"),
            response(2, " I do not know."),
        ];
        let ids = |rule, shots, seed| {
            let found = demonstrations(&prompts, &responses, shots, rule, seed);
            found.map(|found| found.iter().map(|one| one.prompt).collect::<Vec<_>>())
        };
        let mut found = ids(ShotRule::Found, 2, 42).unwrap();
        assert_eq!(ids(ShotRule::Found, 2, 42).unwrap(), found);
        found.sort_unstable();
        assert_eq!(found, [0, 1]);
        assert_eq!(ids(ShotRule::Right, 1, 0).unwrap(), [0]);
        assert_eq!(ids(ShotRule::Random, 3, 0).unwrap().len(), 3);
        assert_eq!(
            ids(ShotRule::Found, 3, 0).unwrap_err(),
            "2 of 4 demonstrations can be used under the rule `found`, but --shots is 3"
        );
        let foreign = demonstrations(&prompts[..1], &responses, 1, ShotRule::Random, 0);
        assert!(
            foreign
                .unwrap_err()
                .starts_with("a demonstration answers prompt ")
        );
    }

    #[test]
    fn no_prompt_shows_its_own_answer() {
        let prompts = [
            prompt(0, "One and one?", "2"),
            prompt(1, "Question: Two and two?\nAnswer:", "4"),
        ];
        let shown = [Demonstration {
            prompt: 0,
            text: "Question: One and one?\nAnswer: #### 2".into(),
        }];
        let [own, other] = &with_shots(&prompts, &shown)[..] else {
            panic!("one for each")
        };
        assert_eq!(own.messages[0].content, "Question: One and one?\nAnswer:");
        assert_eq!(
            other.messages[0].content,
            "Question: One and one?\nAnswer: #### 2\n\nQuestion: Two and two?\nAnswer:"
        );
        assert_eq!(other.answer.as_deref(), Some("4"));
    }

    #[test]
    fn shots_need_demonstrations_and_plain_text() {
        let args = |shots| ShotArgs {
            shots,
            shot_rule: ShotRule::Found,
            shot_seed: 0,
        };
        assert!(args(0).check(false, &Template::Model).is_ok());
        assert!(args(4).check(true, &Template::Plain).is_ok());
        for (shots, given, template, begins) in [
            (0, true, Template::Plain, "--demonstrations is given"),
            (4, false, Template::Plain, "--shots is 4, but there are no"),
            (4, true, Template::Model, "--shots writes prompts as plain"),
        ] {
            let told = args(shots).check(given, &template).unwrap_err();
            assert!(told.starts_with(begins), "{told}");
        }
    }
}
