//! `@step`, `@step|other`, `@step[*]`, `@step[seed=0]`, `@step[model={pair.chosen}]`.

use super::template::{Part, Path, parts, paths};
use crate::complaint::{Complaint, Result};
use crate::recipe::{Place, is_name_character};

/// The artifact of another step, or of several.
#[derive(Debug)]
pub struct Reference {
    /// As it is written.
    pub text: String,
    /// The first of these that is not left out.
    pub steps: Vec<String>,
    /// Every point of every variable.
    pub all: bool,
    /// Variables named in brackets; no value means every value.
    pub chosen: Vec<(String, Option<Vec<Part>>)>,
}

impl Reference {
    pub fn read(text: &str, place: &Place) -> Result<Self> {
        let wrong = || {
            Complaint::usage(format!("{place}: `{text}` is not a reference"))
                .hint("as in @data, @data[*], @data[seed=0], or @imported|pretrained; @@ for a text that starts with @")
        };
        let rest = text.strip_prefix('@').unwrap_or(text);
        let (names, brackets) = match rest.split_once('[') {
            None => (rest, None),
            Some((names, brackets)) => (names, Some(brackets.strip_suffix(']').ok_or_else(wrong)?)),
        };
        let steps: Vec<String> = names
            .split('|')
            .map(|name| name.trim().to_owned())
            .collect();
        if !steps
            .iter()
            .all(|name| !name.is_empty() && name.chars().all(is_name_character))
        {
            return Err(wrong());
        }
        let mut reference = Self {
            text: text.to_owned(),
            steps,
            all: brackets == Some("*"),
            chosen: Vec::new(),
        };
        for choice in brackets
            .filter(|_| !reference.all)
            .into_iter()
            .flat_map(|list| list.split(','))
        {
            let (variable, value) = choice.split_once('=').ok_or_else(wrong)?;
            let value = match value.trim() {
                "*" => None,
                value => Some(parts(value, place)?),
            };
            reference.chosen.push((variable.trim().to_owned(), value));
        }
        Ok(reference)
    }

    /// Whether it stands for a list.
    pub fn gathers(&self) -> bool {
        self.all || self.chosen.iter().any(|(_, value)| value.is_none())
    }

    /// The `{names}` in its brackets.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let values = self.chosen.iter().filter_map(|(_, value)| value.as_deref());
        values.flat_map(paths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_reference_is_refused_with_examples() {
        for text in ["@", "@a b", "@a[", "@a[seed]", "@a|", "@a[seed=0", "@{arm}"] {
            assert_eq!(
                Reference::read(text, &Place::Flag("here".into()))
                    .expect_err("no reference")
                    .to_string(),
                format!(
                    "error: here: `{text}` is not a reference\n\
                     hint: as in @data, @data[*], @data[seed=0], or @imported|pretrained; @@ for a text that starts with @\n"
                )
            );
        }
    }
}
