//! What the operations that score answers share: the flags, and the work behind them.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, bail};
use w2s_artifact::summary::{Dropped, ScoresSummary};
use w2s_artifact::{ANSWERS_FILE, Kind, Prompt, Record, Response, ScoredAnswer};
use w2s_lm::Kl;
use w2s_stage::{ArtifactArg, HintExt, Inputs, Interrupted, Step};

use crate::answers::{check_scorers, join, score_answers};
use crate::scorers::{Normalization, Scorer};
use crate::scores::{ArmArgs, summary, task_hash};

/// How answers are scored; flags and key of the operations that do.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
#[command(next_help_heading = "Scoring")]
pub struct ScoringArgs {
    /// What an answer is scored by: exact, words, number, answer, answer=RULES (corrected, published or gsm8k), regex=PATTERN,
    /// count=PATTERN, count=bold-sections, count=list-items, length, finished, log-likelihood; repeat the flag for more
    #[arg(long, value_name = "NAME")]
    pub scorer: Vec<Scorer>,
    /// Score the probability, too, that one of K answers to a prompt is right by the scorer answer, as `pass_at_K`; repeat
    /// the flag for more
    #[arg(long, value_name = "K")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pass_at: Vec<usize>,
    /// What is done to answers before they are compared
    #[command(flatten)]
    #[serde(flatten)]
    pub normalization: Normalization,
    /// Keep the zeros of a scorer that finds in no answer what it looks for, instead of failing
    #[arg(long)]
    pub allow_no_match: bool,
    /// Model whose opinion is a score too: a reward model's number, named `reward`, or a classifier's probability of
    /// --judge-class, named `judge`
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub judge: Option<ArtifactArg>,
    /// The class, of a classifier
    #[arg(long, value_name = "NAME", requires = "judge")]
    pub judge_class: Option<String>,
    /// What a classifier reads; `{prompt}` and `{answer}` stand for them, `\n` is a line break
    #[arg(long, value_name = "TEXT", default_value = "{answer}")]
    pub judge_text: String,
}

/// What is scored, and what is known of it beside.
pub(super) struct Answers<'a> {
    pub(super) prompts: &'a [Prompt],
    pub(super) responses: &'a [Response],
    /// The reason for which prompts without an answer are dropped.
    pub(super) missing: &'static str,
    pub(super) template_hash: Option<&'a str>,
    /// Divergences by prompt, the same for all of its answers.
    pub(super) kl: &'a BTreeMap<u64, Kl>,
}

impl ScoringArgs {
    pub(super) fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("judge", &self.judge).of(Kind::Checkpoint);
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.scorer.is_empty() && self.judge.is_none() {
            bail!("nothing says how answers are scored\nhint: give --scorer, or --judge");
        }
        if !self.judge_text.contains("{answer}") {
            bail!("--judge-text `{}` has no `{{answer}}`", self.judge_text);
        }
        if self.judge.is_some() {
            self.check_free(self.judge_metric(), "--judge")?;
            if self.judge_class.is_none() && self.judge_text != "{answer}" {
                bail!(
                    "--judge-text is read by classifiers, and --judge-class is not given; a reward model reads conversations"
                );
            }
        }
        if let Some(k) = self.pass_at.first() {
            if self.pass_at.contains(&0) {
                bail!("--pass-at 0: one answer or more must be drawn");
            }
            let mut scorers = self.scorer.iter();
            if !scorers.any(|scorer| scorer.metrics().contains(&"answer")) {
                bail!(
                    "--pass-at {k} counts answers that are right by `--scorer answer`, which is not given"
                );
            }
        }
        Ok(check_scorers(&self.scorer)?)
    }

    /// What the judge's opinion is called.
    fn judge_metric(&self) -> &'static str {
        match self.judge_class {
            Some(_) => "judge",
            None => "reward",
        }
    }

    /// Refuses a scorer with a metric that a flag gives already.
    pub(super) fn check_free(&self, metric: &str, flag: &str) -> Result<()> {
        let mut scorers = self.scorer.iter();
        if let Some(scorer) = scorers.find(|s| s.metrics().contains(&metric)) {
            bail!("the metric `{metric}` is given by both `{scorer}` and {flag}");
        }
        Ok(())
    }

    /// Scores answers, writes them with their scores, and returns the summary.
    pub(super) fn run(
        &self,
        step: &Step,
        arm: &ArmArgs,
        seed: u64,
        answers: &Answers,
    ) -> Result<ScoresSummary> {
        let &Answers {
            prompts,
            responses,
            missing,
            template_hash,
            kl,
        } = answers;
        let mut scored = score_answers(prompts, responses, &self.scorer, &self.normalization)?;
        scored.add_passes(&self.pass_at)?;
        for score in &mut scored.scores {
            if let Some(kl) = kl.get(&score.id) {
                score.values.insert("kl".to_owned(), kl.nats);
                let per_token = kl.per_token();
                score.values.insert("kl_per_token".to_owned(), per_token);
            }
        }
        let mut dropped = BTreeMap::from([(missing, scored.unanswered)]);
        let joined = join(prompts, responses)?;
        if self.judge.is_some() {
            let judged = self.judge(step, &joined)?;
            let metric = self.judge_metric();
            for (score, judged) in scored.scores.iter_mut().zip(judged) {
                match judged {
                    Some(opinion) => _ = score.values.insert(metric.to_owned(), opinion),
                    None => *dropped.entry("too_long_for_judge").or_default() += 1,
                }
            }
        }
        let mut lines = String::new();
        for ((prompt, response), score) in joined.iter().zip(&scored.scores) {
            let line = ScoredAnswer {
                id: prompt.id,
                sample: response.sample,
                messages: prompt.messages.clone(),
                text: response.text.clone(),
                finished: response.finished,
                answer: prompt.answer.clone(),
                values: score.values.clone(),
            };
            lines += &serde_json::to_string(&line)?;
            lines.push('\n');
        }
        step.write_file(ANSWERS_FILE, lines)?;
        if let [scorer, ..] = scored.matched_nothing()[..]
            && !self.allow_no_match
        {
            let error: Result<()> = Err(anyhow!(
                "the scorer `{scorer}` matched none of {} answers",
                responses.len()
            ));
            let file = step.dir().join(ANSWERS_FILE);
            error.hint(format!(
                "look at the answers in `{}`; if zero is a result, add --allow-no-match",
                file.display()
            ))?;
        }
        // The judge alone may have had nothing to say.
        scored.scores.retain(|score| !score.values.is_empty());
        step.write_records(&scored.scores)?;
        dropped.retain(|_, count| *count > 0);
        let task = task_hash(prompts);
        let summary = ScoresSummary {
            answers: Some(responses.len()),
            unmatched: scored.unmatched,
            dropped: named(dropped),
            template_hash: template_hash.map(str::to_owned),
            ..summary(arm, seed, &scored.scores, prompts.len(), task)
        };
        step.headline(in_words(&summary));
        Ok(summary)
    }

    /// The judge's opinion of each answer that it can read.
    fn judge(&self, step: &Step, answers: &[(&Prompt, &Response)]) -> Result<Vec<Option<f64>>> {
        let judge = step.artifact("judge")?;
        let device = w2s_lm::device(step.device())?;
        let mut watch = step.watch("answer");
        let (total, mut count) = (answers.len() as u64, 0);
        let mut each = |rows: usize| {
            count += rows as u64;
            watch(count, total, String::new())
        };
        let Some(class) = &self.judge_class else {
            let judged = crate::rewards(&judge.path, answers, &device, &mut each)?;
            return Ok(judged.ok_or(Interrupted)?);
        };
        let template = self.judge_text.replace("\\n", "\n");
        // A placeholder that an answer spells is its own, so the template is cut before anything is put in.
        let parts: Vec<&str> = template.split("{answer}").collect();
        let text = |(prompt, response): &(&Prompt, &Response)| {
            let prompt: String = prompt.messages.iter().map(|m| &m.content[..]).collect();
            let parts: Vec<String> = parts
                .iter()
                .map(|p| p.replace("{prompt}", &prompt))
                .collect();
            parts.join(&response.text)
        };
        let texts: Vec<String> = answers.iter().map(text).collect();
        let judged = crate::judge(&judge.path, class, &texts, &device, &mut each)?;
        Ok(judged.ok_or(Interrupted)?)
    }
}

/// The records of an input that may be left out.
pub(super) fn optional<T: Record>(step: &Step, name: &str) -> Result<Option<Vec<T>>> {
    let artifact = step.optional_artifact(name)?;
    Ok(artifact.map(|artifact| artifact.records()).transpose()?)
}

/// Why rows were dropped, in words.
pub(super) fn reasons(dropped: &BTreeMap<&'static str, usize>) -> String {
    let reasons: Vec<String> = dropped
        .iter()
        .map(|(reason, count)| format!("{count} {}", reason.replace('_', " ")))
        .collect();
    reasons.join(", ")
}

/// Counts under names that a manifest keeps.
pub(super) fn named(counts: BTreeMap<&'static str, usize>) -> Dropped {
    let counts = counts.into_iter();
    counts
        .map(|(reason, count)| (reason.to_owned(), count))
        .collect()
}

/// What was scored, in a few words: items, and each metric.
pub(super) fn in_words(summary: &ScoresSummary) -> String {
    let metrics = summary.metrics.iter();
    let metrics: String = metrics
        .map(|(name, mean)| format!(", {name} {mean:.3}"))
        .collect();
    format!("{} items{metrics}", summary.n)
}
