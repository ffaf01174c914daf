//! The shell every stage binary shares: flags, cache, progress, exit codes.
//!
//! A subcommand is a struct that implements [`Operation`]: its fields are the flags and, serialized, the parameters that go
//! into the artifact's key. [`Stage`] collects operations, and [`main`] is the whole `main` of the binary: it parses the
//! flags, derives the key, answers from the store where it can, and otherwise takes the step's lock, hands the operation a
//! [`Step`] and commits what it wrote. [`Step`] gives the inputs, the folder to write into, a [`Progress`] to show, and says
//! when the user wants to stop, upon which the operation returns [`Interrupted`]. [`HintExt`] adds the next thing to type to
//! an error. A subcommand that makes no artifact is a [`Command`]. Before anything runs, an operation can look at what is
//! known of its inputs ([`KnownInputs`]).
//!
//! On stdout there is exactly one line of JSON; progress, logs and errors go to stderr. Exit codes: 0 done, 1 failed,
//! 2 wrong flag, 130 interrupted with the state saved.
//!
//! [`run`](run()) does the same in-process, which is how tests and programs use an operation:
//!
//! ```
//! use w2s_artifact::{Document, Kind};
//! use w2s_stage::{Inputs, Operation, RunOptions, Step};
//!
//! /// Counts, as a corpus.
//! #[derive(clap::Args, serde::Serialize)]
//! struct Count {
//!     /// Documents to write
//!     #[arg(long, default_value_t = 3)]
//!     documents: u64,
//! }
//!
//! impl Operation for Count {
//!     const NAME: &'static str = "count";
//!     const VERSION: u32 = 1;
//!     const KIND: Kind = Kind::Corpus;
//!     const ABOUT: &'static str = "Writes documents that are numbers";
//!
//!     fn inputs(&self, _: &mut Inputs) {}
//!
//!     fn run(&self, step: &Step) -> anyhow::Result<serde_json::Value> {
//!         let documents: Vec<Document> =
//!             (0..self.documents).map(|id| Document { id, text: id.to_string() }).collect();
//!         step.write_records(&documents)?;
//!         Ok(serde_json::json!({"documents": documents.len()}))
//!     }
//! }
//!
//! # fn main() -> anyhow::Result<()> {
//! let folder = tempfile::tempdir()?;
//! let options = RunOptions::new(folder.path());
//! let first = w2s_stage::run("toy", &Count { documents: 3 }, &options)?;
//! assert_eq!(first.artifact.manifest.summary["documents"], 3);
//! let second = w2s_stage::run("toy", &Count { documents: 3 }, &options)?;
//! assert!(second.cached);
//! # Ok(())
//! # }
//! ```

#![deny(missing_docs)]

mod operation;

mod choices;

mod numbers;

mod command;

mod known;

mod headline;

mod step;

mod stage;

mod run;

mod inputs;

mod describe;

mod progress;

mod memory;

mod error;

pub use crate::{
    choices::choices,
    command::Command,
    error::{HintExt, Interrupted},
    known::{Known, KnownInputs, Origin},
    memory::peak_memory_mib,
    numbers::count,
    operation::{ArtifactArg, ArtifactArgs, ArtifactInput, FileArgs, Inputs, Operation},
    progress::Progress,
    run::{Outcome, Outlook, RunOptions, plan, run},
    stage::{Stage, main},
    step::Step,
};
