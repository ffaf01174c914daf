//! What a `tokenizer.json` may hold, looked at before the library reads it: sizes that no model's tokenizer has, and rules
//! that multiply a text until no memory holds it.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// Largest file; those of vocabularies with a quarter of a million tokens have some 30 million bytes.
pub(crate) const MAX_BYTES: u64 = 64 << 20;
/// Most values in a file: a token has two, and a merge three.
const MAX_VALUES: usize = 6_000_000;
/// Most values of added tokens; each has eight.
const MAX_ADDED: usize = 800_000;
/// Most values in the rules: normalizer, pre-tokenizer, post-processor and decoder.
const MAX_RULES: usize = 100_000;
/// The most that rules may lengthen a text, as a factor.
const MAX_GROWTH: usize = 1024;

/// Refuses a `tokenizer.json` that is larger than any tokenizer, or grows texts without bound. What is not JSON passes: the
/// library says better what is wrong with it.
pub(crate) fn check(json: &str) -> Result<(), String> {
    let Ok(sizes) = serde_json::from_str::<Outline<Count>>(json) else {
        return Ok(());
    };
    let rules = [
        sizes.normalizer,
        sizes.pre_tokenizer,
        sizes.post_processor,
        sizes.decoder,
    ];
    let rules = rules.iter().map(|count| count.0).sum();
    for (what, found, most) in [
        (
            "values in its vocabulary and merges",
            sizes.model.0,
            MAX_VALUES,
        ),
        (
            "values in its added tokens",
            sizes.added_tokens.0,
            MAX_ADDED,
        ),
        ("values in its rules", rules, MAX_RULES),
    ] {
        if found > most {
            return Err(format!(
                "it has {found} {what}, and {most} are read at most"
            ));
        }
    }
    let Ok(rules) = serde_json::from_str::<Rules>(json) else {
        return Ok(());
    };
    let encoding = growth(&rules.normalizer).saturating_mul(growth(&rules.pre_tokenizer));
    for (what, factor) in [
        ("normalizer and pre_tokenizer", encoding),
        ("decoder", growth(&rules.decoder)),
    ] {
        if factor > MAX_GROWTH {
            return Err(format!(
                "its {what} can make a text {factor} times as long, and {MAX_GROWTH} is the most"
            ));
        }
    }
    Ok(())
}

/// How many times as long the rules in this place can make a text, each on top of those before it.
fn growth(rules: &Value) -> usize {
    let inside = match rules {
        Value::Array(rules) => rules.iter().map(growth).fold(1, usize::saturating_mul),
        Value::Object(fields) => fields.values().map(growth).fold(1, usize::saturating_mul),
        _ => 1,
    };
    inside.saturating_mul(own_growth(rules))
}

fn own_growth(rule: &Value) -> usize {
    let length = |value: &Value| value.as_str().map_or(0, str::len);
    match rule["type"].as_str() {
        Some("Replace") => match &rule["pattern"]["String"] {
            // A pattern may match nothing at all, between any two characters.
            Value::Null => 1 + length(&rule["content"]),
            text => length(&rule["content"])
                .div_ceil(length(text).max(1))
                .max(1),
        },
        Some("Prepend") => 1 + length(&rule["prepend"]),
        Some("Metaspace") => 1 + length(&rule["replacement"]),
        // A byte becomes a character of two.
        Some("ByteLevel") => 2,
        _ => 1,
    }
}

/// The parts of a file.
#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de> + Default")]
struct Outline<T> {
    #[serde(default)]
    normalizer: T,
    #[serde(default)]
    pre_tokenizer: T,
    #[serde(default)]
    post_processor: T,
    #[serde(default)]
    decoder: T,
    #[serde(default)]
    added_tokens: T,
    #[serde(default)]
    model: T,
}

/// The parts that can make a text longer.
#[derive(Deserialize)]
struct Rules {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    decoder: Value,
}

/// How many values stand in a place, those inside others among them.
#[derive(Clone, Copy, Default)]
struct Count(usize);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Counter)
    }
}

struct Counter;

impl<'de> Visitor<'de> for Counter {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Count, E> {
        Ok(Count(1))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Count, E> {
        Ok(Count(1))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Count, E> {
        Ok(Count(1))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Count, E> {
        Ok(Count(1))
    }

    fn visit_str<E>(self, _: &str) -> Result<Count, E> {
        Ok(Count(1))
    }

    fn visit_unit<E>(self) -> Result<Count, E> {
        Ok(Count(1))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Count, A::Error> {
        let mut count = 1;
        while let Some(Count(inside)) = entries.next_element()? {
            count += inside;
        }
        Ok(Count(count))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Count, A::Error> {
        let mut count = 1;
        while let Some((IgnoredAny, Count(inside))) = entries.next_entry()? {
            count += 1 + inside;
        }
        Ok(Count(count))
    }
}
