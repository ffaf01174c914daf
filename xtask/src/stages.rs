//! How a stage binary is asked: what it knows (`describe`), what a step would make (`--check`), and to make it.
//!
//! A stage binary answers with one JSON line on standard output and talks to people on standard error.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use serde::Deserialize;
use serde_json::Value;

use crate::build;
use crate::complaint::{Complaint, OrComplain, Result};
use crate::process::{self, Watched};
use crate::workspace;

/// What the stage binaries know, by stage.
#[derive(Debug, Default)]
pub struct Catalog(BTreeMap<String, Vec<Operation>>);

#[derive(Debug, Deserialize)]
struct Description {
    stage: String,
    operations: Vec<Operation>,
}

/// A subcommand of a stage binary.
#[derive(Debug, Deserialize)]
pub struct Operation {
    /// As in `train`.
    pub name: String,
    /// The kind of the artifact it leaves.
    #[serde(default)]
    pub kind: Option<String>,
    /// Its flags.
    #[serde(default)]
    pub keys: Vec<Key>,
}

impl Operation {
    /// Whether it has the flag.
    pub fn knows(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known.name == key)
    }
}

/// A flag of an operation, which is a key of a step.
#[derive(Debug, Deserialize)]
pub struct Key {
    /// In kebab case.
    pub name: String,
    /// Must be given.
    #[serde(default)]
    pub required: bool,
    /// Can be given more than once.
    #[serde(default)]
    pub multiple: bool,
    /// A switch without a value.
    #[serde(default)]
    pub boolean: bool,
    /// One line on what it is for.
    #[serde(default)]
    pub help: Option<String>,
    /// `artifact` or `file` when the value names an input.
    #[serde(default)]
    pub input: Option<String>,
}

impl Catalog {
    /// The operations of a stage; none when it was not asked.
    pub fn operations(&self, stage: &str) -> &[Operation] {
        self.0.get(stage).map_or(&[], Vec::as_slice)
    }

    #[cfg(test)]
    pub(crate) fn of(descriptions: impl IntoIterator<Item = Value>) -> Self {
        descriptions
            .into_iter()
            .map(|description| serde_json::from_value(description).expect("a description"))
            .map(|description: Description| (description.stage, description.operations))
            .collect::<BTreeMap<_, _>>()
            .into()
    }
}

impl From<BTreeMap<String, Vec<Operation>>> for Catalog {
    fn from(operations: BTreeMap<String, Vec<Operation>>) -> Self {
        Self(operations)
    }
}

/// The stage binaries and the flags every one of them shares.
#[derive(Debug)]
pub struct Stages {
    /// Where each binary lies.
    pub binaries: BTreeMap<String, PathBuf>,
    /// The store's folder.
    pub store: PathBuf,
    /// The device, when one is asked for.
    pub device: Option<String>,
    /// Threads for one step.
    pub threads: usize,
}

/// What `--check` answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Planned {
    /// The artifact the step makes, as `kind/<64 hex>`.
    pub artifact: String,
    /// Whether the store has it.
    pub cached: bool,
    /// Why it must run, or why not.
    #[serde(default)]
    pub reason: String,
}

/// What a run answers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Made {
    /// The artifact, as `kind/<64 hex>`.
    pub artifact: String,
    /// Whether it was there already.
    #[serde(default)]
    pub cached: bool,
    /// What the operation says about it.
    #[serde(default)]
    pub summary: Value,
}

impl Stages {
    /// Asks the named stages what they know.
    pub fn describe(&self, stages: &[&str]) -> Result<Catalog> {
        thread::scope(|scope| {
            let asked: Vec<_> = stages
                .iter()
                .map(|stage| scope.spawn(move || self.describe_one(stage)))
                .collect();
            let described = asked.into_iter().map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(Complaint::failed("a stage binary could not be asked")))
            });
            Ok(described.collect::<Result<BTreeMap<_, _>>>()?.into())
        })
    }

    fn describe_one(&self, stage: &str) -> Result<(String, Vec<Operation>)> {
        let (program, mut command) = self.command(stage)?;
        let output = command
            .arg("describe")
            .stdin(Stdio::null())
            .output()
            .or_complain(|| format!("cannot start {program}"))?;
        if !output.status.success() {
            return Err(Complaint::failed(format!(
                "`{program} describe` ended with {}",
                process::describe(output.status)
            ))
            .because(String::from_utf8_lossy(&output.stderr).trim()));
        }
        let description: Description = serde_json::from_slice(&output.stdout)
            .or_complain(|| format!("`{program} describe` does not say what it knows"))?;
        Ok((description.stage, description.operations))
    }

    /// Asks what a step would make; the error holds what the binary printed.
    pub fn check(&self, stage: &str, step: &str, arguments: &[String]) -> Result<Answer<Planned>> {
        let (program, mut command) = self.command(stage)?;
        command
            .args(self.flags(arguments, step))
            .arg("--check")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let output = command
            .stdin(Stdio::null())
            .output()
            .or_complain(|| format!("cannot start {program}"))?;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            let code = output.status.code();
            let printed = if stderr.trim().is_empty() {
                format!(
                    "error: {program} ended with {}",
                    process::describe(output.status)
                )
            } else {
                stderr
            };
            return Ok(Answer::Refused { code, printed });
        }
        match last_json(&String::from_utf8_lossy(&output.stdout)) {
            Some(answer) => Ok(Answer::Said(answer, stderr)),
            None => Err(Complaint::failed(format!(
                "`{program} {} --check` did not say what it would make",
                arguments.first().map_or("", String::as_str)
            ))),
        }
    }

    /// Starts a step, with its output piped.
    pub fn start(
        &self,
        stage: &str,
        step: &str,
        arguments: &[String],
        force: bool,
    ) -> Result<Watched> {
        let (program, mut command) = self.command(stage)?;
        command
            .args(self.flags(arguments, step))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if force {
            command.arg("--force");
        }
        // In a group of its own a step does not hear the terminal's Ctrl-C, only ours: a second signal would make it
        // stop at once, without saving its state.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Watched::start(&mut command).or_complain(|| format!("cannot start {program}"))
    }

    /// The whole command line of a step.
    fn flags(&self, arguments: &[String], step: &str) -> Vec<String> {
        let mut flags = arguments.to_vec();
        flags.extend(["--store".to_owned(), self.store.display().to_string()]);
        if let Some(device) = &self.device {
            flags.extend(["--device".to_owned(), device.clone()]);
        }
        flags.extend(["--threads".to_owned(), self.threads.to_string()]);
        flags.extend(["--step".to_owned(), step.to_owned()]);
        flags
    }

    /// The command of a step as it can be pasted into a shell, with the path of its binary.
    pub fn pasteable(&self, stage: &str, step: &str, arguments: &[String]) -> String {
        let program = self
            .binaries
            .get(stage)
            .map_or_else(|| format!("w2s-{stage}"), |path| workspace::shown(path));
        process::pasteable(&program, &self.flags(arguments, step))
    }

    fn command(&self, stage: &str) -> Result<(String, Command)> {
        let program = format!("w2s-{stage}");
        let path = self
            .binaries
            .get(stage)
            .ok_or_else(|| Complaint::failed(format!("there is no stage binary `{program}`")))?;
        let mut command = Command::new(path);
        build::keep_memory(&mut command);
        Ok((program, command))
    }
}

/// What a binary answers to a question.
#[derive(Debug)]
pub enum Answer<T> {
    /// The answer, and what was printed for people.
    Said(T, String),
    /// No answer.
    Refused {
        /// The exit code, unless a signal ended it.
        code: Option<i32>,
        /// What was printed for people.
        printed: String,
    },
}

/// The last line of standard output that is JSON of the expected shape.
pub fn last_json<T: for<'de> Deserialize<'de>>(stdout: &str) -> Option<T> {
    stdout
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .and_then(|line| serde_json::from_str(line).ok())
}

/// Turns what a binary printed into the causes and the hint of a complaint about a step.
pub fn adopt(mut complaint: Complaint, printed: &str) -> Complaint {
    let printed = console::strip_ansi_codes(printed);
    let lines: Vec<&str> = printed
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    // What comes before the error are log lines.
    let start = lines
        .iter()
        .position(|line| line.starts_with("error: "))
        .unwrap_or(0);
    for line in &lines[start..] {
        if let Some(error) = line.strip_prefix("error: ") {
            complaint = complaint.because(error);
        } else if let Some(hint) = line.strip_prefix("hint: ") {
            complaint = complaint.hint(hint);
        } else if let Some(cause) = line.trim_start().strip_prefix("caused by: ") {
            complaint = complaint.because(cause);
        } else if !line.starts_with("For more information") && !line.starts_with("Usage:") {
            complaint = complaint.detail(format!("  {}", line.trim_start()));
        }
    }
    complaint
}

/// Does `work` for every index once the indices it needs are done, on several threads, and hands each result to
/// `done`, on this thread, in the order in which they finish. A panic of `work` ends it: nothing new starts, and what runs
/// is waited for.
pub fn in_order<T: Send>(
    needs: &[Vec<usize>],
    workers: usize,
    work: impl Fn(usize) -> T + Sync,
    mut done: impl FnMut(usize, T) -> Next,
) {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        Waiting,
        Started,
        Done,
        Skipped,
    }
    let mut states = vec![State::Waiting; needs.len()];
    let mut running = 0;
    let mut stopped = false;
    let mut panicked = None;
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        loop {
            for index in 0..needs.len() {
                if states[index] != State::Waiting {
                    continue;
                }
                if needs[index]
                    .iter()
                    .any(|&need| states[need] == State::Skipped)
                {
                    states[index] = State::Skipped;
                    continue;
                }
                let ready = needs[index].iter().all(|&need| states[need] == State::Done);
                if ready && !stopped && running < workers {
                    states[index] = State::Started;
                    running += 1;
                    let (sender, work) = (sender.clone(), &work);
                    scope.spawn(move || {
                        let result = catch_unwind(AssertUnwindSafe(|| work(index)));
                        // The receiver lives until every worker has ended.
                        drop(sender.send((index, result)));
                    });
                }
            }
            if running == 0 {
                return;
            }
            let Ok((index, result)) = receiver.recv() else {
                return;
            };
            running -= 1;
            let result = match result {
                Ok(result) => result,
                Err(panic) => {
                    // A bug of ours: the other steps save their state, and then the panic goes on.
                    process::stop_children();
                    panicked = Some(panic);
                    stopped = true;
                    states[index] = State::Skipped;
                    continue;
                }
            };
            states[index] = match done(index, result) {
                Next::Go => State::Done,
                Next::Skip => State::Skipped,
                Next::Stop => {
                    stopped = true;
                    State::Skipped
                }
            };
        }
    });
    if let Some(panic) = panicked {
        resume_unwind(panic);
    }
}

/// What follows from a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// What needs it may start.
    Go,
    /// What needs it is left out, the rest goes on.
    Skip,
    /// Nothing new starts.
    Stop,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_starts_after_what_it_needs() {
        let needs = [vec![], vec![0], vec![0], vec![1, 2]];
        let mut order = Vec::new();
        in_order(
            &needs,
            2,
            |index| index * 10,
            |index, result| {
                assert_eq!(result, index * 10);
                order.push(index);
                Next::Go
            },
        );
        assert_eq!((order[0], order[3], order.len()), (0, 3, 4));
    }

    #[test]
    fn what_needs_a_skipped_piece_is_left_out() {
        let needs = [vec![], vec![], vec![0], vec![1]];
        let mut order = Vec::new();
        in_order(
            &needs,
            1,
            |_| (),
            |index, ()| {
                order.push(index);
                if index == 0 { Next::Skip } else { Next::Go }
            },
        );
        assert_eq!(order, [0, 1, 3]);
    }

    #[test]
    fn nothing_starts_after_a_stop() {
        let needs = [vec![], vec![], vec![]];
        let mut order = Vec::new();
        in_order(
            &needs,
            1,
            |_| (),
            |index, ()| {
                order.push(index);
                Next::Stop
            },
        );
        assert_eq!(order, [0]);
    }

    #[test]
    fn a_panic_of_a_worker_ends_the_work() {
        let needs = [vec![], vec![0], vec![]];
        let mut finished = Vec::new();
        let ended = catch_unwind(AssertUnwindSafe(|| {
            in_order(
                &needs,
                1,
                |index| assert_ne!(index, 0, "a bug"),
                |index, ()| {
                    finished.push(index);
                    Next::Go
                },
            );
        }));
        assert!(ended.is_err());
        assert_eq!(finished, [0; 0]);
    }

    #[test]
    fn the_answer_is_the_last_line() {
        let made: Made =
            last_json("noise\n{\"artifact\":\"report/00\",\"cached\":true,\"summary\":{}}\n\n")
                .expect("JSON");
        assert_eq!(made.artifact, "report/00");
        assert!(made.cached);
        assert!(last_json::<Made>("noise\n").is_none());
    }

    #[test]
    fn a_stage_error_becomes_causes_and_hint() {
        let complaint = adopt(
            Complaint::usage("step `naive` cannot start"),
            "WARN something\nerror: labels have 4 rows\n  caused by: data has 6\nhint: run again\n",
        );
        assert_eq!(
            complaint.to_string(),
            "error: step `naive` cannot start\n  caused by: labels have 4 rows\n  caused by: data has 6\nhint: run again\n"
        );
    }

    #[test]
    fn a_flag_error_loses_the_usage_lines() {
        let complaint = adopt(
            Complaint::usage("step `naive` cannot start"),
            "error: invalid value 'x' for '--lr <LR>': invalid float literal\n\nFor more information, try '--help'.\n",
        );
        assert_eq!(
            complaint.to_string(),
            "error: step `naive` cannot start\n  caused by: invalid value 'x' for '--lr <LR>': invalid float literal\n"
        );
    }
}
