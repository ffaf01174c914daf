//! The control plane: it expands a recipe, plans it, starts the stage binaries and watches them.
//!
//! It knows nothing about machine learning. A step is a command line of a stage binary, an artifact is what the binary
//! says it made, and a run has no state of its own apart from the store. Suggested reading order: [`recipe`] (what a
//! file says), [`plan`] (which steps that makes), [`stages`] (how a binary is asked), [`run`] (what happens).

mod bench;
mod build;
mod check;
mod cli;
mod command_line;
mod complaint;
mod export;
mod list;
mod out;
mod pipeline;
mod plan;
mod process;
mod recipe;
mod recipes;
mod report;
mod run;
mod show;
mod stages;
mod status;
mod table;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Pipeline(arguments) => pipeline::pipeline(&arguments),
        Command::Recipes(arguments) => recipes::recipes(&arguments),
        Command::List(arguments) => list::list(&arguments),
        Command::Show(arguments) => show::show(&arguments),
        Command::Export(arguments) => export::export(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Bench(arguments) => bench::bench(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            out::say(complaint.to_string().trim_end());
            ExitCode::from(complaint.exit_code())
        }
    }
}
