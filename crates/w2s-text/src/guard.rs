//! Work on inputs from strangers: on a thread with a stack of its own, where a panic of a library is an error and an end
//! is waited for so long and no longer.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// No chat template and no tokenizer needs a hundredth of this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// Does `work` on a thread with `stack` bytes of stack. If it has no end within `patience` the thread is left to itself,
/// since none can be stopped from outside, and ends with the process.
///
/// # Errors
/// A sentence that says what happened instead of an end.
pub(crate) fn guarded<T: Send + 'static>(
    stack: usize,
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let (sender, receiver) = channel();
    thread::Builder::new()
        .name("guarded".into())
        .stack_size(stack)
        // Nobody listens any more after a time-out.
        .spawn(move || drop(sender.send(caught(work))))
        .map_err(|error| format!("no thread can be started for it: {error}"))?;
    match receiver.recv_timeout(patience) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => {
            Err(format!("it has no end within {} s", patience.as_secs()))
        }
        Err(RecvTimeoutError::Disconnected) => Err("its thread ended without a word".into()),
    }
}

/// The result of `work`, or what it panicked with.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    // What a panic leaves half done is not used again: each caller gives up with an error.
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let message = said(panic.as_ref());
        format!("the library panics: {message}")
    })
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}
