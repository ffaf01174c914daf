//! The smallest stage that uses everything the shell offers: `count` makes a corpus and can be interrupted and resumed,
//! `copy` reads it, and the plain command `words` counts without making anything. The crate's tests run it as a process.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};
use w2s_artifact::{Document, Kind, Store};
use w2s_stage::{
    ArtifactArg, Command, HintExt, Inputs, Interrupted, Known, KnownInputs, Operation, Stage, Step,
};

fn main() -> ExitCode {
    let stage = Stage::new("toy", "Counts and copies")
        .operation::<Count>()
        .operation::<Copy>()
        .command::<Words>();
    w2s_stage::main(stage.device_check(|device| match device {
        "flex" => Ok(()),
        _ => Err(anyhow::anyhow!("`{device}` is not compiled in")).hint("add `--features cuda`"),
    }))
}

/// How a number is written.
#[derive(Clone, Copy, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum Style {
    Digits,
    Words,
}

/// Flags of `count`.
#[derive(clap::Args, Serialize)]
struct Count {
    /// Documents to write
    #[arg(long, default_value_t = 3)]
    documents: u64,
    /// How to write them
    #[arg(long, value_enum, default_value_t = Style::Digits)]
    style: Style,
    /// Pause after each document
    #[arg(long, default_value_t = 0)]
    pause_ms: u64,
    /// Fail in one of several ways
    #[arg(long)]
    fail: Option<String>,
    /// How it ends when it is interrupted
    #[command(flatten)]
    #[serde(flatten)]
    ending: Ending,
}

/// Flags that are flattened into those of `count`.
#[derive(clap::Args, Serialize)]
struct Ending {
    /// Fail to save the state with these words
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    unsaved: Option<String>,
}

impl Operation for Count {
    const NAME: &'static str = "count";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Corpus;
    const ABOUT: &'static str = "Writes documents that are numbers";

    fn inputs(&self, _: &mut Inputs) {}

    fn check(&self) -> anyhow::Result<()> {
        if self.documents == 0 {
            return Err(anyhow::anyhow!("--documents is 0, at least 1 is needed"))
                .hint("leave it out for 3");
        }
        Ok(())
    }

    fn run(&self, step: &Step) -> anyhow::Result<Value> {
        match self.fail.as_deref() {
            Some("panic") => panic!("a bug"),
            Some(text) => {
                return Err(anyhow::anyhow!("{text}"))
                    .context("counting failed")
                    .hint("count on");
            }
            None => {}
        }
        let state = step.scratch()?.join("next");
        let resumed: u64 =
            std::fs::read_to_string(&state).map_or(0, |text| text.parse().unwrap_or(0));
        let progress = step.progress(self.documents, "documents");
        progress.resume_at(resumed);
        for next in resumed..self.documents {
            if step.interrupted() {
                if let Some(text) = &self.ending.unsaved {
                    bail!("cannot write the state: {text}");
                }
                std::fs::write(&state, next.to_string())?;
                return Err(Interrupted.into());
            }
            std::thread::sleep(Duration::from_millis(self.pause_ms));
            progress.set(next + 1);
        }
        progress.finish();
        let documents: Vec<Document> = (0..self.documents)
            .map(|id| Document {
                id,
                text: match self.style {
                    Style::Digits => id.to_string(),
                    Style::Words => "one ".repeat(id as usize + 1),
                },
            })
            .collect();
        step.write_records(&documents)?;
        step.headline(format!("{} documents", documents.len()));
        Ok(
            json!({"documents": documents.len(), "resumed_at": resumed, "rayon": rayon::current_num_threads()}),
        )
    }
}

/// Flags of `copy`.
#[derive(clap::Args, Serialize)]
struct Copy {
    /// What to copy
    #[arg(long)]
    #[serde(skip)]
    corpus: ArtifactArg,
    /// What to add
    #[arg(long)]
    #[serde(skip)]
    more: Vec<ArtifactArg>,
    /// One more document
    #[arg(long)]
    #[serde(skip)]
    file: Option<PathBuf>,
    /// Leave out every other document
    #[arg(long)]
    thin: bool,
    /// What the copy is used for
    #[arg(long, value_parser = w2s_stage::choices([Kind::Examples, Kind::Prompts]))]
    purpose: Option<Kind>,
}

/// How many documents a corpus was counted to, through any number of copies.
fn counted(corpus: &Known) -> Option<u64> {
    match corpus.artifacts("corpus").first() {
        Some(original) => counted(original),
        None => corpus.parameter("documents")?.as_u64(),
    }
}

impl Operation for Copy {
    const NAME: &'static str = "copy";
    const VERSION: u32 = 2;
    const KIND: Kind = Kind::Corpus;
    const ABOUT: &'static str = "Copies a corpus";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("corpus", &self.corpus).of(Kind::Corpus);
        inputs.artifact("more", &self.more).of(Kind::Corpus);
        inputs.file("file", &self.file);
    }

    fn check_inputs(&self, known: &KnownInputs) -> anyhow::Result<()> {
        for corpus in known.artifacts("corpus") {
            if self.thin && counted(&corpus) == Some(1) {
                return Err(anyhow::anyhow!(
                    "--thin would leave nothing out of {}, which holds one document",
                    corpus.title()
                ))
                .hint("leave --thin out");
            }
        }
        Ok(())
    }

    fn run(&self, step: &Step) -> anyhow::Result<Value> {
        let mut documents: Vec<Document> = step.artifact("corpus")?.records()?;
        for artifact in step.artifacts("more")? {
            documents.extend(artifact.records::<Document>()?);
        }
        if let Some(path) = &self.file {
            documents.push(Document {
                id: 0,
                text: std::fs::read_to_string(path)?,
            });
        }
        if documents.is_empty() {
            bail!("there is nothing to copy");
        }
        let step_by = if self.thin { 2 } else { 1 };
        let documents: Vec<Document> = documents.into_iter().step_by(step_by).collect();
        step.write_records(&documents)?;
        Ok(json!({"documents": documents.len()}))
    }
}

/// Flags of `words`.
#[derive(clap::Args)]
struct Words {
    /// Where to count
    corpus: ArtifactArg,
    /// Fail in a way that no flag explains
    #[arg(long)]
    panic: bool,
}

impl Command for Words {
    const NAME: &'static str = "words";
    const ABOUT: &'static str = "Counts the words of a corpus";

    fn run(&self, store: &Store) -> anyhow::Result<Value> {
        assert!(!self.panic, "a bug");
        let corpus = store.require(&store.resolve(self.corpus.as_str())?)?;
        let documents: Vec<Document> = corpus.records()?;
        let words = documents
            .iter()
            .map(|document| document.text.split(' ').count());
        Ok(json!({"words": words.sum::<usize>()}))
    }
}
