//! Python's methods of texts, lists and dictionaries in chat templates, each paid for before it is done.

use minijinja::value::{Kwargs, Tuple, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};
use minijinja_contrib::pycompat::unknown_method_callback;

/// Bytes of text for a unit of fuel.
const BYTES: usize = 64;
/// What an entry of a list costs, in bytes of text.
const ENTRY: usize = 64;
/// Widest field of `str.format`.
const MAX_WIDTH: usize = 10_000;

/// How many bytes of text the template can still pay for.
pub(crate) fn affordable(state: &State) -> usize {
    let left = state.fuel_levels().map_or(u64::MAX, |(_, left)| left);
    usize::try_from(left)
        .unwrap_or(usize::MAX)
        .saturating_mul(BYTES)
}

/// Takes the fuel for so many bytes of text.
pub(crate) fn pay(state: &State, bytes: usize) -> Result<(), Error> {
    state.consume_fuel((bytes / BYTES) as u64)
}

/// A method that the engine does not have itself.
pub(crate) fn call(
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    pay(
        state,
        args.iter().filter_map(Value::as_str).map(str::len).sum(),
    )?;
    match (value.as_str(), method) {
        (Some(text), "join") => return join(state, text, args),
        (Some(text), "format") => pay_for_format(state, text, args)?,
        (Some(text), "split") => {
            let parts = match args.first().and_then(Value::as_str) {
                Some(separator) => text.matches(separator).count(),
                None => text.split_whitespace().count(),
            };
            pay(state, parts.saturating_mul(ENTRY))?;
        }
        (Some(text), "splitlines") => {
            pay(
                state,
                text.matches(['\n', '\r']).count().saturating_mul(ENTRY),
            )?;
        }
        (Some(text), "startswith" | "endswith") => {
            let list = args.first().filter(|list| list.as_str().is_none());
            each(state, list, text.len())?;
        }
        (None, "count") if value.kind() == ValueKind::Seq => {
            let sought = args.first().and_then(Value::as_str).map_or(0, str::len);
            each(state, Some(value), sought)?;
        }
        _ => {}
    }
    unknown_method_callback(state, value, method, args)
}

/// Pays for looking at each entry of a list of texts, at so many bytes at most.
fn each(state: &State, list: Option<&Value>, bytes: usize) -> Result<(), Error> {
    let Some(entries) = list.and_then(|list| list.try_iter().ok()) else {
        return Ok(());
    };
    for entry in entries {
        pay(state, ENTRY + entry.as_str().map_or(0, str::len).min(bytes))?;
    }
    Ok(())
}

/// `str.join`, of texts alone as in Python.
fn join(state: &State, separator: &str, args: &[Value]) -> Result<Value, Error> {
    let (list,): (&Value,) = from_args(args)?;
    let mut joined = String::new();
    for (place, entry) in list.try_iter()?.enumerate() {
        let Some(text) = entry.as_str() else {
            let message = format!(
                "join expects texts, and entry {place} is a {}",
                entry.kind()
            );
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        };
        let separator = if place > 0 { separator } else { "" };
        pay(state, ENTRY + separator.len() + text.len())?;
        joined.push_str(separator);
        joined.push_str(text);
    }
    Ok(joined.into())
}

/// `text % right`, where a tuple on the right has an entry for each field.
pub(crate) fn percent(state: &mut State, text: Value, right: Value) -> Result<Value, Error> {
    let mut args = vec![text];
    match right.downcast_object_ref::<Tuple>() {
        Some(entries) => args.extend(entries.iter().cloned()),
        None => args.push(right),
    }
    state.apply_filter("format", &args)
}

/// Pays for the longest text that `str.format` can make, and refuses what has no length to be known beforehand.
fn pay_for_format(state: &State, text: &str, args: &[Value]) -> Result<(), Error> {
    let refuse = |message: String| Err(Error::new(ErrorKind::InvalidOperation, message));
    let mut longest = MAX_NUMBER;
    let mut values = Vec::with_capacity(args.len());
    for arg in args {
        match Kwargs::try_from(arg.clone()) {
            Ok(named) if arg.is_kwargs() => {
                for name in named.args() {
                    values.push(named.peek::<Value>(name)?);
                }
            }
            _ => values.push(arg.clone()),
        }
    }
    for arg in &values {
        match arg.kind() {
            ValueKind::String => longest = longest.max(arg.as_str().map_or(0, str::len)),
            ValueKind::Number | ValueKind::Bool | ValueKind::None | ValueKind::Undefined => {}
            kind => return refuse(format!("format takes texts and numbers, and gets a {kind}")),
        }
    }
    let width = |digits: &str| digits.parse().unwrap_or(usize::MAX);
    let numbers = text.split(|c: char| !c.is_ascii_digit());
    let widest = numbers.filter(|n| !n.is_empty()).map(width).max();
    let dynamic = args
        .iter()
        .filter_map(|arg| usize::try_from(arg.clone()).ok());
    let dynamic = dynamic.max().filter(|_| is_nested(text));
    let widest = widest.max(dynamic).unwrap_or(0);
    if widest > MAX_WIDTH {
        return refuse(format!(
            "format has a field of {widest}, and {MAX_WIDTH} is the widest"
        ));
    }
    let fields = text.matches('{').count();
    pay(state, fields.saturating_mul(longest + widest))
}

/// A number is no longer than this.
const MAX_NUMBER: usize = 400;

/// Whether a field names another inside it, as its width.
fn is_nested(text: &str) -> bool {
    let mut depth = 0_usize;
    text.bytes().any(|byte| {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > 1
    })
}
