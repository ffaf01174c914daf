//! The one error type of this program: what is wrong, why, and what to type next.
//!
//! Printed as a lowercase sentence, the lines that explain it, and a hint. The exit code travels with it: 2 when the
//! recipe or a flag is wrong, 1 when something failed, 130 when somebody pressed Ctrl-C.

use std::fmt;

use crate::out::plain;

/// What went wrong, for the person at the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    sentence: String,
    details: Vec<String>,
    hint: Option<String>,
    code: u8,
    /// Further complaints found at the same time.
    others: Vec<Complaint>,
}

/// The result of everything that can complain.
pub type Result<T> = std::result::Result<T, Complaint>;

impl Complaint {
    /// The recipe or a flag is wrong.
    pub fn usage(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            details: Vec::new(),
            hint: None,
            code: 2,
            others: Vec::new(),
        }
    }

    /// Something that was right to try failed.
    pub fn failed(sentence: impl Into<String>) -> Self {
        Self {
            code: 1,
            ..Self::usage(sentence)
        }
    }

    /// The run was interrupted, its state is saved.
    pub fn interrupted(sentence: impl Into<String>) -> Self {
        Self {
            code: 130,
            ..Self::usage(sentence)
        }
    }

    /// Adds a link to the chain of causes.
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.details.push(format!("caused by: {cause}"));
        self
    }

    /// Adds a line that explains.
    pub fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    /// Says what to type next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Suggests the known word nearest to `word`, or lists them all when none is near.
    pub fn nearest<'a>(self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        match nearest(word, known.iter().copied()) {
            Some(near) => self.hint(format!("did you mean `{near}`?")),
            None if known.is_empty() => self,
            None => self.hint(format!("known here: {}", known.join(", "))),
        }
    }

    /// Joins complaints that were found together; `None` when there are none.
    pub fn all(complaints: Vec<Self>) -> Option<Self> {
        let mut complaints = complaints.into_iter();
        let mut first = complaints.next()?;
        first.others.extend(complaints);
        Some(first)
    }

    /// The sentence and its causes on one line, for a warning.
    pub fn in_a_line(&self) -> String {
        let causes = self
            .details
            .iter()
            .filter_map(|detail| detail.strip_prefix("caused by: "));
        let parts: Vec<&str> = [self.sentence.as_str()].into_iter().chain(causes).collect();
        plain(&parts.join(": ")).into_owned()
    }

    /// What the process answers.
    pub fn exit_code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = |text: &str| text.lines().map(plain).collect::<Vec<_>>().join("\n");
        writeln!(f, "error: {}", lines(&self.sentence))?;
        for detail in &self.details {
            writeln!(f, "  {}", lines(detail))?;
        }
        if let Some(hint) = &self.hint {
            writeln!(f, "hint: {}", lines(hint))?;
        }
        self.others
            .iter()
            .try_for_each(|other| write!(f, "{other}"))
    }
}

impl std::error::Error for Complaint {}

impl From<w2s_artifact::StoreError> for Complaint {
    fn from(error: w2s_artifact::StoreError) -> Self {
        let mut complaint = Self::failed(error.to_string());
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            complaint = complaint.because(error);
            cause = error.source();
        }
        match error.hint() {
            Some(hint) => complaint.hint(hint),
            None => complaint,
        }
    }
}

/// Turns an operating system's error into a complaint with a subject.
pub trait OrComplain<T> {
    /// `sentence` says what was being done, to which path.
    fn or_complain(self, sentence: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: fmt::Display> OrComplain<T> for std::result::Result<T, E> {
    fn or_complain(self, sentence: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Complaint::failed(sentence()).because(error))
    }
}

/// The known word that is a typing slip away from `word`.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let slips = 1.max(word.chars().count() / 3);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= slips
                || (word.len() >= 3 && (candidate.starts_with(word) || word.starts_with(candidate)))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_reads_as_sentence_cause_hint() {
        let complaint = Complaint::usage("step `naive` cannot start")
            .because("no such file")
            .hint("look again");
        assert_eq!(
            complaint.to_string(),
            "error: step `naive` cannot start\n  caused by: no such file\nhint: look again\n"
        );
        assert_eq!(complaint.exit_code(), 2);
    }

    #[test]
    fn what_an_input_holds_is_printed_and_not_obeyed() {
        let complaint = Complaint::failed("row `\u{1b}[2J`").because("a\rb");
        assert_eq!(
            complaint.to_string(),
            "error: row `\\u001b[2J`\n  caused by: a\\u000db\n"
        );
        assert_eq!(complaint.in_a_line(), "row `\\u001b[2J`: a\\u000db");
    }

    #[test]
    fn complaints_found_together_are_printed_together() {
        let all = Complaint::all(vec![Complaint::usage("one"), Complaint::failed("two")])
            .expect("two complaints");
        assert_eq!(all.to_string(), "error: one\nerror: two\n");
        assert_eq!(all.exit_code(), 2);
        assert_eq!(Complaint::all(vec![]), None);
    }

    #[test]
    fn the_nearest_word_is_a_slip_away_or_nothing() {
        assert_eq!(nearest("epoch", ["epochs", "lr", "batch"]), Some("epochs"));
        assert_eq!(nearest("lables", ["labels", "data"]), Some("labels"));
        assert_eq!(nearest("learning-rate", ["lr", "batch"]), None);
    }
}
