//! What stands for texts that nobody should meet unasked.

use serde_json::Value;

/// Fields of rows that hold texts of data sets or of models.
const TEXTS: [&str; 4] = ["text", "content", "answer", "choices"];

/// What is shown in place of a text: how long it is, and the beginning of its hash, by which equal texts are known.
pub fn hidden(text: &str) -> String {
    let hash = blake3::hash(text.as_bytes()).to_hex();
    let characters = text.chars().count();
    format!("[{characters} characters, blake3 {}]", &hash[..12])
}

/// Replaces the texts in a row, at any depth, by what [`hidden`] says of them.
pub fn hide_texts(row: &mut Value) {
    hide(row, false);
}

fn hide(value: &mut Value, is_text: bool) {
    match value {
        Value::String(text) if is_text => *text = hidden(text),
        Value::Array(values) => values.iter_mut().for_each(|value| hide(value, is_text)),
        Value::Object(fields) => {
            for (name, value) in fields {
                hide(value, TEXTS.contains(&name.as_str()));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_become_lengths_and_hashes() {
        let mut row = json!({
            "id": 3, "split": "gold", "text": "süß",
            "messages": [{"role": "user", "content": "süß"}], "chosen": {"text": "", "model": "m"},
            "choices": ["süß", ""], "answer": null,
        });
        hide_texts(&mut row);
        let (shown, nothing) = (hidden("süß"), "[0 characters, blake3 af1349b9f5f9]");
        assert!(
            shown.starts_with("[3 characters, blake3 ") && shown.len() == 35,
            "{shown}"
        );
        let expected = json!({
            "id": 3, "split": "gold", "text": shown,
            "messages": [{"role": "user", "content": shown}], "chosen": {"text": nothing, "model": "m"},
            "choices": [shown, nothing], "answer": null,
        });
        assert_eq!(row, expected);
    }
}
