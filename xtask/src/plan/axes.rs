//! The matrix with its values, and points in it.

use std::collections::{BTreeMap, HashSet};

use super::template::{Field, Part, Template, parts};
use crate::complaint::{Complaint, Result};
use crate::recipe::{Place, Points, Recipe, Value};

/// A point has a bit for each variable.
const MOST: usize = 64;

/// A matrix variable with its values.
#[derive(Debug)]
pub struct Axis {
    pub name: String,
    pub place: Place,
    pub values: Vec<Value>,
    /// The row of each value, when it has rows.
    pub rows: Option<Vec<Row>>,
    /// Rows that were taken out.
    pub taken_out: Vec<String>,
    /// Variables that its values come from.
    pub origins: Vec<String>,
}

/// A row of a matrix variable.
#[derive(Debug)]
pub struct Row {
    pub name: String,
    pub place: Place,
    pub fields: Vec<Field>,
}

impl Axis {
    /// The place of a value among all.
    pub fn position(&self, text: &str) -> Option<usize> {
        self.values
            .iter()
            .position(|value| matches!(value, Value::Text(known) if known == text))
            .or_else(|| {
                self.values
                    .iter()
                    .position(|value| value.to_string() == text)
            })
    }

    /// All values, for messages.
    pub fn listed(&self) -> String {
        let values: Vec<String> = self.values.iter().map(Value::to_string).collect();
        values.join(", ")
    }

    /// The matrix of a recipe.
    pub fn all(recipe: &Recipe, vars: &BTreeMap<String, Value>) -> Result<Vec<Self>> {
        if let Some(axis) = recipe.matrix.get(MOST) {
            return Err(Complaint::usage(format!(
                "{}: the matrix has more than {MOST} variables",
                axis.place
            )));
        }
        recipe
            .matrix
            .iter()
            .map(|axis| match &axis.value {
                Points::List(value) => Self::list(&axis.key, value, &axis.place, vars),
                Points::Rows(rows) => {
                    let rows = rows.merged().into_iter().map(|row| {
                        let Template::Table(fields) = Template::read(&row.value, &row.place)?
                        else {
                            return Ok(None);
                        };
                        Ok(Some(Row {
                            name: row.key,
                            place: row.place,
                            fields,
                        }))
                    });
                    let rows: Vec<Row> = rows.flat_map(Result::transpose).collect::<Result<_>>()?;
                    let mut made = Self {
                        values: rows
                            .iter()
                            .map(|row| Value::Text(row.name.clone()))
                            .collect(),
                        rows: Some(rows),
                        ..Self::empty(&axis.key, &axis.place)
                    };
                    if let Points::Rows(rows) = &axis.value {
                        made.taken_out.clone_from(&rows.taken_out);
                    }
                    made.checked()
                }
            })
            .collect()
    }

    fn empty(name: &str, place: &Place) -> Self {
        Self {
            name: name.to_owned(),
            place: place.clone(),
            values: Vec::new(),
            rows: None,
            taken_out: Vec::new(),
            origins: Vec::new(),
        }
    }

    fn list(
        name: &str,
        value: &Value,
        place: &Place,
        vars: &BTreeMap<String, Value>,
    ) -> Result<Self> {
        let mut axis = Self::empty(name, place);
        axis.values = match axis.filled(value, vars)? {
            Value::List(values) => values,
            value => {
                return Err(Complaint::usage(format!(
                    "{place}: matrix variable `{name}` is `{value}`, not a list"
                ))
                .hint(match axis.origins.first() {
                    Some(var) => format!("--var {var}=[{value}]"),
                    None => format!("write {name} = [{value}]"),
                }));
            }
        };
        axis.checked()
    }

    /// A value with its variables filled in; a matrix variable cannot use another one.
    fn filled(&mut self, value: &Value, vars: &BTreeMap<String, Value>) -> Result<Value> {
        Ok(match value {
            Value::List(items) => {
                let items = items.iter().map(|item| self.filled(item, vars));
                Value::List(items.collect::<Result<_>>()?)
            }
            Value::Text(text) => {
                let parts = parts(text, &self.place)?;
                let mut filled = String::new();
                for part in &parts {
                    match part {
                        Part::Literal(literal) => filled.push_str(literal),
                        Part::Variable(path) => {
                            let dotted = path.dotted();
                            let Some(value) = vars.get(&dotted) else {
                                return Err(Complaint::usage(format!(
                                    "{}: there is no variable `{dotted}`",
                                    self.place
                                ))
                                .nearest(&dotted, vars.keys().map(String::as_str)));
                            };
                            self.origins.push(dotted);
                            if parts.len() == 1 {
                                return Ok(value.clone());
                            }
                            filled.push_str(&value.to_string());
                        }
                    }
                }
                Value::Text(filled)
            }
            other => other.clone(),
        })
    }

    fn checked(self) -> Result<Self> {
        let Self { place, name, .. } = &self;
        if self.values.is_empty() {
            let what = if self.rows.is_some() { "row" } else { "value" };
            return Err(Complaint::usage(format!(
                "{place}: matrix variable `{name}` has no {what}"
            )));
        }
        let mut seen = HashSet::new();
        for value in self.values.iter().map(Value::to_string) {
            if seen.contains(&value) {
                return Err(Complaint::usage(format!(
                    "{place}: matrix variable `{name}` has the value `{value}` twice"
                )));
            }
            seen.insert(value);
        }
        Ok(self)
    }
}

/// A value for some of the variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// A bit for each variable that has a value.
    pub mask: u64,
    values: Vec<u32>,
}

impl Point {
    /// No variable has a value.
    pub fn nowhere(axes: usize) -> Self {
        Self {
            mask: 0,
            values: vec![0; axes],
        }
    }

    pub fn get(&self, axis: usize) -> Option<usize> {
        (self.mask >> axis & 1 == 1).then(|| self.values[axis] as usize)
    }

    pub fn with(&self, axis: usize, value: usize) -> Self {
        let mut point = self.clone();
        point.mask |= 1 << axis;
        point.values[axis] = value as u32;
        point
    }

    pub fn without(&self, axis: usize) -> Self {
        let mut point = self.clone();
        point.mask &= !(1 << axis);
        point.values[axis] = 0;
        point
    }

    /// The values of the variables in `mask`, to look points up by.
    pub fn project(&self, mask: u64) -> Vec<u32> {
        bits(mask).map(|axis| self.values[axis]).collect()
    }

    /// Where it stands among the points of a step: the last variable changes fastest.
    pub fn order(&self) -> impl Iterator<Item = Option<usize>> {
        (0..self.values.len()).map(|axis| self.get(axis))
    }
}

/// The variables of a mask.
pub fn bits(mask: u64) -> impl Iterator<Item = usize> {
    (0..MOST).filter(move |axis| mask >> axis & 1 == 1)
}
