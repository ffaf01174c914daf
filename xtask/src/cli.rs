//! What was typed: the flags of every command, nothing decided yet.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use w2s_artifact::Kind;

use crate::recipe::is_name_character;

/// Runs weak-to-strong experiments from recipes, and looks at what they leave behind.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a recipe: build the stages, check every step, run what is not cached, print the table.
    Pipeline(Pipeline),
    /// List the recipes, or tell one in full: what it shows, what it needs, how long it takes.
    Recipes(Recipes),
    /// List the artifacts of the store: step, when, size, and what each says of itself.
    List(List),
    /// Print an artifact's manifest and its first rows.
    Show(Show),
    /// Write an artifact's records as JSON lines, CSV or Parquet.
    Export(Export),
    /// Check the code: format, clippy, tests, documentation.
    Check(Check),
    /// Measure forward pass and training step, beside PyTorch where a peer is given.
    Bench(Bench),
}

/// Flags of `pipeline`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 done, 1 a step failed, 2 the recipe or a flag is wrong, 130 interrupted (state \
                        saved: the same command goes on)."
)]
pub struct Pipeline {
    /// A recipe's name (see `cargo xtask recipes`) or the path of a .toml file.
    #[arg(default_value = "weak-to-strong")]
    pub recipe: String,

    /// The name that logs and reports of this run carry, so that runs of one recipe stand side by side [default: the recipe's].
    #[arg(long, value_parser = run_name, value_name = "NAME")]
    pub name: Option<String>,

    /// Print what would run and why; run nothing.
    #[arg(long)]
    pub dry_run: bool,

    /// Run this step and everything after it again, cached or not (`weak`, or `weak[seed=0]`).
    #[arg(long, value_name = "STEP")]
    pub from: Option<String>,

    /// Override a key of a step (`weak.epochs=3`), a matrix variable (`matrix.seed=[0]`), or something in a row of one
    /// (`arm.naive.train.lr=1e-3`); repeatable.
    #[arg(long, value_name = "STEP.KEY=VALUE")]
    pub set: Vec<String>,

    /// Give a value to a variable of the recipe; repeatable.
    #[arg(long, value_name = "NAME=VALUE")]
    pub var: Vec<String>,

    /// Where to compute: flex (CPU), or cuda:0, vulkan, ... when built with --features.
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,

    /// The folder that keeps artifacts, logs and reports.
    #[arg(long, env = "W2S_STORE", default_value = ".w2s", value_name = "FOLDER")]
    pub store: PathBuf,

    /// How many independent steps run side by side, at most one a core; the threads are divided among them.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    pub jobs: u16,

    /// Cargo features for the stage binaries: cuda, vulkan, metal, wgpu.
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    pub features: Vec<String>,

    /// Threads for all steps together [default: all cores].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    pub threads: Option<u16>,

    /// Use the stage binaries as they are, without asking cargo.
    #[arg(long)]
    pub no_build: bool,

    /// Print each step's command line.
    #[arg(short, long)]
    pub verbose: bool,
}

/// A name that is safe as the name of a folder.
fn run_name(text: &str) -> Result<String, String> {
    if text.is_empty() || !text.chars().all(is_name_character) {
        return Err("a name is made of letters, digits, `-` and `_`".to_owned());
    }
    Ok(text.to_owned())
}

/// Flags of `recipes`.
#[derive(Debug, Args)]
pub struct Recipes {
    /// Tell this one in full, with its variables and steps.
    pub recipe: Option<String>,
}

/// Flags of `list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only artifacts of this kind.
    #[arg(value_parser = kind())]
    pub kind: Option<Kind>,

    /// The folder that keeps artifacts, logs and reports.
    #[arg(long, env = "W2S_STORE", default_value = ".w2s", value_name = "FOLDER")]
    pub store: PathBuf,
}

fn kind() -> impl TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(Kind::ALL.map(Kind::name)).try_map(|name| name.parse::<Kind>())
}

/// Flags of `show`.
#[derive(Debug, Args)]
pub struct Show {
    /// `kind/hex` (the first hex digits do), the name of a step (`naive[seed=0]`; without the bracket the points of its
    /// matrix are listed), or the path of an artifact's folder.
    pub artifact: String,

    /// How many rows to print.
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub rows: usize,

    /// Print the texts of sensitive data sets, too, which are lengths and hashes otherwise.
    #[arg(long)]
    pub show_texts: bool,

    /// The folder that keeps artifacts, logs and reports.
    #[arg(long, env = "W2S_STORE", default_value = ".w2s", value_name = "FOLDER")]
    pub store: PathBuf,
}

/// Flags of `export`.
#[derive(Debug, Args)]
pub struct Export {
    /// `kind/hex` (the first hex digits do), the name of a step (`naive[seed=0]`; without the bracket the points of its
    /// matrix are listed), or the path of an artifact's folder.
    pub artifact: String,

    /// The format to write.
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    pub format: Format,

    /// The file to write [default: standard output].
    #[arg(long, short, value_name = "FILE", required_if_eq("format", "parquet"))]
    pub output: Option<PathBuf>,

    /// In CSV, put an apostrophe before texts that a spreadsheet would run as a formula: those that begin with `=`, `+`,
    /// `-`, `@`, a tab or a carriage return. Numbers stay numbers.
    #[arg(long)]
    pub excel_safe: bool,

    /// The folder that keeps artifacts, logs and reports.
    #[arg(long, env = "W2S_STORE", default_value = ".w2s", value_name = "FOLDER")]
    pub store: PathBuf,

    /// Use the stage binaries as they are, without asking cargo (Parquet is written by `w2s-data`).
    #[arg(long)]
    pub no_build: bool,
}

/// What `export` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values with a header.
    Csv,
    /// Apache Parquet.
    Parquet,
}

/// Flags of `bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// A Python that has torch; without it our own figures are printed alone.
    #[arg(long, value_name = "PATH", requires = "peer_dir")]
    pub peer_python: Option<PathBuf>,

    /// The folder that holds `peer_train_step.py`, `peer_generate.py`, `peer_dpo.py` and `peer_w2s.py`.
    #[arg(long, value_name = "FOLDER", requires = "peer_python")]
    pub peer_dir: Option<PathBuf>,

    /// A model folder, such as SmolLM2-135M: measures generation too.
    #[arg(long, value_name = "FOLDER")]
    pub model: Option<PathBuf>,

    /// A file of preference pairs in the layout of HH-RLHF: measures DPO too, beside TRL and plain PyTorch.
    #[arg(long, value_name = "FILE", requires = "model")]
    pub pairs: Option<PathBuf>,

    /// How many of the first pairs of the file; those of more than 128 tokens are left out on both sides, so that of 30 pairs of
    /// HH-RLHF's harmless ones 24 remain.
    #[arg(long, default_value_t = 30, requires = "pairs", value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    pub pairs_limit: u16,

    /// A folder with `train.tsv` and `test.tsv` of SST-2: measures the recipe `classify` too, on the rows that the peer chose
    /// if there is one, and how long the same command takes when every step is cached.
    #[arg(long, value_name = "FOLDER", requires = "model")]
    pub sst2: Option<PathBuf>,

    /// How often the experiment runs; each takes minutes.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    pub sst2_rounds: u16,

    /// How often each program runs, in turn.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    pub rounds: u16,

    /// Threads of each program.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    pub threads: u16,
}

/// Flags of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Only these: format, clippy, tests, docs.
    #[arg(value_enum)]
    pub only: Vec<Part>,
}

/// The parts of `check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// `cargo fmt --check`.
    Format,
    /// `cargo clippy` with warnings as errors.
    Clippy,
    /// `cargo test` in the release profile.
    Tests,
    /// `cargo doc` with warnings as errors.
    Docs,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_default_recipe_is_weak_to_strong() {
        let Command::Pipeline(pipeline) = Cli::parse_from(["xtask", "pipeline"]).command else {
            panic!("`pipeline` parses as another command");
        };
        assert_eq!(
            (pipeline.recipe.as_str(), pipeline.jobs),
            ("weak-to-strong", 1)
        );
    }
}
