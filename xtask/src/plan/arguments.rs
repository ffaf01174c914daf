//! A task as a command line.

use super::Plan;
use crate::stages::Catalog;

/// A key's value with references resolved.
#[derive(Debug, PartialEq, Eq)]
pub enum Setting {
    Bool(bool),
    Text(String),
    /// What a task of the plan makes.
    Artifact(usize),
    List(Vec<Setting>),
}

impl Plan {
    /// The operation and its flags; `references` holds the artifact of every task that comes before.
    pub fn arguments(
        &self,
        index: usize,
        catalog: &Catalog,
        references: &[Option<String>],
    ) -> Vec<String> {
        let task = &self.tasks[index];
        let mut arguments = vec![task.operation.clone()];
        let operations = catalog.operations(&task.stage);
        let known = operations
            .iter()
            .find(|operation| operation.name == task.operation);
        for set in &task.settings {
            let boolean = known
                .and_then(|operation| operation.keys.iter().find(|known| known.name == set.key))
                .is_some_and(|known| known.boolean);
            match &set.setting {
                setting if boolean && setting.is_absent() => {}
                _ if boolean => arguments.push(format!("--{}", set.key)),
                Setting::List(items) => {
                    for item in items.iter().filter(|item| !item.is_empty_text()) {
                        item.push(&set.key, references, &mut arguments);
                    }
                }
                // An empty text leaves the flag to its default.
                setting if setting.is_empty_text() => {}
                setting => setting.push(&set.key, references, &mut arguments),
            }
        }
        arguments
    }
}

impl Setting {
    pub fn is_empty_text(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }

    pub fn needs(&self, needs: &mut Vec<usize>) {
        match self {
            Self::Artifact(index) => needs.push(*index),
            Self::List(items) => items.iter().for_each(|item| item.needs(needs)),
            Self::Bool(_) | Self::Text(_) => {}
        }
    }

    pub fn holds_artifact(&self) -> bool {
        match self {
            Self::Artifact(_) => true,
            Self::List(items) => items.iter().any(Self::holds_artifact),
            Self::Bool(_) | Self::Text(_) => false,
        }
    }

    pub fn is_switch(&self) -> bool {
        match self {
            Self::Bool(_) => true,
            Self::Text(text) => ["", "true", "false"].contains(&text.as_str()),
            Self::Artifact(_) | Self::List(_) => false,
        }
    }

    pub fn is_absent(&self) -> bool {
        match self {
            Self::Bool(value) => !value,
            Self::Text(text) => text.is_empty() || text == "false",
            Self::List(items) => items.is_empty(),
            Self::Artifact(_) => false,
        }
    }

    pub fn plain(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Text(text) => text.clone(),
            Self::Artifact(_) => "an artifact".to_owned(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::plain).collect();
                format!("[{}]", items.join(", "))
            }
        }
    }

    fn push(&self, key: &str, references: &[Option<String>], arguments: &mut Vec<String>) {
        let value = match self {
            Self::Artifact(index) => references
                .get(*index)
                .cloned()
                .flatten()
                .unwrap_or_default(),
            other => other.plain(),
        };
        // A value such as -1 would be read as a flag of its own.
        if value.starts_with('-') {
            arguments.push(format!("--{key}={value}"));
        } else {
            arguments.push(format!("--{key}"));
            arguments.push(value);
        }
    }
}
