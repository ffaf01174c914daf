//! The subcommands of `w2s-data` for preference tuning: what models are asked, and which of two answers is better.

use std::{collections::HashSet, path::PathBuf};

use anyhow::{anyhow, bail};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};
use w2s_artifact::{Artifact, Input, Kind, Manifest, Prompt, summary::PromptsSummary};
use w2s_stage::{ArtifactArg, HintExt, Inputs, Operation, Step};
use w2s_worlds::Stream;

use crate::{
    conversation::{RowFormat, text},
    operations::{check_paths, hinted},
    pairs::{Answers, Given, PairFilters, PairRule, Pairing, ScoreColumn},
    prompts::{Half, PromptsRead, prompts, take_out},
    solutions::value,
    source,
};

/// Makes prompts of the rows of files.
#[derive(Clone, Debug, Serialize, clap::Args)]
pub struct Prompts {
    /// File or folder with rows that ask something; more than one by repeating the flag
    #[arg(long, required = true, value_name = "PATH")]
    #[serde(skip)]
    pub source: Vec<PathBuf>,
    /// How rows are read.
    #[command(flatten)]
    #[serde(flatten)]
    pub format: RowFormat,
    /// Column with the right answer, or with a solution that ends in it; `a.b` is the column `b` of the object in the column `a`
    /// [default: answer]
    #[arg(long, value_name = "COLUMN")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_column: Option<String>,
    /// Keep one half of the prompts; questions that are repeated and groups are in one half only
    #[arg(long, value_enum, value_name = "HALF")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<Half>,
    /// Leave out what these prompts ask; more than one by repeating the flag
    #[arg(long, value_name = "PROMPTS")]
    #[serde(skip)]
    pub apart_from: Vec<ArtifactArg>,
    /// Keep so many prompts, the first ones
    #[arg(long, value_name = "N")]
    pub rows: Option<usize>,
    /// Put the prompts into a random order first
    #[arg(long)]
    pub shuffle: bool,
    /// Decides the random order
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
}

impl Operation for Prompts {
    const NAME: &'static str = "prompts";
    const VERSION: u32 = 2;
    const KIND: Kind = Kind::Prompts;
    const ABOUT: &'static str =
        "Makes prompts of the rows of files: questions, instructions, conversations";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.file("source", &self.source);
        inputs
            .artifact("apart-from", &self.apart_from)
            .of(Kind::Prompts);
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.rows == Some(0) {
            bail!("--rows 0: nothing would be kept");
        }
        check_paths("source", &self.source)
    }

    fn run(&self, step: &Step) -> anyhow::Result<Value> {
        let rows = hinted(source::read_objects(&self.source))?;
        step.stop_if_interrupted()?;
        let mut read = hinted(prompts(&rows, &self.format))?;
        if read.prompts.is_empty() {
            bail!("none of the {} rows asks anything", rows.len());
        }
        if let Some(column) = &self.answer_column {
            for prompt in &mut read.prompts {
                let row = &rows[prompt.id as usize];
                let answer = hinted(value(row, column).and_then(|v| text(row, column, v)))?;
                prompt.answer = Some(answer).filter(|answer| !answer.trim().is_empty());
            }
        }
        if self.shuffle {
            Stream::new("prompts", self.seed, 0).shuffle(&mut read.prompts);
        }
        if let Some(half) = self.part {
            let all = read.prompts.len();
            read.prompts = half.of(read.prompts);
            let others = all - read.prompts.len();
            read.dropped.insert("other_half".to_owned(), others);
        }
        for other in step.artifacts("apart-from")? {
            let out = take_out(&mut read.prompts, &other.records::<Prompt>()?);
            *read
                .dropped
                .entry("in_other_prompts".to_owned())
                .or_default() += out;
        }
        if read.prompts.is_empty() {
            bail!("no prompt is left: all are in the other half, or asked by --apart-from");
        }
        let limit = self.rows.unwrap_or(usize::MAX);
        let PromptsRead {
            mut prompts,
            mut dropped,
            transcripts,
        } = read;
        if prompts.len() > limit {
            dropped.insert("beyond_limit".to_owned(), prompts.len() - limit);
            prompts.truncate(limit);
        }
        step.write_records(&prompts)?;
        let count = |holds: fn(&Prompt) -> bool| prompts.iter().filter(|p| holds(p)).count();
        let groups: HashSet<u64> = prompts.iter().map(|prompt| prompt.group).collect();
        Ok(json!(PromptsSummary {
            rows: prompts.len(),
            groups: groups.len(),
            with_answer: count(|prompt| prompt.answer.is_some()),
            with_choices: count(|prompt| !prompt.choices.is_empty()),
            read: Some(rows.len()),
            dropped,
            transcripts,
            ..PromptsSummary::default()
        }))
    }
}

/// Makes preference pairs of answers, or of the rows of files.
#[derive(Clone, Debug, Serialize, clap::Args)]
pub struct Pairs {
    /// What makes one answer the better one
    #[arg(long, value_enum, value_name = "RULE")]
    pub rule: PairRule,
    /// Prompts that the answers belong to
    #[arg(long, value_name = "PROMPTS")]
    #[serde(skip)]
    pub prompts: Option<ArtifactArg>,
    /// Answers: the better ones for order, the only ones or those of one model for score and tied
    #[arg(long, requires = "prompts", value_name = "RESPONSES")]
    #[serde(skip)]
    pub chosen: Option<ArtifactArg>,
    /// The other answers
    #[arg(long, requires = "chosen", value_name = "RESPONSES")]
    #[serde(skip)]
    pub rejected: Option<ArtifactArg>,
    /// Scores of the answers of --chosen
    #[arg(long, requires = "chosen", value_name = "SCORES")]
    #[serde(skip)]
    pub chosen_scores: Option<ArtifactArg>,
    /// Scores of the answers of --rejected
    #[arg(long, requires_all = ["rejected", "chosen_scores"], value_name = "SCORES")]
    #[serde(skip)]
    pub rejected_scores: Option<ArtifactArg>,
    /// Which of the scores counts [default: the only one there is]
    #[arg(long, requires = "chosen_scores", value_name = "NAME")]
    pub score: Option<String>,
    /// File or folder with pairs, instead of answers; more than one by repeating the flag
    #[arg(
        long,
        value_name = "PATH",
        conflicts_with_all = ["prompts", "chosen", "rejected", "chosen_scores", "rejected_scores", "score"]
    )]
    #[serde(skip)]
    pub source: Vec<PathBuf>,
    /// How rows of files are read.
    #[command(flatten)]
    #[serde(flatten)]
    pub format: RowFormat,
    /// Which pairs are left out.
    #[command(flatten)]
    #[serde(flatten)]
    pub filters: PairFilters,
    /// Turn every pair round, a control: the worse answer is to be preferred. The filters see the pairs before
    #[arg(long)]
    pub reversed: bool,
    /// Keep so many of the pairs that pass, the first ones
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Put the pairs into a random order before --limit
    #[arg(long)]
    pub shuffle: bool,
    /// Decides the coins of the rule shuffled and the random order
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
}

impl Pairs {
    /// Answers with their scores, by the flags they are given with.
    fn answers(&self, step: &Step, prompts: &[Prompt], side: &str) -> anyhow::Result<Answers> {
        let responses = step.artifact(side)?;
        let name = name(side, &responses);
        let scores = match step.optional_artifact(&format!("{side}-scores"))? {
            Some(scores) => Some(hinted(ScoreColumn::new(
                &self::name(&format!("{side}-scores"), &scores),
                &scores.records()?,
                self.score.as_deref(),
            ))?),
            None => None,
        };
        let answers = hinted(Answers::new(&name, responses.records()?, scores.as_ref()))?;
        let asked = self::name("prompts", &step.artifact("prompts")?);
        hinted(answers.check_prompts(&name, prompts, &asked))?;
        Ok(answers)
    }

    fn pairing(&self, step: &Step, prompts: &[Prompt]) -> anyhow::Result<Pairing> {
        if !self.source.is_empty() {
            let rows = hinted(source::read_objects(&self.source))?;
            return hinted(Pairing::from_rows(&rows, &self.format));
        }
        if self.rule == PairRule::Tied && self.rejected.is_some() && self.chosen_scores.is_none() {
            check_one_maker(&step.artifact("chosen")?, &step.artifact("rejected")?)?;
        }
        let chosen = self.answers(step, prompts, "chosen")?;
        let rejected = match self.rejected {
            Some(_) => Some(self.answers(step, prompts, "rejected")?),
            None => None,
        };
        let other_score = rejected.as_ref().and_then(|answers| answers.score.as_ref());
        if let (Some(one), Some(other)) = (&chosen.score, other_score)
            && one != other
        {
            let refused: anyhow::Result<Pairing> = Err(anyhow!(
                "--chosen-scores has the score `{one}` and --rejected-scores `{other}`, which cannot be compared"
            ));
            return refused.hint("score the answers of both with the same scorer");
        }
        Ok(self.rule.pairs(prompts, &chosen, rejected.as_ref()))
    }

    fn given(&self) -> Given {
        Given {
            chosen: self.chosen.is_some(),
            rejected: self.rejected.is_some(),
            chosen_scores: self.chosen_scores.is_some(),
            rejected_scores: self.rejected_scores.is_some(),
            source: !self.source.is_empty(),
        }
    }

    /// The name of the rule as it is typed.
    fn rule_name(&self) -> String {
        let value = self.rule.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// `--chosen responses/5cd0a1f3`: what messages call an input.
fn name(flag: &str, artifact: &Artifact) -> String {
    format!("--{flag} {}", artifact.reference.short())
}

/// Refuses answers that were made differently: without scores nothing says that neither of two such answers is better, and
/// the pairs would be those of the rule order.
fn check_one_maker(chosen: &Artifact, rejected: &Artifact) -> anyhow::Result<()> {
    let theirs = maker(&rejected.manifest);
    let differing = maker(&chosen.manifest).into_iter().find_map(|(what, one)| {
        let (_, other) = theirs.iter().find(|(name, _)| *name == what)?;
        (one != *other).then(|| {
            let (chosen, rejected) = (name("chosen", chosen), name("rejected", rejected));
            anyhow!(
                "--rule tied without scores needs answers that were made alike but for their seed, and `{what}` is \
                 {one} for {chosen} and {other} for {rejected}"
            )
        })
    });
    differing.map_or(Ok(()), Err).hint(
        "pair answers of equal score with `--chosen-scores` and `--rejected-scores`, or toss a coin with `--rule shuffled`",
    )
}

/// What made an artifact, name by name: the operation, what it read, and its parameters without the seed. What only one of
/// two artifacts has comes with a name before it that both have, the operation or the world.
fn maker(manifest: &Manifest) -> Vec<(&str, String)> {
    let (stage, operation) = (&manifest.stage, &manifest.operation);
    let version = manifest.operation_version;
    let mut made = vec![("operation", format!("{stage} {operation} {version}"))];
    made.extend(manifest.inputs.iter().map(|input| match input {
        Input::Artifact { name, artifact } => (&name[..], artifact.to_string()),
        Input::File { name, blake3, .. } => (&name[..], blake3.clone()),
    }));
    let mut parameters: Vec<_> = manifest.parameters.as_object().into_iter().collect();
    while let Some(level) = parameters.pop() {
        for (name, value) in level.iter().filter(|(name, _)| *name != "seed") {
            match value {
                Value::Object(nested) => parameters.push(nested),
                value => made.push((name, value.to_string())),
            }
        }
    }
    made
}

impl Operation for Pairs {
    const NAME: &'static str = "pairs";
    const VERSION: u32 = 3;
    const KIND: Kind = Kind::Pairs;
    const ABOUT: &'static str =
        "Makes preference pairs of answers or of files, and the controls beside them";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("prompts", &self.prompts).of(Kind::Prompts);
        inputs.artifact("chosen", &self.chosen).of(Kind::Responses);
        inputs
            .artifact("rejected", &self.rejected)
            .of(Kind::Responses);
        inputs
            .artifact("chosen-scores", &self.chosen_scores)
            .of(Kind::Scores);
        inputs
            .artifact("rejected-scores", &self.rejected_scores)
            .of(Kind::Scores);
        inputs.file("source", &self.source);
    }

    fn check(&self) -> anyhow::Result<()> {
        let given = self.given();
        if let Some(flags) = self.rule.lacks(given) {
            bail!("--rule {} needs {flags}", self.rule_name());
        }
        if given.source && !self.rule.reads_files() {
            bail!("--source is read by the rules file and shuffled only");
        }
        if !given.source && self.format != RowFormat::default() {
            bail!(
                "--prompt-column, --group, --mark and --keep-transcripts say how to read files, and there is no --source"
            );
        }
        if self.reversed && !self.rule.prefers() {
            bail!(
                "--reversed changes nothing where neither answer is better, as in the rules tied and shuffled"
            );
        }
        if let Some(least) = self.filters.min_delta {
            if !(least.is_finite() && least >= 0.0) {
                bail!("--min-delta {least}: a number of 0 or more is needed");
            }
            if self.chosen.is_some() && self.chosen_scores.is_none() {
                bail!("--min-delta {least}: answers without --chosen-scores have no delta");
            }
        }
        if self.limit == Some(0) {
            bail!("--limit 0: nothing would be kept");
        }
        check_paths("source", &self.source)
    }

    fn run(&self, step: &Step) -> anyhow::Result<Value> {
        let prompts: Vec<Prompt> = match step.optional_artifact("prompts")? {
            Some(prompts) => prompts.records()?,
            None => Vec::new(),
        };
        let mut pairing = self.pairing(step, &prompts)?;
        step.stop_if_interrupted()?;
        let unit = hinted(pairing.filter(self.rule, &self.filters, &prompts))?;
        if self.shuffle {
            Stream::new("pairs", self.seed, 0).shuffle(&mut pairing.pairs);
        }
        pairing.limit(self.limit.unwrap_or(usize::MAX));
        if self.rule == PairRule::Shuffled {
            pairing.toss(self.seed);
        } else if self.reversed {
            pairing.reverse();
        }
        step.write_records(&pairing.pairs)?;
        Ok(json!(pairing.summary(unit)))
    }
}
