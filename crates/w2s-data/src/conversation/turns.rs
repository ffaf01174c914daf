//! Lists of turns as chat data holds them: whose keys and roles have several names, and which may have become text.

use serde_json::{Map, Value};
use w2s_artifact::Message;

use super::{malformed, message};
use crate::{
    error::DataError,
    source::{Object, json_kind},
};

/// Roles, each under the names it has in public data; what is not named here is no role.
const ROLES: [(&str, &[&str]); 7] = [
    ("system", &[]),
    ("developer", &[]),
    ("user", &["human", "prompter"]),
    ("assistant", &["gpt", "chatgpt", "bot", "model"]),
    ("tool", &[]),
    ("function", &[]),
    ("ipython", &[]),
];
/// Keys of a turn that a chat template would say something about, and that a message has no room for.
const UNREAD: [&str; 9] = [
    "tool_calls",
    "tool_call_id",
    "function_call",
    "reasoning_content",
    "reasoning",
    "thinking",
    "images",
    "audio",
    "refusal",
];

/// The turns of a list, or of a text that holds one as JSON; nothing for any other value.
pub(super) fn turns(
    row: &Object,
    column: &str,
    value: &Value,
) -> Result<Option<Vec<Message>>, DataError> {
    match value {
        Value::Array(list) => Ok(Some(read(row, column, list)?)),
        Value::String(text) => match list_in(row, column, text)? {
            Some(list) => Ok(Some(read(row, column, &list)?)),
            None => Ok(None),
        },
        _ => Ok(None),
    }
}

/// The list of turns that was written into a text; an answer that is JSON of another kind is a text.
fn list_in(row: &Object, column: &str, text: &str) -> Result<Option<Vec<Value>>, DataError> {
    let text = text.trim();
    if !text.starts_with('[') || !text.ends_with(']') {
        return Ok(None);
    }
    if let Ok(Value::Array(list)) = serde_json::from_str(text) {
        let is_turn = |turn: &Value| part(turn, ["role", "from"]).is_some() && has_content(turn);
        return Ok((!list.is_empty() && list.iter().all(is_turn)).then_some(list));
    }
    let first = text[1..].trim_start();
    if first.starts_with("{'role':")
        || first.starts_with("{'from':")
        || first.starts_with("{'content':")
    {
        return Err(malformed(
            row,
            format!(
                "column `{column}` holds a list of turns as Python prints it\n\
                 hint: write it as JSON, such as with `df[\"{column}\"].map(json.dumps)`, or the rows as Parquet"
            ),
        ));
    }
    Ok(None)
}

fn read(row: &Object, column: &str, turns: &[Value]) -> Result<Vec<Message>, DataError> {
    let read = |(index, turn): (usize, &Value)| {
        let place = || format!("turn {index} of `{column}`");
        let refused = |problem: String| malformed(row, format!("{} {problem}", place()));
        let keys = turn.as_object().map_or(&[][..], |_| &UNREAD);
        if let Some(key) = keys.iter().find(|key| says_something(turn.get(**key))) {
            return Err(refused(format!(
                "has the key `{key}`, which is not read\n\
                 hint: write what it says into `content`, or leave the row out"
            )));
        }
        let role = part(turn, ["role", "from"]).and_then(Value::as_str);
        let (Some(role), true) = (role, has_content(turn)) else {
            return Err(refused("needs a `role` and a `content`, both texts".into()));
        };
        let Some(known) = known_role(role) else {
            let names = ROLES.map(|(name, _)| name).join(", ");
            return Err(refused(format!(
                "has the role `{role}`; the roles are {names}"
            )));
        };
        let content = match part(turn, ["content", "value"]) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(parts)) => text_of(parts).map_err(refused)?,
            other => {
                let found = other.map_or("nothing", json_kind);
                return Err(refused(format!("has {found} for its content, not a text")));
            }
        };
        Ok(message(known, content))
    };
    turns.iter().enumerate().map(read).collect()
}

/// The first of the keys that a turn has.
fn part<'a>(turn: &'a Value, keys: [&str; 2]) -> Option<&'a Value> {
    keys.into_iter().find_map(|key| turn.get(key))
}

fn has_content(turn: &Value) -> bool {
    part(turn, ["content", "value"]).is_some()
}

/// Whether a value is there and neither null nor empty: tables have a cell for each key of any turn.
pub(super) fn says_something(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.trim().is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(map)) => !map.values().all(Value::is_null),
        Some(_) => true,
    }
}

fn known_role(word: &str) -> Option<&'static str> {
    let word = word.trim().to_lowercase();
    let named = |(name, others): &(&str, &[&str])| *name == word || others.contains(&&word[..]);
    ROLES.into_iter().find(named).map(|(name, _)| name)
}

/// The text of a content in parts, which templates write one after the other.
fn text_of(parts: &[Value]) -> Result<String, String> {
    let text = |part: &Value| {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or("text");
        match part
            .as_object()
            .and_then(|part: &Map<_, _>| part.get("text"))
        {
            Some(Value::String(text)) if kind == "text" => Ok(text.clone()),
            _ => Err(format!(
                "has a part of the type `{kind}` in its content; only text is read"
            )),
        }
    };
    parts.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{row, said};
    use super::*;

    fn found(value: Value) -> Option<Vec<Message>> {
        turns(&row(json!({})), "messages", &value).unwrap()
    }

    fn refused(value: Value) -> String {
        let error = turns(&row(json!({})), "messages", &value).unwrap_err();
        error.to_string()
    }

    #[test]
    fn roles_have_several_names() {
        let turns = said(&[("user", "a"), ("assistant", "b")]);
        for [user, assistant] in [["human", "gpt"], ["User", "Assistant"], ["user", "model"]] {
            let list = json!([{"role": user, "content": "a"}, {"role": assistant, "content": "b"}]);
            assert_eq!(found(list), Some(turns.clone()));
        }
        let shared = json!([{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]);
        assert_eq!(found(shared), Some(turns));
        assert_eq!(
            refused(json!([{"role": "narrator", "content": "a"}])),
            "rows.jsonl:3: turn 0 of `messages` has the role `narrator`; the roles are \
             system, developer, user, assistant, tool, function, ipython"
        );
    }

    #[test]
    fn a_list_may_have_become_text() {
        let list = json!([{"role": "user", "content": "a"}]);
        assert_eq!(found(list.to_string().into()), found(list));
        for text in ["[1, 2]", "[]", "[a] is a list", r#"[{"city": "x"}]"#] {
            assert_eq!(found(text.into()), None, "{text}");
        }
        let python = refused("[{'role': 'user', 'content': 'a'}]".into());
        assert!(
            python.starts_with(
                "rows.jsonl:3: column `messages` holds a list of turns as Python prints it\nhint: write it as JSON"
            ),
            "{python}"
        );
    }

    #[test]
    fn what_a_message_has_no_room_for_is_refused_by_its_key() {
        let calls =
            json!([{"role": "assistant", "content": null, "tool_calls": [{"type": "function"}]}]);
        assert!(refused(calls).starts_with(
            "rows.jsonl:3: turn 0 of `messages` has the key `tool_calls`, which is not read\nhint: "
        ));
        let thought = json!([{"role": "assistant", "content": "b", "reasoning_content": "hm"}]);
        assert!(refused(thought).contains("`reasoning_content`"));
        // A table has the key in every row.
        let empty = json!([{"role": "assistant", "content": "b", "tool_calls": [], "reasoning_content": null}]);
        assert_eq!(found(empty), Some(said(&[("assistant", "b")])));
        assert_eq!(
            refused(json!([{"role": "assistant", "content": null}])),
            "rows.jsonl:3: turn 0 of `messages` has null for its content, not a text"
        );
    }

    #[test]
    fn parts_of_a_content_are_one_text() {
        let parts = |parts: Value| json!([{"role": "user", "content": parts}]);
        assert_eq!(
            found(parts(
                json!([{"type": "text", "text": "a "}, {"type": "text", "text": "b"}])
            )),
            Some(said(&[("user", "a b")]))
        );
        assert_eq!(
            refused(parts(json!([{"type": "image", "url": "x"}]))),
            "rows.jsonl:3: turn 0 of `messages` has a part of the type `image` in its content; only text is read"
        );
    }
}
