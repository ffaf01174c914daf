//! Which steps a recipe makes: the matrix multiplied out, references resolved, in an order in which they can run.
//!
//! [`Plan::expand`] needs only the recipe, so that a typo is found before anything is built. [`Plan::check_keys`] holds
//! the steps against what the stage binaries say of themselves, and [`Plan::arguments`] writes a step as a command line.
//!
//! Reading order: [`template`] and [`mod@reference`] (what a value says), [`axes`] (the matrix), [`scope`] (what a value is
//! at a point of it), [`names`] (what cannot be meant), [`expand`] (steps to tasks).

mod arguments;
mod axes;
mod check;
mod expand;
mod index;
mod names;
mod order;
mod reference;
mod scope;
mod slug;
mod template;

use std::collections::BTreeMap;

use crate::complaint::{Complaint, Result};
use crate::recipe::{Place, Recipe, Value};
use arguments::Setting;

/// The steps of a run, in an order in which each comes after what it needs.
#[derive(Debug)]
pub struct Plan {
    /// One entry a step and matrix point.
    pub tasks: Vec<Task>,
    /// Steps that a condition leaves out, with the reason.
    pub left_out: Vec<(String, String)>,
    /// The variables of the recipe by name.
    vars: BTreeMap<String, Origin>,
}

/// One step at one point of the matrix.
#[derive(Debug)]
pub struct Task {
    /// The step's name in the recipe.
    pub step: String,
    /// The step's name with its matrix point, as in `naive[seed=0]`.
    pub name: String,
    /// The same as one part of a path, as in `naive-seed-0`: for files and folders, each task's its own.
    pub slug: String,
    /// The stage, as in `student`.
    pub stage: String,
    /// The operation, as in `classify`.
    pub operation: String,
    /// Where the step is written.
    pub place: Place,
    settings: Vec<Set>,
    /// Indices of the tasks whose artifacts it reads.
    pub needs: Vec<usize>,
}

/// A key with its value.
#[derive(Debug)]
struct Set {
    place: Place,
    key: String,
    setting: Setting,
    /// The value as written.
    written: String,
    /// It comes from a row of the matrix.
    laid: bool,
    /// The variables its value comes from.
    origins: Vec<String>,
}

/// A variable that values come from.
#[derive(Debug)]
struct Origin {
    value: String,
    hint: String,
}

impl Plan {
    /// Multiplies the steps by the matrix and resolves their references.
    pub fn expand(recipe: &Recipe, vars: &BTreeMap<String, Value>) -> Result<Self> {
        expand::expand(recipe, vars)
    }

    /// The stages the tasks use, each once.
    pub fn stages(&self) -> Vec<&str> {
        let mut stages: Vec<&str> = self.tasks.iter().map(|task| task.stage.as_str()).collect();
        stages.sort_unstable();
        stages.dedup();
        stages
    }

    /// The task or tasks that `--from` names, and everything after them.
    pub fn from(&self, name: &str) -> Result<Vec<bool>> {
        let mut again: Vec<bool> = self
            .tasks
            .iter()
            .map(|task| task.step == name || task.name == name)
            .collect();
        if !again.contains(&true) {
            let mut known: Vec<&str> = self.tasks.iter().map(|task| task.step.as_str()).collect();
            known.dedup();
            return Err(Complaint::usage(format!(
                "--from {name}: no step of this run is called `{name}`"
            ))
            .nearest(name, known));
        }
        for index in 0..self.tasks.len() {
            if self.tasks[index].needs.iter().any(|&need| again[need]) {
                again[index] = true;
            }
        }
        Ok(again)
    }

    /// Which variables stand behind the keys that a stage named when it refused a task, one line each.
    pub fn behind(&self, index: usize, printed: &str) -> Vec<String> {
        let sets = self.tasks[index].settings.iter();
        let named = sets.filter(|set| {
            is_said(printed, &format!("--{}", set.key)) || {
                let value = set.setting.plain();
                value.chars().count() > 2 && is_said(printed, &value)
            }
        });
        named.filter_map(|set| self.behind_key(set)).collect()
    }

    /// `preset` comes from `--var strong=x`, and what to try instead.
    fn behind_key(&self, set: &Set) -> Option<String> {
        let mut names: Vec<&String> = set.origins.iter().collect();
        names.sort();
        names.dedup();
        let vars: Vec<(&String, &Origin)> = names
            .into_iter()
            .filter_map(|name| self.vars.get_key_value(name))
            .collect();
        if vars.is_empty() {
            return None;
        }
        let flags: Vec<String> = vars
            .iter()
            .map(|(name, origin)| format!("--var {name}={}", origin.value))
            .collect();
        let hints = vars.iter().filter(|(_, origin)| !origin.hint.is_empty());
        let hints: String = hints
            .map(|(_, origin)| format!("; {}", origin.hint))
            .collect();
        Some(format!(
            "`{}` comes from {}{hints}",
            set.key,
            flags.join(" and ")
        ))
    }
}

/// The variables of a recipe with their values as they are typed.
fn origins(recipe: &Recipe, values: &BTreeMap<String, Value>) -> BTreeMap<String, Origin> {
    let vars = recipe.vars.iter().filter_map(|var| {
        let origin = Origin {
            value: values.get(&var.name)?.to_string(),
            hint: var.hint.clone(),
        };
        Some((var.name.clone(), origin))
    });
    vars.collect()
}

/// Whether a text holds a word, and not only as a part of a longer one.
fn is_said(text: &str, word: &str) -> bool {
    let in_word = |character: char| character.is_alphanumeric() || "-_/.".contains(character);
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let mut after = text[at + word.len()..].chars();
        let next = match after.next() {
            // A sentence may end behind it.
            Some('.') => after.next(),
            next => next,
        };
        !before.is_some_and(in_word) && !next.is_some_and(in_word)
    })
}

#[cfg(test)]
mod tests;
