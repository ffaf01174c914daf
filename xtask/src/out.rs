//! What is printed. A run does not depend on who listens: what cannot be written, because a pipe is closed or a disk is
//! full, is not written, and nothing fails or waits for it.

use std::borrow::Cow;
use std::io::{self, ErrorKind, Write};

use crate::complaint::{OrComplain, Result};

/// A line of a run's result, on standard output.
pub fn out(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// A line of a run's progress, on standard error.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Prints what a command was asked for. Here a full disk is an error; a reader that has seen enough (`| head`) is none.
pub fn print(text: &str) -> Result<()> {
    quiet_pipe(io::stdout().lock().write_all(text.as_bytes()))
        .or_complain(|| "cannot write to standard output".to_owned())
}

/// A pipe that was closed is no error.
pub fn quiet_pipe(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// The same text with control characters written out, as JSON does it: what an input holds must not steer a terminal.
pub fn plain(text: &str) -> Cow<'_, str> {
    let steers = |character: char| {
        // The others turn the direction of what follows.
        character.is_control()
            || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let written = text.chars().map(|character| match character {
        '\t' => " ".to_owned(),
        _ if steers(character) => format!("\\u{:04x}", u32::from(character)),
        _ => character.to_string(),
    });
    Cow::Owned(written.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(plain("größe: 3 µs"), "größe: 3 µs");
        assert_eq!(
            plain("a\u{1b}[2J\u{9b}b\r\n\tc\u{202e}d"),
            "a\\u001b[2J\\u009bb\\u000d\\u000a c\\u202ed"
        );
    }
}
