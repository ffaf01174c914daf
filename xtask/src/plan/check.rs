//! Tasks held against what the stage binaries say of themselves.

use std::collections::HashMap;

use super::arguments::Setting;
use super::names::Complaints;
use super::{Plan, Set, Task};
use crate::complaint::{Complaint, Result, nearest};
use crate::stages::{Catalog, Key, Operation};

/// What an operation leaves that people read.
const REPORT: &str = "report";

impl Plan {
    /// Holds every step against the operations and keys the stage binaries know.
    pub fn check_keys(&self, catalog: &Catalog) -> Result<()> {
        let mut complaints = Complaints::default();
        for task in &self.tasks {
            for complaint in self.key_complaints(task, catalog) {
                if !complaints.add(complaint) {
                    return complaints.told();
                }
            }
        }
        for complaint in self.report_complaints(catalog) {
            complaints.add(complaint);
        }
        complaints.told()
    }

    fn key_complaints(&self, task: &Task, catalog: &Catalog) -> Vec<Complaint> {
        let operations = catalog.operations(&task.stage);
        let Some(operation) = operations.iter().find(|known| known.name == task.operation) else {
            return vec![
                Complaint::usage(format!(
                    "{}: step `{}` runs `{} {}`, but `{}` has no operation `{}`",
                    task.place, task.step, task.stage, task.operation, task.stage, task.operation
                ))
                .nearest(
                    &task.operation,
                    operations.iter().map(|known| known.name.as_str()),
                ),
            ];
        };
        let mut complaints = Vec::new();
        for set in &task.settings {
            match operation.keys.iter().find(|known| known.name == set.key) {
                Some(known) => complaints.extend(self.value_complaints(task, set, known)),
                // A row takes a key away that another row's operation has.
                None if set.laid
                    && set.setting.is_empty_text()
                    && operations.iter().any(|other| other.knows(&set.key)) => {}
                None => complaints.push(unknown_key(task, set, operation)),
            }
        }
        for known in operation.keys.iter().filter(|known| known.required) {
            if !task.settings.iter().any(|set| set.key == known.name) {
                complaints.push(
                    Complaint::usage(format!(
                        "{}: step `{}` lacks the key `{}`, which `{} {}` needs",
                        task.place, task.step, known.name, task.stage, task.operation
                    ))
                    .detail(format!(
                        "{}: {}",
                        known.name,
                        known.help.as_deref().unwrap_or_default()
                    )),
                );
            }
        }
        complaints
    }

    fn value_complaints(&self, task: &Task, set: &Set, known: &Key) -> Vec<Complaint> {
        let Set {
            place,
            key,
            setting,
            ..
        } = set;
        let say = |what: String| {
            let complaint = Complaint::usage(format!(
                "{place}: key `{key}` of step `{}` {what}",
                task.step
            ))
            .detail(format!(
                "{key}: {}",
                known.help.as_deref().unwrap_or_default()
            ));
            match self.behind_key(set) {
                Some(line) => complaint.detail(line),
                None => complaint,
            }
        };
        let mut complaints = Vec::new();
        if known.input.as_deref() != Some("artifact") && setting.holds_artifact() {
            complaints.push(say(
                "refers to a step, but it does not take an artifact".to_owned()
            ));
        }
        if known.boolean && !setting.is_switch() {
            complaints.push(say(format!(
                "is `{}`; it takes true or false",
                setting.plain()
            )));
        }
        if !known.multiple
            && let Setting::List(items) = setting
            && items.len() > 1
        {
            let count = items.len();
            complaints.push(say(format!("is a list of {count}, but it takes one value")));
        }
        if known.required && setting.is_absent() {
            complaints.push(say("is empty, but it is needed".to_owned()));
        }
        complaints
    }

    /// Reports of one step that differ in nothing but what they read: a `[*]` was forgotten.
    fn report_complaints(&self, catalog: &Catalog) -> Vec<Complaint> {
        let mut alike: Vec<Vec<&Task>> = Vec::new();
        let mut at: HashMap<(&str, String), usize> = HashMap::new();
        for task in &self.tasks {
            let mut operations = catalog.operations(&task.stage).iter();
            let is_report = operations
                .any(|known| known.name == task.operation && known.kind.as_deref() == Some(REPORT));
            if is_report {
                let group = *at.entry((&task.step, task.plain())).or_insert(alike.len());
                if group == alike.len() {
                    alike.push(Vec::new());
                }
                alike[group].push(task);
            }
        }
        let mut complaints = Vec::new();
        for same in alike.iter().filter(|same| same.len() > 1) {
            let task = same[0];
            let one_at_a_time = |set: &&Set| {
                let ours = &set.setting;
                same.iter().skip(1).any(|other| {
                    let theirs = other.settings.iter().find(|other| other.key == set.key);
                    theirs.is_some_and(|theirs| theirs.setting != *ours)
                })
            };
            let cause = task.settings.iter().find(one_at_a_time);
            let mut read = Vec::new();
            if let Some(set) = cause {
                set.setting.needs(&mut read);
            }
            let mut steps: Vec<String> = read
                .iter()
                .map(|&index| format!("\"@{}[*]\"", self.tasks[index].step))
                .collect();
            steps.dedup();
            let (place, key) =
                cause.map_or((&task.place, "its inputs"), |set| (&set.place, &set.key));
            complaints.push(
                Complaint::usage(format!(
                    "{place}: step `{}` makes {} reports that differ in nothing but what `{key}` reads: {}",
                    task.step,
                    same.len(),
                    told(same)
                ))
                .hint(format!(
                    "gather for one report: {key} = [{}]; for several, give each a name: recipe = \"{{recipe}}-{{…}}\"",
                    steps.join(", ")
                )),
            );
        }
        complaints
    }
}

impl Task {
    /// What its keys say, without what it reads.
    fn plain(&self) -> String {
        let plain = self
            .settings
            .iter()
            .filter(|set| !set.setting.holds_artifact());
        plain
            .map(|set| format!("{} {}\n", set.key, set.setting.plain()))
            .collect()
    }
}

/// The first tasks by name.
fn told(tasks: &[&Task]) -> String {
    const SHOWN: usize = 3;
    let mut names: Vec<&str> = tasks
        .iter()
        .take(SHOWN)
        .map(|task| task.name.as_str())
        .collect();
    if tasks.len() > SHOWN {
        names.push("…");
    }
    names.join(", ")
}

fn unknown_key(task: &Task, set: &Set, operation: &Operation) -> Complaint {
    let Set { place, key, .. } = set;
    let names = operation.keys.iter().map(|known| known.name.as_str());
    let complaint = Complaint::usage(format!(
        "{place}: step `{}` has the key `{key}`, which `{} {}` does not know",
        task.step, task.stage, task.operation
    ));
    match nearest(key, names.clone()) {
        Some(near) => complaint.hint(format!("did you mean `{near}`?")),
        None if ["store", "device", "threads", "force"].contains(&key.as_str()) => complaint.hint(
            format!("`{key}` belongs to the command: cargo xtask pipeline --help"),
        ),
        None => complaint.hint(format!(
            "its keys: {}",
            names.collect::<Vec<_>>().join(", ")
        )),
    }
}
