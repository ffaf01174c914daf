//! Text of an input on its way to a terminal.

use std::borrow::Cow;

/// The same text with control characters written out, as JSON does it: what an input holds must not steer a
/// terminal. Whatever prints text that somebody else wrote (an error, a row, a table, a log) prints it so.
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
