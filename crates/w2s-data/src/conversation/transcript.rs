//! Transcripts as HH-RLHF writes them: one text in which marks say who speaks.

use w2s_artifact::Message;

use super::message;

/// What stands before a person's turn.
pub(super) const HUMAN: &str = "\n\nHuman:";
/// What stands before the model's turn.
pub(super) const ASSISTANT: &str = "\n\nAssistant:";

/// The turns of a transcript, and nothing for any other text. A transcript begins with a person's turn, or ends where the
/// model is to speak: a text that merely quotes one is none.
pub(super) fn turns(text: &str) -> Option<Vec<Message>> {
    let marked = match text.trim_start() {
        begun if begun.starts_with(HUMAN.trim_start()) => format!("\n\n{begun}"),
        _ if text.contains(HUMAN) && text.trim_end().ends_with(ASSISTANT) => text.to_owned(),
        _ => return None,
    };
    if !marked.contains(ASSISTANT) && !text.starts_with(HUMAN) {
        return None;
    }
    Some(split(&marked))
}

/// Text before the first mark is the system's; a last turn that is still empty is left out.
fn split(transcript: &str) -> Vec<Message> {
    let mut turns = Vec::new();
    let (mut role, mut rest) = ("system", transcript);
    loop {
        let next = [("user", HUMAN), ("assistant", ASSISTANT)]
            .into_iter()
            .filter_map(|(role, mark)| Some((rest.find(mark)?, role, mark)))
            .min();
        let content = rest[..next.map_or(rest.len(), |(start, ..)| start)].trim();
        if !content.is_empty() {
            turns.push(message(role, content.to_owned()));
        }
        let Some((start, next_role, mark)) = next else {
            return turns;
        };
        (role, rest) = (next_role, &rest[start + mark.len()..]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::said;
    use super::*;

    #[test]
    fn marks_become_turns() {
        for text in [
            "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:",
            "Human: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: ",
            "\n\nHuman: a\n\nAssistant: b\n\nHuman: c",
        ] {
            assert_eq!(
                turns(text),
                Some(said(&[("user", "a"), ("assistant", "b"), ("user", "c")])),
                "{text:?}"
            );
        }
        assert_eq!(turns("\n\nHuman: a"), Some(said(&[("user", "a")])));
    }

    #[test]
    fn a_transcript_may_begin_with_the_system() {
        assert_eq!(
            turns("Be kind.\n\nHuman: a\n\nAssistant:"),
            Some(said(&[("system", "Be kind."), ("user", "a")]))
        );
    }

    #[test]
    fn a_text_that_quotes_marks_is_no_transcript() {
        for text in [
            "no marks",
            "Human: who is that ?",
            "Sum up:\n\nHuman: a\n\nAssistant: b",
            "What does \n\nAssistant: mean ?",
        ] {
            assert_eq!(turns(text), None, "{text:?}");
        }
    }
}
