//! What happens: steps start when what they need is there, their logs go to files, and the first failure stops the rest.
//!
//! Nothing is remembered outside the store. A run that was killed is simply run again: what was finished is cached, and
//! a step that was under way resumes from its partial folder.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::command_line::CommandLines;
use crate::complaint::{Complaint, OrComplain, Result};
use crate::list::line;
use crate::out::{plain, say};
use crate::plan::{Plan, Task};
use crate::process::{self, INTERRUPTED};
use crate::stages::{Made, Next, Planned, Stages, in_order, last_json};
use crate::status::{self, Stream, Word};
use crate::workspace;

/// How much of a failed step's log is shown.
const TAIL: usize = 20;

/// Everything a run needs to know.
pub struct Run<'a> {
    /// The steps.
    pub plan: &'a Plan,
    /// What `--check` said of each.
    pub planned: &'a [Planned],
    /// Steps to run though they are cached.
    pub again: &'a [bool],
    /// The command line of every step.
    pub lines: &'a CommandLines<'a>,
    /// The stage binaries.
    pub stages: &'a Stages,
    /// What the store says of cached artifacts.
    pub stored: &'a [(String, Seen)],
    /// The folder of this run's logs.
    pub logs: PathBuf,
    /// Steps side by side.
    pub jobs: usize,
    /// Print command lines.
    pub verbose: bool,
}

/// How a step went in this run.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Whether its artifact was there already.
    pub cached: bool,
    /// How long it took, in this run or when it was made.
    pub seconds: f64,
}

enum Ended {
    Cached,
    Made(Made, Duration),
    Failed(Failure),
}

struct Failure {
    /// `exit 1`, or the signal.
    how: String,
    /// It answered that it was interrupted and saved its state.
    saved: bool,
    /// A signal ended it.
    killed: bool,
    took: Duration,
    tail: Vec<String>,
    log: PathBuf,
}

impl Run<'_> {
    /// Runs every step that is not cached; answers how each step went, in the plan's order.
    pub fn run(&self) -> Result<Vec<Seen>> {
        let width = self.width();
        let screen = Screen::new(width);
        let needs: Vec<Vec<usize>> = self
            .plan
            .tasks
            .iter()
            .map(|task| task.needs.clone())
            .collect();
        let references: Vec<Option<String>> = self
            .planned
            .iter()
            .map(|plan| Some(plan.artifact.clone()))
            .collect();
        let mut seen: Vec<Option<Seen>> = vec![None; self.plan.tasks.len()];
        let mut failed: Option<Complaint> = None;
        let mut stopped = false;
        let mut lost: Vec<String> = Vec::new();
        in_order(
            &needs,
            self.jobs,
            |index| {
                if process::interrupted() {
                    return Err(Complaint::interrupted("interrupted"));
                }
                if self.planned[index].cached && !self.again[index] {
                    return Ok(Ended::Cached);
                }
                self.step(index, &references, &screen)
            },
            |index, ended| {
                let task = &self.plan.tasks[index];
                let print = |word, time, subject: &str, rest: &str| {
                    screen.print(&status::line(
                        Stream::Stderr,
                        word,
                        time,
                        &task.name,
                        width,
                        subject,
                        rest,
                    ));
                };
                match ended {
                    Ok(Ended::Cached) => {
                        let artifact = status::short(&self.planned[index].artifact);
                        print(Word::Cached, None, &artifact, &self.stored[index].0);
                        seen[index] = Some(self.stored[index].1.clone());
                        Next::Go
                    }
                    Ok(Ended::Made(made, took)) => {
                        let (word, time) = match made.cached {
                            true => (Word::Cached, None),
                            false => (Word::Done, Some(took)),
                        };
                        let artifact = status::short(&made.artifact);
                        print(word, time, &artifact, line(&made.summary));
                        if made.artifact != self.planned[index].artifact {
                            failed =
                                Some(changed(task, &made.artifact, &self.planned[index].artifact));
                            process::stop_children();
                            return Next::Stop;
                        }
                        seen[index] = Some(Seen {
                            cached: made.cached,
                            seconds: took.as_secs_f64(),
                        });
                        Next::Go
                    }
                    Ok(Ended::Failed(failure)) => {
                        let log = workspace::shown(&failure.log);
                        let ended_by_us = failure.killed && process::interrupted();
                        // What a stopped neighbour says is not what went wrong; that a state could not be saved is.
                        if failure.saved || ended_by_us || failed.is_some() {
                            let how = match failure.saved {
                                true => "state saved",
                                false => failure.how.as_str(),
                            };
                            print(Word::Stopped, Some(failure.took), how, &log);
                            if !failure.saved {
                                lost.push(format!(
                                    "step `{}` ended with {}",
                                    task.name, failure.how
                                ));
                            }
                            stopped = true;
                            return Next::Stop;
                        }
                        print(Word::Failed, Some(failure.took), &failure.how, &log);
                        for line in &failure.tail {
                            screen.print(&format!("    {}", plain(line)));
                        }
                        failed = Some(
                            Complaint::failed(format!("step `{}` failed: {}", task.name, failure.how))
                                .hint(format!("the whole log is {log}; what was finished is kept, the same command goes on")),
                        );
                        process::stop_children();
                        Next::Stop
                    }
                    Err(complaint) => {
                        if complaint.exit_code() == INTERRUPTED as u8 {
                            stopped = true;
                        } else if failed.is_none() {
                            failed = Some(complaint);
                            process::stop_children();
                        }
                        Next::Stop
                    }
                }
            },
        );
        screen.clear();
        if let Some(complaint) = failed {
            return Err(complaint);
        }
        if stopped || process::interrupted() {
            let complaint = match lost.as_slice() {
                [] => Complaint::interrupted("interrupted; the state is saved"),
                lost => lost.iter().fold(
                    Complaint::interrupted("interrupted before every step had saved its state"),
                    Complaint::detail,
                ),
            };
            return Err(complaint.hint("the same command goes on from here"));
        }
        seen.into_iter()
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| Complaint::failed("not every step was run"))
    }

    /// The width of the longest name.
    pub fn width(&self) -> usize {
        width(self.plan)
    }

    fn step(&self, index: usize, references: &[Option<String>], screen: &Screen) -> Result<Ended> {
        let task = &self.plan.tasks[index];
        let arguments = self.lines.of(index, references);
        let command = self.stages.pasteable(&task.stage, &task.name, &arguments);
        let path = self.logs.join(format!("{}.log", task.slug));
        let cannot_write = || format!("cannot write the log {}", workspace::shown(&path));
        std::fs::create_dir_all(&self.logs).or_complain(cannot_write)?;
        let mut log = File::create(&path).or_complain(cannot_write)?;
        writeln!(log, "$ {command}").or_complain(cannot_write)?;
        let view = screen.step(&task.name, &workspace::shown(&path));
        if self.verbose {
            screen.print(&format!("           $ {}", plain(&command)));
        }
        let started = Instant::now();
        let mut child =
            self.stages
                .start(&task.stage, &task.name, &arguments, self.again[index])?;
        let stderr = child.child().stderr.take();
        let stdout = child.child().stdout.take();
        let (tail, stdout) = thread::scope(|scope| {
            let said = scope.spawn(|| {
                let mut said = String::new();
                if let Some(mut stdout) = stdout {
                    // What cannot be read as text is no answer, and that is complained about below.
                    let _ = stdout.read_to_string(&mut said);
                }
                said
            });
            let tail = stderr.map_or_else(VecDeque::new, |stderr| follow(stderr, &mut log, &view));
            (tail, said.join().unwrap_or_default())
        });
        let status = child
            .wait()
            .or_complain(|| format!("cannot wait for step `{}`", task.name))?;
        let took = started.elapsed();
        view.finish();
        let failure = |how: String| {
            Ended::Failed(Failure {
                how,
                killed: status.code().is_none(),
                saved: status.code() == Some(INTERRUPTED),
                took,
                tail: tail.iter().cloned().collect(),
                log: path.clone(),
            })
        };
        if !status.success() {
            return Ok(failure(process::describe(status)));
        }
        Ok(match last_json::<Made>(&stdout) {
            Some(made) => Ended::Made(made, took),
            None => failure("no answer".to_owned()),
        })
    }
}

/// The width of a plan's longest name.
pub fn width(plan: &Plan) -> usize {
    plan.tasks
        .iter()
        .map(|task| task.name.chars().count())
        .max()
        .unwrap_or(0)
}

fn changed(task: &Task, made: &str, planned: &str) -> Complaint {
    Complaint::failed(format!(
        "step `{}` made {}, but {} was planned",
        task.name,
        status::short(made),
        status::short(planned)
    ))
    .hint("an input file changed while the recipe ran; run the same command again")
}

/// Copies lines from a child to its log and to the screen, and keeps the last ones.
fn follow(stderr: impl Read, log: &mut File, view: &View) -> VecDeque<String> {
    let mut tail = VecDeque::new();
    let mut reader = BufReader::new(stderr);
    let mut bytes = Vec::new();
    while reader
        .read_until(b'\n', &mut bytes)
        .is_ok_and(|read| read > 0)
    {
        // A log that cannot be written (a full disk) must not stop the reading: the child would block.
        let _ = log.write_all(&bytes);
        let line = String::from_utf8_lossy(&bytes);
        let line = line
            .trim_end()
            .rsplit('\r')
            .next()
            .unwrap_or_default()
            .to_owned();
        bytes.clear();
        if line.trim().is_empty() {
            continue;
        }
        view.say(&plain(&console::strip_ansi_codes(&line)));
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(line);
    }
    tail
}

/// Standard error: live lines on a terminal, plain ones on a pipe.
struct Screen {
    live: Option<MultiProgress>,
    width: usize,
    lock: Mutex<()>,
}

impl Screen {
    fn new(width: usize) -> Self {
        Self {
            live: io::stderr().is_terminal().then(MultiProgress::new),
            width,
            lock: Mutex::new(()),
        }
    }

    fn print(&self, line: &str) {
        let _one_at_a_time = self.lock.lock();
        match &self.live {
            Some(live) => live.suspend(|| say(line)),
            None => say(line),
        }
    }

    fn step(&self, name: &str, log: &str) -> View {
        let Some(live) = &self.live else {
            self.print(&status::line(
                Stream::Stderr,
                Word::Run,
                None,
                name,
                self.width,
                "",
                log,
            ));
            return View(None);
        };
        let bar = live.add(ProgressBar::new_spinner());
        // The template is a constant that indicatif accepts; a spinner without it is still a spinner.
        if let Ok(style) =
            ProgressStyle::with_template("{prefix:>10.blue.bold} [{elapsed:>8}]  {wide_msg}")
        {
            bar.set_style(style);
        }
        bar.set_prefix("RUN");
        let name = format!("{name:<width$}  ", width = self.width);
        bar.set_message(name.clone());
        bar.enable_steady_tick(Duration::from_millis(200));
        View(Some((bar, name)))
    }

    fn clear(&self) {
        if let Some(live) = &self.live {
            // A terminal that is gone needs no clearing.
            let _ = live.clear();
        }
    }
}

/// The live line of one step.
struct View(Option<(ProgressBar, String)>);

impl View {
    fn say(&self, line: &str) {
        if let Some((bar, name)) = &self.0 {
            bar.set_message(format!("{name}{}", line.trim_start()));
        }
    }

    fn finish(&self) {
        if let Some((bar, _)) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_keeps_the_last_lines_and_the_log_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.log");
        let text: String = (0..30).map(|index| format!("line {index}\n")).collect();
        let mut log = File::create(&path).expect("a file");
        let tail = follow(text.as_bytes(), &mut log, &View(None));
        assert_eq!(tail.len(), TAIL);
        assert_eq!(
            (tail[0].as_str(), tail[TAIL - 1].as_str()),
            ("line 10", "line 29")
        );
        assert_eq!(std::fs::read_to_string(path).expect("the log"), text);
    }
}
