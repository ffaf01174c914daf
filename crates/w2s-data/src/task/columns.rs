//! Columns that a description makes out of those of a file, so that files of other layouts become rows of one task, and parts
//! of a text can tie rows together.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::Template;

/// A column made of others. In a description it is a template alone, or a table with one as `text`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Made {
    /// Columns of the file in braces, `{{` and `}}` for braces. Without a column it is the same for all rows.
    pub text: String,
    /// Taken where the columns of `text` are all empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub or: Option<String>,
    /// Only what stands before the first of these marks; all of it where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Only what stands behind the first of these marks; all of it where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Whole values, after all the rest, that are replaced by another.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub replace: BTreeMap<String, String>,
}

/// Files with columns of their own names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// Beginnings of the names of the files.
    pub files: Vec<String>,
    /// How these files have the columns that the description names.
    pub columns: BTreeMap<String, Made>,
}

impl<'de> Deserialize<'de> for Made {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            text: String,
            or: Option<String>,
            before: Option<String>,
            after: Option<String>,
            #[serde(default)]
            replace: BTreeMap<String, String>,
        }

        struct TextOrTable;

        impl<'de> Visitor<'de> for TextOrTable {
            type Value = Made;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a template, or a table with one as `text`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Made, E> {
                Ok(Made {
                    text: text.into(),
                    ..Made::default()
                })
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Made, M::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Made {
                    text: table.text,
                    or: table.or,
                    before: table.before,
                    after: table.after,
                    replace: table.replace,
                })
            }
        }

        deserializer.deserialize_any(TextOrTable)
    }
}

impl Made {
    /// Reads the templates; the error says what is wrong with one.
    pub(super) fn maker(&self) -> Result<Maker<'_>, String> {
        Ok(Maker {
            text: Template::parse_any(&self.text)?,
            or: self.or.as_deref().map(Template::parse_any).transpose()?,
            made: self,
        })
    }
}

/// A made column with its templates read.
pub(super) struct Maker<'a> {
    text: Template,
    or: Option<Template>,
    made: &'a Made,
}

impl Maker<'_> {
    /// The columns of the file that it is made of.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        let other = self.or.iter().flat_map(Template::columns);
        self.text.columns().chain(other)
    }

    /// The value that it has in a row with these values.
    pub(super) fn make<'v>(&self, value: impl Fn(&str) -> &'v str) -> String {
        let whole = self
            .text
            .fill(&value)
            .or_else(|| self.or.as_ref()?.fill(&value))
            .unwrap_or_default();
        let mut text = whole.as_str();
        if let Some(mark) = &self.made.before {
            text = text
                .split_once(mark.as_str())
                .map_or(text, |(part, _)| part);
        }
        if let Some(mark) = &self.made.after {
            text = text
                .split_once(mark.as_str())
                .map_or(text, |(_, part)| part);
        }
        match self.made.replace.get(text) {
            Some(other) => other.clone(),
            None => text.to_owned(),
        }
    }
}
