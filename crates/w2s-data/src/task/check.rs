//! What a description must say to make sense.

use std::collections::BTreeSet;

use super::{Choices, Keys, LabelColumn, Task};
use crate::error::{DataError, quoted};

/// Refuses a description that contradicts itself. `origin` names it in errors.
pub(super) fn check(task: &Task, origin: &str) -> Result<(), DataError> {
    task.template()?;
    let said = check_columns(task).and_then(|()| match (&task.label, &task.choices) {
        (Some(label), None) => check_label(label),
        (None, Some(choices)) => check_choices(task, choices),
        _ => Err("either `[label]` or `[choices]` is needed, and not both".into()),
    });
    said.map_err(|problem| DataError::Task {
        task: origin.into(),
        problem,
    })
}

fn check_columns(task: &Task) -> Result<(), String> {
    if task.layouts.iter().any(|layout| layout.files.is_empty()) {
        return Err("`[[layouts]] files` names no beginning of a file's name".into());
    }
    let of_layouts = task.layouts.iter().flat_map(|layout| &layout.columns);
    for (name, made) in task.columns.iter().chain(of_layouts) {
        made.maker()
            .map_err(|problem| format!("column `{name}`: {problem}"))?;
        if task.is_answer(name) {
            return Err(format!(
                "a column cannot be called `{name}`, which is an answer of a question"
            ));
        }
    }
    Ok(())
}

fn check_label(label: &LabelColumn) -> Result<(), String> {
    let distinct: BTreeSet<_> = label.classes.iter().collect();
    if distinct.len() < 2 || distinct.len() < label.classes.len() {
        return Err("`[label] classes` needs two or more different names".into());
    }
    for (value, class) in &label.values {
        if !label.classes.contains(class) {
            return Err(format!(
                "`[label] values` maps `{value}` to `{class}`, which is not one of the classes {}",
                quoted(&label.classes)
            ));
        }
    }
    let has_value = |class: &&String| label.values.values().any(|c| c == *class);
    match label.classes.iter().find(|class| !has_value(class)) {
        Some(class) => Err(format!(
            "no value of `[label] values` stands for the class `{class}`"
        )),
        None => Ok(()),
    }
}

fn check_choices(task: &Task, choices: &Choices) -> Result<(), String> {
    // One column may hold a list of answers; how many they are shows in the rows.
    let columns = choices.answers.len();
    if columns == 0 {
        return Err("`[choices] answers` names no column".into());
    }
    if choices.right.is_some() == choices.right_index.is_some() {
        return Err("`[choices]` needs either `right` or `right_index`".into());
    }
    if let Some(right) = &choices.right {
        if !choices.answers.contains(right) {
            return Err(format!(
                "`[choices] right = \"{right}\"` is not one of the answers"
            ));
        }
        if columns == 1 {
            return Err("`[choices] right` needs a column for each answer".into());
        }
        if choices.keys.is_some() {
            return Err("`[choices] keys` belongs to `right_index`".into());
        }
    }
    if choices.wrong == 0 || columns > 1 && choices.wrong >= columns {
        let most = match columns {
            1 => "1 or more".to_owned(),
            _ => format!("between 1 and {}", columns - 1),
        };
        return Err(format!(
            "`[choices] wrong = {}` must be {most}",
            choices.wrong
        ));
    }
    if let Some(Keys::Values(keys)) = &choices.keys
        && columns > 1
        && keys.len() != columns
    {
        return Err(format!(
            "`[choices] keys` has {} keys for {columns} answers",
            keys.len()
        ));
    }
    let template = task.template().map_err(|error| error.to_string())?;
    let uses = |name: &str| {
        let mut texts = template.iter();
        texts.any(|text| text.columns().any(|column| column == name))
    };
    if !uses("answer") {
        return Err("`text` must hold `{answer}`, the answer the row asks about".into());
    }
    if uses("other") && choices.wrong > 1 {
        return Err("`{other}` in `text` needs `[choices] wrong = 1`".into());
    }
    Ok(())
}
