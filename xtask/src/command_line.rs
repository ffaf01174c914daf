//! The command line of a step: what the plan says, and what the run changed in the recipe for operations that ask for it.

use crate::plan::Plan;
use crate::stages::Catalog;

/// An operation with this flag is told what was changed in the recipe, to say it with the result.
const OVERRIDE: &str = "override";

/// Writes steps as command lines.
pub struct CommandLines<'a> {
    plan: &'a Plan,
    catalog: &'a Catalog,
    overrides: Vec<String>,
}

impl<'a> CommandLines<'a> {
    /// `set` and `var` are the changes as they were typed.
    pub fn new(plan: &'a Plan, catalog: &'a Catalog, set: &[String], var: &[String]) -> Self {
        Self {
            plan,
            catalog,
            overrides: overrides(set, var),
        }
    }

    /// The operation and the flags of a task; `references` holds the artifact of every task that comes before.
    pub fn of(&self, index: usize, references: &[Option<String>]) -> Vec<String> {
        let mut arguments = self.plan.arguments(index, self.catalog, references);
        let task = &self.plan.tasks[index];
        let operation = self
            .catalog
            .operations(&task.stage)
            .iter()
            .find(|operation| operation.name == task.operation);
        if operation.is_some_and(|known| known.keys.iter().any(|key| key.name == OVERRIDE)) {
            let flags = self.overrides.iter();
            arguments.extend(flags.map(|change| format!("--{OVERRIDE}={change}")));
        }
        arguments
    }
}

/// The last change of each thing, in an order that does not depend on how they were typed: they are in the report's key.
fn overrides(set: &[String], var: &[String]) -> Vec<String> {
    let sorted = |changes: &[String]| {
        let target = |change: &String| change.split('=').next().unwrap_or_default().to_owned();
        let mut last: Vec<String> = Vec::new();
        for change in changes {
            last.retain(|other| target(other) != target(change));
            last.push(change.clone());
        }
        last.sort_unstable();
        last
    };
    [sorted(set), sorted(var)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_change_counts_and_their_order_does_not() {
        let changes = |changes: &[&str]| changes.iter().map(|text| (*text).to_owned()).collect();
        let set: Vec<String> = changes(&["naive.lr=1", "data.rows=3", "naive.lr=2"]);
        let var: Vec<String> = changes(&["strong=mini"]);
        assert_eq!(
            overrides(&set, &var),
            ["data.rows=3", "naive.lr=2", "strong=mini"]
        );
    }
}
