//! What a recipe file says: variables, a matrix, and steps, each with the place it was written at.
//!
//! [`Recipe::parse`] reads TOML and keeps line and column of every key, [`Recipe::set`] applies `--set`, and
//! [`Recipe::settle`] gives every variable its value. Nothing here knows what a step does: which operations and keys
//! exist is asked of the stage binaries later, in [`crate::plan`].

mod matrix;
mod set;
mod source;
mod value;
mod vars;

use std::path::{Path, PathBuf};

use crate::complaint::{Complaint, OrComplain, Result, nearest};
use crate::workspace;

pub use matrix::{Axis, Points};
pub use value::{Entry, Place, Value};

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
    /// Matrix variables, in the order written.
    pub matrix: Vec<Axis>,
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
    /// What to try instead when a stage refuses its value.
    pub hint: String,
}

/// One run of an operation.
#[derive(Debug, Clone)]
pub struct Step {
    /// The name other steps refer to.
    pub name: String,
    /// The stage, as in `data`.
    pub stage: String,
    /// The operation of the stage, as in `task`, not yet interpolated.
    pub operation: String,
    /// Where that is written.
    pub run: Place,
    /// The step is left out when this is empty or false.
    pub when: Option<Entry>,
    /// The step is left out unless this is empty or false.
    pub unless: Option<Entry>,
    /// Tables of the matrix whose keys are laid over the step's.
    pub with: Option<Entry>,
    /// The operation's keys.
    pub entries: Vec<Entry>,
    /// Where the step is written.
    pub place: Place,
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

    /// A matrix variable shares its name with nothing else that a text or a flag could mean.
    fn check_axis_name(&self, name: &str, place: &Place) -> Result<()> {
        if self.vars.iter().any(|var| var.name == name) {
            return Err(Complaint::usage(format!(
                "{place}: `{name}` is a matrix variable and one of [vars]"
            )));
        }
        if self.steps.iter().any(|step| step.name == name) {
            return Err(Complaint::usage(format!(
                "{place}: `{name}` is a matrix variable and a step"
            ))
            .hint(format!(
                "--set {name}.…=… would mean both; give one of them another name"
            )));
        }
        Ok(())
    }
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
        .hint("as in run = \"student classify\""));
    };
    if !STAGES.contains(&stage) {
        return Err(
            Complaint::usage(format!("{place}: there is no stage `{stage}`"))
                .nearest(stage, STAGES),
        );
    }
    Ok((stage.to_owned(), operation.to_owned()))
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
            complaint("[step.a]\nrun = \"studnet sft\"\n"),
            "error: small.toml:2:1: there is no stage `studnet`\nhint: did you mean `student`?\n"
        );
    }

    #[test]
    fn a_step_without_run_is_refused() {
        assert_eq!(
            complaint("[step.a]\nlr = 1\n"),
            "error: small.toml:1:7: step `a` does not say what to run\nhint: as in run = \"student classify\"\n"
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
    fn rows_are_tables_with_names() {
        let rows = |rows: &str| {
            complaint(&format!(
                "[matrix.arm]\n{rows}\n[step.a]\nrun = \"data task\"\n"
            ))
        };
        assert_eq!(
            rows("naive = 3"),
            "error: small.toml:2:1: row `naive` of `arm` is `3`, not a table\n\
             hint: as in naive = {}, or arm = [naive, …] for plain values\n"
        );
        assert_eq!(
            rows("\"na ive\" = {}"),
            "error: small.toml:2:1: the row is called `na ive`; use letters, digits, `-` and `_`\n"
        );
        assert_eq!(
            rows("naive = { \"a.b\" = 1 }"),
            "error: small.toml:2:11: the key of row `naive` of `arm` is called `a.b`; use letters, digits, `-` and `_`\n"
        );
        assert_eq!(
            rows("naive = { x = [{}] }"),
            "error: small.toml:1:9: a list in the rows of `arm` holds a table; a list holds strings, numbers, true and false\n"
        );
    }

    #[test]
    fn a_name_means_one_thing() {
        assert_eq!(
            complaint(
                "[vars]\nx = { default = 1 }\n[matrix]\nx = [1]\n[step.a]\nrun = \"data task\"\n"
            ),
            "error: small.toml:4:1: `x` is a matrix variable and one of [vars]\n"
        );
        assert_eq!(
            complaint("[matrix]\na = [1]\n[step.a]\nrun = \"data task\"\n"),
            "error: small.toml:2:1: `a` is a matrix variable and a step\n\
             hint: --set a.…=… would mean both; give one of them another name\n"
        );
    }

    #[test]
    fn set_overrides_and_adds() {
        let mut recipe = parse(SMALL).expect("a right recipe");
        recipe.set("data.rows=20").expect("a known step");
        recipe.set("data.min-words=3").expect("a new key");
        assert_eq!(recipe.steps[0].entries[2].value, Value::Text("20".into()));
        assert_eq!(recipe.steps[0].entries[3].key, "min-words");
    }
}
