//! How far a step is: a bar with rate and time left on a terminal, and plain aligned lines in a log file.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressState, ProgressStyle};

/// How long a log file waits between two lines.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// All bars of the process; log lines are written between them.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Shows how far a piece of work is. It can be shared by threads.
#[derive(Debug)]
pub struct Progress {
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    Lines(Lines),
    Nothing,
}

impl Progress {
    /// Begins at zero of `total`; a total of 0 means unknown.
    pub(crate) fn new(label: &str, total: u64, unit: &'static str, quiet: bool) -> Self {
        let shown = if quiet {
            Shown::Nothing
        } else if io::stderr().is_terminal() {
            Shown::Bar(bar(label, total, unit))
        } else {
            Shown::Lines(Lines::new(label, total, unit))
        };
        Self { shown }
    }

    /// A progress nobody sees, for tests and for libraries used without a stage.
    pub fn hidden() -> Self {
        Self {
            shown: Shown::Nothing,
        }
    }

    /// Begins at `position` instead of zero, as a resumed run does; the rate counts from there.
    pub fn resume_at(&self, position: u64) {
        match &self.shown {
            Shown::Bar(bar) => {
                bar.set_position(position);
                bar.reset_eta();
            }
            Shown::Lines(lines) => lines.resume_at(position),
            Shown::Nothing => {}
        }
    }

    /// Moves on by `steps`.
    pub fn inc(&self, steps: u64) {
        match &self.shown {
            Shown::Bar(bar) => bar.inc(steps),
            Shown::Lines(lines) => {
                lines.position.fetch_add(steps, Ordering::Relaxed);
                lines.tick();
            }
            Shown::Nothing => {}
        }
    }

    /// Moves to `position`.
    pub fn set(&self, position: u64) {
        match &self.shown {
            Shown::Bar(bar) => bar.set_position(position),
            Shown::Lines(lines) => {
                lines.position.store(position, Ordering::Relaxed);
                lines.tick();
            }
            Shown::Nothing => {}
        }
    }

    /// Says something beside the numbers, such as `loss 0.412`.
    pub fn message(&self, text: impl Into<String>) {
        match &self.shown {
            Shown::Bar(bar) => bar.set_message(text.into()),
            Shown::Lines(lines) => lines.state().message = text.into(),
            Shown::Nothing => {}
        }
    }

    /// Ends the display; a log file gets the last line.
    pub fn finish(&self) {
        match &self.shown {
            Shown::Bar(bar) => {
                bar.finish_and_clear();
                BARS.remove(bar);
            }
            Shown::Lines(lines) => lines.finish(),
            Shown::Nothing => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

fn bar(label: &str, total: u64, unit: &'static str) -> ProgressBar {
    let template = if total > 0 {
        format!(
            "{{prefix:>10}} [{{wide_bar:.cyan}}] {{human_pos}} / {{human_len}} {unit}  {{rate}}  eta {{eta}}  {{msg}}"
        )
    } else {
        format!("{{prefix:>10}} {{spinner}} {{human_pos}} {unit}  {{rate}}  {{elapsed}}  {{msg}}")
    };
    let style =
        ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = BARS.add(if total > 0 {
        ProgressBar::new(total)
    } else {
        ProgressBar::no_length()
    });
    let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
        let _ = write!(out, "{}/s", short_rate(state.per_sec()));
    };
    bar.set_style(style.with_key("rate", rate).progress_chars("=> "));
    bar.set_prefix(label.to_owned());
    bar
}

/// Progress as lines of text.
#[derive(Debug)]
struct Lines {
    label: String,
    total: u64,
    unit: &'static str,
    position: AtomicU64,
    finished: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    message: String,
    begun: Instant,
    begun_at: u64,
    printed: Instant,
}

impl Lines {
    fn new(label: &str, total: u64, unit: &'static str) -> Self {
        let now = Instant::now();
        Self {
            label: label.to_owned(),
            total,
            unit,
            position: AtomicU64::new(0),
            finished: AtomicBool::new(false),
            state: Mutex::new(State {
                message: String::new(),
                begun: now,
                begun_at: 0,
                printed: now,
            }),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // A thread that panicked while it printed left nothing half done.
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn resume_at(&self, position: u64) {
        self.position.store(position, Ordering::Relaxed);
        let mut state = self.state();
        state.begun_at = position;
        state.begun = Instant::now();
    }

    /// Prints a line when the last one is old enough. Threads that meet here do not wait for each other.
    fn tick(&self) {
        if let Ok(mut state) = self.state.try_lock()
            && state.printed.elapsed() >= LINE_INTERVAL
        {
            state.printed = Instant::now();
            print(&self.line(&state, state.begun.elapsed(), false));
        }
    }

    fn finish(&self) {
        if !self.finished.swap(true, Ordering::Relaxed) {
            let state = self.state();
            print(&self.line(&state, state.begun.elapsed(), true));
        }
    }

    fn line(&self, state: &State, elapsed: Duration, last: bool) -> String {
        let position = self.position.load(Ordering::Relaxed);
        let seconds = elapsed.as_secs_f64();
        let rate = if seconds > 0.0 {
            position.saturating_sub(state.begun_at) as f64 / seconds
        } else {
            0.0
        };
        let mut line = format!("{:>10}  ", self.label);
        if self.total > 0 {
            let total = HumanCount(self.total).to_string();
            let share = 100.0 * position as f64 / self.total as f64;
            line += &format!(
                "{:>width$} / {total} {}  {share:>5.1}%",
                HumanCount(position).to_string(),
                self.unit,
                width = total.len()
            );
        } else {
            line += &format!("{:>10} {}", HumanCount(position).to_string(), self.unit);
        }
        line += &format!("  {:>8}/s", short_rate(rate));
        if last {
            line += &format!("  in {}", clock(elapsed));
        } else if self.total > position && rate > 0.0 {
            line += &format!(
                "  eta {}",
                clock(Duration::from_secs_f64(
                    (self.total - position) as f64 / rate
                ))
            );
        }
        if !state.message.is_empty() {
            line += &format!("  {}", state.message);
        }
        line
    }
}

fn print(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn short_rate(rate: f64) -> String {
    if rate >= 100.0 {
        HumanCount(rate.round() as u64).to_string()
    } else {
        format!("{rate:.2}")
    }
}

/// Minutes and seconds, with hours when there are any.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes:02}:{seconds:02}")
    }
}

/// Standard error for log lines: bars step aside while a line is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        BARS.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_align_and_count_the_rate_from_where_a_run_resumed() {
        let lines = Lines::new("pretrain", 32_000, "documents");
        lines.resume_at(1000);
        lines.position.store(2000, Ordering::Relaxed);
        lines.state().message = "loss 2.31".to_owned();
        let line = |seconds, last| lines.line(&lines.state(), Duration::from_secs(seconds), last);
        assert_eq!(
            line(10, false),
            "  pretrain   2,000 / 32,000 documents    6.2%       100/s  eta 05:00  loss 2.31"
        );
        assert_eq!(
            line(4000, true),
            "  pretrain   2,000 / 32,000 documents    6.2%      0.25/s  in 1:06:40  loss 2.31"
        );
    }

    #[test]
    fn an_unknown_total_shows_what_was_done() {
        let lines = Lines::new("task", 0, "rows");
        lines.position.store(500, Ordering::Relaxed);
        assert_eq!(
            lines.line(&lines.state(), Duration::from_secs(5), false),
            "      task         500 rows       100/s"
        );
    }
}
