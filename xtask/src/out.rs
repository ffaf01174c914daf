//! What is printed. A run does not depend on who listens: what cannot be written, because a pipe is closed or a disk is
//! full, is not written, and nothing fails or waits for it.

use std::io::{self, ErrorKind, Write};

pub use w2s_artifact::plain;

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
