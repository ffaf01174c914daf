//! The matrix: variables that multiply steps, as a list of values or as rows that hold several values each.

use std::fmt;

use super::value::{Entry, Place, Value};
use crate::complaint::{Complaint, Result};

/// The row that says what all rows of a variable share.
pub const SHARED: &str = "*";

/// A matrix variable.
#[derive(Debug, Clone)]
pub struct Axis {
    /// The name between braces.
    pub key: String,
    /// What it takes in turn.
    pub value: Points,
    /// Where it is written.
    pub place: Place,
}

/// What a matrix variable takes in turn.
#[derive(Debug, Clone)]
pub enum Points {
    /// A list, not yet interpolated.
    List(Value),
    /// Named rows.
    Rows(Rows),
}

/// Named rows of one matrix variable.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// What all rows share.
    shared: Vec<Entry>,
    /// The rows, in the order written: the value of each is a table.
    rows: Vec<Entry>,
    /// Rows that `--set` took out; what refers to them is left out.
    pub taken_out: Vec<String>,
}

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(value) => write!(f, "{value}"),
            Self::Rows(rows) => write!(f, "{}", rows.names().collect::<Vec<_>>().join(", ")),
        }
    }
}

impl Rows {
    /// Reads rows as written; `complain` says what is wrong with one.
    pub fn read(axis: &str, entries: Vec<Entry>) -> Result<Self> {
        let mut rows = Self::default();
        for entry in entries {
            let Entry { key, value, place } = entry;
            let Value::Table(cells) = value else {
                return Err(Complaint::usage(format!(
                    "{place}: row `{key}` of `{axis}` is `{value}`, not a table"
                ))
                .hint(format!(
                    "as in {key} = {{}}, or {axis} = [{key}, …] for plain values"
                )));
            };
            check_cells(axis, &key, &cells)?;
            if key == SHARED {
                rows.shared = cells;
            } else {
                super::checked_name("row", &key, &place)?;
                rows.rows.push(Entry {
                    key,
                    value: Value::Table(cells),
                    place,
                });
            }
        }
        Ok(rows)
    }

    /// The names of the rows.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(|row| row.key.as_str())
    }

    /// Every row with what all share under it.
    pub fn merged(&self) -> Vec<Entry> {
        self.rows
            .iter()
            .map(|row| Entry {
                value: merged(&Value::Table(self.shared.clone()), &row.value),
                ..row.clone()
            })
            .collect()
    }

    /// Keeps these rows, in this order.
    pub(super) fn keep(&mut self, axis: &str, names: &[Value], place: &Place) -> Result<()> {
        let mut kept = Vec::new();
        for name in names.iter().map(Value::to_string) {
            let Some(row) = self.rows.iter().find(|row| row.key == name) else {
                return Err(self.no_row(axis, &name, place));
            };
            kept.push(row.clone());
        }
        let out = self.rows.iter().map(|row| row.key.clone());
        self.taken_out
            .extend(out.filter(|name| !kept.iter().any(|row| row.key == *name)));
        self.rows = kept;
        Ok(())
    }

    /// Applies what `--set` says of the row `path[0]`, or of the value inside it that the rest of the path names.
    pub(super) fn set(
        &mut self,
        axis: &str,
        path: &[&str],
        value: Value,
        place: &Place,
        may_add: bool,
    ) -> Result<()> {
        let (name, inner) = path.split_first().unwrap_or((&"", &[]));
        let at = self.rows.iter().position(|row| row.key == *name);
        if inner.is_empty() && *name != SHARED && value == Value::Bool(false) {
            let at = at.ok_or_else(|| self.no_row(axis, name, place))?;
            self.taken_out.push(self.rows.remove(at).key);
            return Ok(());
        }
        if *name != SHARED && at.is_none() {
            if !may_add {
                return Err(self
                    .no_row(axis, name, place)
                    .detail(format!("--set matrix.{axis}.{name}={{}} adds one")));
            }
            super::checked_name("row", name, place)?;
        }
        let mut cells = match at {
            _ if *name == SHARED => Value::Table(std::mem::take(&mut self.shared)),
            Some(at) => self.rows[at].value.clone(),
            None => Value::Table(Vec::new()),
        };
        if inner.is_empty() {
            let Value::Table(_) = value else {
                return Err(Complaint::usage(format!(
                    "{place}: a row is a table, or false to take it out"
                ))
                .hint(format!("as in --set {axis}.{name}.key=value")));
            };
            cells = value;
        } else {
            put(&mut cells, inner, value, place);
        }
        let Value::Table(cells) = cells else {
            return Ok(());
        };
        check_cells(axis, name, &cells)?;
        let row = Entry {
            key: (*name).to_owned(),
            value: Value::Table(cells),
            place: place.clone(),
        };
        match (at, row) {
            (
                _,
                Entry {
                    value: Value::Table(cells),
                    ..
                },
            ) if *name == SHARED => self.shared = cells,
            (Some(at), row) => self.rows[at].value = row.value,
            (None, row) => self.rows.push(row),
        }
        Ok(())
    }

    fn no_row(&self, axis: &str, name: &str, place: &Place) -> Complaint {
        Complaint::usage(format!("{place}: `{axis}` has no row `{name}`"))
            .nearest(name, self.names())
    }
}

/// Sets the value that `path` names inside a table, which grows as needed.
fn put(table: &mut Value, path: &[&str], value: Value, place: &Place) {
    let Some((key, inner)) = path.split_first() else {
        *table = value;
        return;
    };
    if !matches!(table, Value::Table(_)) {
        *table = Value::Table(Vec::new());
    }
    let Value::Table(entries) = table else {
        return;
    };
    let at = entries.iter().position(|entry| entry.key == *key);
    let at = at.unwrap_or_else(|| {
        entries.push(Entry {
            key: (*key).to_owned(),
            value: Value::Table(Vec::new()),
            place: place.clone(),
        });
        entries.len() - 1
    });
    entries[at].place = place.clone();
    put(&mut entries[at].value, inner, value, place);
}

/// `over` laid over `under`: tables key by key, anything else whole.
fn merged(under: &Value, over: &Value) -> Value {
    let (Value::Table(under), Value::Table(over)) = (under, over) else {
        return over.clone();
    };
    let mut entries = under.clone();
    for entry in over {
        match entries.iter_mut().find(|under| under.key == entry.key) {
            Some(under) => {
                under.value = merged(&under.value, &entry.value);
                under.place = entry.place.clone();
            }
            None => entries.push(entry.clone()),
        }
    }
    Value::Table(entries)
}

/// Keys of rows are written between braces, so they are names.
fn check_cells(axis: &str, row: &str, cells: &[Entry]) -> Result<()> {
    for cell in cells {
        super::checked_name(
            &format!("key of row `{row}` of `{axis}`"),
            &cell.key,
            &cell.place,
        )?;
        if let Value::Table(cells) = &cell.value {
            check_cells(axis, row, cells)?;
        }
    }
    Ok(())
}
