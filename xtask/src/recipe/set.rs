//! What `--set` changes: a key of a step, the values of a matrix variable, or something in a row of one.

use super::matrix::{Axis, Points};
use super::value::{Entry, Place, Value};
use super::{Recipe, checked_name, operation};
use crate::complaint::{Complaint, Result};

/// More levels than any row has.
const DEEPEST: usize = 8;

impl Recipe {
    /// Applies one `--set STEP.KEY=VALUE`, `--set matrix.NAME=LIST` or `--set NAME.ROW.KEY=VALUE`.
    pub fn set(&mut self, flag: &str) -> Result<()> {
        let wanted = || {
            Complaint::usage(format!("--set {flag} is not of the form STEP.KEY=VALUE"))
                .hint("as in --set weak.epochs=3, --set matrix.seed=[0], or --set arm.naive.train.lr=1e-3")
        };
        let place = Place::Flag(format!("--set {flag}"));
        let (target, value) = flag.split_once('=').ok_or_else(wanted)?;
        let (first, rest) = target.split_once('.').ok_or_else(wanted)?;
        if target.split('.').any(str::is_empty) {
            return Err(wanted());
        }
        if first == "matrix" {
            return match rest.split_once('.') {
                None => self.set_axis(rest, Value::typed(value), &place),
                Some((axis, path)) => self.set_row(axis, path, value, &place, true),
            };
        }
        if self.matrix.iter().any(|axis| axis.key == first) {
            return self.set_row(first, rest, value, &place, false);
        }
        self.set_step(first, rest, Value::typed(value), place)
    }

    fn set_step(&mut self, step: &str, key: &str, value: Value, place: Place) -> Result<()> {
        let Some(index) = self
            .steps
            .iter()
            .position(|candidate| candidate.name == step)
        else {
            let axes = self.matrix.iter().map(|axis| axis.key.as_str());
            return Err(Complaint::usage(format!(
                "{place}: recipe `{}` has no step `{step}`",
                self.name
            ))
            .nearest(
                step,
                self.steps.iter().map(|step| step.name.as_str()).chain(axes),
            ));
        };
        let entry = Entry {
            key: key.to_owned(),
            value,
            place,
        };
        let step = &mut self.steps[index];
        match key {
            "run" => {
                let run = entry.value.to_string();
                (step.stage, step.operation) = operation(&run, &entry.place)?;
                step.run = entry.place;
            }
            "when" => step.when = Some(entry),
            "unless" => step.unless = Some(entry),
            "with" => step.with = Some(entry),
            _ => match step.entries.iter_mut().find(|existing| existing.key == key) {
                Some(existing) => *existing = entry,
                None => step.entries.push(entry),
            },
        }
        Ok(())
    }

    fn set_axis(&mut self, name: &str, value: Value, place: &Place) -> Result<()> {
        let at = self.matrix.iter().position(|axis| axis.key == name);
        match (at.map(|at| &mut self.matrix[at]), value) {
            (
                Some(Axis {
                    value: Points::Rows(rows),
                    ..
                }),
                Value::List(names),
            ) => rows.keep(name, &names, place),
            (
                Some(Axis {
                    value: Points::Rows(_),
                    ..
                }),
                value,
            ) => Err(Complaint::usage(format!(
                "{place}: `{name}` has rows, and `{value}` is not a list of their names"
            ))
            .hint(format!("--set {name}.ROW=false takes one out"))),
            (Some(axis), value) => {
                *axis = Axis {
                    value: Points::List(value),
                    place: place.clone(),
                    ..axis.clone()
                };
                Ok(())
            }
            (None, value) => {
                checked_name("matrix variable", name, place)?;
                self.check_axis_name(name, place)?;
                self.matrix.push(Axis {
                    key: name.to_owned(),
                    value: Points::List(value),
                    place: place.clone(),
                });
                Ok(())
            }
        }
    }

    fn set_row(
        &mut self,
        name: &str,
        path: &str,
        value: &str,
        place: &Place,
        may_add: bool,
    ) -> Result<()> {
        let path: Vec<&str> = path.split('.').collect();
        if path.len() > DEEPEST {
            return Err(Complaint::usage(format!(
                "{place}: more than {DEEPEST} names joined by dots"
            )));
        }
        let Some(axis) = self.matrix.iter_mut().find(|axis| axis.key == name) else {
            return Err(
                Complaint::usage(format!("{place}: the matrix has no variable `{name}`"))
                    .nearest(name, self.matrix.iter().map(|axis| axis.key.as_str())),
            );
        };
        match &mut axis.value {
            Points::Rows(rows) => rows.set(
                name,
                &path,
                Value::typed_in_row(value, place),
                place,
                may_add,
            ),
            Points::List(_) => Err(Complaint::usage(format!(
                "{place}: the values of `{name}` are a list, not rows"
            ))
            .hint(format!("as in --set matrix.{name}=[…]"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const ARMS: &str = r#"
[matrix]
seed = [0, 1]
[matrix.arm."*"]
train = { loss = "cross-entropy", labels = "@labels" }
[matrix.arm]
naive = {}
confidence = { train = { loss = "confidence", max-weight = 0.5 } }
[step.data]
run = "data task"
rows = 3
"#;

    fn set(flags: &[&str]) -> Result<Recipe> {
        let mut recipe = Recipe::parse(Path::new("r.toml"), ARMS)?;
        flags.iter().try_for_each(|flag| recipe.set(flag))?;
        Ok(recipe)
    }

    fn rows(flags: &[&str]) -> Vec<String> {
        let recipe = set(flags).unwrap_or_else(|complaint| panic!("{complaint}"));
        let Points::Rows(rows) = &recipe.matrix[1].value else {
            panic!("`arm` has rows");
        };
        let merged = rows.merged();
        merged
            .iter()
            .map(|row| format!("{} {}", row.key, row.value))
            .collect()
    }

    fn complaint(flag: &str) -> String {
        set(&[flag]).expect_err("it is wrong").to_string()
    }

    #[test]
    fn a_row_is_laid_over_what_all_share() {
        assert_eq!(
            rows(&[]),
            [
                "naive { train = { loss = cross-entropy, labels = @labels } }",
                "confidence { train = { loss = confidence, labels = @labels, max-weight = 0.5 } }"
            ]
        );
    }

    #[test]
    fn a_row_is_changed_taken_out_and_added() {
        let all =
            "confidence { train = { loss = confidence, labels = @labels, max-weight = 0.75 } }";
        for flag in [
            "arm.confidence.train.max-weight=0.75",
            "matrix.arm.confidence.train.max-weight=0.75",
        ] {
            assert_eq!(rows(&[flag])[1], all);
        }
        for flag in [
            "matrix.arm.naive=false",
            "arm.naive=false",
            "matrix.arm=[\"confidence\"]",
        ] {
            assert_eq!(rows(&[flag]).len(), 1, "{flag}");
            assert!(rows(&[flag])[0].starts_with("confidence"), "{flag}");
        }
        assert_eq!(
            rows(&["matrix.arm.new.train.loss=window"])[2],
            "new { train = { loss = window, labels = @labels } }"
        );
        assert_eq!(
            rows(&["arm.*.train.loss=entropy", "arm.naive={ role = \"x\" }"])[0],
            "naive { train = { loss = entropy, labels = @labels }, role = x }"
        );
    }

    #[test]
    fn a_matrix_variable_is_overridden_or_made() {
        let recipe = set(&["matrix.seed=[7]", "matrix.gold=[200, 1000]"]).expect("right flags");
        let axes: Vec<String> = recipe
            .matrix
            .iter()
            .map(|axis| format!("{} = {}", axis.key, axis.value))
            .collect();
        assert_eq!(
            axes,
            [
                "seed = [7]",
                "arm = naive, confidence",
                "gold = [200, 1000]"
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_the_nearest_name() {
        assert_eq!(
            complaint("date.rows=1"),
            "error: --set date.rows=1: recipe `r` has no step `date`\nhint: did you mean `data`?\n"
        );
        assert_eq!(
            complaint("rows=1"),
            "error: --set rows=1 is not of the form STEP.KEY=VALUE\n\
             hint: as in --set weak.epochs=3, --set matrix.seed=[0], or --set arm.naive.train.lr=1e-3\n"
        );
        assert_eq!(
            complaint("arm.naiv.train.loss=x"),
            "error: --set arm.naiv.train.loss=x: `arm` has no row `naiv`\n  \
             --set matrix.arm.naiv={} adds one\n\
             hint: did you mean `naive`?\n"
        );
        assert_eq!(
            complaint("matrix.arm.naiv=false"),
            "error: --set matrix.arm.naiv=false: `arm` has no row `naiv`\nhint: did you mean `naive`?\n"
        );
        assert_eq!(
            complaint("arm.naive=3"),
            "error: --set arm.naive=3: a row is a table, or false to take it out\n\
             hint: as in --set arm.naive.key=value\n"
        );
        assert_eq!(
            complaint("seed.x.y=3"),
            "error: --set seed.x.y=3: the values of `seed` are a list, not rows\nhint: as in --set matrix.seed=[…]\n"
        );
        assert_eq!(
            complaint("matrix.sed.x=3"),
            "error: --set matrix.sed.x=3: the matrix has no variable `sed`\nhint: did you mean `seed`?\n"
        );
        assert_eq!(
            complaint("matrix.arm=naive"),
            "error: --set matrix.arm=naive: `arm` has rows, and `naive` is not a list of their names\n\
             hint: --set arm.ROW=false takes one out\n"
        );
        assert_eq!(
            complaint("matrix.data=[1]"),
            "error: --set matrix.data=[1]: `data` is a matrix variable and a step\n\
             hint: --set data.…=… would mean both; give one of them another name\n"
        );
        assert_eq!(
            complaint(&format!("arm.naive{}=1", ".a".repeat(100_000)))
                .lines()
                .last()
                .map(|line| line.ends_with("more than 8 names joined by dots")),
            Some(true)
        );
    }
}
