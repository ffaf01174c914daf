//! Variables: what `--var` fills, and how they are shown.

use std::collections::BTreeMap;

use super::value::Value;
use super::{Recipe, Var};
use crate::complaint::{Complaint, Result};

impl Recipe {
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
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn small() -> Recipe {
        Recipe::parse(
            Path::new("small.toml"),
            "[vars]\ndata = { help = \"a file\" }\nrows = { default = 10, help = \"how many\" }\n\
             [step.data]\nrun = \"data task\"\nsource = \"{data}\"\nrows = \"{rows}\"\n",
        )
        .expect("a right recipe")
    }

    #[test]
    fn a_missing_variable_lists_all_with_their_help() {
        assert_eq!(
            small()
                .settle(&[])
                .expect_err("data is missing")
                .to_string(),
            "error: recipe `small` needs --var data=…\n  \
             --var data=…   a file (required)\n  \
             --var rows=10  how many\n\
             hint: cargo xtask pipeline small.toml --var data=…\n"
        );
        let values = small().settle(&["data=x.tsv".into()]).expect("all given");
        assert_eq!(values["data"], Value::Text("x.tsv".into()));
        assert_eq!(values["recipe"], Value::Text("small".into()));
    }

    #[test]
    fn an_unknown_variable_suggests() {
        assert_eq!(
            small()
                .settle(&["row=3".into()])
                .expect_err("no such variable")
                .to_string(),
            "error: --var row=3: recipe `small` has no variable `row`\nhint: did you mean `rows`?\n"
        );
    }
}
