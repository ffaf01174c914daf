//! The subcommands of `w2s-data`: flags, what they read, and what they leave behind.

use std::{collections::HashSet, path::PathBuf};

use anyhow::{Context, bail};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use w2s_artifact::{Document, Example, Kind};
use w2s_stage::{HintExt, Inputs, Operation, Step};

use crate::{
    error::DataError,
    source::{self, ReadOptions},
    split::{SplitParams, SplitPlan, cut, pre_cut},
    task::{Loaded, Task},
    tokenizer::{self, TokenizerKind},
    world::reviews::{self, Reader, Reviews},
    world_params::{WorldName, WorldParams},
};

/// Test rows of a world's task unless the user says otherwise.
const WORLD_TEST_ROWS: usize = 2_000;

/// Adds the hint an error has to it.
pub(crate) fn hinted<T>(result: Result<T, DataError>) -> anyhow::Result<T> {
    match result {
        Ok(value) => Ok(value),
        Err(error) => match error.hint() {
            Some(hint) => Err(error).hint(hint),
            None => Err(error.into()),
        },
    }
}

/// Makes a corpus: documents and the tokenizer trained on them.
#[derive(Clone, Debug, Serialize, clap::Args)]
pub struct Corpus {
    /// File or folder with text to pretrain on; more than one by repeating the flag
    #[arg(
        long,
        value_name = "PATH",
        conflicts_with = "world",
        required_unless_present = "world"
    )]
    #[serde(skip)]
    pub source: Vec<PathBuf>,
    /// Column of the source that holds the text; the lines of a .txt file are the column `text`
    #[arg(long, default_value = "text", value_name = "NAME")]
    pub text_column: String,
    /// Documents to make or to read [default: 32000 of the world `reviews`, 16000 of `sections`, 60000 of `glossary`, all of a
    /// source]
    #[arg(long, value_name = "N")]
    pub documents: Option<usize>,
    /// How text is cut into tokens [default: word for the world `reviews`, lossless for other worlds, bpe for a source]
    #[arg(long, value_enum, value_name = "KIND")]
    pub tokenizer: Option<TokenizerKind>,
    /// Tokens of the vocabulary, at most
    #[arg(long, default_value_t = 4096, value_name = "N")]
    pub vocabulary: usize,
    /// Which world to generate.
    #[command(flatten)]
    #[serde(skip_serializing_if = "WorldParams::is_off")]
    pub world: WorldParams,
}

impl Corpus {
    fn kind(&self) -> TokenizerKind {
        let usual = || self.world.world.map(WorldName::tokenizer);
        self.tokenizer.or_else(usual).unwrap_or(TokenizerKind::Bpe)
    }
}

impl Operation for Corpus {
    const NAME: &'static str = "corpus";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Corpus;
    const ABOUT: &'static str =
        "Makes a corpus to pretrain on, generated or from files, with its tokenizer";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.file("source", &self.source);
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.world.is_off() {
            check_paths("source", &self.source)?;
        }
        self.world.check()?;
        if self.documents == Some(0) {
            bail!("--documents 0: a corpus needs a document");
        }
        let least = self.kind().least_vocabulary();
        if self.vocabulary < least {
            bail!(
                "--vocabulary {}: this tokenizer needs {least} tokens or more",
                self.vocabulary
            );
        }
        Ok(())
    }

    fn run(&self, step: &Step) -> anyhow::Result<Value> {
        let mut dropped = json!({});
        let texts: Vec<String> = if self.world.is_off() {
            let options = ReadOptions {
                limit: self.documents,
                ..ReadOptions::default()
            };
            let records = hinted(source::read(&self.source, &[&self.text_column], options))?;
            let read = records.len();
            let mut texts: Vec<String> = records
                .into_iter()
                .map(|mut record| record.values.swap_remove(0).trim().to_string())
                .collect();
            texts.retain(|text| !text.is_empty());
            let filled = texts.len();
            let mut known = HashSet::new();
            texts.retain(|text| known.insert(text.clone()));
            dropped = json!({"empty": read - filled, "duplicate": filled - texts.len()});
            if texts.is_empty() {
                bail!(
                    "the source has {read} records and none with text in the column `{}`",
                    self.text_column
                );
            }
            texts
        } else {
            self.world.documents(self.documents)?
        };
        step.stop_if_interrupted()?;
        let tokenizer = tokenizer::train(self.kind(), &texts, self.vocabulary)?;
        for (name, content) in tokenizer::files(&tokenizer)? {
            step.write_file(name, content)?;
        }
        step.stop_if_interrupted()?;
        let words: usize = texts
            .iter()
            .map(|text| text.split_whitespace().count())
            .sum();
        let documents: Vec<Document> = (0..)
            .zip(texts)
            .map(|(id, text)| Document { id, text })
            .collect();
        step.write_records(&documents)?;
        Ok(json!({
            "documents": documents.len(),
            "words": words,
            "vocabulary": tokenizer.get_vocab_size(true),
            "tokenizer": self.kind(),
            "dropped": dropped,
        }))
    }
}

/// Tells a wrong path before any work.
pub(crate) fn check_paths(flag: &str, paths: &[PathBuf]) -> anyhow::Result<()> {
    for path in paths {
        hinted(source::files(path)).with_context(|| format!("--{flag} cannot be read"))?;
    }
    Ok(())
}

/// Makes examples: labelled texts divided into gold, transfer and test.
#[derive(Clone, Debug, Serialize, clap::Args)]
pub struct TaskOperation {
    /// Description of the data: amazon_polarity, boolq, cosmos_qa, sciq, sst2, or path/to/task.toml
    #[arg(
        long,
        value_name = "NAME|FILE",
        conflicts_with = "world",
        required_unless_present = "world"
    )]
    #[serde(serialize_with = "described", skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// File or folder with rows to divide; more than one by repeating the flag. In a folder the task says which files hold
    /// test rows
    #[arg(long, value_name = "PATH", conflicts_with = "world")]
    #[serde(skip)]
    pub source: Vec<PathBuf>,
    /// File or folder with test rows; without --source: rows to take as they are
    #[arg(long, value_name = "PATH", conflicts_with = "world")]
    #[serde(skip)]
    pub test_source: Vec<PathBuf>,
    /// Gold rows that were divided elsewhere, to take as they are, in their order
    #[arg(long, value_name = "PATH", requires_all = ["transfer_source", "test_source"], conflicts_with_all = ["world", "source"])]
    #[serde(skip)]
    pub gold_source: Vec<PathBuf>,
    /// Transfer rows that were divided elsewhere, to take as they are, in their order
    #[arg(long, value_name = "PATH", requires_all = ["gold_source", "test_source"], conflicts_with_all = ["world", "source"])]
    #[serde(skip)]
    pub transfer_source: Vec<PathBuf>,
    /// Read so many records of each source, the first ones
    #[arg(long, value_name = "N")]
    pub first_rows: Option<usize>,
    /// How to divide.
    #[command(flatten)]
    #[serde(flatten)]
    pub split: SplitParams,
    /// Which world to generate.
    #[command(flatten)]
    #[serde(skip_serializing_if = "WorldParams::is_off")]
    pub world: WorldParams,
}

/// A description that comes with the program is a parameter with all it says, so that a change of it changes the key; a
/// file of the user is an input and hashed as such.
fn described<S: Serializer>(name: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    match name {
        Some(name) if !Task::is_path(name) => Task::find(name)
            .map_err(serde::ser::Error::custom)?
            .serialize(serializer),
        _ => "file".serialize(serializer),
    }
}

impl TaskOperation {
    fn world_examples(&self) -> anyhow::Result<(Vec<Example>, SplitPlan, Value)> {
        let world = self.world.reviews.clone().build(self.world.world_seed)?;
        let pool = reviews::rows(world.pool_reviews().take(world.knobs().review_pool), 0);
        let test_rows = self.split.test_rows.unwrap_or(WORLD_TEST_ROWS);
        let test = reviews::rows(world.test_reviews().take(test_rows), pool.len() as u64);
        let classes = reviews::CLASSES.map(String::from);
        let (mut examples, mut plan) = hinted(cut(
            pool,
            Some(test),
            0,
            &classes,
            self.split.shared_run.unwrap_or(0),
            &self.split,
        ))?;
        plan.noisy_labels = reviews::add_label_noise(
            &mut examples,
            world.knobs().label_noise,
            self.world.world_seed,
        );
        plan.recount(&examples);
        Ok((examples, plan, readers(&world, &self.split)))
    }

    fn file_examples(&self, task: &Task) -> Result<(Vec<Example>, SplitPlan), DataError> {
        // The numbers of rows go on from one source to the next.
        let mut end = 0;
        let mut load = |paths: &[PathBuf]| -> Result<Loaded, DataError> {
            let loaded = task.load(paths, self.first_rows, end)?;
            end = loaded.end;
            Ok(loaded)
        };
        if self.source.is_empty() {
            let gold = load(&self.gold_source)?;
            let transfer = load(&self.transfer_source)?;
            let test = load(&self.test_source)?;
            let unlabelled = gold.unlabelled + transfer.unlabelled + test.unlabelled;
            return pre_cut(
                gold.rows,
                transfer.rows,
                test.rows,
                unlabelled,
                task.classes(),
                &self.split,
            );
        }
        let (mut pool, mut test) = (Vec::new(), self.test_source.clone());
        for path in &self.source {
            let (pool_files, test_files) = task.roles(path)?;
            pool.extend(pool_files);
            if self.test_source.is_empty() {
                test.extend(test_files);
            }
        }
        let pool = load(&pool)?;
        let test = if test.is_empty() {
            None
        } else {
            Some(load(&test)?)
        };
        let unlabelled = pool.unlabelled + test.as_ref().map_or(0, |test: &Loaded| test.unlabelled);
        let shared_run = self.split.shared_run.unwrap_or(task.shared_run);
        cut(
            pool.rows,
            test.map(|test| test.rows),
            unlabelled,
            task.classes(),
            shared_run,
            &self.split,
        )
    }
}

/// What readers with parts of the language reach on the test reviews: the landmarks between chance and perfection.
fn readers(world: &Reviews, split: &SplitParams) -> Value {
    let test: Vec<_> = world
        .test_reviews()
        .take(split.test_rows.unwrap_or(WORLD_TEST_ROWS))
        .collect();
    let accuracy = |reader: Reader| {
        let accuracy = reader.accuracy(
            world,
            test.iter()
                .map(|review| (review.text.as_str(), review.positive)),
        );
        (accuracy * 1e4).round() / 1e4
    };
    let complete = Reader::COMPLETE;
    json!({
        "complete": accuracy(complete),
        "frequent half of the words": accuracy(Reader { known_words: world.knobs().words_per_polarity / 2, ..complete }),
        "frequent tenth of the words": accuracy(Reader { known_words: world.knobs().words_per_polarity / 10, ..complete }),
        "without negation": accuracy(Reader { heeds_negation: false, ..complete }),
        "without contrast": accuracy(Reader { heeds_contrast: false, ..complete }),
        "bag of words": accuracy(Reader { heeds_negation: false, heeds_contrast: false, ..complete }),
    })
}

impl Operation for TaskOperation {
    const NAME: &'static str = "task";
    const VERSION: u32 = 2;
    const KIND: Kind = Kind::Examples;
    const ABOUT: &'static str =
        "Makes labelled examples, generated or from files, divided into gold, transfer and test";

    fn inputs(&self, inputs: &mut Inputs) {
        let description = self
            .task
            .as_ref()
            .filter(|task| Task::is_path(task))
            .map(PathBuf::from);
        inputs.file("task", &description);
        inputs.file("source", &self.source);
        inputs.file("test-source", &self.test_source);
        inputs.file("gold-source", &self.gold_source);
        inputs.file("transfer-source", &self.transfer_source);
    }

    fn check(&self) -> anyhow::Result<()> {
        self.split.check()?;
        if self.first_rows == Some(0) {
            bail!("--first-rows 0: nothing would be read");
        }
        self.world.check()?;
        self.world.check_classifies()?;
        let Some(name) = &self.task else {
            return Ok(());
        };
        hinted(Task::find(name))?;
        if self.source.is_empty() && self.gold_source.is_empty() {
            let missing: anyhow::Result<()> =
                Err(anyhow::anyhow!("the task `{name}` has no rows to read"));
            return missing.hint("name a file or a folder with `--source PATH`");
        }
        check_paths("source", &self.source)?;
        check_paths("test-source", &self.test_source)?;
        check_paths("gold-source", &self.gold_source)?;
        check_paths("transfer-source", &self.transfer_source)
    }

    fn run(&self, step: &Step) -> anyhow::Result<Value> {
        let (name, examples, plan, readers) = match &self.task {
            Some(name) => {
                let task = hinted(Task::find(name))?;
                let (examples, plan) = hinted(self.file_examples(&task))?;
                (task.name, examples, plan, None)
            }
            None => {
                let (examples, plan, readers) = self.world_examples()?;
                ("reviews".to_string(), examples, plan, Some(readers))
            }
        };
        step.stop_if_interrupted()?;
        tracing::info!("split plan\n{plan}");
        step.write_records(&examples)?;
        let mut summary = json!({
            "task": name,
            "classes": &plan.classes,
            "rows": examples.len(),
            "plan": &plan,
        });
        if let Some(readers) = readers {
            summary["readers"] = readers;
        }
        Ok(summary)
    }
}
