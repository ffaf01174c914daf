//! TOML to a [`Recipe`], with line and column of every key.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::matrix::{Axis, Points, Rows};
use super::value::{Entry, Place, Value};
use super::{Recipe, Step, Var, checked_name, is_name_character, operation};
use crate::complaint::{Complaint, Result};
use crate::workspace;

impl Recipe {
    /// Reads a recipe from its text; `path` is for messages and for the name when the file gives none.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let source = Source::new(workspace::shown(path), text);
        let document = DeTable::parse(text).map_err(|error| {
            Complaint::usage(format!(
                "{}: {}",
                source.place(error.span().unwrap_or(0..0)),
                error.message()
            ))
        })?;
        let mut recipe = Self {
            name: path
                .file_stem()
                .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned()),
            typed: source.path.clone(),
            about: String::new(),
            comment: opening_comment(text),
            vars: Vec::new(),
            matrix: Vec::new(),
            steps: Vec::new(),
        };
        for (key, place, value) in source.in_order(document.get_ref()) {
            match key {
                "name" => recipe.name = source.text(key, value)?,
                "about" => recipe.about = source.text(key, value)?,
                "vars" => {
                    for (name, place, value) in source.in_order(source.table(key, value)?) {
                        checked_name("variable", name, &place)?;
                        recipe.vars.push(source.var(name, value)?);
                    }
                }
                "matrix" => {
                    for (name, place, value) in source.in_order(source.table(key, value)?) {
                        checked_name("matrix variable", name, &place)?;
                        recipe.matrix.push(source.axis(name, place, value)?);
                    }
                }
                "step" => {
                    for (name, place, value) in source.in_order(source.table(key, value)?) {
                        checked_name("step", name, &place)?;
                        recipe.steps.push(source.step(name, place, value)?);
                    }
                }
                _ => {
                    return Err(
                        Complaint::usage(format!("{place}: a recipe has no key `{key}`"))
                            .nearest(key, ["name", "about", "vars", "matrix", "step"]),
                    );
                }
            }
        }
        if recipe.name.is_empty() || !recipe.name.chars().all(is_name_character) {
            return Err(Complaint::usage(format!(
                "{}: the recipe's name is `{}`; use letters, digits, `-` and `_`",
                source.path, recipe.name
            )));
        }
        if recipe.steps.is_empty() {
            return Err(
                Complaint::usage(format!("{}: the recipe has no step", source.path))
                    .hint("add one: [step.data] with run = \"data task\""),
            );
        }
        for axis in &recipe.matrix {
            recipe.check_axis_name(&axis.key, &axis.place)?;
        }
        Ok(recipe)
    }
}

/// The lines of `#` before anything else, without their marks.
fn opening_comment(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map_while(|line| line.strip_prefix('#'))
        .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end())
        .collect();
    lines.join("\n")
}

/// A file's text, for naming places in it.
struct Source<'a> {
    path: String,
    text: &'a str,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl<'a> Source<'a> {
    fn new(path: String, text: &'a str) -> Self {
        let after_breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            path,
            text,
            lines: std::iter::once(0).chain(after_breaks).collect(),
        }
    }

    fn place(&self, span: Range<usize>) -> Place {
        let line = self.lines.partition_point(|&start| start <= span.start);
        let start = self.lines[line - 1];
        let before = self.text.get(start..span.start).unwrap_or_default();
        Place::File {
            path: self.path.clone(),
            line,
            column: before.chars().count() + 1,
        }
    }

    /// The entries of a table in the order they are written.
    fn in_order<'t, 'i>(
        &self,
        table: &'t DeTable<'i>,
    ) -> Vec<(&'t str, Place, &'t Spanned<DeValue<'i>>)> {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries
            .into_iter()
            .map(|(key, value)| (key.get_ref().as_ref(), self.place(key.span()), value))
            .collect()
    }

    fn table<'t, 'i>(&self, key: &str, value: &'t Spanned<DeValue<'i>>) -> Result<&'t DeTable<'i>> {
        value.get_ref().as_table().ok_or_else(|| {
            Complaint::usage(format!(
                "{}: `{key}` is a {}, not a table",
                self.place(value.span()),
                value.get_ref().type_str()
            ))
        })
    }

    fn text(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<String> {
        value.get_ref().as_str().map(str::to_owned).ok_or_else(|| {
            Complaint::usage(format!(
                "{}: `{key}` is a {}, not a string",
                self.place(value.span()),
                value.get_ref().type_str()
            ))
        })
    }

    fn value(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Value> {
        Value::read(value.get_ref()).ok_or_else(|| {
            Complaint::usage(format!(
                "{}: `{key}` holds a table; a value is a string, a number, true, false or a list of these",
                self.place(value.span())
            ))
        })
    }

    fn entry(&self, key: &str, place: Place, value: &Spanned<DeValue<'_>>) -> Result<Entry> {
        Ok(Entry {
            key: key.to_owned(),
            value: self.value(key, value)?,
            place,
        })
    }

    fn axis(&self, name: &str, place: Place, value: &Spanned<DeValue<'_>>) -> Result<Axis> {
        let points = if value.get_ref().is_table() {
            let rows = Value::read_nested(value.get_ref(), &|span| self.place(span));
            let Some(Value::Table(rows)) = rows else {
                return Err(Complaint::usage(format!(
                    "{place}: a list in the rows of `{name}` holds a table; a list holds strings, numbers, true and false"
                )));
            };
            Points::Rows(Rows::read(name, rows)?)
        } else {
            Points::List(self.value(name, value)?)
        };
        Ok(Axis {
            key: name.to_owned(),
            value: points,
            place,
        })
    }

    fn var(&self, name: &str, value: &Spanned<DeValue<'_>>) -> Result<Var> {
        let Some(table) = value.get_ref().as_table() else {
            return Err(Complaint::usage(format!(
                "{}: variable `{name}` wants {{ default = ..., help = \"...\" }}",
                self.place(value.span())
            )));
        };
        let mut var = Var {
            name: name.to_owned(),
            default: None,
            help: String::new(),
            hint: String::new(),
        };
        for (key, place, value) in self.in_order(table) {
            match key {
                "default" => var.default = Some(self.value(key, value)?),
                "help" => var.help = self.text(key, value)?,
                "hint" => var.hint = self.text(key, value)?,
                _ => {
                    return Err(Complaint::usage(format!(
                        "{place}: a variable has no key `{key}`"
                    ))
                    .nearest(key, ["default", "help", "hint"]));
                }
            }
        }
        Ok(var)
    }

    fn step(&self, name: &str, place: Place, value: &Spanned<DeValue<'_>>) -> Result<Step> {
        let mut step = Step {
            name: name.to_owned(),
            stage: String::new(),
            operation: String::new(),
            run: place.clone(),
            when: None,
            unless: None,
            with: None,
            entries: Vec::new(),
            place,
        };
        for (key, place, value) in self.in_order(self.table(name, value)?) {
            match key {
                "run" => {
                    (step.stage, step.operation) = operation(&self.text(key, value)?, &place)?;
                    step.run = place;
                }
                "when" => step.when = Some(self.entry(key, place, value)?),
                "unless" => step.unless = Some(self.entry(key, place, value)?),
                "with" => step.with = Some(self.entry(key, place, value)?),
                _ => step.entries.push(self.entry(key, place, value)?),
            }
        }
        if step.stage.is_empty() {
            return Err(Complaint::usage(format!(
                "{}: step `{name}` does not say what to run",
                step.place
            ))
            .hint("as in run = \"student classify\""));
        }
        Ok(step)
    }
}
