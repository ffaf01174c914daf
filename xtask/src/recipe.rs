//! What a recipe file says: variables, a matrix, and steps, each with the place it was written at.
//!
//! [`Recipe::parse`] reads TOML and keeps line and column of every key, [`Recipe::set`] applies `--set`, and
//! [`Recipe::settle`] gives every variable its value. Nothing here knows what a step does: which operations and keys
//! exist is asked of the stage binaries later, in [`crate::plan`].

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::complaint::{Complaint, OrComplain, Result, nearest};
use crate::workspace;

/// The stages a step can run.
pub const STAGES: [&str; 6] = ["data", "base", "teacher", "student", "eval", "report"];

/// A recipe as it is written.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The name that reports and logs carry.
    pub name: String,
    /// How it was asked for: a name or a path.
    pub typed: String,
    /// One line on what it shows.
    pub about: String,
    /// The comment the file opens with.
    pub comment: String,
    /// Variables, in the order written.
    pub vars: Vec<Var>,
    /// Matrix variables with their values, in the order written.
    pub matrix: Vec<Entry>,
    /// Steps, in the order written.
    pub steps: Vec<Step>,
}

/// A variable that `--var` fills.
#[derive(Debug, Clone)]
pub struct Var {
    /// The name between braces.
    pub name: String,
    /// The value it has without `--var`; none means that it must be given.
    pub default: Option<Value>,
    /// What it is for.
    pub help: String,
}

/// One run of an operation.
#[derive(Debug, Clone)]
pub struct Step {
    /// The name other steps refer to.
    pub name: String,
    /// The stage, as in `data`.
    pub stage: String,
    /// The operation of the stage, as in `task`.
    pub operation: String,
    /// The step is left out when this is empty or false.
    pub when: Option<Entry>,
    /// The step is left out unless this is empty or false.
    pub unless: Option<Entry>,
    /// The operation's keys.
    pub entries: Vec<Entry>,
    /// Where the step is written.
    pub place: Place,
}

/// A key and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value, not yet interpolated.
    pub value: Value,
    /// Where it is written.
    pub place: Place,
}

/// A value. Numbers are text: they end as the text of a flag, and the stage that owns the flag reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A string or a number.
    Text(String),
    /// An array.
    List(Vec<Value>),
}

/// Where something is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File {
        /// The file as the user would type it.
        path: String,
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in characters.
        column: usize,
    },
    /// On the command line.
    Flag(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{path}:{line}:{column}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Text(text) => f.write_str(text),
            Self::List(values) => {
                let values: Vec<String> = values.iter().map(Self::to_string).collect();
                write!(f, "[{}]", values.join(", "))
            }
        }
    }
}

impl Value {
    /// Reads a value typed on the command line: TOML when it is TOML, otherwise the text itself.
    pub fn typed(text: &str) -> Self {
        match DeValue::parse(text).map(Spanned::into_inner) {
            // Numbers keep the text they were typed with, so that a folder called `1e3` stays one.
            Ok(
                DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_),
            )
            | Err(_) => Self::Text(text.to_owned()),
            Ok(value) => Self::read(&value).unwrap_or_else(|| Self::Text(text.to_owned())),
        }
    }

    /// Nothing, as far as a flag or a condition is concerned.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Bool(value) => !value,
            Self::Text(text) => text.is_empty() || text == "false",
            Self::List(values) => values.is_empty(),
        }
    }

    fn read(value: &DeValue<'_>) -> Option<Self> {
        Some(match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) => match number.radix() {
                10 => Self::Text(number.as_str().trim_start_matches('+').to_owned()),
                radix => Self::Text(
                    i128::from_str_radix(number.as_str(), radix)
                        .ok()?
                        .to_string(),
                ),
            },
            DeValue::Float(number) => {
                Self::Text(number.as_str().trim_start_matches('+').to_owned())
            }
            DeValue::Boolean(value) => Self::Bool(*value),
            DeValue::Datetime(moment) => Self::Text(moment.to_string()),
            DeValue::Array(values) => Self::List(
                values
                    .iter()
                    .map(|value| Self::read(value.get_ref()))
                    .collect::<Option<_>>()?,
            ),
            DeValue::Table(_) => return None,
        })
    }
}

impl Recipe {
    /// Finds a recipe by name or path and reads it.
    pub fn find(name: &str) -> Result<Self> {
        let folder = workspace::recipes();
        let path = if name.ends_with(".toml") || name.contains(['/', '\\']) {
            PathBuf::from(name)
        } else {
            folder.join(format!("{name}.toml"))
        };
        if !path.is_file() {
            let known = Self::names(&folder);
            let complaint = Complaint::usage(format!("there is no recipe `{name}`"));
            return Err(match nearest(name, known.iter().map(String::as_str)) {
                Some(near) => complaint
                    .detail(format!("recipes: {}", known.join(", ")))
                    .hint(format!("did you mean `cargo xtask pipeline {near}`?")),
                None => complaint
                    .detail(format!("recipes: {}", known.join(", ")))
                    .hint("give one of these names, or the path of a .toml file"),
            });
        }
        let text = std::fs::read_to_string(&path)
            .or_complain(|| format!("cannot read {}", workspace::shown(&path)))?;
        Ok(Self {
            typed: name.to_owned(),
            ..Self::parse(&path, &text)?
        })
    }

    /// The names of the recipes in a folder.
    pub fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "toml")
            })
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .collect();
        names.sort();
        names
    }

    /// Reads a recipe from its text; `path` is for messages and for the name when the file gives none.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let source = Source {
            path: workspace::shown(path),
            text,
        };
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
                        recipe.matrix.push(source.entry(name, place, value)?);
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
        if let Some(both) = recipe
            .matrix
            .iter()
            .find(|entry| recipe.vars.iter().any(|var| var.name == entry.key))
        {
            return Err(Complaint::usage(format!(
                "{}: `{}` is a matrix variable and one of [vars]",
                both.place, both.key
            )));
        }
        Ok(recipe)
    }

    /// Applies one `--set STEP.KEY=VALUE`.
    pub fn set(&mut self, flag: &str) -> Result<()> {
        let wanted = || {
            Complaint::usage(format!("--set {flag} is not of the form STEP.KEY=VALUE"))
                .hint("as in --set naive.epochs=3, or --set matrix.seed=[0]")
        };
        let (target, value) = flag.split_once('=').ok_or_else(wanted)?;
        let (step, key) = target.split_once('.').ok_or_else(wanted)?;
        let entry = Entry {
            key: key.to_owned(),
            value: Value::typed(value),
            place: Place::Flag(format!("--set {flag}")),
        };
        if step == "matrix" {
            let Some(variable) = self.matrix.iter_mut().find(|variable| variable.key == key) else {
                return Err(Complaint::usage(format!(
                    "--set {flag}: the matrix has no variable `{key}`"
                ))
                .nearest(key, self.matrix.iter().map(|entry| entry.key.as_str())));
            };
            *variable = entry;
            return Ok(());
        }
        let Some(index) = self
            .steps
            .iter()
            .position(|candidate| candidate.name == step)
        else {
            return Err(Complaint::usage(format!(
                "--set {flag}: recipe `{}` has no step `{step}`",
                self.name
            ))
            .nearest(step, self.steps.iter().map(|step| step.name.as_str())));
        };
        let step = &mut self.steps[index];
        match key {
            "run" => {
                let run = entry.value.to_string();
                (step.stage, step.operation) = operation(&run, &entry.place)?;
            }
            "when" => step.when = Some(entry),
            "unless" => step.unless = Some(entry),
            _ => match step.entries.iter_mut().find(|existing| existing.key == key) {
                Some(existing) => *existing = entry,
                None => step.entries.push(entry),
            },
        }
        Ok(())
    }

    /// Gives every variable its value from `--var NAME=VALUE` or its default.
    pub fn settle(&self, flags: &[String]) -> Result<BTreeMap<String, Value>> {
        let mut values: BTreeMap<String, Value> = self
            .vars
            .iter()
            .filter_map(|var| Some((var.name.clone(), var.default.clone()?)))
            .collect();
        for flag in flags {
            let Some((name, value)) = flag.split_once('=') else {
                return Err(Complaint::usage(format!(
                    "--var {flag} is not of the form NAME=VALUE"
                )));
            };
            if !self.vars.iter().any(|var| var.name == name) {
                return Err(Complaint::usage(format!(
                    "--var {flag}: recipe `{}` has no variable `{name}`",
                    self.name
                ))
                .nearest(name, self.vars.iter().map(|var| var.name.as_str())));
            }
            values.insert(name.to_owned(), Value::typed(value));
        }
        let missing: Vec<&Var> = self
            .vars
            .iter()
            .filter(|var| !values.contains_key(&var.name))
            .collect();
        if !missing.is_empty() {
            let names: Vec<String> = missing
                .iter()
                .map(|var| format!("--var {}=…", var.name))
                .collect();
            let mut complaint =
                Complaint::usage(format!("recipe `{}` needs {}", self.name, names.join(" ")));
            for line in self.var_lines() {
                complaint = complaint.detail(line);
            }
            let given = flags.iter().map(|flag| format!("--var {flag}"));
            let all: Vec<String> = given.chain(names).collect();
            return Err(complaint.hint(format!(
                "cargo xtask pipeline {} {}",
                self.typed,
                all.join(" ")
            )));
        }
        // The recipe's own name can be used like a variable, so that a report can be told whose it is.
        values
            .entry("recipe".to_owned())
            .or_insert_with(|| Value::Text(self.name.clone()));
        Ok(values)
    }

    /// The variables, one aligned line each.
    pub fn var_lines(&self) -> Vec<String> {
        let shown: Vec<(String, &Var)> = self
            .vars
            .iter()
            .map(|var| {
                let value = match &var.default {
                    None => "…".to_owned(),
                    Some(Value::Text(text)) if text.is_empty() => "\"\"".to_owned(),
                    Some(value) => value.to_string(),
                };
                (format!("{}={value}", var.name), var)
            })
            .collect();
        let width = shown
            .iter()
            .map(|(text, _)| text.chars().count())
            .max()
            .unwrap_or(0);
        shown
            .into_iter()
            .map(|(text, var)| {
                let needed = if var.default.is_none() {
                    " (required)"
                } else {
                    ""
                };
                format!("--var {text:<width$}  {}{needed}", var.help)
                    .trim_end()
                    .to_owned()
            })
            .collect()
    }

    /// The values of each matrix variable, interpolated.
    pub fn matrix_values(
        &self,
        vars: &BTreeMap<String, Value>,
    ) -> Result<Vec<(String, Vec<Value>)>> {
        self.matrix
            .iter()
            .map(|entry| {
                let value = interpolate(&entry.value, vars, &entry.place)?;
                let Value::List(values) = value else {
                    return Err(Complaint::usage(format!(
                        "{}: matrix variable `{}` is `{value}`, not a list",
                        entry.place, entry.key
                    ))
                    .hint(format!("write {} = [{value}]", entry.key)));
                };
                if values.is_empty() {
                    return Err(Complaint::usage(format!(
                        "{}: matrix variable `{}` has no value",
                        entry.place, entry.key
                    )));
                }
                for (index, value) in values.iter().enumerate() {
                    if values[..index].contains(value) {
                        return Err(Complaint::usage(format!(
                            "{}: matrix variable `{}` has the value `{value}` twice",
                            entry.place, entry.key
                        )));
                    }
                }
                Ok((entry.key.clone(), values))
            })
            .collect()
    }
}

/// The `{name}`s of a value.
pub fn variables(value: &Value, place: &Place) -> Result<Vec<String>> {
    match value {
        Value::Bool(_) => Ok(Vec::new()),
        Value::Text(text) => Ok(parts(text, place)?
            .into_iter()
            .filter_map(|part| match part {
                Part::Variable(name) => Some(name),
                Part::Literal(_) => None,
            })
            .collect()),
        Value::List(values) => {
            let mut names = Vec::new();
            for value in values {
                names.extend(variables(value, place)?);
            }
            Ok(names)
        }
    }
}

/// Puts values in the place of `{name}`s. A text that is one `{name}` and nothing else becomes the value itself.
pub fn interpolate(
    value: &Value,
    values: &BTreeMap<String, Value>,
    place: &Place,
) -> Result<Value> {
    let look_up = |name: &str| {
        values.get(name).ok_or_else(|| {
            let complaint = Complaint::usage(format!("{place}: there is no variable `{name}`"));
            match nearest(name, values.keys().map(String::as_str)) {
                Some(near) => complaint.hint(format!("did you mean `{{{near}}}`?")),
                None => complaint.hint(format!(
                    "write {{{{{name}}}}} for the text {{{name}}} itself"
                )),
            }
        })
    };
    match value {
        Value::Bool(value) => Ok(Value::Bool(*value)),
        Value::List(items) => Ok(Value::List(
            items
                .iter()
                .map(|item| interpolate(item, values, place))
                .collect::<Result<_>>()?,
        )),
        Value::Text(text) => match parts(text, place)?.as_slice() {
            [Part::Variable(name)] => look_up(name).cloned(),
            parts => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Literal(literal) => text.push_str(literal),
                        Part::Variable(name) => match look_up(name)? {
                            Value::List(_) => {
                                return Err(Complaint::usage(format!(
                                    "{place}: `{name}` is a list and cannot stand inside a text"
                                )));
                            }
                            value => text.push_str(&value.to_string()),
                        },
                    }
                }
                Ok(Value::Text(text))
            }
        },
    }
}

enum Part {
    Literal(String),
    Variable(String),
}

fn parts(text: &str, place: &Place) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        literal.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix(brace) {
            literal.push_str(brace);
            rest = after;
            continue;
        }
        let name = (brace == "{").then(|| after.split_once('}')).flatten();
        let Some((name, after)) =
            name.filter(|(name, _)| !name.is_empty() && name.chars().all(is_name_character))
        else {
            return Err(Complaint::usage(format!(
                "{place}: a lone `{brace}` in \"{}\"",
                text.escape_debug()
            ))
            .hint("{name} is a variable; write {{ and }} for the braces themselves"));
        };
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal)));
        }
        parts.push(Part::Variable(name.to_owned()));
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(parts)
}

/// A letter, digit, `-` or `_`.
pub fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '-' || character == '_'
}

fn checked_name(what: &str, name: &str, place: &Place) -> Result<()> {
    if name == "matrix" && what == "step" {
        return Err(Complaint::usage(format!(
            "{place}: a step cannot be called `matrix`"
        )));
    }
    if name.is_empty() || !name.chars().all(is_name_character) {
        return Err(Complaint::usage(format!(
            "{place}: the {what} is called `{name}`; use letters, digits, `-` and `_`"
        )));
    }
    Ok(())
}

fn operation(run: &str, place: &Place) -> Result<(String, String)> {
    let words: Vec<&str> = run.split_whitespace().collect();
    let [stage, operation] = words[..] else {
        return Err(Complaint::usage(format!(
            "{place}: `run` is \"{run}\", not a stage and an operation"
        ))
        .hint("as in run = \"student train\""));
    };
    if !STAGES.contains(&stage) {
        return Err(
            Complaint::usage(format!("{place}: there is no stage `{stage}`"))
                .nearest(stage, STAGES),
        );
    }
    Ok((stage.to_owned(), operation.to_owned()))
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
}

impl Source<'_> {
    fn place(&self, span: Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Place::File {
            path: self.path.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
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
        };
        for (key, place, value) in self.in_order(table) {
            match key {
                "default" => var.default = Some(self.value(key, value)?),
                "help" => var.help = self.text(key, value)?,
                _ => {
                    return Err(Complaint::usage(format!(
                        "{place}: a variable has no key `{key}`"
                    ))
                    .nearest(key, ["default", "help"]));
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
            when: None,
            unless: None,
            entries: Vec::new(),
            place,
        };
        for (key, place, value) in self.in_order(self.table(name, value)?) {
            match key {
                "run" => (step.stage, step.operation) = operation(&self.text(key, value)?, &place)?,
                "when" => step.when = Some(self.entry(key, place, value)?),
                "unless" => step.unless = Some(self.entry(key, place, value)?),
                _ => step.entries.push(self.entry(key, place, value)?),
            }
        }
        if step.stage.is_empty() {
            return Err(Complaint::usage(format!(
                "{}: step `{name}` does not say what to run",
                step.place
            ))
            .hint("as in run = \"student train\""));
        }
        Ok(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"# Shows nothing.
#
# Takes no time.
name = "small"
about = "a small one"

[vars]
data = { help = "a file" }
rows = { default = 10, help = "how many" }

[matrix]
seed = [0, 1]

[step.data]
run = "data task"
source = "{data}"
seed = "{seed}"
rows = "{rows}"
"#;

    fn parse(text: &str) -> Result<Recipe> {
        Recipe::parse(Path::new("small.toml"), text)
    }

    fn complaint(text: &str) -> String {
        parse(text).expect_err("the recipe is wrong").to_string()
    }

    #[test]
    fn a_recipe_keeps_order_comment_and_places() {
        let recipe = parse(SMALL).expect("a right recipe");
        assert_eq!(recipe.comment, "Shows nothing.\n\nTakes no time.");
        assert_eq!(recipe.vars[0].name, "data");
        assert_eq!(recipe.vars[1].default, Some(Value::Text("10".into())));
        let keys: Vec<&str> = recipe.steps[0]
            .entries
            .iter()
            .map(|entry| entry.key.as_str())
            .collect();
        assert_eq!(keys, ["source", "seed", "rows"]);
        assert_eq!(
            recipe.steps[0].entries[2].place.to_string(),
            "small.toml:18:1"
        );
    }

    #[test]
    fn broken_toml_is_named_by_line_and_column() {
        assert_eq!(
            complaint("name = \"x\"\n[step.a]\nrun = data task\n"),
            "error: small.toml:3:7: string values must be quoted, expected literal string\n"
        );
    }

    #[test]
    fn an_unknown_top_level_key_suggests() {
        assert_eq!(
            complaint("steps = 3\n"),
            "error: small.toml:1:1: a recipe has no key `steps`\nhint: did you mean `step`?\n"
        );
    }

    #[test]
    fn an_unknown_stage_suggests() {
        assert_eq!(
            complaint("[step.a]\nrun = \"studnet train\"\n"),
            "error: small.toml:2:1: there is no stage `studnet`\nhint: did you mean `student`?\n"
        );
    }

    #[test]
    fn a_step_without_run_is_refused() {
        assert_eq!(
            complaint("[step.a]\nlr = 1\n"),
            "error: small.toml:1:7: step `a` does not say what to run\nhint: as in run = \"student train\"\n"
        );
    }

    #[test]
    fn a_table_is_no_value() {
        assert_eq!(
            complaint("[step.a]\nrun = \"data task\"\nlr = { a = 1 }\n"),
            "error: small.toml:3:6: `lr` holds a table; a value is a string, a number, true, false or a list of these\n"
        );
    }

    #[test]
    fn a_missing_variable_lists_all_with_their_help() {
        let recipe = parse(SMALL).expect("a right recipe");
        assert_eq!(
            recipe.settle(&[]).expect_err("data is missing").to_string(),
            "error: recipe `small` needs --var data=…\n  \
             --var data=…   a file (required)\n  \
             --var rows=10  how many\n\
             hint: cargo xtask pipeline small.toml --var data=…\n"
        );
        let values = recipe.settle(&["data=x.tsv".into()]).expect("all given");
        assert_eq!(values["data"], Value::Text("x.tsv".into()));
        assert_eq!(values["recipe"], Value::Text("small".into()));
    }

    #[test]
    fn an_unknown_variable_suggests() {
        let recipe = parse(SMALL).expect("a right recipe");
        assert_eq!(
            recipe
                .settle(&["row=3".into()])
                .expect_err("no such variable")
                .to_string(),
            "error: --var row=3: recipe `small` has no variable `row`\nhint: did you mean `rows`?\n"
        );
    }

    #[test]
    fn typed_values_are_toml_or_text() {
        assert_eq!(Value::typed("true"), Value::Bool(true));
        assert_eq!(Value::typed("3e-4"), Value::Text("3e-4".into()));
        assert_eq!(Value::typed("\"a b\""), Value::Text("a b".into()));
        assert_eq!(Value::typed("paper"), Value::Text("paper".into()));
        assert_eq!(Value::typed(""), Value::Text(String::new()));
        assert_eq!(
            Value::typed("[0, 1]"),
            Value::List(vec![Value::Text("0".into()), Value::Text("1".into())])
        );
    }

    #[test]
    fn set_overrides_adds_and_suggests() {
        let mut recipe = parse(SMALL).expect("a right recipe");
        recipe.set("data.rows=20").expect("a known step");
        recipe.set("data.min-words=3").expect("a new key");
        recipe.set("matrix.seed=[7]").expect("a matrix variable");
        assert_eq!(recipe.steps[0].entries[2].value, Value::Text("20".into()));
        assert_eq!(recipe.steps[0].entries[3].key, "min-words");
        let vars = recipe.settle(&["data=x".into()]).expect("all given");
        assert_eq!(
            recipe.matrix_values(&vars).expect("a list"),
            [("seed".to_owned(), vec![Value::Text("7".into())])]
        );
        assert_eq!(
            recipe
                .set("date.rows=1")
                .expect_err("no such step")
                .to_string(),
            "error: --set date.rows=1: recipe `small` has no step `date`\nhint: did you mean `data`?\n"
        );
        assert_eq!(
            recipe.set("rows=1").expect_err("no step").to_string(),
            "error: --set rows=1 is not of the form STEP.KEY=VALUE\n\
             hint: as in --set naive.epochs=3, or --set matrix.seed=[0]\n"
        );
    }

    #[test]
    fn interpolation_keeps_types_and_escapes() {
        let place = Place::Flag("here".into());
        let values = BTreeMap::from([
            ("on".to_owned(), Value::Bool(true)),
            ("seed".to_owned(), Value::Text("3".into())),
        ]);
        let interpolated = |text: &str| interpolate(&Value::Text(text.into()), &values, &place);
        assert_eq!(interpolated("{on}").expect("known"), Value::Bool(true));
        assert_eq!(
            interpolated("a-{seed}-b").expect("known"),
            Value::Text("a-3-b".into())
        );
        assert_eq!(
            interpolated("Review: {{text}}").expect("escaped"),
            Value::Text("Review: {text}".into())
        );
        assert_eq!(
            interpolated("{sead}").expect_err("unknown").to_string(),
            "error: here: there is no variable `sead`\nhint: did you mean `{seed}`?\n"
        );
        assert_eq!(
            interpolated("{sentence}").expect_err("unknown").to_string(),
            "error: here: there is no variable `sentence`\nhint: write {{sentence}} for the text {sentence} itself\n"
        );
        assert!(interpolated("a { b").is_err());
    }

    #[test]
    fn matrix_values_are_lists_without_repeats() {
        let recipe =
            parse("[matrix]\nseed = [1, 1]\n[step.a]\nrun = \"data task\"\n").expect("parses");
        assert_eq!(
            recipe
                .matrix_values(&BTreeMap::new())
                .expect_err("twice")
                .to_string(),
            "error: small.toml:2:1: matrix variable `seed` has the value `1` twice\n"
        );
    }
}
