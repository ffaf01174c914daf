//! Values, and where they are written.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value, not yet interpolated.
    pub value: Value,
    /// Where it is written.
    pub place: Place,
}

/// A value. Numbers are text: they end as the text of a flag, and the stage that owns the flag reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A string or a number.
    Text(String),
    /// An array.
    List(Vec<Value>),
    /// A table, which only rows of a matrix variable hold.
    Table(Vec<Entry>),
}

/// Where something is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File {
        /// The file as the user would type it.
        path: String,
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in characters.
        column: usize,
    },
    /// On the command line.
    Flag(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{path}:{line}:{column}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |texts: Vec<String>| texts.join(", ");
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Text(text) => f.write_str(text),
            Self::List(values) => {
                write!(
                    f,
                    "[{}]",
                    joined(values.iter().map(Self::to_string).collect())
                )
            }
            Self::Table(entries) => {
                let entries = entries
                    .iter()
                    .map(|entry| format!("{} = {}", entry.key, entry.value));
                write!(f, "{{ {} }}", joined(entries.collect()))
            }
        }
    }
}

impl Value {
    /// Reads a value typed on the command line: TOML when it is TOML, otherwise the text itself.
    pub fn typed(text: &str) -> Self {
        match DeValue::parse(text).map(Spanned::into_inner) {
            // Numbers keep the text they were typed with, so that a folder called `1e3` stays one.
            Ok(
                DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_),
            )
            | Err(_) => Self::Text(text.to_owned()),
            Ok(value) => Self::read(&value).unwrap_or_else(|| Self::Text(text.to_owned())),
        }
    }

    /// Reads what is typed for a row of the matrix: as any other value, or a table.
    pub fn typed_in_row(text: &str, place: &Place) -> Self {
        match DeValue::parse(text).map(Spanned::into_inner) {
            Ok(value @ DeValue::Table(_)) => Self::read_nested(&value, &|_| place.clone())
                .unwrap_or_else(|| Self::Text(text.to_owned())),
            _ => Self::typed(text),
        }
    }

    /// Reads a value without tables; `None` when there is one.
    pub fn read(value: &DeValue<'_>) -> Option<Self> {
        Some(match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) => match number.radix() {
                10 => Self::Text(number.as_str().trim_start_matches('+').to_owned()),
                radix => Self::Text(
                    i128::from_str_radix(number.as_str(), radix)
                        .ok()?
                        .to_string(),
                ),
            },
            DeValue::Float(number) => {
                Self::Text(number.as_str().trim_start_matches('+').to_owned())
            }
            DeValue::Boolean(value) => Self::Bool(*value),
            DeValue::Datetime(moment) => Self::Text(moment.to_string()),
            DeValue::Array(values) => Self::List(
                values
                    .iter()
                    .map(|value| Self::read(value.get_ref()))
                    .collect::<Option<_>>()?,
            ),
            DeValue::Table(_) => return None,
        })
    }

    /// Reads a value that may be a table, but holds none in a list; `place` names where a key is.
    pub fn read_nested(
        value: &DeValue<'_>,
        place: &impl Fn(Range<usize>) -> Place,
    ) -> Option<Self> {
        let DeValue::Table(table) = value else {
            return Self::read(value);
        };
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entries = entries.into_iter().map(|(key, value)| {
            Some(Entry {
                key: key.get_ref().to_string(),
                value: Self::read_nested(value.get_ref(), place)?,
                place: place(key.span()),
            })
        });
        Some(Self::Table(entries.collect::<Option<_>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_values_are_toml_or_text() {
        assert_eq!(Value::typed("true"), Value::Bool(true));
        assert_eq!(Value::typed("3e-4"), Value::Text("3e-4".into()));
        assert_eq!(Value::typed("\"a b\""), Value::Text("a b".into()));
        assert_eq!(Value::typed("paper"), Value::Text("paper".into()));
        assert_eq!(Value::typed("{gold}"), Value::Text("{gold}".into()));
        assert_eq!(Value::typed(""), Value::Text(String::new()));
        assert_eq!(
            Value::typed("[0, 1]"),
            Value::List(vec![Value::Text("0".into()), Value::Text("1".into())])
        );
    }

    #[test]
    fn a_table_is_typed_for_a_row_only() {
        let place = Place::Flag("--set arm.x={}".into());
        let typed = Value::typed_in_row("{ loss = \"naive\", lr = 1e-3 }", &place);
        assert_eq!(typed.to_string(), "{ loss = naive, lr = 1e-3 }");
        assert_eq!(
            Value::typed_in_row("{seed}", &place),
            Value::Text("{seed}".into())
        );
    }

    #[test]
    fn lists_nested_too_deep_are_an_error_of_the_parser_and_no_overflow() {
        let deep = "[".repeat(100_000);
        assert_eq!(Value::typed(&deep), Value::Text(deep));
    }
}
