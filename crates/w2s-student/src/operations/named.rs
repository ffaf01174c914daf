//! Losses as flags: `--help` lists their names, and another tool's name for one of them is answered with ours.

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use serde::Serializer;
use std::ffi::OsStr;
use std::fmt::Display;
use std::str::FromStr;
use w2s_losses::LossError;

/// Parses one of `all` by its name.
pub(super) fn named<T, const N: usize>(all: [T; N]) -> Named<T>
where
    T: Display,
{
    Named {
        names: all.iter().map(T::to_string).collect(),
        parse: std::marker::PhantomData,
    }
}

/// The parser of [`named`].
pub(super) struct Named<T> {
    names: Vec<String>,
    parse: std::marker::PhantomData<fn() -> T>,
}

impl<T> Clone for Named<T> {
    fn clone(&self) -> Self {
        Self {
            names: self.names.clone(),
            parse: std::marker::PhantomData,
        }
    }
}

impl<T> TypedValueParser for Named<T>
where
    T: FromStr<Err = LossError> + Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(
        &self,
        command: &clap::Command,
        flag: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<T, clap::Error> {
        StringValueParser::new()
            .try_map(|name| name.parse::<T>().map_err(|error| told(error).to_string()))
            .parse_ref(command, flag, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.names.iter().map(PossibleValue::new)))
    }
}

/// An error of a loss with its hint.
pub(super) fn told(error: LossError) -> anyhow::Error {
    match error.hint() {
        None => anyhow::anyhow!("{error}"),
        Some(hint) => anyhow::anyhow!("{error}\nhint: {hint}"),
    }
}

/// The name of a loss as a parameter.
pub(super) fn name<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

/// The name of what may be left out.
pub(super) fn optional_name<T: Display, S: Serializer>(
    value: &Option<T>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => to.collect_str(value),
        None => to.serialize_none(),
    }
}
