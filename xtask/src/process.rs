//! Child processes and interruption: every child is known, so that Ctrl-C reaches all of them.
//!
//! The first Ctrl-C (or SIGTERM) asks the children to save their state and stop; the second one kills them.

use std::collections::BTreeSet;
use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

static INTERRUPTS: AtomicUsize = AtomicUsize::new(0);
static CHILDREN: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// What a child answers after it was interrupted.
pub const INTERRUPTED: i32 = 130;

/// From now on an interruption stops the children instead of this process.
pub fn watch_interrupts() {
    // It fails only when a handler is set already, and then there is nothing to do.
    let _ = ctrlc::set_handler(|| {
        let signal = match INTERRUPTS.fetch_add(1, Ordering::SeqCst) {
            0 => Signal::Stop,
            _ => Signal::Kill,
        };
        for &child in children().iter() {
            send(child, signal);
        }
    });
}

/// Whether somebody asked this run to stop.
pub fn interrupted() -> bool {
    INTERRUPTS.load(Ordering::SeqCst) > 0
}

/// Asks all children to save their state and stop.
pub fn stop_children() {
    for &child in children().iter() {
        send(child, Signal::Stop);
    }
}

/// A child that an interruption reaches.
pub struct Watched(Child);

impl Watched {
    /// Starts a child without standard input.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let child = command.stdin(Stdio::null()).spawn()?;
        children().insert(child.id());
        // The handler may have gone through the list just before this child was in it.
        if interrupted() {
            send(child.id(), Signal::Stop);
        }
        Ok(Self(child))
    }

    /// The child, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Waits for the child to end.
    pub fn wait(mut self) -> io::Result<ExitStatus> {
        let status = self.0.wait();
        children().remove(&self.0.id());
        status
    }
}

/// `exit 1`, or the signal that ended it.
pub fn describe(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("signal {signal}");
    }
    status
        .code()
        .map_or_else(|| "killed".to_owned(), |code| format!("exit {code}"))
}

/// A command as it can be pasted into a shell.
pub fn pasteable(program: &str, arguments: &[String]) -> String {
    let plain =
        |character: char| character.is_ascii_alphanumeric() || "-_=./:,@+%".contains(character);
    let quoted = |word: &str| match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    };
    let words = [program]
        .into_iter()
        .chain(arguments.iter().map(String::as_str));
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

#[derive(Clone, Copy)]
enum Signal {
    Stop,
    Kill,
}

fn children() -> MutexGuard<'static, BTreeSet<u32>> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(unix)]
fn send(child: u32, signal: Signal) {
    let signal = match signal {
        Signal::Stop => "TERM",
        Signal::Kill => "KILL",
    };
    // The shell's own `kill` saves a dependency and unsafe code; a child that is gone already is no error.
    let _ = Command::new("sh")
        .args(["-c", &format!("kill -{signal} {child}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

#[cfg(not(unix))]
fn send(child: u32, _signal: Signal) {
    let _ = Command::new("taskkill")
        .args(["/F", "/PID", &child.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasteable_command_is_quoted_where_it_must_be() {
        let arguments =
            ["task", "--template", "Review: {text}\nit's", "--empty", ""].map(str::to_owned);
        assert_eq!(
            pasteable("w2s-data", &arguments),
            "w2s-data task --template 'Review: {text}\nit'\\''s' --empty ''"
        );
    }
}
