//! Values with their `{names}` and `@references` told apart from text.

use super::reference::Reference;
use crate::complaint::{Complaint, Result};
use crate::recipe::{Entry, Place, Value, is_name_character};

/// A value as written.
#[derive(Debug)]
pub enum Template {
    Bool(bool),
    Text(Vec<Part>),
    List(Vec<Template>),
    Reference(Reference),
    Table(Vec<Field>),
}

/// A key with its value as written.
#[derive(Debug)]
pub struct Field {
    pub key: String,
    pub place: Place,
    pub template: Template,
    /// The value, for messages.
    pub written: String,
}

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    Literal(String),
    Variable(Path),
}

/// `{name}`, or `{name.key.key}` for a value in a row of the matrix.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path {
    pub name: String,
    pub keys: Vec<String>,
}

impl Path {
    /// As it is written between the braces.
    pub fn dotted(&self) -> String {
        let mut text = self.name.clone();
        for key in &self.keys {
            text.push('.');
            text.push_str(key);
        }
        text
    }
}

impl Field {
    pub fn read(entry: &Entry) -> Result<Self> {
        Ok(Self {
            key: entry.key.clone(),
            place: entry.place.clone(),
            template: Template::read(&entry.value, &entry.place)?,
            written: entry.value.to_string(),
        })
    }

    /// The `{names}` of the value, with the place of the key that each belongs to.
    pub fn paths(&self) -> Vec<(&Path, &Place)> {
        let mut found = Vec::new();
        visit(
            &self.template,
            &self.place,
            &mut |template, place| match template {
                Template::Text(parts) => found.extend(paths(parts).map(|path| (path, place))),
                Template::Reference(reference) => {
                    found.extend(reference.paths().map(|path| (path, place)));
                }
                _ => {}
            },
        );
        found
    }

    /// The references of the value, with the place of the key that each belongs to.
    pub fn references(&self) -> Vec<(&Reference, &Place)> {
        let mut found = Vec::new();
        visit(&self.template, &self.place, &mut |template, place| {
            if let Template::Reference(reference) = template {
                found.push((reference, place));
            }
        });
        found
    }
}

/// Every value in a value.
fn visit<'a>(
    template: &'a Template,
    place: &'a Place,
    see: &mut impl FnMut(&'a Template, &'a Place),
) {
    see(template, place);
    match template {
        Template::List(items) => items.iter().for_each(|item| visit(item, place, see)),
        Template::Table(fields) => fields
            .iter()
            .for_each(|field| visit(&field.template, &field.place, see)),
        Template::Bool(_) | Template::Text(_) | Template::Reference(_) => {}
    }
}

impl Template {
    pub fn read(value: &Value, place: &Place) -> Result<Self> {
        Ok(match value {
            Value::Bool(value) => Self::Bool(*value),
            Value::List(items) => Self::List(
                items
                    .iter()
                    .map(|item| Self::read(item, place))
                    .collect::<Result<_>>()?,
            ),
            Value::Table(entries) => {
                Self::Table(entries.iter().map(Field::read).collect::<Result<_>>()?)
            }
            Value::Text(text) => match text.strip_prefix('@') {
                // `@@` is a text that starts with one @.
                Some(rest) if rest.starts_with('@') => Self::Text(parts(rest, place)?),
                Some(_) => Self::Reference(Reference::read(text, place)?),
                None => Self::Text(parts(text, place)?),
            },
        })
    }
}

/// The variables of a text.
pub fn paths(parts: &[Part]) -> impl Iterator<Item = &Path> {
    parts.iter().filter_map(|part| match part {
        Part::Literal(_) => None,
        Part::Variable(path) => Some(path),
    })
}

/// Cuts a text at its `{names}`.
pub fn parts(text: &str, place: &Place) -> Result<Vec<Part>> {
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
        let Some((path, after)) = name.and_then(|(name, after)| Some((path(name)?, after))) else {
            return Err(Complaint::usage(format!(
                "{place}: a lone `{brace}` in \"{}\"",
                text.escape_debug()
            ))
            .hint("{name} is a variable; write {{ and }} for the braces themselves"));
        };
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal)));
        }
        parts.push(Part::Variable(path));
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(parts)
}

fn path(text: &str) -> Option<Path> {
    let mut names = text.split('.').map(str::to_owned);
    let path = Path {
        name: names.next()?,
        keys: names.collect(),
    };
    let is_name = |name: &String| !name.is_empty() && name.chars().all(is_name_character);
    (is_name(&path.name) && path.keys.iter().all(is_name)).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Part>> {
        parts(text, &Place::Flag("here".into()))
    }

    fn variable(dotted: &str) -> Part {
        Part::Variable(path(dotted).expect("a path"))
    }

    #[test]
    fn a_text_is_cut_at_its_variables() {
        assert_eq!(
            read("a-{seed}-{arm.train.lr}").expect("right"),
            [
                Part::Literal("a-".into()),
                variable("seed"),
                Part::Literal("-".into()),
                variable("arm.train.lr")
            ]
        );
        assert_eq!(
            read("Review: {{text}}").expect("escaped"),
            [Part::Literal("Review: {text}".into())]
        );
        assert_eq!(read("").expect("empty"), []);
    }

    #[test]
    fn a_lone_brace_is_refused() {
        for text in ["a { b", "a } b", "{}", "{a b}", "{a..b}", "{.a}"] {
            let complaint = read(text).expect_err("a lone brace").to_string();
            assert!(
                complaint.starts_with("error: here: a lone `")
                    && complaint.ends_with(
                        "\nhint: {name} is a variable; write {{ and }} for the braces themselves\n"
                    ),
                "{complaint}"
            );
        }
    }
}
