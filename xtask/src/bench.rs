//! `cargo xtask bench`: how fast training, generation and a whole experiment are, beside PyTorch where it is there.
//!
//! Ours and the peer run in turn, round by round, so that a slow moment of the machine hits both; what counts is the median
//! of the rounds' ratios.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use indicatif::HumanCount;
use serde_json::{Value, json};
use w2s_artifact::summary::{ReferencesSummary, TrainingSummary};
use w2s_artifact::{Artifact, Store};

use crate::build;
use crate::cli::Bench;
use crate::complaint::{Complaint, OrComplain, Result};
use crate::out::{out, say};
use crate::workspace;

/// A model shape to measure, as flags that `w2s-bench` and the peer share.
struct Shape {
    name: &'static str,
    flags: &'static [&'static str],
}

const SHAPES: [Shape; 2] = [
    Shape {
        name: "6 x 256, vocabulary 4096, 16 x 128 tokens",
        flags: &[],
    },
    Shape {
        name: "SmolLM2-135M, 4 x 128 tokens",
        flags: &[
            "--layers",
            "30",
            "--dim",
            "576",
            "--heads",
            "9",
            "--kv-heads",
            "3",
            "--ffn",
            "1536",
            "--vocab",
            "49152",
            "--batch",
            "4",
            "--seq",
            "128",
            "--tied",
            "--repeat",
            "3",
        ],
    },
];

/// A figure in the programs' JSON lines: its title, and where it stands in ours and in the peer's.
type Figure = (&'static str, &'static str, &'static str);

const STEP: [Figure; 3] = [
    (
        "forward, tokens/s",
        "forward_tokens_per_s",
        "forward_tokens_per_s",
    ),
    (
        "training step, tokens/s",
        "train_tokens_per_s",
        "train_tokens_per_s",
    ),
    ("peak memory, MiB", "peak_rss_mib", "peak_rss_mib"),
];

const GENERATION: [Figure; 2] = [
    ("tokens/s", "tokens_per_s", "tokens_per_s"),
    ("peak memory, MiB", "peak_rss_mib", "peak_rss_mib"),
];

const PREFERENCE: [Figure; 2] = [
    ("pairs/s, with reference", "pairs_per_s", "pairs_per_s"),
    ("peak memory, MiB", "peak_rss_mib", "peak_rss_mib"),
];

const EXPERIMENT: [Figure; 3] = [
    ("seconds", "seconds", "seconds_total"),
    ("seconds, all cached", "cached_seconds", "-"),
    ("peak memory, MiB", "peak_rss_mib", "peak_rss_mib"),
];

/// Prompts of mixed length, the ones that `peer_generate.py` has built in.
const PROMPTS: &str = "data/golden/generate.json";

/// Measures all that was asked for and prints a table.
pub fn bench(arguments: &Bench) -> Result<()> {
    let ours = build::stage("bench", false)?;
    let threads = arguments.threads.to_string();
    let own = |flags: &[&str]| {
        let mut bench = Command::new(&ours);
        build::keep_memory(&mut bench);
        bench.args(flags).args(["--threads", &threads]);
        bench
    };
    let peer = |script: &str, flags: &[&str]| {
        let (python, folder) = arguments
            .peer_python
            .as_ref()
            .zip(arguments.peer_dir.as_ref())?;
        let mut peer = Command::new(python);
        peer.arg(folder.join(script))
            .args(flags)
            .args(["--threads", &threads]);
        Some(peer)
    };
    out(&format!(
        "{:<44} {:<24} {:>10} {:>10} {:>22}",
        "work", "figure", "w2s", "peer", "ours / peer (range)"
    ));
    for shape in &SHAPES {
        let rounds = Rounds::run(shape.name, arguments.rounds, || {
            let ours = json_of(&mut own(shape.flags))?;
            let theirs = peer("peer_train_step.py", shape.flags);
            Ok((ours, theirs.map(|mut peer| json_of(&mut peer)).transpose()?))
        })?;
        rounds.print(&STEP);
        rounds.print_share();
    }
    let Some(model) = &arguments.model else {
        return Ok(());
    };
    let model = model.to_string_lossy();
    let prompts = workspace::root().join(PROMPTS);
    let prompts = prompts.to_string_lossy();
    Rounds::run(
        "greedy generation, 32 prompts x 64 tokens",
        arguments.rounds,
        || {
            let flags = ["--model", &model, "--repeat", "3"];
            let mut own = own(&flags);
            own.args(["--work", "generate", "--prompts", &prompts]);
            let theirs = peer("peer_generate.py", &flags);
            Ok((
                json_of(&mut own)?,
                theirs.map(|mut peer| json_of(&mut peer)).transpose()?,
            ))
        },
    )?
    .print(&GENERATION);
    if let Some(pairs) = &arguments.pairs {
        for (beside, implementation) in [("TRL", "trl"), ("PyTorch", "torch")] {
            let work = format!(
                "DPO, first {} pairs as far as they fit, batch 4, beside {beside}",
                arguments.pairs_limit
            );
            Rounds::run(&work, arguments.rounds, || {
                let ours = preference(&model, pairs, arguments.pairs_limit, &threads)?;
                let theirs = peer("peer_dpo.py", &["--impl", implementation]).map(|mut peer| {
                    peer.args(["--model", &model, "--data"]).arg(pairs);
                    json_of(peer.args(["--n-pairs", &ours["pairs"].to_string()]))
                });
                Ok((ours, theirs.transpose()?))
            })?
            .print(&PREFERENCE);
        }
    }
    let Some(sst2) = &arguments.sst2 else {
        return Ok(());
    };
    Rounds::run(
        "experiment classify, four models",
        arguments.sst2_rounds,
        || {
            let folder =
                tempfile::tempdir().or_complain(|| "cannot make a temporary folder".to_owned())?;
            let files = [sst2.join("train.tsv"), sst2.join("test.tsv")];
            let rows = folder.path().join("rows");
            let theirs = peer("peer_w2s.py", &PEER_EXPERIMENT).map(|mut peer| {
                peer.args(["--model", &model]).arg("--train").arg(&files[0]);
                peer.arg("--test").arg(&files[1]).arg("--dump").arg(&rows);
                json_of(&mut peer)
            });
            let theirs = theirs.transpose()?;
            let rows = match theirs {
                Some(_) => Rows::Chosen(&rows),
                None => Rows::Choose(&files),
            };
            let ours = experiment(&model, rows, &folder.path().join("store"), &threads)?;
            Ok((ours, theirs))
        },
    )?
    .print(&EXPERIMENT);
    Ok(())
}

/// The rows of the experiment.
enum Rows<'a> {
    /// A folder where the peer has written its own.
    Chosen(&'a Path),
    /// Files to choose from, for training and for the test.
    Choose(&'a [PathBuf; 2]),
}

/// The settings of `peer_dpo.py` in the words of the recipe `preference`.
const OWN_DPO: [&str; 6] = [
    "template=plain",
    "separate=true",
    "max-tokens=128",
    "batch=4",
    "schedule=constant",
    "lr=5e-6",
];

/// `cargo xtask pipeline` of a recipe in a store of its own.
fn pipeline(recipe: &str, store: &Path, threads: &str) -> Result<Command> {
    let program = std::env::current_exe().or_complain(|| "cannot find xtask itself".to_owned())?;
    let mut pipeline = Command::new(program);
    pipeline.args(["pipeline", recipe, "--threads", threads, "--store"]);
    pipeline.arg(store).stdout(Stdio::piped());
    Ok(pipeline)
}

/// What a pipeline left in its store.
fn artifacts(store: &Path) -> Result<Vec<Artifact>> {
    let cannot_read = || format!("cannot read {}", workspace::shown(store));
    let store = Store::open(store).or_complain(cannot_read)?;
    let references = store.list().or_complain(cannot_read)?;
    references
        .iter()
        .map(|reference| store.require(reference).or_complain(cannot_read))
        .collect()
}

/// The recipe `preference`: how many of the first pairs have at most 128 tokens, pairs a second of reference and training
/// together, and the most memory that a step held.
fn preference(model: &str, pairs: &Path, limit: u16, threads: &str) -> Result<Value> {
    let folder = tempfile::tempdir().or_complain(|| "cannot make a temporary folder".to_owned())?;
    let mut pipeline = pipeline("preference", folder.path(), threads)?;
    pipeline.args(["--var", &format!("model={model}")]);
    pipeline.args(["--var", &format!("pairs={}", pairs.to_string_lossy())]);
    pipeline.args(["--var", &format!("limit={limit}")]);
    for variable in OWN_DPO {
        pipeline.args(["--var", variable]);
    }
    finish(&mut pipeline)?;
    let (mut count, mut seconds, mut peak) = (None, 0.0, None);
    for artifact in artifacts(folder.path())? {
        if let Ok(reference) = artifact.summary::<ReferencesSummary>() {
            seconds += reference.pairs as f64 / reference.pairs_per_second;
        }
        // An imported checkpoint was not trained here and says nothing of a training.
        if let Ok(training) = artifact.summary::<TrainingSummary>() {
            count = Some(training.rows);
            seconds += training.fit.train_seconds;
        }
        peak = peak.max(artifact.manifest.peak_memory_mib);
    }
    let count =
        count.ok_or_else(|| Complaint::failed("no step says how many pairs it trained on"))?;
    let rate = count as f64 / seconds;
    Ok(json!({"pairs": count, "pairs_per_s": rate, "peak_rss_mib": peak}))
}

/// The settings of the recipe `classify` in the words of `peer_w2s.py`.
const PEER_EXPERIMENT: [&str; 13] = [
    "--n-gold",
    "3200",
    "--weak-epochs",
    "3",
    "--n-train",
    "480",
    "--n-test",
    "600",
    "--full-sentences",
    "--max-words",
    "18",
    "--max-len=48",
    "--lr=2e-4",
];

/// The recipe `classify`: its seconds, those of the same command again, and the most memory that a step held.
fn experiment(model: &str, rows: Rows, store: &Path, threads: &str) -> Result<Value> {
    let mut pipeline = pipeline("classify", store, threads)?;
    pipeline.args(["--var", &format!("strong-model={model}")]);
    let mut variable = |name: &str, value: &Path| {
        pipeline.arg("--var");
        pipeline.arg(format!("{name}={}", value.to_string_lossy()));
    };
    match rows {
        Rows::Choose([train, test]) => {
            variable("data", train);
            variable("test", test);
        }
        Rows::Chosen(rows) => {
            variable("gold", &rows.join("gold.jsonl"));
            variable("transfer", &rows.join("train.jsonl"));
            variable("test", &rows.join("test.jsonl"));
            for filter in ["ends-with", "min-words", "max-words"] {
                variable(filter, Path::new(""));
            }
        }
    }
    let mut seconds = || -> Result<f64> {
        let started = Instant::now();
        finish(&mut pipeline)?;
        Ok(started.elapsed().as_secs_f64())
    };
    let (first, cached) = (seconds()?, seconds()?);
    let peak = artifacts(store)?
        .iter()
        .filter_map(|artifact| artifact.manifest.peak_memory_mib)
        .max();
    Ok(json!({"seconds": first, "cached_seconds": cached, "peak_rss_mib": peak}))
}

/// What both programs said, round by round.
struct Rounds {
    work: String,
    own: Vec<Value>,
    theirs: Vec<Value>,
}

impl Rounds {
    fn run(
        work: &str,
        count: u16,
        mut round: impl FnMut() -> Result<(Value, Option<Value>)>,
    ) -> Result<Self> {
        let mut rounds = Self {
            work: work.to_owned(),
            own: Vec::new(),
            theirs: Vec::new(),
        };
        for number in 1..=count {
            say(&format!("{work}: round {number} of {count}"));
            let (own, theirs) = round()?;
            rounds.own.push(own);
            rounds.theirs.extend(theirs);
        }
        Ok(rounds)
    }

    fn print(&self, figures: &[Figure]) {
        for (title, our_key, their_key) in figures {
            let own = figures_of(&self.own, our_key);
            let theirs = figures_of(&self.theirs, their_key);
            let ratios: Vec<f64> = own.iter().zip(&theirs).map(|(a, b)| a / b).collect();
            let range = match (
                ratios.iter().copied().reduce(f64::min),
                ratios.iter().copied().reduce(f64::max),
            ) {
                (Some(low), Some(high)) => {
                    format!("{:.2} ({low:.2} to {high:.2})", median(&ratios))
                }
                _ => "no peer".into(),
            };
            let peer = if theirs.is_empty() {
                "-".into()
            } else {
                shown(median(&theirs))
            };
            out(&format!(
                "{:<44} {title:<24} {:>10} {peer:>10} {range:>22}",
                self.work,
                shown(median(&own))
            ));
        }
    }

    /// How near the work comes to what the machine can multiply.
    fn print_share(&self) {
        for (title, key) in [
            ("forward", "forward_gflops"),
            ("training step", "train_gflops"),
        ] {
            let share: Vec<f64> = self
                .own
                .iter()
                .filter_map(|v| Some(v[key].as_f64()? / v["product_gflops"].as_f64()?))
                .collect();
            out(&format!(
                "{:<44} {title}: {:.0} % of the machine's matrix-product rate ({:.0} GFLOP/s)",
                self.work,
                100.0 * median(&share),
                median(&figures_of(&self.own, "product_gflops"))
            ));
        }
    }
}

/// A figure to three digits or more.
fn shown(figure: f64) -> String {
    match figure {
        ..10.0 => format!("{figure:.2}"),
        _ => HumanCount(figure.round() as u64).to_string(),
    }
}

fn figures_of(rounds: &[Value], key: &str) -> Vec<f64> {
    rounds.iter().filter_map(|v| v[key].as_f64()).collect()
}

/// The JSON that a program prints.
fn json_of(command: &mut Command) -> Result<Value> {
    let output = finish(command)?;
    serde_json::from_slice(&output).or_complain(|| "the benchmark printed no JSON".to_owned())
}

/// Runs a program to its end; what it printed.
fn finish(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().or_complain(|| {
        format!(
            "cannot start {}",
            Path::new(command.get_program()).display()
        )
    })?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let last = text.lines().last().unwrap_or_default().to_owned();
        return Err(Complaint::failed(format!(
            "the benchmark ended with {}: {last}",
            output.status
        )));
    }
    Ok(output.stdout)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }
}
