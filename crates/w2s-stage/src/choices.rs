//! Flags with a set of values, for types whose crate does not know clap.

use std::fmt::Display;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// Parses a flag that takes one of `all`, each by the word that its `Display` writes. `--help` and `describe` list the words,
/// and a wrong one is answered with the nearest.
///
/// A type of a crate with clap derives `ValueEnum` instead.
///
/// ```
/// use w2s_artifact::Kind;
///
/// #[derive(clap::Args)]
/// struct Export {
///     /// What to export
///     #[arg(long, value_parser = w2s_stage::choices(Kind::ALL), default_value_t = Kind::Report)]
///     kind: Kind,
/// }
/// ```
pub fn choices<T>(all: impl IntoIterator<Item = T>) -> impl TypedValueParser<Value = T>
where
    T: Display + Clone + Send + Sync + 'static,
{
    let all: Vec<(String, T)> = all
        .into_iter()
        .map(|value| (value.to_string(), value))
        .collect();
    let words: Vec<PossibleValue> = all
        .iter()
        .map(|(word, _)| PossibleValue::new(word.clone()))
        .collect();
    PossibleValuesParser::new(words).try_map(move |typed| {
        let found = all.iter().find(|(word, _)| *word == typed);
        found
            .map(|(_, value)| value.clone())
            .ok_or_else(|| format!("`{typed}` is none of the values"))
    })
}
