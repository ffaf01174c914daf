//! The numbers that flags take. Whatever is typed, no step may panic on it or ask for more than any machine has: a flag whose
//! number decides how much is made has a range of its own ([`count`]), and all others have that of [`check`].

use std::fmt::Display;
use std::ops::RangeBounds;

use clap::builder::RangedU64ValueParser;
use clap::error::ErrorKind;
use clap::{ArgMatches, Command, Error};

/// The largest count, such as a number of rows to keep. Beyond it sums and sizes of memory overflow.
const MOST: u64 = 1_000_000_000;
/// The largest amount of a fraction or a rate, either way.
const FARTHEST: f64 = 1e9;

/// Parses a flag that counts something, within a range.
///
/// ```
/// #[derive(clap::Args)]
/// struct Train {
///     /// Rows of a step
///     #[arg(long, value_parser = w2s_stage::count(1..=1_000_000), default_value_t = 32)]
///     batch: usize,
/// }
/// ```
pub fn count(range: impl RangeBounds<u64>) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(range)
}

/// Refuses numbers that no flag of the subcommand in `matches` means: counts above a thousand million, and fractions that
/// are infinite, not a number, or beyond as much. Seeds, which count nothing, take every number of 64 bits.
pub(crate) fn check(command: &mut Command, matches: &ArgMatches) -> Result<(), Error> {
    let Some((name, matches)) = matches.subcommand() else {
        return Ok(());
    };
    let Some(subcommand) = command.find_subcommand_mut(name) else {
        return Ok(());
    };
    for id in matches.ids().map(clap::Id::as_str) {
        if let Some(problem) = problem_of(matches, id) {
            let flag = id.replace('_', "-");
            return Err(subcommand.error(
                ErrorKind::ValueValidation,
                format!("invalid value for '--{flag}': {problem}"),
            ));
        }
    }
    Ok(())
}

/// What is wrong with the numbers of a flag.
fn problem_of(matches: &ArgMatches, id: &str) -> Option<String> {
    let is_seed = id == "seed" || id.ends_with("_seed");
    let count = |value: u64| (value > MOST && !is_seed).then(|| outside(value, 0, MOST));
    let rate = |value: f64| {
        let inside = (-FARTHEST..=FARTHEST).contains(&value);
        (!inside).then(|| outside(value, -FARTHEST, FARTHEST))
    };
    first(matches, id, |&value: &usize| count(value as u64))
        .or_else(|| first(matches, id, |&value: &u64| count(value)))
        .or_else(|| first(matches, id, |&value: &u32| count(value.into())))
        .or_else(|| first(matches, id, |&value: &f64| rate(value)))
        .or_else(|| first(matches, id, |&value: &f32| rate(value.into())))
}

fn outside(value: impl Display, least: impl Display, most: impl Display) -> String {
    format!("{value} is not in {least}..={most}")
}

/// The first problem of the values of a flag, if they are of this type.
fn first<T: Clone + Send + Sync + 'static>(
    matches: &ArgMatches,
    id: &str,
    problem: impl FnMut(&T) -> Option<String>,
) -> Option<String> {
    let values = matches.try_get_many::<T>(id).ok().flatten()?;
    values.into_iter().find_map(problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Args;

    #[derive(Args)]
    struct Flags {
        #[arg(long, value_parser = count(1..=64))]
        batch: Option<usize>,
        #[arg(long)]
        rows: Vec<usize>,
        #[arg(long)]
        seed: Option<u64>,
        #[arg(long)]
        world_seed: Option<u64>,
        #[arg(long)]
        few: Option<u32>,
        #[arg(long, allow_negative_numbers = true)]
        rate: Option<f64>,
        #[arg(long)]
        part: Option<f32>,
        #[arg(long)]
        name: Option<String>,
    }

    fn parse(arguments: &[&str]) -> Result<(), String> {
        let mut command = Command::new("toy").subcommand(Flags::augment_args(Command::new("run")));
        let arguments = ["toy", "run"].iter().chain(arguments);
        command
            .try_get_matches_from_mut(arguments)
            .and_then(|matches| check(&mut command, &matches))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_that_can_be_meant_pass() {
        for arguments in [
            &["--batch", "64", "--rows", "1000000000", "--rows", "0"][..],
            &[
                "--seed",
                "18446744073709551615",
                "--world-seed",
                "18446744073709551615",
            ],
            &[
                "--few", "7", "--rate", "-1e9", "--part", "0.5", "--name", "1e999",
            ],
            &[],
        ] {
            assert_eq!(parse(arguments), Ok(()), "{arguments:?}");
        }
    }

    #[test]
    fn extreme_numbers_are_refused_by_their_flag() {
        for (flag, value, range) in [
            ("--batch", "0", "1..=64"),
            ("--batch", "65", "1..=64"),
            ("--rows", "1000000001", "0..=1000000000"),
            ("--rows", "18446744073709551615", "0..=1000000000"),
            ("--few", "4294967295", "0..=1000000000"),
            ("--rate", "1e300", "-1000000000..=1000000000"),
            ("--rate", "-inf", "-1000000000..=1000000000"),
            ("--rate", "nan", "-1000000000..=1000000000"),
            ("--part", "inf", "-1000000000..=1000000000"),
        ] {
            let error = parse(&[&format!("{flag}={value}")]).unwrap_err();
            assert!(error.contains(flag) && error.contains(range), "{error}");
        }
        let second = parse(&["--rows", "1", "--rows", "5000000000"]);
        assert!(second.unwrap_err().contains("--rows"));
    }
}
