//! The subcommands of `w2s-data` that let a generated world speak: what it asks, what it would answer, and which of two answers
//! is the better one.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow, bail};
use serde::Serialize;
use serde_json::{Value, json};
use w2s_artifact::{
    Answer, Kind, Message, Pair, Prompt, Response,
    summary::{PairsSummary, WorldPairsSummary},
};
use w2s_stage::{ArtifactArg, HintExt, Inputs, Operation, Step};

use w2s_worlds::{Half, Objective, Part, QuestionWorld, RequestPair, Requests, Stream, question};

use crate::{
    pairs::Pairing,
    world_params::{WorldName, WorldParams},
};

/// A question has at least seven wrong answers; with the right one they make the longest list of choices.
const MOST_CHOICES: usize = 8;

/// Makes prompts: questions that a generated world asks.
#[derive(Clone, Debug, Serialize, clap::Args)]
pub struct QuestionsOperation {
    /// For whom: questions of one part are never met in another, nor in the corpus
    #[arg(long, value_enum, value_name = "PART")]
    pub part: Part,
    /// How many questions
    #[arg(long, value_parser = w2s_stage::count(1..=10_000_000), default_value_t = 1000, value_name = "N")]
    pub rows: usize,
    /// Which of the part's questions
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Only this half of the part's questions; no question is in both [default: all of them]
    #[arg(long, value_enum, value_name = "HALF")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half: Option<Half>,
    /// Answers to choose from, one of them right; 0 leaves the questions open
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub choices: usize,
    /// Which world asks.
    #[command(flatten)]
    pub world: WorldParams,
}

impl QuestionsOperation {
    fn questions(&self, world: &dyn QuestionWorld) -> impl Iterator<Item = String> {
        let wanted = |question: &String| {
            self.half
                .is_none_or(|half| question::half_of(world, question) == half)
        };
        question::questions(world, self.part, self.seed).filter(wanted)
    }
}

impl Operation for QuestionsOperation {
    const NAME: &'static str = "questions";
    const VERSION: u32 = 3;
    const KIND: Kind = Kind::Prompts;
    const ABOUT: &'static str = "Makes prompts: questions that a generated world asks";

    fn inputs(&self, _inputs: &mut Inputs) {}

    fn check(&self) -> anyhow::Result<()> {
        self.world.check()?;
        let world = self.world.asking()?;
        if self.rows == 0 {
            bail!("--rows 0: nothing would be asked");
        }
        if self.choices == 0 {
            return Ok(());
        }
        if !matches!(
            self.world.world,
            Some(WorldName::Glossary | WorldName::Problems)
        ) {
            bail!(
                "--choices {}: no answer of the world `{}` is the right one",
                self.choices,
                world.name()
            );
        }
        if !(2..=MOST_CHOICES).contains(&self.choices) {
            bail!(
                "--choices {}: between 2 and {MOST_CHOICES} are possible, or 0 for open questions",
                self.choices
            );
        }
        Ok(())
    }

    fn run(&self, step: &Step) -> anyhow::Result<Value> {
        let world = self.world.asking()?;
        let prompts: Vec<Prompt> = (0..)
            .zip(self.questions(&*world).take(self.rows))
            .map(|(id, text)| {
                let answer = world.right_answer(&text);
                let mut stream = Stream::new("choices", self.seed, id);
                let (choices, gold) = match &answer {
                    Some(right) if self.choices > 0 => {
                        let (choices, gold) =
                            choices(&*world, &text, right, self.choices, &mut stream);
                        (choices, Some(gold))
                    }
                    _ => (Vec::new(), None),
                };
                let role = "user".into();
                let tags = world.tags(&text);
                Prompt {
                    id,
                    group: id,
                    messages: vec![Message {
                        role,
                        content: text,
                    }],
                    answer,
                    choices,
                    gold,
                    tags,
                }
            })
            .collect();
        check_found(prompts.len(), self.rows, &*world)?;
        step.write_records(&prompts)?;
        Ok(json!({
            "world": world.name(),
            "part": self.part,
            "half": self.half,
            "rows": prompts.len(),
            "choices": self.choices,
        }))
    }
}

/// Refuses more rows than a part of the world has questions.
fn check_found(found: usize, rows: usize, world: &dyn QuestionWorld) -> anyhow::Result<()> {
    if found == rows {
        return Ok(());
    }
    let name = world.name();
    Err(anyhow!(
        "--rows {rows}: this part of the world `{name}` has {found} questions"
    ))
    .hint("lower `--rows`, or make the world larger")
}

/// The right answer among wrong ones, and its place.
fn choices(
    world: &dyn QuestionWorld,
    question: &str,
    right: &str,
    number: usize,
    stream: &mut Stream,
) -> (Vec<String>, u32) {
    let mut choices: Vec<String> = Vec::with_capacity(number);
    while choices.len() + 1 < number {
        choices.extend(
            world
                .wrong_answer(question, stream)
                .filter(|wrong| !choices.contains(wrong)),
        );
    }
    let gold = stream.below(number);
    choices.insert(gold, right.to_string());
    (choices, gold as u32)
}

/// Makes responses: answers that a generated world would give.
#[derive(Clone, Debug, Serialize, clap::Args)]
pub struct AnswersOperation {
    /// The questions, made by `w2s-data questions` with the same world
    #[arg(long, value_name = "PROMPTS")]
    #[serde(skip)]
    pub prompts: ArtifactArg,
    /// Answers to each question
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000), default_value_t = 1, value_name = "N")]
    pub samples: u32,
    /// Another seed gives other answers
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// World `sections`: so many sections in each answer, instead of a number drawn for each as in documents
    #[arg(long, value_parser = w2s_stage::count(1..=1_000), value_name = "N")]
    pub sections: Option<usize>,
    /// Which world answers.
    #[command(flatten)]
    pub world: WorldParams,
}

impl AnswersOperation {
    fn answering(&self) -> anyhow::Result<Box<dyn QuestionWorld>> {
        match self.sections {
            Some(sections) => Ok(Box::new(self.world.sections()?.exactly(sections))),
            None => self.world.asking(),
        }
    }
}

impl Operation for AnswersOperation {
    const NAME: &'static str = "answers";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Responses;
    const ABOUT: &'static str = "Makes responses: answers that a generated world would give";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("prompts", &self.prompts).of(Kind::Prompts);
    }

    fn check(&self) -> anyhow::Result<()> {
        self.world.check()?;
        let world = self.world.asking()?;
        match self.sections {
            Some(sections) if self.world.world != Some(WorldName::Sections) => bail!(
                "--sections {sections}: the world `{}` writes no sections",
                world.name()
            ),
            _ => Ok(()),
        }
    }

    fn run(&self, step: &Step) -> anyhow::Result<Value> {
        let world = self.answering()?;
        let prompts: Vec<Prompt> = step.artifact("prompts")?.records()?;
        let model = format!("world/{}", world.name());
        let mut responses = Vec::with_capacity(prompts.len() * self.samples as usize);
        let mut right = 0;
        for prompt in &prompts {
            let mut stream = Stream::new("answers", self.seed, prompt.id);
            for sample in 0..self.samples {
                let answer = match &prompt.messages[..] {
                    [message] => world.answer(&message.content, &mut stream),
                    _ => None,
                };
                let answer = answer
                    .with_context(|| {
                        format!(
                            "prompt {} is no question of this world `{}`",
                            prompt.id,
                            world.name()
                        )
                    })
                    .hint(
                        "give the world the seed and the knobs that the prompts were made with",
                    )?;
                right += usize::from(prompt.answer.as_deref() == Some(world.final_answer(&answer)));
                responses.push(Response {
                    prompt: prompt.id,
                    sample,
                    text: world.gap().to_string() + &answer,
                    ids: Vec::new(),
                    log_probs: Vec::new(),
                    finished: true,
                    model: model.clone(),
                });
            }
        }
        step.write_records(&responses)?;
        let known = prompts.iter().any(|prompt| prompt.answer.is_some());
        let share = right as f64 / responses.len().max(1) as f64;
        Ok(json!({
            "model": model,
            "prompts": prompts.len(),
            "samples": self.samples,
            "finished": 1.0,
            "right": known.then_some(share),
        }))
    }
}

/// Makes pairs: two answers that a generated world would give, in the order of one of its objectives.
#[derive(Clone, Debug, Serialize, clap::Args)]
pub struct Preferences {
    /// What the chosen answer is better at; the answers are the same for every objective
    #[arg(long, value_enum, value_name = "NAME")]
    pub objective: Objective,
    /// For whom: requests of one part are never met in another, nor in the corpus
    #[arg(long, value_enum, value_name = "PART")]
    pub part: Part,
    /// How many pairs, each of another request
    #[arg(long, value_parser = w2s_stage::count(1..=10_000_000), default_value_t = 1000, value_name = "N")]
    pub rows: usize,
    /// Which of the part's requests, and which answers
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Which world answers.
    #[command(flatten)]
    pub world: WorldParams,
}

impl Preferences {
    fn pair(&self, id: u64, drawn: RequestPair, world: &Requests) -> anyhow::Result<Pair> {
        let better = world.better(self.objective, &drawn, usize::MAX);
        let better = better.context("two answers of the world are equally good")?;
        let answer = |sample: u32, text: &str| Answer {
            text: world.gap().to_owned() + text,
            source: format!("world/{}", world.name()),
            sample,
            score: None,
            tokens: None,
            finished: true,
        };
        let [first, second] = drawn.answers.each_ref();
        let (first, second) = (answer(0, first), answer(1, second));
        let (chosen, rejected) = match better {
            0 => (first, second),
            _ => (second, first),
        };
        Ok(Pair {
            id,
            prompt: id,
            group: id,
            messages: vec![Message {
                role: "user".into(),
                content: drawn.request,
            }],
            chosen,
            rejected,
            rule: "world".into(),
            confidence: None,
            gold: None,
        })
    }

    fn known(&self, drawn: &[RequestPair], world: &Requests) -> anyhow::Result<WorldPairsSummary> {
        let (objective, other) = (self.objective, self.objective.other());
        // Guesses are right half of the time.
        let reader = |read: Objective, words: usize| {
            let right = drawn.iter().map(|pair| {
                let truth = world.better(objective, pair, usize::MAX);
                let answer = world.better(read, pair, words);
                answer.map_or(0.5, |answer| f64::from(u8::from(truth == Some(answer))))
            });
            right.sum::<f64>() / drawn.len() as f64
        };
        let words = world.knobs().field_words;
        let agreement = reader(other, usize::MAX);
        let readers = [
            ("complete", reader(objective, usize::MAX)),
            ("frequent half of the words", reader(objective, words / 2)),
            ("frequent tenth of the words", reader(objective, words / 10)),
            ("the other objective", agreement),
        ];
        let rounded = |share: f64| (share * 1e4).round() / 1e4;
        let readers = readers.map(|(name, share)| (name.to_owned(), rounded(share)));
        Ok(WorldPairsSummary {
            name: world.name().to_owned(),
            part: serde_json::from_value(json!(self.part))?,
            objective: objective.name().to_owned(),
            other: other.name().to_owned(),
            conflict: rounded(1.0 - agreement),
            readers: BTreeMap::from(readers),
        })
    }
}

impl Operation for Preferences {
    const NAME: &'static str = "preferences";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Pairs;
    const ABOUT: &'static str =
        "Makes pairs: two answers of a generated world, in the order of one of its objectives";

    fn inputs(&self, _inputs: &mut Inputs) {}

    fn check(&self) -> anyhow::Result<()> {
        self.world.check()?;
        self.world.preferring()?;
        if self.rows == 0 {
            bail!("--rows 0: nothing would be asked");
        }
        Ok(())
    }

    fn run(&self, step: &Step) -> anyhow::Result<Value> {
        let world = self.world.preferring()?;
        let drawn = world.pairs(self.part, self.seed).take(self.rows);
        let drawn: Vec<RequestPair> = drawn.collect();
        check_found(drawn.len(), self.rows, &world)?;
        let known = self.known(&drawn, &world)?;
        let pairs = (0..).zip(drawn);
        let pairs = pairs.map(|(id, drawn)| self.pair(id, drawn, &world));
        let pairing = Pairing::new(pairs.collect::<anyhow::Result<_>>()?);
        step.write_records(&pairing.pairs)?;
        Ok(json!(PairsSummary {
            world: Some(known),
            ..pairing.summary(pairing.length_unit())
        }))
    }
}
