//! A stage's operations and flags as JSON, so that a recipe can be checked without knowing any stage.

use std::any::TypeId;
use std::path::PathBuf;

use clap::{Arg, ArgAction};
use serde_json::{Value, json};

use crate::operation::ArtifactArg;
use crate::stage::Stage;

/// The object that `describe` prints.
pub(crate) fn describe(stage: &Stage) -> Value {
    let operations: Vec<Value> = stage
        .operations
        .iter()
        .map(|operation| {
            let command = (operation.augment)(clap::Command::new(operation.name));
            let keys: Vec<Value> = command.get_arguments().map(key).collect();
            json!({
                "name": operation.name,
                "version": operation.version,
                "kind": operation.kind,
                "about": operation.about,
                "keys": keys,
            })
        })
        .collect();
    json!({"stage": stage.name, "operations": operations})
}

fn key(arg: &Arg) -> Value {
    let boolean = matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::SetFalse);
    let multiple = matches!(arg.get_action(), ArgAction::Append)
        || arg
            .get_num_args()
            .is_some_and(|range| range.max_values() > 1);
    let mut defaults: Vec<Value> = arg
        .get_default_values()
        .iter()
        .map(|value| json!(value.to_string_lossy()))
        .collect();
    let default = match (boolean, defaults.len()) {
        (true, _) | (_, 0) => Value::Null,
        (_, 1) if !multiple => defaults.remove(0),
        _ => Value::Array(defaults),
    };
    let values: Vec<String> = if boolean {
        Vec::new()
    } else {
        arg.get_possible_values()
            .iter()
            .map(|value| value.get_name().to_owned())
            .collect()
    };
    json!({
        "name": arg.get_long().unwrap_or(arg.get_id().as_str()),
        "required": arg.is_required_set(),
        "multiple": multiple,
        "boolean": boolean,
        "default": default,
        "values": values,
        "help": arg.get_help().map(ToString::to_string),
        "input": input(arg),
    })
}

/// What the flag reads, by the type it is parsed to.
fn input(arg: &Arg) -> Option<&'static str> {
    let parsed = arg.get_value_parser().type_id();
    if parsed == TypeId::of::<ArtifactArg>() {
        Some("artifact")
    } else if parsed == TypeId::of::<PathBuf>() {
        Some("file")
    } else {
        None
    }
}
