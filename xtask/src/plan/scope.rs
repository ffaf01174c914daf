//! What a `{name}` is at a point of the matrix.

use std::collections::BTreeMap;

use super::axes::{Axis, Point};
use super::reference::Reference;
use super::template::{Field, Part, Path, Template};
use crate::complaint::Complaint;
use crate::recipe::{Place, Value};

/// More than any chain of rows that refer to values of other rows.
const DEEPEST: usize = 16;

/// Variables, and a point of the matrix.
pub struct Scope<'a> {
    pub vars: &'a BTreeMap<String, Value>,
    pub axes: &'a [Axis],
    pub point: Point,
    /// Whose values are read, for messages.
    pub step: &'a str,
}

/// A value whose `{names}` are filled in.
#[derive(Debug, Clone)]
pub enum Cooked<'a> {
    Bool(bool),
    Text(String),
    List(Vec<Cooked<'a>>),
    Reference(Wanted<'a>),
}

/// A reference whose brackets are filled in.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    pub written: &'a Reference,
    /// A value for a variable; none for every value.
    pub chosen: Vec<(usize, Option<usize>)>,
    /// It names a row that was taken out.
    pub gone: bool,
}

/// Why a value cannot be filled in.
pub enum Stop {
    /// The point needs a value of this variable first.
    Needs(usize),
    Wrong(Complaint),
}

impl From<Complaint> for Stop {
    fn from(complaint: Complaint) -> Self {
        Self::Wrong(complaint)
    }
}

/// A value at a point, or why not.
pub type Filled<T> = Result<T, Stop>;

enum Looked<'a> {
    Value(&'a Value),
    Cell(&'a Field),
}

impl<'a> Scope<'a> {
    /// Fills a value in, and notes the variables it comes from.
    pub fn cook(
        &self,
        template: &'a Template,
        place: &'a Place,
        origins: &mut Vec<String>,
    ) -> Filled<Cooked<'a>> {
        self.cook_at(template, place, origins, 0)
    }

    fn cook_at(
        &self,
        template: &'a Template,
        place: &'a Place,
        origins: &mut Vec<String>,
        depth: usize,
    ) -> Filled<Cooked<'a>> {
        Ok(match template {
            Template::Bool(value) => Cooked::Bool(*value),
            Template::List(items) => {
                let mut list = Vec::new();
                for item in items {
                    match self.cook_at(item, place, origins, depth)? {
                        // A row's list inside a list is part of it.
                        Cooked::List(inner) => list.extend(inner),
                        item => list.push(item),
                    }
                }
                Cooked::List(list)
            }
            Template::Reference(reference) => {
                Cooked::Reference(self.wanted(reference, place, origins, depth)?)
            }
            Template::Table(_) => {
                return Err(Complaint::usage(format!(
                    "{place}: a table cannot be a value of step `{}`",
                    self.step
                ))
                .hint("with = \"{arm.train}\" lays the keys of a table over those of a step")
                .into());
            }
            Template::Text(parts) => match parts.as_slice() {
                [Part::Variable(path)] => match self.look_up(path, place, origins, depth)? {
                    Looked::Value(value) => plain(value),
                    Looked::Cell(field) => {
                        self.cook_at(&field.template, &field.place, origins, depth + 1)?
                    }
                },
                parts => Cooked::Text(self.text(parts, place, origins, depth)?),
            },
        })
    }

    /// A text of several parts.
    pub fn text(
        &self,
        parts: &'a [Part],
        place: &'a Place,
        origins: &mut Vec<String>,
        depth: usize,
    ) -> Filled<String> {
        let mut text = String::new();
        for part in parts {
            let path = match part {
                Part::Literal(literal) => {
                    text.push_str(literal);
                    continue;
                }
                Part::Variable(path) => path,
            };
            let cooked = match self.look_up(path, place, origins, depth)? {
                Looked::Value(value) => plain(value),
                Looked::Cell(field) => {
                    self.cook_at(&field.template, &field.place, origins, depth + 1)?
                }
            };
            let what = match cooked {
                Cooked::Bool(value) => {
                    text.push_str(if value { "true" } else { "false" });
                    continue;
                }
                Cooked::Text(value) => {
                    text.push_str(&value);
                    continue;
                }
                Cooked::List(_) => "a list",
                Cooked::Reference(_) => "a reference",
            };
            return Err(Complaint::usage(format!(
                "{place}: `{}` is {what} and cannot stand inside a text",
                path.dotted()
            ))
            .into());
        }
        Ok(text)
    }

    fn wanted(
        &self,
        reference: &'a Reference,
        place: &'a Place,
        origins: &mut Vec<String>,
        depth: usize,
    ) -> Filled<Wanted<'a>> {
        let mut wanted = Wanted {
            written: reference,
            chosen: Vec::new(),
            gone: false,
        };
        for (name, value) in &reference.chosen {
            // That the variable exists was seen before.
            let Some(at) = self.axes.iter().position(|axis| axis.name == *name) else {
                continue;
            };
            let Some(parts) = value else {
                wanted.chosen.push((at, None));
                continue;
            };
            let text = self.text(parts, place, origins, depth)?;
            match self.axes[at].position(&text) {
                Some(value) => wanted.chosen.push((at, Some(value))),
                None if self.axes[at].taken_out.contains(&text) => wanted.gone = true,
                None => {
                    return Err(Complaint::usage(format!(
                        "{place}: step `{}` uses `{}`, but {}`{name}` is one of {}",
                        self.step,
                        reference.text,
                        match parts.as_slice() {
                            [Part::Literal(_)] => String::new(),
                            _ => format!("that is `{text}`, and "),
                        },
                        self.axes[at].listed()
                    ))
                    .into());
                }
            }
        }
        Ok(wanted)
    }

    /// Whether a condition's value is empty or false; otherwise the value for messages.
    pub fn condition(&self, field: &'a Field) -> Filled<Option<String>> {
        let mut ignored = Vec::new();
        if let Some(fields) = self.fields(&field.template, &field.place, 0)? {
            return Ok((!fields.is_empty()).then(|| "a table".to_owned()));
        }
        Ok(
            match self.cook(&field.template, &field.place, &mut ignored)? {
                Cooked::Bool(value) => value.then(|| "true".to_owned()),
                Cooked::Text(text) => (!text.is_empty() && text != "false").then_some(text),
                Cooked::List(items) => (!items.is_empty()).then(|| "a list".to_owned()),
                Cooked::Reference(wanted) => Some(wanted.written.text.clone()),
            },
        )
    }

    /// The keys that `with` lays over a step's, one table after the other.
    pub fn laid(&self, with: &'a Field) -> Filled<Vec<&'a Field>> {
        let one = std::slice::from_ref(&with.template);
        let tables = match &with.template {
            Template::List(items) => items.as_slice(),
            _ => one,
        };
        let mut laid = Vec::new();
        for table in tables {
            match self.fields(table, &with.place, 0)? {
                Some(fields) => laid.extend(fields),
                None => {
                    return Err(Complaint::usage(format!(
                        "{}: `with` of step `{}` is `{}`, which is no table here",
                        with.place, self.step, with.written
                    ))
                    .hint("leave the step out there: when = … with the same value, or give the row a table")
                    .into());
                }
            }
        }
        Ok(laid)
    }

    /// The keys of a table of a row; `None` when the value is no table.
    fn fields(
        &self,
        template: &'a Template,
        place: &'a Place,
        depth: usize,
    ) -> Filled<Option<&'a [Field]>> {
        match template {
            Template::Table(fields) => Ok(Some(fields)),
            Template::Text(parts) => match parts.as_slice() {
                [Part::Variable(path)] => {
                    match self.look_up(path, place, &mut Vec::new(), depth)? {
                        Looked::Cell(field) => {
                            self.fields(&field.template, &field.place, depth + 1)
                        }
                        Looked::Value(_) => Ok(None),
                    }
                }
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    fn look_up(
        &self,
        path: &Path,
        place: &Place,
        origins: &mut Vec<String>,
        depth: usize,
    ) -> Filled<Looked<'a>> {
        if depth > DEEPEST {
            return Err(Complaint::usage(format!(
                "{place}: `{{{}}}` leads from row to row and comes to no end",
                path.dotted()
            ))
            .into());
        }
        // That the name exists was seen before.
        let Some(at) = self.axes.iter().position(|axis| axis.name == path.name) else {
            let Some(value) = self.vars.get(&path.name) else {
                return Err(unknown(&path.dotted(), place, self.vars, self.axes).into());
            };
            origins.push(path.name.clone());
            return Ok(Looked::Value(value));
        };
        let axis = &self.axes[at];
        let value = self.point.get(at).ok_or(Stop::Needs(at))?;
        let row = axis.rows.as_ref().map(|rows| &rows[value]);
        let (Some(row), false) = (row, path.keys.is_empty()) else {
            origins.extend(axis.origins.iter().cloned());
            return Ok(Looked::Value(&axis.values[value]));
        };
        let mut fields = row.fields.as_slice();
        let mut found = None;
        for key in &path.keys {
            found = fields.iter().find(|field| field.key == *key);
            fields = match found.map(|field| &field.template) {
                Some(Template::Table(fields)) => fields,
                _ => &[],
            };
        }
        found.map(Looked::Cell).ok_or_else(|| {
            Complaint::usage(format!(
                "{place}: step `{}` reads `{{{}}}`, but row `{}` of `{}` has no `{}`",
                self.step,
                path.dotted(),
                row.name,
                axis.name,
                path.keys.join(".")
            ))
            .detail(format!("{}: the row", row.place))
            .hint(format!(
                "give it one, or all rows a default: [matrix.{}.\"*\"]",
                axis.name
            ))
            .into()
        })
    }
}

/// There is no such variable.
pub fn unknown(
    name: &str,
    place: &Place,
    vars: &BTreeMap<String, Value>,
    axes: &[Axis],
) -> Complaint {
    let complaint = Complaint::usage(format!("{place}: there is no variable `{name}`"));
    let known = vars
        .keys()
        .map(String::as_str)
        .chain(axes.iter().map(|axis| axis.name.as_str()));
    match crate::complaint::nearest(name, known) {
        Some(near) => complaint.hint(format!("did you mean `{{{near}}}`?")),
        None => complaint.hint(format!(
            "write {{{{{name}}}}} for the text {{{name}}} itself"
        )),
    }
}

fn plain<'a>(value: &Value) -> Cooked<'a> {
    match value {
        Value::Bool(value) => Cooked::Bool(*value),
        Value::Text(text) => Cooked::Text(text.clone()),
        Value::List(items) => Cooked::List(items.iter().map(plain).collect()),
        // Neither variables nor lists hold tables.
        Value::Table(_) => Cooked::Text(value.to_string()),
    }
}
