//! The `main` of every stage binary: flags in, one line of JSON out, an exit code that says how it went.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, anyhow};
use clap::error::ErrorKind;
use clap::{ArgAction, ArgMatches, Args, Command, FromArgMatches};
use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;
use w2s_artifact::{Kind, Store, plain};

use crate::command::{self, AnyCommand};
use crate::describe::describe;
use crate::error::{HintExt, render};
use crate::numbers;
use crate::operation::{AnyOperation, Operation};
use crate::progress::LogWriter;
use crate::run::{Failure, RunOptions, check_device, default_threads, plan_any, run_any};

/// The exit code of a step that failed.
const FAILED: u8 = 1;
/// The exit code of a wrong flag.
const USAGE: u8 = 2;
/// The exit code of an interrupted step, as shells know it.
const INTERRUPTED: u8 = 130;

/// Bytes of stack of a thread that works: as much as a main thread has.
const STACK: usize = 8 << 20;

/// A stage binary: its name, its subcommands and the devices it knows.
pub struct Stage {
    pub(crate) name: &'static str,
    about: &'static str,
    pub(crate) operations: Vec<Entry>,
    commands: Vec<CommandEntry>,
    device_check: Option<Box<DeviceCheck>>,
}

/// Refuses the names of devices that cannot be used.
pub(crate) type DeviceCheck = dyn Fn(&str) -> anyhow::Result<()>;

/// An operation before its flags are known.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) version: u32,
    pub(crate) kind: Kind,
    pub(crate) about: &'static str,
    pub(crate) augment: fn(Command) -> Command,
    parse: fn(&ArgMatches) -> Result<Box<dyn AnyOperation>, clap::Error>,
}

/// A command before its flags are known.
struct CommandEntry {
    name: &'static str,
    about: &'static str,
    augment: fn(Command) -> Command,
    parse: fn(&ArgMatches) -> Result<Box<dyn AnyCommand>, clap::Error>,
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operations: Vec<&str> = self
            .operations
            .iter()
            .map(|operation| operation.name)
            .collect();
        f.debug_struct("Stage")
            .field("name", &self.name)
            .field("operations", &operations)
            .finish_non_exhaustive()
    }
}

impl Stage {
    /// The stage `name`, whose binary is `w2s-name`.
    pub fn new(name: &'static str, about: &'static str) -> Self {
        Self {
            name,
            about,
            operations: Vec::new(),
            commands: Vec::new(),
            device_check: None,
        }
    }

    /// Adds a subcommand that makes an artifact.
    #[must_use]
    pub fn operation<T: Operation>(mut self) -> Self {
        self.operations.push(Entry {
            name: T::NAME,
            version: T::VERSION,
            kind: T::KIND,
            about: T::ABOUT,
            augment: |command| T::augment_args(command),
            parse: |matches| Ok(Box::new(T::from_arg_matches(matches)?)),
        });
        self
    }

    /// Adds a subcommand that makes none.
    #[must_use]
    pub fn command<T: command::Command>(mut self) -> Self {
        self.commands.push(CommandEntry {
            name: T::NAME,
            about: T::ABOUT,
            augment: |command| T::augment_args(command),
            parse: |matches| Ok(Box::new(T::from_arg_matches(matches)?)),
        });
        self
    }

    /// Says which `--device` names can be used; without it every name passes, as fits a stage that computes nothing.
    #[must_use]
    pub fn device_check(mut self, check: impl Fn(&str) -> anyhow::Result<()> + 'static) -> Self {
        self.device_check = Some(Box::new(check));
        self
    }

    /// The command line of the binary.
    fn command_line(&self) -> Command {
        let binary = format!("w2s-{}", self.name);
        let command = Command::new(self.name)
            .bin_name(&binary)
            .display_name(&binary)
            .version(env!("CARGO_PKG_VERSION"))
            .about(self.about)
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(
                Command::new("describe")
                    .about("Prints operations and flags as JSON")
                    .hide(true),
            )
            .after_help(
                "Exit codes: 0 done, 1 failed, 2 wrong flag, 130 interrupted (state saved).",
            );
        // clap takes the doc comments of both structs for a description, so the real one comes last.
        let command = self.operations.iter().fold(command, |command, operation| {
            let subcommand = (operation.augment)(Command::new(operation.name));
            let subcommand = Shared::augment_args(subcommand.next_help_heading("Run"));
            command.subcommand(subcommand.about(operation.about).long_about(None))
        });
        self.commands.iter().fold(command, |command, entry| {
            let subcommand = (entry.augment)(Command::new(entry.name));
            let subcommand = Common::augment_args(subcommand.next_help_heading("Run"));
            command.subcommand(subcommand.about(entry.about).long_about(None))
        })
    }
}

/// The flags every subcommand has.
#[derive(Args, Debug)]
struct Common {
    /// Folder of the store
    #[arg(long, value_name = "PATH", env = "W2S_STORE", default_value = ".w2s")]
    store: PathBuf,
    /// Log more; twice for everything
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
    /// Show no progress, and log only warnings
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
}

/// The flags every operation has. None of them shapes the result.
#[derive(Args, Debug)]
struct Shared {
    #[command(flatten)]
    common: Common,
    /// Device to compute on
    #[arg(long, value_name = "NAME", default_value = "flex")]
    device: String,
    /// Threads to use [default: all cores]
    #[arg(long, value_name = "N", value_parser = numbers::count(1..=1_024))]
    threads: Option<usize>,
    /// Name of the step in its recipe, for the manifest
    #[arg(long, value_name = "NAME")]
    step: Option<String>,
    /// Check the flags, say what would run, and do nothing
    #[arg(long)]
    check: bool,
    /// Run although the result is there
    #[arg(long)]
    force: bool,
}

/// Runs the stage on the arguments of the process; the whole `main` of a stage binary.
pub fn main(stage: Stage) -> ExitCode {
    ExitCode::from(main_with(&stage, std::env::args_os()))
}

fn main_with(stage: &Stage, arguments: impl IntoIterator<Item = OsString>) -> u8 {
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        console::set_colors_enabled(false);
        console::set_colors_enabled_stderr(false);
    }
    let mut command_line = stage.command_line();
    let matches = command_line
        .try_get_matches_from_mut(arguments)
        .and_then(|matches| numbers::check(&mut command_line, &matches).map(|()| matches));
    let matches = match matches {
        Ok(matches) => matches,
        Err(error) => return clap_error(&error),
    };
    let Some((name, matches)) = matches.subcommand() else {
        return USAGE;
    };
    if name == "describe" {
        return print_line(&describe(stage));
    }
    match run_subcommand(stage, name, matches) {
        Ok(Ok(line)) => print_line(&line),
        Ok(Err(failure)) => report(&failure),
        Err(error) => clap_error(&error),
    }
}

/// What a subcommand prints, how it failed, or what was wrong with its flags.
fn run_subcommand(
    stage: &Stage,
    name: &str,
    matches: &ArgMatches,
) -> Result<Result<Value, Failure>, clap::Error> {
    if let Some(entry) = stage.commands.iter().find(|entry| entry.name == name) {
        let command = (entry.parse)(matches)?;
        let common = Common::from_arg_matches(matches)?;
        start_logging(&common);
        return Ok(caught(|| execute_command(command.as_ref(), &common)));
    }
    let known = |entry: &&Entry| entry.name == name;
    let Some(entry) = stage.operations.iter().find(known) else {
        return Err(stage.command_line().error(
            ErrorKind::InvalidSubcommand,
            format!("no subcommand `{name}`"),
        ));
    };
    let operation = (entry.parse)(matches)?;
    let shared = Shared::from_arg_matches(matches)?;
    start_logging(&shared.common);
    Ok(caught(|| execute(stage, operation.as_ref(), &shared)))
}

/// A panic is a bug, but to whoever waits for the step it is a failed step.
fn caught(work: impl FnOnce() -> Result<Value, Failure>) -> Result<Value, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let error: anyhow::Result<Value> = Err(anyhow!("the step panicked; the message is above"))
            .hint("this is a bug in w2s, please report it");
        error.map_err(Failure::Failed)
    })
}

fn execute_command(command: &dyn AnyCommand, common: &Common) -> Result<Value, Failure> {
    let root = &common.store;
    // Opening a store makes it, which is of no use to somebody who mistyped its name.
    if !root.is_dir() {
        return Err(anyhow!("there is no store at {}", root.display()))
            .hint("name it with `--store PATH`")
            .map_err(Failure::Usage);
    }
    let store = Store::open(root)
        .with_context(|| format!("cannot use the store {}", root.display()))
        .map_err(Failure::Failed)?;
    command.run(&store).map_err(Failure::Failed)
}

fn execute(stage: &Stage, operation: &dyn AnyOperation, shared: &Shared) -> Result<Value, Failure> {
    check_device(stage.device_check.as_deref(), &shared.device)?;
    let threads = shared.threads.unwrap_or_else(default_threads);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .stack_size(STACK)
        .build_global()
        .with_context(|| format!("cannot start {threads} threads"))
        .hint("name fewer with `--threads N`")
        .map_err(Failure::Failed)?;
    let options = RunOptions {
        store: shared.common.store.clone(),
        device: shared.device.clone(),
        threads,
        step: shared.step.clone(),
        force: shared.force,
        quiet: shared.common.quiet,
        interrupt: Arc::default(),
    };
    if shared.check {
        let outlook = plan_any(stage.name, operation, &options)?;
        return Ok(json!({
            "artifact": outlook.reference,
            "cached": outlook.cached,
            "reason": outlook.reason,
        }));
    }
    watch_signals(&options.interrupt);
    // On a thread of the pool, where starting a parallel loop does not put the caller to sleep and wake a worker: a
    // training step starts some thousand of them.
    let outcome = rayon::scope(|_| run_any(stage.name, operation, &options))?;
    let artifact = outcome.artifact;
    Ok(json!({
        "artifact": artifact.reference,
        "path": artifact.path,
        "cached": outcome.cached,
        "seconds": artifact.manifest.seconds,
        "summary": artifact.manifest.summary,
    }))
}

/// The first signal asks the step to stop at the next safe point, the second ends the process.
fn watch_signals(interrupt: &Arc<AtomicBool>) {
    let interrupt = Arc::clone(interrupt);
    let watching = ctrlc::set_handler(move || {
        if interrupt.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(INTERRUPTED));
        }
        let _ = writeln!(
            LogWriter,
            "stopping at the next safe point; press Ctrl-C again to stop at once"
        );
    });
    if let Err(error) = watching {
        tracing::warn!("Ctrl-C will stop the step without saving its state: {error}");
    }
}

fn start_logging(common: &Common) {
    let default = match (common.quiet, common.verbose) {
        (true, _) => "warn",
        (_, 0) => "warn,w2s=info",
        (_, 1) => "info,w2s=debug",
        _ => "trace",
    };
    // Crates are named w2s_artifact, w2s_stage, ...; a directive matches by prefix.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| LogWriter)
        .with_ansi(io::stderr().is_terminal() && console::colors_enabled_stderr())
        .without_time()
        .with_target(false)
        .try_init();
}

fn clap_error(error: &clap::Error) -> u8 {
    let _ = error.print();
    u8::try_from(error.exit_code()).unwrap_or(USAGE)
}

/// Prints the one line of a run. A reader that went away is no failure of the step.
fn print_line(value: &Value) -> u8 {
    // Written out, a character of a text in JSON is the same character.
    let _ = writeln!(io::stdout(), "{}", plain(&value.to_string()));
    0
}

fn report(failure: &Failure) -> u8 {
    match failure {
        Failure::Usage(error) => {
            eprint_lines(&render(error));
            USAGE
        }
        Failure::Failed(error) => {
            eprint_lines(&render(error));
            FAILED
        }
        Failure::Interrupted(_) => {
            eprint_lines("error: interrupted\nhint: the state is saved; the same command resumes");
            INTERRUPTED
        }
    }
}

/// Writes an error to standard error, its leading words in colour where that is wanted.
fn eprint_lines(text: &str) {
    let mut stderr = io::stderr().lock();
    for line in text.lines() {
        let painted = match line.split_once(": ") {
            Some(("error", rest)) => format!(
                "{}: {rest}",
                console::style("error").for_stderr().red().bold()
            ),
            Some(("hint", rest)) => format!(
                "{}: {rest}",
                console::style("hint").for_stderr().cyan().bold()
            ),
            _ => line.to_owned(),
        };
        let _ = writeln!(stderr, "{painted}");
    }
}
