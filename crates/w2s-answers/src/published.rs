//! The rules of the public code of weak-to-strong reasoning (arXiv 2407.13647, GAIR-NLP/weak-to-strong-reasoning), whose
//! normal form is that of Minerva. Quirks are kept, since published numbers were made with them.

use std::sync::LazyLock;

use regex::Regex;

/// What stands before an answer: on GSM8K, and on MATH.
pub const PUBLISHED_KEYS: [&str; 2] = ["####", "The answer is:"];

/// Where the next question of a few-shot prompt begins.
const NEXT: &str = "Question";

/// The key that is tried when the one of the data set finds nothing.
const FALLBACK: &str = "The answer is";

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is valid")
}

static NUMBER: LazyLock<Regex> = LazyLock::new(|| pattern(r"-?[0-9]+\.?[0-9]*"));

/// What stands behind `key` in a solution, before it is normalised; empty where nothing does. Only the last line before the
/// word `Question` is looked at. With nothing there, the first number behind `The answer is` counts.
pub fn published_answer(solution: &str, key: &str) -> String {
    let solution = solution.split(NEXT).next().unwrap_or_default().trim();
    let last = solution.rsplit('\n').next().unwrap_or_default();
    let behind = |key: &str| {
        let start = last.find(&format!("{key} "))? + key.len() + 1;
        Some(&last[start..]).filter(|found| !found.is_empty())
    };
    let mut found = match behind(key) {
        Some(found) => found.to_owned(),
        None => behind(FALLBACK).map(first_number).unwrap_or_default(),
    };
    if found.contains("</s>") {
        let kept = found.char_indices().rev().nth(3).map_or(0, |(at, _)| at);
        found.truncate(kept);
    }
    found
}

fn first_number(text: &str) -> String {
    let text = text.replace(',', "");
    let number = NUMBER.find(&text).map_or("", |found| found.as_str());
    number.strip_suffix('.').unwrap_or(number).to_owned()
}

/// In this order.
const SUBSTITUTIONS: [(&str, &str); 11] = [
    ("an ", ""),
    ("a ", ""),
    (".$", "$"),
    (r"\$", ""),
    (r"\ ", ""),
    (r"\%", "%"),
    (" ", ""),
    ("mbox", "text"),
    (r",\text{and}", ","),
    (r"\text{and}", ","),
    (r"\text{m}", r"\text{}"),
];

/// Units and decoration, in this order.
const REMOVED: [&str; 42] = [
    "square",
    "ways",
    "integers",
    "dollars",
    "mph",
    "inches",
    "ft",
    "hours",
    "km",
    "units",
    r"\ldots",
    "sue",
    "points",
    "feet",
    "minutes",
    "digits",
    "cents",
    "degrees",
    "cm",
    "gm",
    "pounds",
    "meters",
    "meals",
    "edges",
    "students",
    "childrentickets",
    "multiples",
    r"\text{s}",
    r"\text{.}",
    "\\text{\ns}",
    r"\text{}^2",
    r"\text{}^3",
    "\\text{\n}",
    r"\text{}",
    r"\mathrm{th}",
    r"^\circ",
    r"^{\circ}",
    r"\;",
    r",\!",
    "{,}",
    "\"",
    r"\dots",
];

static MARKUP: LazyLock<[(Regex, &str); 7]> = LazyLock::new(|| {
    [
        (pattern(r"(.*?)(\$)(.*?)(\$)(.*)"), "$$${3}$$"),
        (pattern(r"(\\text\{)(.*?)(\})"), "$2"),
        (pattern(r"(\\textbf\{)(.*?)(\})"), "$2"),
        (pattern(r"(\\overline\{)(.*?)(\})"), "$2"),
        (pattern(r"(\\boxed\{)(.*)(\})"), "$2"),
        (pattern(r"(frac)([^{])(.)"), "frac{$2}{$3}"),
        (pattern(r"(sqrt)([^{])"), "sqrt{$2}"),
    ]
});

static ZERO_DECIMALS: LazyLock<Regex> = LazyLock::new(|| pattern(r"^-?[0-9]+\.00?$"));

static PERCENT: LazyLock<Regex> = LazyLock::new(|| pattern(r"^-?[0-9]+(?:\.[0-9]+)?%$"));

/// The normal form of an answer.
pub fn published_form(answer: &str) -> String {
    let mut text = answer.rsplit('=').next().unwrap_or_default().to_owned();
    for (before, after) in SUBSTITUTIONS {
        text = text.replace(before, after);
    }
    for removed in REMOVED {
        text = text.replace(removed, "");
    }
    for (pattern, replacement) in &*MARKUP {
        text = pattern.replace_all(&text, *replacement).into_owned();
    }
    text = text.replace('$', "");
    let digits = text.chars().filter(|c| *c != ',');
    if text.contains(|c: char| c.is_ascii_digit()) && digits.clone().all(|c| c.is_ascii_digit()) {
        text = digits.collect();
    }
    if ZERO_DECIMALS.is_match(&text) {
        text.truncate(text.find('.').unwrap_or(text.len()));
    }
    if PERCENT.is_match(&text) {
        text.pop();
    }
    if matches!(text.as_bytes(), [b'A'..=b'G']) {
        text.make_ascii_lowercase();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_sequence_is_cut_off() {
        assert_eq!(published_answer("x\n#### 12</s>", "####"), "12");
        // Four characters go, whatever they are.
        assert_eq!(published_answer("x\n#### </s> é", "####"), "</");
        assert_eq!(published_answer("", "####"), "");
    }

    #[test]
    fn letters_and_currency() {
        assert_eq!(published_form("H"), "H");
        assert_eq!(published_form("$x$ and $y$"), "x");
        assert_eq!(published_form(r"12\%"), "12");
        assert_eq!(published_form(","), ",");
    }
}
