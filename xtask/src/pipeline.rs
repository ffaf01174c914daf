//! `cargo xtask pipeline`: read, plan, build, check, run, report, in that order and never mixed.

use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use w2s_artifact::{ArtifactRef, Manifest, Store};

use crate::build;
use crate::cli::Pipeline;
use crate::command_line::CommandLines;
use crate::complaint::{Complaint, Result};
use crate::list::line;
use crate::out::{out, plain, say};
use crate::plan::Plan;
use crate::process;
use crate::recipe::Recipe;
use crate::report;
use crate::run::{self, Run, Seen};
use crate::stages::{self, Answer, Next, Planned, Stages, in_order};
use crate::status::{self, Stream, Word};

/// Runs a recipe.
pub fn pipeline(arguments: &Pipeline) -> Result<()> {
    let began = Instant::now();
    process::watch_interrupts();

    let mut recipe = Recipe::find(&arguments.recipe)?;
    for flag in &arguments.set {
        recipe.set(flag)?;
    }
    let vars = recipe.settle(&arguments.var)?;
    let plan = Plan::expand(&recipe, &vars)?;
    let again = match &arguments.from {
        Some(step) => plan.from(step)?,
        None => vec![false; plan.tasks.len()],
    };
    let store = Store::open(&arguments.store)?;

    let cores = arguments.threads.map_or_else(
        || thread::available_parallelism().map_or(1, usize::from),
        usize::from,
    );
    let jobs = usize::from(arguments.jobs).min(cores);
    let stages = Stages {
        binaries: build::stages(&plan.stages(), &arguments.features, arguments.no_build)?,
        store: arguments.store.clone(),
        device: arguments.device.clone(),
        threads: cores / jobs,
    };
    let catalog = stages.describe(&plan.stages())?;
    plan.check_keys(&catalog)?;
    let lines = CommandLines::new(&plan, &catalog, &arguments.set, &arguments.var);
    let planned = check(&plan, &lines, &stages)?;
    if process::interrupted() {
        return Err(Complaint::interrupted("interrupted before the first step"));
    }
    if arguments.dry_run {
        dry_run(arguments, &plan, &planned, &again, &lines, &stages);
        return Ok(());
    }

    let name = arguments.name.as_ref().unwrap_or(&recipe.name);
    let stored: Vec<(String, Seen)> = planned
        .iter()
        .map(|planned| stored(&store, planned))
        .collect();
    let run = Run {
        plan: &plan,
        planned: &planned,
        again: &again,
        lines: &lines,
        stages: &stages,
        stored: &stored,
        logs: store.logs_dir().join(name),
        jobs,
        verbose: arguments.verbose,
    };
    let seen = run.run()?;
    let cached = seen.iter().filter(|seen| seen.cached).count();
    say(&format!(
        "  FINISHED [{:>7.1}s]  {} steps: {} ran, {cached} cached",
        began.elapsed().as_secs_f64(),
        seen.len(),
        seen.len() - cached
    ));
    report::publish(name, &store, &plan, &planned, &seen)
}

/// Asks of every step what it would make, before the first one runs.
fn check(plan: &Plan, lines: &CommandLines<'_>, stages: &Stages) -> Result<Vec<Planned>> {
    let needs: Vec<Vec<usize>> = plan.tasks.iter().map(|task| task.needs.clone()).collect();
    let references: Mutex<Vec<Option<String>>> = Mutex::new(vec![None; plan.tasks.len()]);
    let mut planned: Vec<Option<Planned>> = vec![None; plan.tasks.len()];
    let mut refused: Vec<Refused> = Vec::new();
    let mut broken: Option<Complaint> = None;
    // The processes are short and mostly wait, so a few more than there are cores finish sooner.
    let workers = 2 * thread::available_parallelism().map_or(1, usize::from);
    in_order(
        &needs,
        workers,
        |index| {
            let task = &plan.tasks[index];
            let known = references
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .clone();
            stages.check(&task.stage, &task.name, &lines.of(index, &known))
        },
        |index, answer| match answer {
            Ok(Answer::Said(answer, printed)) => {
                for line in printed.lines() {
                    say(&plain(&console::strip_ansi_codes(line)));
                }
                references
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)[index] =
                    Some(answer.artifact.clone());
                planned[index] = Some(answer);
                Next::Go
            }
            Ok(Answer::Refused { code, printed }) => {
                if code == Some(process::INTERRUPTED) || process::interrupted() {
                    broken = Some(Complaint::interrupted("interrupted before the first step"));
                    return Next::Stop;
                }
                refused.push(Refused { index, printed });
                Next::Skip
            }
            Err(complaint) => {
                broken = Some(complaint);
                Next::Stop
            }
        },
    );
    if let Some(complaint) = broken {
        return Err(complaint);
    }
    if let Some(complaint) = Complaint::all(complaints(plan, refused)) {
        return Err(complaint);
    }
    planned
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| Complaint::failed("not every step could be checked"))
}

struct Refused {
    index: usize,
    printed: String,
}

/// One complaint a step; matrix points that say the same are told together.
fn complaints(plan: &Plan, mut refused: Vec<Refused>) -> Vec<Complaint> {
    refused.sort_by_key(|refused| refused.index);
    let mut groups: Vec<(&Refused, usize)> = Vec::new();
    for one in &refused {
        let same = |other: &&Refused| {
            plan.tasks[other.index].step == plan.tasks[one.index].step
                && other.printed == one.printed
        };
        match groups.iter_mut().find(|(first, _)| same(first)) {
            Some((_, more)) => *more += 1,
            None => groups.push((one, 0)),
        }
    }
    groups
        .into_iter()
        .map(|(first, more)| {
            let name = &plan.tasks[first.index].name;
            let sentence = match more {
                0 => format!("step `{name}` cannot start"),
                more => format!("step `{name}` and {more} more like it cannot start"),
            };
            let complaint = stages::adopt(Complaint::usage(sentence), &first.printed);
            plan.behind(first.index, &first.printed)
                .into_iter()
                .fold(complaint, Complaint::detail)
        })
        .collect()
}

fn dry_run(
    arguments: &Pipeline,
    plan: &Plan,
    planned: &[Planned],
    again: &[bool],
    lines: &CommandLines<'_>,
    stages: &Stages,
) {
    let width = run::width(plan);
    let references: Vec<Option<String>> = planned
        .iter()
        .map(|planned| Some(planned.artifact.clone()))
        .collect();
    let mut cached = 0;
    for (index, (task, planned)) in plan.tasks.iter().zip(planned).enumerate() {
        let from = arguments.from.as_deref().unwrap_or_default();
        let (word, reason) = match (planned.cached, again[index]) {
            (true, true) => (Word::Run, format!("--from {from}")),
            (true, false) => (Word::Cached, planned.reason.clone()),
            (false, _) => (Word::Run, planned.reason.clone()),
        };
        cached += usize::from(word == Word::Cached);
        let artifact = status::short(&planned.artifact);
        out(&status::line(
            Stream::Stdout,
            word,
            None,
            &task.name,
            width,
            &artifact,
            &reason,
        ));
        if arguments.verbose {
            let command = stages.pasteable(&task.stage, &task.name, &lines.of(index, &references));
            out(&format!("           $ {}", plain(&command)));
        }
    }
    for (name, reason) in &plan.left_out {
        let (name, reason) = (plain(name), plain(reason));
        out(&format!("  left out             {name:<width$}  {reason}"));
    }
    let steps = plan.tasks.len();
    out(&format!(
        "{steps} steps: {} to run, {cached} cached",
        steps - cached
    ));
}

/// What the store says of an artifact that is cached: its line, and what it took to make.
fn stored(store: &Store, planned: &Planned) -> (String, Seen) {
    let manifest = planned
        .artifact
        .parse::<ArtifactRef>()
        .ok()
        .filter(|_| planned.cached)
        .and_then(|reference| Manifest::read(&store.artifact_dir(&reference)).ok());
    let seconds = manifest.as_ref().map_or(0.0, |manifest| manifest.seconds);
    let said = manifest.map_or_else(String::new, |manifest| line(&manifest.summary).to_owned());
    let seen = Seen {
        cached: true,
        seconds,
    };
    (said, seen)
}
