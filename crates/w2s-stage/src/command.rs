//! Subcommands that make no artifact: no key, no cache, no place in a recipe.

use serde_json::Value;
use w2s_artifact::Store;

/// A subcommand of a stage that only reads the store, such as an export. It shares the flags `--store`, `--verbose` and
/// `--quiet`, the way errors are told and the exit codes with an [`Operation`](crate::Operation), and `describe` leaves it
/// out: a recipe cannot run it.
pub trait Command: clap::Args + 'static {
    /// The subcommand, such as `export`.
    const NAME: &'static str;
    /// One line for `--help`.
    const ABOUT: &'static str;

    /// Does the work and returns what the one line on stdout says. The store is there already.
    fn run(&self, store: &Store) -> anyhow::Result<Value>;
}

/// A [`Command`] without its type, so that a stage can hold several.
pub(crate) trait AnyCommand {
    fn run(&self, store: &Store) -> anyhow::Result<Value>;
}

impl<T: Command> AnyCommand for T {
    fn run(&self, store: &Store) -> anyhow::Result<Value> {
        Command::run(self, store)
    }
}
