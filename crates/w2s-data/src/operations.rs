//! The subcommands of `w2s-data`: flags, what they read, and what they leave behind.

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
};

use anyhow::{Context, bail};
use serde::{Serialize, Serializer, ser::Error};
use serde_json::{Map, Value};
use w2s_artifact::{
    Document, Example, Kind, Split,
    summary::{CorpusSummary, Dropped, SplitPlan, SplitSummary},
};
use w2s_stage::{HintExt, Inputs, Operation, Step};
use w2s_worlds::{Reader, Review, Reviews, reviews};

use crate::{
    error::DataError,
    source::{self, ReadOptions},
    split::{Row, SplitParams, counts, cut, pre_cut, table},
    task::{Loaded, Task, Template},
    tokenizer::{self, TokenizerKind},
    world_params::{WorldName, WorldParams},
};

/// So many test reviews are looked at for each that is wanted: a tiny world has hardly one that is not in the pool.
const PATIENCE: usize = 20;

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
    /// Text of a document: a column of the source, or a template with columns in braces such as `{title}: {body}`; the lines of
    /// a .txt file are the column `text`
    #[arg(long, default_value = "text", value_name = "COLUMN|TEMPLATE")]
    pub text: String,
    /// Documents to make or to read [default: 32000 of the world `reviews`, 16000 of `sections`, 60000 of `glossary`, 4000 of
    /// `problems`, 20000 of `requests`, all of a source]
    #[arg(long, value_parser = w2s_stage::count(1..=10_000_000), value_name = "N")]
    pub documents: Option<usize>,
    /// How text is cut into tokens [default: word for the world `reviews`, lossless for other worlds, bpe for a source]
    #[arg(long, value_enum, value_name = "KIND")]
    pub tokenizer: Option<TokenizerKind>,
    /// Tokens of the vocabulary, at most
    #[arg(long, value_parser = w2s_stage::count(5..=1_000_000), default_value_t = 4096, value_name = "N")]
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

    fn template(&self) -> anyhow::Result<Template> {
        match self.text.contains(['{', '}']) {
            true => {
                let refused = |problem| anyhow::anyhow!("--text {problem}");
                Template::parse(&self.text).map_err(refused)
            }
            false => Ok(Template::column(&self.text)),
        }
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
            self.template()?;
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
        let mut dropped = Dropped::new();
        let texts: Vec<String> = if self.world.is_off() {
            let options = ReadOptions {
                limit: self.documents,
                ..ReadOptions::default()
            };
            let template = self.template()?;
            let columns: Vec<&str> = template.columns().collect();
            let records = hinted(source::read(&self.source, &columns, options))?;
            let read = records.len();
            let mut texts: Vec<String> = records
                .iter()
                .map(|record| {
                    let value = |column: &str| {
                        let place = columns.iter().position(|name| *name == column);
                        place.map_or("", |place| record.values[place].trim())
                    };
                    template.fill(value).unwrap_or_default().trim().to_owned()
                })
                .collect();
            texts.retain(|text| !text.is_empty());
            let filled = texts.len();
            let mut known = HashSet::new();
            texts.retain(|text| known.insert(text.clone()));
            dropped.insert("empty".into(), read - filled);
            dropped.insert("duplicate".into(), filled - texts.len());
            if texts.is_empty() {
                bail!(
                    "the source has {read} records and none with text in {}",
                    crate::error::quoted(&columns)
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
        let summary = CorpusSummary {
            documents: documents.len(),
            words,
            vocabulary: tokenizer.get_vocab_size(true),
            tokenizer: self.kind().to_string(),
            dropped,
        };
        Ok(serde_json::to_value(summary)?)
    }
}

/// Tells a wrong path before any work.
pub(crate) fn check_paths(flag: &str, paths: &[PathBuf]) -> anyhow::Result<()> {
    for path in paths {
        hinted(source::files(path)).with_context(|| format!("--{flag} cannot be read"))?;
    }
    Ok(())
}

/// What an example of the world `reviews` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// A review, which a reader of the language judges
    #[default]
    Reviews,
    /// A single opinion word, with the polarity it has for ever: what a model learnt of the vocabulary
    Words,
}

/// Makes examples: labelled texts divided into gold, transfer and test.
#[derive(Clone, Debug, clap::Args)]
pub struct TaskOperation {
    /// Description of the data: the name of one that comes with the program, such as boolq or sst2 (data/README.md lists them
    /// all), or path/to/task.toml
    #[arg(
        long,
        value_name = "NAME|FILE",
        conflicts_with = "world",
        required_unless_present = "world"
    )]
    pub task: Option<String>,
    /// File or folder with rows to divide; more than one by repeating the flag. In a folder the task says which files hold
    /// test rows
    #[arg(long, value_name = "PATH", conflicts_with = "world")]
    pub source: Vec<PathBuf>,
    /// File or folder with test rows; without --source: rows to take as they are
    #[arg(long, value_name = "PATH", conflicts_with = "world")]
    pub test_source: Vec<PathBuf>,
    /// Gold rows that were divided elsewhere, to take as they are, in their order
    #[arg(long, value_name = "PATH", requires_all = ["transfer_source", "test_source"], conflicts_with_all = ["world", "source"])]
    pub gold_source: Vec<PathBuf>,
    /// Transfer rows that were divided elsewhere, to take as they are, in their order
    #[arg(long, value_name = "PATH", requires_all = ["gold_source", "test_source"], conflicts_with_all = ["world", "source"])]
    pub transfer_source: Vec<PathBuf>,
    /// Read so many records of each source, the first ones
    #[arg(long, value_name = "N")]
    pub first_rows: Option<usize>,
    /// What an example of the world `reviews` is; of words, half are test rows and a tenth gold ones, unless sizes are given
    #[arg(
        long,
        value_enum,
        value_name = "UNIT",
        default_value_t,
        conflicts_with = "task"
    )]
    pub unit: Unit,
    /// How to divide.
    #[command(flatten)]
    pub split: SplitParams,
    /// Which world to generate.
    #[command(flatten)]
    pub world: WorldParams,
}

/// The parameters in the key. A description that comes with the program is one with all it says, so that a change of it
/// changes the key; a file of the user is an input and hashed as such. What does not apply is not there: the flags of worlds
/// for files, and seeds for rows that are divided already.
impl Serialize for TaskOperation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = |value: Result<Value, serde_json::Error>| value.map_err(S::Error::custom);
        let mut fields = match value(serde_json::to_value(&self.split))? {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        if self.is_divided() {
            fields.retain(|name, _| !name.ends_with("seed"));
        }
        fields.insert("first_rows".into(), self.first_rows.into());
        if let Some(name) = &self.task {
            let task = match Task::is_path(name) {
                true => "file".into(),
                false => value(serde_json::to_value(
                    Task::find(name).map_err(S::Error::custom)?,
                ))?,
            };
            fields.insert("task".into(), task);
        }
        if !self.world.is_off() {
            fields.insert("world".into(), value(serde_json::to_value(&self.world))?);
            fields.insert("unit".into(), value(serde_json::to_value(self.unit))?);
        }
        fields.serialize(serializer)
    }
}

impl TaskOperation {
    /// Whether the rows were divided elsewhere.
    fn is_divided(&self) -> bool {
        !self.gold_source.is_empty()
    }

    /// Refuses to look at texts where there are none.
    fn check_text(&self, task: &Task) -> anyhow::Result<()> {
        if task.text.is_some() {
            return Ok(());
        }
        let split = &self.split;
        let given = [
            ("min-words", split.min_words.is_some()),
            ("max-words", split.max_words.is_some()),
            ("ends-with", split.ends_with.is_some()),
            ("shared-run", split.shared_run.is_some_and(|run| run > 0)),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => {
                let name = &task.name;
                let refused: anyhow::Result<()> = Err(anyhow::anyhow!(
                    "--{flag}: the rows of the task `{name}` have no text"
                ));
                refused
                    .hint("leave the flag out, or say in the task which columns make up the `text`")
            }
            None => Ok(()),
        }
    }

    fn world_examples(&self, world: &Reviews) -> Result<(Vec<Example>, SplitPlan), DataError> {
        let pool = rows(world.pool_reviews().take(world.knobs().review_pool), 0);
        let test_rows = self.split.test_rows.unwrap_or(WORLD_TEST_ROWS);
        // What stands in the pool is no test row, so that the pool is the same whatever the number of test rows.
        let known: HashSet<&str> = pool.iter().map(|row| row.text.as_str()).collect();
        let mut wanted = [test_rows / 2, test_rows - test_rows / 2];
        let test = world
            .test_reviews()
            .take(PATIENCE * test_rows)
            .filter(|review| !known.contains(review.text.as_str()))
            .filter(|review| {
                let left = &mut wanted[usize::from(review.positive)];
                let needed = *left > 0;
                *left = left.saturating_sub(1);
                needed
            })
            .take(test_rows);
        let test = rows(test, pool.len() as u64);
        let classes = reviews::CLASSES.map(String::from);
        let shared_run = self.split.shared_run.unwrap_or(0);
        cut(pool, Some(test), 0, &classes, shared_run, &self.split)
    }

    fn world_words(&self, world: &Reviews) -> Result<(Vec<Example>, SplitPlan), DataError> {
        let pool = rows(world.opinion_words(), 0);
        let mut split = self.split.clone();
        // An interval wants test words, a probe words to learn from; few need a teacher.
        split.test_rows = split.test_rows.or(Some(pool.len() / 2));
        split.gold_rows = split.gold_rows.or(Some((pool.len() / 10).max(2)));
        let classes = reviews::CLASSES.map(String::from);
        cut(pool, None, 0, &classes, 0, &split)
    }

    fn file_examples(&self, task: &Task) -> Result<(Vec<Example>, SplitPlan), DataError> {
        // The numbers of rows go on from one source to the next.
        let mut end = 0;
        let mut load = |paths: &[PathBuf]| -> Result<Loaded, DataError> {
            let loaded = task.load(paths, self.first_rows, end)?;
            end = loaded.end;
            Ok(loaded)
        };
        let shared_run = self.split.shared_run.unwrap_or(task.shared_run);
        if self.is_divided() {
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
                shared_run,
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

/// Reviews or words as rows to split, numbered from `first` on, each a group of its own.
fn rows(reviews: impl Iterator<Item = Review>, first: u64) -> Vec<Row> {
    let row = |(id, review): (u64, Review)| Row {
        id,
        text: review.text,
        label: u32::from(review.positive),
        groups: Vec::new(),
    };
    (first..).zip(reviews).map(row).collect()
}

/// Turns over the labels of gold rows as the world says; returns how many.
fn add_label_noise(examples: &mut [Example], world: &Reviews) -> usize {
    let mut turned = 0;
    for example in examples {
        if example.split == Split::Gold && world.turns_over(example.id) {
            example.label = 1 - example.label;
            turned += 1;
        }
    }
    turned
}

/// What readers with parts of the language reach on the test reviews: the landmarks between chance and perfection.
fn readers(world: &Reviews, examples: &[Example]) -> BTreeMap<String, f64> {
    let complete = Reader::COMPLETE;
    let words = |share| Reader {
        known_words: world.knobs().words_per_polarity / share,
        ..complete
    };
    let without = |negation: bool, contrast: bool| Reader {
        heeds_negation: !negation,
        heeds_contrast: !contrast,
        ..complete
    };
    [
        ("complete", complete),
        ("frequent half of the words", words(2)),
        ("frequent tenth of the words", words(10)),
        ("without negation", without(true, false)),
        ("without contrast", without(false, true)),
        ("bag of words", without(true, true)),
    ]
    .map(|(name, reader)| {
        let test = examples.iter().filter(|row| row.split == Split::Test);
        let reviews = test.map(|row| (row.text.as_str(), row.label == 1));
        let accuracy = reader.accuracy(world, reviews);
        (name.to_owned(), (accuracy * 1e4).round() / 1e4)
    })
    .into()
}

impl Operation for TaskOperation {
    const NAME: &'static str = "task";
    const VERSION: u32 = 4;
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
        self.check_text(&hinted(Task::find(name))?)?;
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
        let mut summary = SplitSummary::default();
        let (name, (mut examples, mut plan), world) = match &self.task {
            Some(name) => {
                let task = hinted(Task::find(name))?;
                let examples = hinted(self.file_examples(&task))?;
                summary.sensitive = task.sensitive;
                (task.name, examples, None)
            }
            None => {
                let world = self.world.reviews.clone().build(self.world.world_seed)?;
                let (name, examples) = match self.unit {
                    Unit::Reviews => ("reviews", self.world_examples(&world)),
                    Unit::Words => ("words", self.world_words(&world)),
                };
                (name.to_owned(), hinted(examples)?, Some(world))
            }
        };
        if let Some(world) = world.filter(|_| self.unit == Unit::Reviews) {
            plan.noisy_labels = add_label_noise(&mut examples, &world);
            plan.splits = counts(&examples, plan.classes.len());
            summary.readers = readers(&world, &examples);
        }
        step.stop_if_interrupted()?;
        tracing::info!("split plan\n{}", table(&plan));
        step.write_records(&examples)?;
        let summary = SplitSummary {
            task: name,
            classes: plan.classes.clone(),
            rows: examples.len(),
            plan,
            ..summary
        };
        Ok(serde_json::to_value(summary)?)
    }
}
