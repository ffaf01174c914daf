//! The subcommands of `w2s-data` for worked solutions.

use std::path::PathBuf;

use anyhow::{anyhow, bail};
use serde::Serialize;
use serde_json::{Value, json};
use w2s_answers::{Rules, Thresholds};
use w2s_artifact::{
    Artifact, Kind, Prompt, Response,
    summary::{ResponsesSummary, SelectionAccuracy, SelectionSummary},
};
use w2s_stage::{ArtifactArg, HintExt, Inputs, Operation, Step};

use super::{
    ContrastRule, ResponseColumns, SelectRule, Selection, Solutions, Take, contrast, responses,
};
use crate::{
    error::DataError,
    operations::{check_paths, hinted},
    pairs::Pairing,
    source,
};

/// The share of samples that must agree for the rule `confident`, unless the user says otherwise.
const CONFIDENT: f64 = 0.6;

/// Makes responses of the rows of files.
#[derive(Clone, Debug, Serialize, clap::Args)]
pub struct ResponsesOperation {
    /// Prompts that are answered
    #[arg(long, value_name = "PROMPTS")]
    #[serde(skip)]
    pub prompts: ArtifactArg,
    /// File or folder with answers; more than one by repeating the flag
    #[arg(long, required = true, value_name = "PATH")]
    #[serde(skip)]
    pub source: Vec<PathBuf>,
    /// Which columns are what.
    #[command(flatten)]
    #[serde(flatten)]
    pub columns: ResponseColumns,
    /// What is said to have made the answers
    #[arg(long, default_value = "file", value_name = "NAME")]
    pub model: String,
}

impl Operation for ResponsesOperation {
    const NAME: &'static str = "responses";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Responses;
    const ABOUT: &'static str = "Makes responses of the rows of files, whatever made the answers";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("prompts", &self.prompts).of(Kind::Prompts);
        inputs.file("source", &self.source);
    }

    fn check(&self) -> anyhow::Result<()> {
        check_paths("source", &self.source)
    }

    fn run(&self, step: &Step) -> anyhow::Result<Value> {
        let prompts: Vec<Prompt> = step.artifact("prompts")?.records()?;
        let rows = hinted(source::read_objects(&self.source))?;
        step.stop_if_interrupted()?;
        let imported = hinted(responses(&rows, &self.columns, &prompts, &self.model))?;
        // Two rows with one number would be one answer too many for whatever reads them.
        hinted(Solutions::new(
            "--source",
            imported.responses.clone(),
            &prompts,
            "--prompts",
            Rules::default(),
        ))?;
        step.write_records(&imported.responses)?;
        let left_out: usize = imported.dropped.values().sum();
        let count = imported.responses.len();
        step.headline(match left_out {
            0 => format!("{count} responses"),
            _ => format!("{count} responses, {left_out} rows left out"),
        });
        Ok(json!(ResponsesSummary {
            model: self.model.clone(),
            prompts: prompts.len(),
            responses: count,
            finished: 1.0,
            dropped: imported.dropped,
            ..ResponsesSummary::default()
        }))
    }
}

/// Selects the answers that are worth learning from.
#[derive(Clone, Debug, Serialize, clap::Args)]
pub struct Select {
    /// Prompts that the answers belong to; their right answers, where known, are only counted by
    #[arg(long, value_name = "PROMPTS")]
    #[serde(skip)]
    pub prompts: ArtifactArg,
    /// Answers of the weak model
    #[arg(long, value_name = "RESPONSES")]
    #[serde(skip)]
    pub weak: ArtifactArg,
    /// Answers that were made differently
    #[arg(long, value_name = "RESPONSES")]
    #[serde(skip)]
    pub other: Option<ArtifactArg>,
    /// Which answers are kept
    #[arg(long, value_enum, value_name = "RULE")]
    pub rule: SelectRule,
    /// Whose answers are taken
    #[arg(long, value_enum, default_value = "weak", value_name = "SIDE")]
    pub take: Take,
    /// Least share of samples that give the same answer, for --rule confident [default: 0.6]
    #[arg(long, value_name = "X")]
    pub threshold: Option<f64>,
    /// How final answers are found and compared
    #[arg(long, value_parser = w2s_stage::choices(Rules::ALL), default_value_t = Rules::Corrected, value_name = "RULES")]
    pub answer_rules: Rules,
}

impl Operation for Select {
    const NAME: &'static str = "select";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Responses;
    const ABOUT: &'static str = "Selects the answers that are worth learning from: both sources agree, or one is sure of itself";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("prompts", &self.prompts).of(Kind::Prompts);
        inputs.artifact("weak", &self.weak).of(Kind::Responses);
        inputs.artifact("other", &self.other).of(Kind::Responses);
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.other.is_none() && self.rule == SelectRule::Agree {
            bail!(
                "--rule agree compares the answers of --weak with those of --other, which is not given"
            );
        }
        if self.other.is_none() && self.take != Take::Weak {
            bail!("--take other and --take both take answers of --other, which is not given");
        }
        match self.threshold {
            Some(threshold) if self.rule != SelectRule::Confident => {
                bail!("--threshold {threshold} is read by --rule confident only")
            }
            Some(threshold) => check_share("threshold", threshold),
            None => Ok(()),
        }
    }

    fn run(&self, step: &Step) -> anyhow::Result<Value> {
        let prompts = Asked::open(step)?;
        let weak = prompts.solutions(step, "weak", self.answer_rules)?;
        let other = match self.other {
            Some(_) => Some(prompts.solutions(step, "other", self.answer_rules)?),
            None => None,
        };
        if self.rule == SelectRule::Confident {
            let sides = [
                (self.take != Take::Other).then_some(("weak", &weak)),
                other
                    .as_ref()
                    .filter(|_| self.take != Take::Weak)
                    .map(|other| ("other", other)),
            ];
            for (flag, side) in sides.into_iter().flatten() {
                check_samples(flag, side, "--rule confident")?;
            }
        }
        step.stop_if_interrupted()?;
        let selection = Selection {
            rule: self.rule,
            take: self.take,
            threshold: self.threshold.unwrap_or(CONFIDENT),
            rules: self.answer_rules,
        };
        let selected = hinted(selection.select(&prompts.prompts, &weak, other.as_ref()))?;
        step.write_records(&selected.responses)?;
        step.headline(in_words(&selected.summary));
        let finished = selected.responses.iter().filter(|r| r.finished).count();
        let count = selected.responses.len();
        let mut makers: Vec<String> = selected.responses.into_iter().map(|r| r.model).collect();
        makers.sort_unstable();
        makers.dedup();
        Ok(json!(ResponsesSummary {
            model: makers.join(", "),
            prompts: prompts.prompts.len(),
            responses: count,
            finished: finished as f64 / count as f64,
            selection: Some(selected.summary),
            ..ResponsesSummary::default()
        }))
    }
}

/// `257 of 1319 prompts kept, 77.04 % right, recall 69.23 %`.
fn in_words(summary: &SelectionSummary) -> String {
    let SelectionSummary { kept, prompts, .. } = summary;
    let oracle = if summary.oracle { " by an oracle" } else { "" };
    let side = match &summary.take[..] {
        "other" => summary.other.as_ref(),
        _ => summary.weak.as_ref(),
    };
    let percent = |share: Option<f64>| share.map(|share| format!("{:.2} %", 100.0 * share));
    let quality = |side: &SelectionAccuracy| {
        let right = percent(side.accuracy_kept)?;
        let recall = percent(side.recall).unwrap_or_else(|| "unknown".to_owned());
        Some(format!(", {right} right, recall {recall}"))
    };
    let quality = side.and_then(quality).unwrap_or_default();
    format!("{kept} of {prompts} prompts kept{oracle}{quality}")
}

/// Makes preference pairs of weak answers and samples of the student.
#[derive(Clone, Debug, Serialize, clap::Args)]
pub struct Contrast {
    /// Prompts that the answers belong to; their right answers, where known, are only counted by
    #[arg(long, value_name = "PROMPTS")]
    #[serde(skip)]
    pub prompts: ArtifactArg,
    /// Answers of the weak model
    #[arg(long, value_name = "RESPONSES")]
    #[serde(skip)]
    pub weak: ArtifactArg,
    /// Several samples of the student for each prompt
    #[arg(long, value_name = "RESPONSES")]
    #[serde(skip)]
    pub student: ArtifactArg,
    /// Least confidence of the student's vote where the weak answer agrees with it
    #[arg(long, default_value_t = 0.6, value_name = "X")]
    pub tau_agree: f64,
    /// Least confidence of the student's vote where the weak answer disagrees with it
    #[arg(long, default_value_t = 0.8, value_name = "X")]
    pub tau_disagree: f64,
    /// Pairs of one prompt, at most: 1 on GSM8K, 3 on MATH in the paper
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub pairs_per_prompt: usize,
    /// Decides which samples are paired
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// How final answers are found and compared
    #[arg(long, value_parser = w2s_stage::choices(Rules::ALL), default_value_t = Rules::Corrected, value_name = "RULES")]
    pub answer_rules: Rules,
}

impl Operation for Contrast {
    const NAME: &'static str = "contrast";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Pairs;
    const ABOUT: &'static str =
        "Makes preference pairs of weak answers and samples of the student, by the student's vote";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("prompts", &self.prompts).of(Kind::Prompts);
        inputs.artifact("weak", &self.weak).of(Kind::Responses);
        inputs
            .artifact("student", &self.student)
            .of(Kind::Responses);
    }

    fn check(&self) -> anyhow::Result<()> {
        check_share("tau-agree", self.tau_agree)?;
        check_share("tau-disagree", self.tau_disagree)?;
        if self.pairs_per_prompt == 0 {
            bail!("--pairs-per-prompt 0: nothing would be made");
        }
        Ok(())
    }

    fn run(&self, step: &Step) -> anyhow::Result<Value> {
        let prompts = Asked::open(step)?;
        let weak = prompts.solutions(step, "weak", self.answer_rules)?;
        let student = prompts.solutions(step, "student", self.answer_rules)?;
        check_samples("student", &student, "a vote")?;
        step.stop_if_interrupted()?;
        let rule = ContrastRule {
            thresholds: Thresholds {
                agree: self.tau_agree,
                disagree: self.tau_disagree,
            },
            pairs_per_prompt: self.pairs_per_prompt,
            seed: self.seed,
            rules: self.answer_rules,
        };
        let (pairing, contrast) = contrast(&prompts.prompts, &weak, &student, &rule);
        if pairing.pairs.is_empty() {
            let dropped = pairing.dropped.to_string();
            return hinted(Err(DataError::NoPairs { dropped }));
        }
        step.write_records(&pairing.pairs)?;
        step.headline(pairs_in_words(
            &pairing,
            contrast.accuracy_chosen,
            contrast.accuracy_rejected,
        ));
        let mut summary = pairing.summary(pairing.length_unit());
        summary.contrast = Some(contrast);
        Ok(json!(summary))
    }
}

fn pairs_in_words(pairing: &Pairing, chosen: Option<f64>, rejected: Option<f64>) -> String {
    let count = pairing.pairs.len();
    match (chosen, rejected) {
        (Some(chosen), Some(rejected)) => format!(
            "{count} pairs, chosen {:.2} % right, rejected {:.2} % right",
            100.0 * chosen,
            100.0 * rejected
        ),
        _ => format!("{count} pairs"),
    }
}

/// The prompts that all answers of a step belong to.
struct Asked {
    artifact: Artifact,
    prompts: Vec<Prompt>,
}

impl Asked {
    fn open(step: &Step) -> anyhow::Result<Self> {
        let artifact = step.artifact("prompts")?;
        let prompts = artifact.records()?;
        Ok(Self { artifact, prompts })
    }

    /// The answers given by a flag. Those that say which prompts they were made from must have been made from these.
    fn solutions(&self, step: &Step, flag: &str, rules: Rules) -> anyhow::Result<Solutions> {
        let responses = step.artifact(flag)?;
        let name = format!("--{flag} {}", responses.reference.short());
        let asked = format!("--prompts {}", self.artifact.reference.short());
        if let Some(made_from) = responses.manifest.input("prompts")
            && made_from != self.artifact.reference
        {
            let refused: anyhow::Result<Solutions> = Err(anyhow!(
                "{name} answers {}, and not {asked}",
                made_from.short()
            ));
            return refused.hint("give answers to the same prompts, and these prompts");
        }
        let records: Vec<Response> = responses.records()?;
        hinted(Solutions::new(&name, records, &self.prompts, &asked, rules))
    }
}

fn check_share(flag: &str, share: f64) -> anyhow::Result<()> {
    match (0.0..=1.0).contains(&share) {
        true => Ok(()),
        false => bail!("--{flag} {share}: a share between 0 and 1 is needed"),
    }
}

/// Refuses answers that cannot vote.
fn check_samples(flag: &str, solutions: &Solutions, what: &str) -> anyhow::Result<()> {
    if solutions.samples() > 1 {
        return Ok(());
    }
    let refused: anyhow::Result<()> = Err(anyhow!(
        "--{flag} has one answer a prompt, and {what} needs several"
    ));
    refused.hint("draw several samples of each prompt with `--samples N` and a temperature above 0")
}
