//! Every name must mean something, and every key of a row must be read by something.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::axes::Axis;
use super::expand::Reading;
use super::reference::Reference;
use super::scope::unknown;
use super::template::{Field, Part, Path};
use crate::complaint::{Complaint, Result};
use crate::recipe::{Place, Value};

/// So many mistakes are told at once.
pub const MOST_TOLD: usize = 50;

/// Mistakes that are found together, each told once.
#[derive(Debug, Default)]
pub struct Complaints(Vec<Complaint>);

impl Complaints {
    /// Adds one; `false` when there are enough.
    pub fn add(&mut self, complaint: Complaint) -> bool {
        // The same mistake stands at every matrix point.
        if !self.0.contains(&complaint) {
            self.0.push(complaint);
        }
        self.0.len() < MOST_TOLD
    }

    pub fn told(self) -> Result<()> {
        Complaint::all(self.0).map_or(Ok(()), Err)
    }
}

/// Every `{name}` and every `@step` must exist, and what rows say must be read.
pub fn check(
    steps: &[Reading<'_>],
    axes: &[Axis],
    vars: &BTreeMap<String, Value>,
    known: &HashMap<&str, usize>,
) -> Result<()> {
    let mut complaints = Complaints::default();
    let mut read: HashSet<&Path> = HashSet::new();
    let mut named: HashSet<&str> = HashSet::new();
    let rows = || {
        let rows = axes.iter().flat_map(|axis| {
            let rows = axis.rows.iter().flatten();
            rows.map(move |row| {
                (
                    format!("row `{}` of `{}`", row.name, axis.name),
                    &row.fields,
                )
            })
        });
        rows.flat_map(|(whose, fields)| fields.iter().map(move |field| (whose.clone(), field)))
    };
    let keys = steps.iter().flat_map(|step| {
        let whose = format!("step `{}`", step.step.name);
        step.fields().map(move |field| (whose.clone(), field))
    });
    for (whose, field) in keys.chain(rows()) {
        for (path, place) in field.paths() {
            named.insert(&path.name);
            read.insert(path);
            if let Some(complaint) = misnamed(path, place, vars, axes)
                && !complaints.add(complaint)
            {
                return complaints.told();
            }
        }
        for (reference, place) in field.references() {
            for complaint in misdirected(reference, place, &whose, axes, steps, known) {
                if !complaints.add(complaint) {
                    return complaints.told();
                }
            }
            named.extend(reference.chosen.iter().map(|(axis, _)| axis.as_str()));
        }
    }
    for step in steps {
        for path in super::template::paths(&step.operation) {
            named.insert(&path.name);
            read.insert(path);
            if let Some(complaint) = misnamed(path, &step.step.run, vars, axes) {
                complaints.add(complaint);
            }
        }
    }
    for axis in axes {
        if !named.contains(axis.name.as_str()) {
            complaints.add(
                Complaint::usage(format!(
                    "{}: nothing uses the matrix variable `{}`",
                    axis.place, axis.name
                ))
                .hint(format!("as in --set STEP.KEY={{{}}}", axis.name)),
            );
            continue;
        }
        let read: Vec<&Path> = read
            .iter()
            .copied()
            .filter(|path| path.name == axis.name && !path.keys.is_empty())
            .collect();
        for row in axis.rows.iter().flatten() {
            for field in &row.fields {
                let mut unread = Vec::new();
                unread_keys(field, &mut Vec::new(), &read, &mut unread);
                for (keys, place) in unread {
                    complaints.add(
                        Complaint::usage(format!(
                            "{place}: row `{}` of `{}` has the key `{keys}`, which nothing reads",
                            row.name, axis.name
                        ))
                        .nearest(&keys, known_keys(&read).iter().map(String::as_str)),
                    );
                }
            }
        }
    }
    complaints.told()
}

fn known_keys(read: &[&Path]) -> Vec<String> {
    let mut keys: Vec<String> = read.iter().map(|path| path.keys.join(".")).collect();
    keys.sort();
    keys.dedup();
    keys
}

/// Keys of a row that no `{name}` reads, neither alone nor with the table around them.
fn unread_keys<'a>(
    field: &'a Field,
    above: &mut Vec<&'a str>,
    read: &[&Path],
    unread: &mut Vec<(String, &'a Place)>,
) {
    above.push(&field.key);
    let whole = read.iter().any(|path| {
        path.keys.len() <= above.len() && path.keys.iter().eq(&above[..path.keys.len()])
    });
    if !whole {
        let inside = read.iter().any(|path| {
            path.keys.len() > above.len() && path.keys[..above.len()].iter().eq(above.iter())
        });
        match &field.template {
            super::template::Template::Table(fields) if inside => {
                for field in fields {
                    unread_keys(field, above, read, unread);
                }
            }
            // What another row has as a table, this one may have as nothing.
            _ if inside => {}
            _ => unread.push((above.join("."), &field.place)),
        }
    }
    above.pop();
}

fn misnamed(
    path: &Path,
    place: &Place,
    vars: &BTreeMap<String, Value>,
    axes: &[Axis],
) -> Option<Complaint> {
    let axis = axes.iter().find(|axis| axis.name == path.name);
    if axis.is_none() && !vars.contains_key(&path.name) {
        return Some(unknown(&path.dotted(), place, vars, axes));
    }
    if path.keys.is_empty() || axis.is_some_and(|axis| axis.rows.is_some()) {
        return None;
    }
    Some(
        Complaint::usage(format!(
            "{place}: `{{{}}}` reads a row, but `{}` has none",
            path.dotted(),
            path.name
        ))
        .hint(format!(
            "rows are written [matrix.{}]; its value is {{{}}}",
            path.name, path.name
        )),
    )
}

fn misdirected(
    reference: &Reference,
    place: &Place,
    whose: &str,
    axes: &[Axis],
    steps: &[Reading<'_>],
    known: &HashMap<&str, usize>,
) -> Vec<Complaint> {
    let say = |what: String| {
        Complaint::usage(format!(
            "{place}: {whose} uses `{}`, but {what}",
            reference.text
        ))
    };
    let mut complaints = Vec::new();
    for name in &reference.steps {
        if !known.contains_key(name.as_str()) {
            complaints.push(
                say(format!("there is no step `{name}`"))
                    .nearest(name, steps.iter().map(|step| step.step.name.as_str())),
            );
        }
    }
    for (variable, value) in &reference.chosen {
        let Some(axis) = axes.iter().find(|axis| axis.name == *variable) else {
            complaints.push(
                say(format!("the matrix has no variable `{variable}`"))
                    .nearest(variable, axes.iter().map(|axis| axis.name.as_str())),
            );
            continue;
        };
        if let Some([Part::Literal(text)]) = value.as_deref()
            && axis.position(text).is_none()
            && !axis.taken_out.contains(text)
        {
            complaints.push(say(format!("`{variable}` is one of {}", axis.listed())));
        }
    }
    complaints
}
