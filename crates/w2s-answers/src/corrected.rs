//! The corrected rules: the last marked answer wins, and numbers are compared exactly.

use std::{collections::HashMap, sync::LazyLock};

use regex::{Match, Regex};

use crate::{rules::Answer, value::Value};

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is valid")
}

/// What stands before an answer.
static MARK: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?mi)(?-u:\b)answer[ \t]+is(?-u:\b)[ \t]*:?|####|\\(?:boxed|fbox)[ \t]*\{|^[ \t>*#-]*(?:a|(?:final )?answer)\**:\**",
    )
});

/// The next question of a few-shot prompt, and the end of a sequence written out.
static END: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\n[ \t]*Question:|</s>|<\|(?:endoftext|im_end|eot_id)\|>"));

/// LaTeX commands that hold a text, such as a unit.
static TEXT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox|boxed|fbox)[ \t]*\{([^{}]*)\}",
    )
});

static SHORT_FRACTION: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\\frac[ \t]*([0-9A-Za-z])[ \t]*([0-9A-Za-z])"));

static SHORT_ROOT: LazyLock<Regex> = LazyLock::new(|| pattern(r"\\sqrt[ \t]*([0-9A-Za-z])"));

/// A unit right behind a number.
static UNIT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(.*[0-9}).])[ ]?(?:%|(?:mm|cm|km|m|mg|kg|g|ft|in|mi|mph|lbs?|oz|ml|l|L|h|s)(?:\^?\{?[23]\}?|[²³])?)$",
    )
});

/// What is written in several ways, or says nothing, in this order.
const SPELLINGS: [(&str, &str); 24] = [
    (r"\$", ""),
    ("$", ""),
    (r"\!", ""),
    (r"\,", ""),
    (r"\;", ""),
    (r"\:", ""),
    (r"\ ", " "),
    ("~", " "),
    (r"\%", "%"),
    ("{,}", ","),
    (r"^{\circ}", ""),
    (r"^\circ", ""),
    ("°", ""),
    (r"\displaystyle", ""),
    (r"\dfrac", r"\frac"),
    (r"\tfrac", r"\frac"),
    (r"\cfrac", r"\frac"),
    ("−", "-"),
    ("€", ""),
    ("£", ""),
    ("**", ""),
    ("\"", ""),
    ("`", ""),
    ("\n", " "),
];

/// Words beside a number that make it another number, or part of a formula.
const OPERATIONS: [&str; 18] = [
    "pi", "sqrt", "and", "or", "plus", "minus", "times", "over", "less", "more", "dozen",
    "hundred", "thousand", "million", "billion", "half", "halves", "per",
];

/// Words around a number, at most.
const MOST_WORDS: usize = 40;

/// The last marked answer of a solution that says something. A sentence `the answer is …` without a number or formula counts
/// only where nothing else is marked.
pub(crate) fn marked(solution: &str) -> Option<String> {
    let solution = END
        .find(solution)
        .map_or(solution, |end| &solution[..end.start()]);
    let closing = closing_braces(solution);
    let mut end = solution.len();
    let mut prose = None;
    let marks: Vec<Match> = MARK.find_iter(solution).collect();
    for mark in marks.into_iter().rev() {
        let (written, behind) = (mark.as_str(), mark.end());
        let is_prose = written
            .trim_end_matches([':', ' ', '\t'])
            .ends_with(['s', 'S']);
        let found = match written.starts_with('\\') {
            true => closing
                .get(&(behind - 1))
                .map_or("", |close| &solution[behind..*close]),
            false => sentence(&solution[behind..end]),
        };
        end = mark.start();
        let punctuation = |c: char| c.is_whitespace() || c.is_ascii_punctuation();
        if found.chars().all(punctuation) || normal_form(found).is_empty() {
            continue;
        }
        let formula = |c: char| c.is_ascii_digit() || c == '\\' || c == '$';
        match is_prose && !found.contains(formula) {
            false => return Some(found.to_owned()),
            true => prose = prose.or(Some(found)),
        }
    }
    prose.map(str::to_owned)
}

/// Where each brace that is open is closed.
fn closing_braces(text: &str) -> HashMap<usize, usize> {
    let (mut open, mut closing) = (Vec::new(), HashMap::new());
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open.push(place),
            b'}' => {
                if let Some(start) = open.pop() {
                    closing.insert(start, place);
                }
            }
            _ => {}
        }
    }
    closing
}

/// The first sentence of a line.
fn sentence(text: &str) -> &str {
    let line = text.split('\n').next().unwrap_or_default().trim();
    line.split(". ").next().unwrap_or_default()
}

/// An answer from what was marked as one.
pub(crate) fn answer(found: &str) -> Answer {
    let text = normal_form(found);
    match amount(&text) {
        Some(value) => Answer::plain(value.to_string()),
        None => {
            let key = text_key(&text);
            Answer::new(text, key)
        }
    }
}

/// The answer of a solution without a mark: the solution itself, if it is a number.
pub(crate) fn bare(solution: &str) -> Answer {
    let value = measure(&normal_form(solution));
    value.map_or_else(Answer::default, |value| Answer::plain(value.to_string()))
}

/// An answer written in one way, for people.
fn normal_form(found: &str) -> String {
    let mut text = TEXT.replace_all(found, " $1").into_owned();
    for (before, after) in SPELLINGS {
        if text.contains(before) {
            text = text.replace(before, after);
        }
    }
    if let Some((_, right)) = text.rsplit_once('=')
        && !right.trim().is_empty()
    {
        text = right.to_owned();
    }
    let text = SHORT_FRACTION.replace_all(&text, r"\frac{$1}{$2}");
    let text = SHORT_ROOT.replace_all(&text, r"\sqrt{$1}");
    let punctuation =
        |c: char| c.is_whitespace() || matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | '#');
    let text = text.trim_end_matches(punctuation);
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ':' | '#' | '*'));
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

/// A number, or one among words: `1,250 dollars`, `about 5 apples`.
fn amount(text: &str) -> Option<Value> {
    if let Some(value) = measure(text) {
        return Some(value);
    }
    let mut value = None;
    for (count, word) in text.split(' ').enumerate() {
        let word = word.trim_matches([',', ';', ':', '!', '?', '(', ')']);
        match measure(word) {
            _ if count == MOST_WORDS => return None,
            Some(_) if value.is_some() => return None,
            Some(number) => value = Some(number),
            None if says_nothing(word) => {}
            None => return None,
        }
    }
    value
}

/// A number with or without a unit.
fn measure(text: &str) -> Option<Value> {
    Value::parse(text).or_else(|| {
        let short = text.len() <= 64;
        let unit = UNIT.captures(text).filter(|_| short)?;
        Value::parse(&unit[1])
    })
}

/// Whether a word beside a number leaves it what it is, as units do.
fn says_nothing(word: &str) -> bool {
    let letters = word.trim_end_matches(['.', '^', '2', '3', '²', '³']);
    let is_word = letters
        .chars()
        .all(|c| c.is_alphabetic() || c == '-' || c == '\'');
    let small = letters.to_lowercase();
    let single = letters.chars().count() < 2;
    is_word
        && !OPERATIONS.contains(&&small[..])
        && (!single || matches!(&small[..], "" | "a" | "m" | "g" | "l" | "h" | "s"))
}

/// What tells whether two answers that are no numbers are the same: white space between signs, case and the size of brackets do not count,
/// and the parts of a tuple or an interval are compared as numbers where they are numbers.
fn text_key(text: &str) -> String {
    let flat = text.replace(r"\left", "").replace(r"\right", "");
    let flat = without_spaces(&flat).to_lowercase();
    let bracketed = flat.len() > 1 && flat.starts_with(['(', '[']) && flat.ends_with([')', ']']);
    if !bracketed {
        return flat;
    }
    let (open, rest) = flat.split_at(1);
    let (inner, close) = rest.split_at(rest.len() - 1);
    let parts = parts(inner).into_iter().map(|part| match measure(part) {
        Some(value) => value.to_string(),
        None => part.to_owned(),
    });
    let parts: Vec<String> = parts.collect();
    format!("{open}{}{close}", parts.join(","))
}

/// A text without white space, but for what keeps two words or numbers apart.
fn without_spaces(text: &str) -> String {
    let mut flat = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        let words =
            flat.ends_with(char::is_alphanumeric) && word.starts_with(char::is_alphanumeric);
        if words {
            flat.push(' ');
        }
        flat += word;
    }
    flat
}

/// What commas outside of brackets divide.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_i64, 0, Vec::new());
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(&text[start..place]);
                start = place + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(solution: &str) -> Option<String> {
        marked(solution).map(|found| answer(&found).text().to_owned())
    }

    #[test]
    fn the_last_mark_wins_wherever_it_stands() {
        let all = [
            ("She sold 24 clips.\n#### 72", "72"),
            ("a\n#### 5\nmore text", "5"),
            ("a\n#### 5\nmore text\n#### 9", "9"),
            ("#### 5 #### 9 ####", "9"),
            ("So The answer is 1,250 dollars.", "1250"),
            ("x\n#### 12</s>", "12"),
            ("x\n#### 12\nQuestion: next\n#### 99", "12"),
            ("That Question is easy.\n#### 3", "3"),
            ("The answer is 3. It was not 4.", "3"),
            (r"The answer is: $\frac{1}{2}$.", "1/2"),
            (r"so $x = \boxed{\sqrt{8}}$.", "2*sqrt(2)"),
            (r"first \boxed{1}, then \boxed{\text{east}}", "east"),
            (r"\boxed{5} and \boxed{6", "5"),
            ("Janet eats 3.\nA: 26", "26"),
            ("**Answer:** 7", "7"),
            ("Final answer: -615,000", "-615000"),
            ("#### 5\nI think the answer is right.", "5"),
            ("The answer is Monday.", "Monday"),
        ];
        for (text, right) in all {
            assert_eq!(found(text).as_deref(), Some(right), "{text}");
        }
        for text in [
            "no marker here",
            "#### ",
            "",
            "\\boxed{}",
            "A cat: 3 lives",
            "the answer is\n5",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn answers_that_mean_the_same_are_equal() {
        let same = [
            ("$29.00", "29"),
            ("1,234.", "1234"),
            ("-615,000", "-615000"),
            ("0.5", "1/2"),
            ("0.5", r"\dfrac12"),
            ("50%", "50"),
            (r"50\%", "50"),
            ("5 dollars", "5"),
            ("5 cm", r"5\text{ cm}"),
            (r"90^\circ", "90 degrees"),
            (r"1{,}000", "1000"),
            (r"12\text{ cm}^2", "12"),
            ("3kg", "3"),
            ("x = 7", "7"),
            ("27 1/2", "27.5"),
            ("EAST", r"\text{east}"),
            (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\frac{\pi}{2})"),
            ("(0.5, 2]", r"\left(\frac{1}{2},2\right]"),
            ("7x + 11", "7x+11"),
        ];
        for (one, other) in same {
            assert_eq!(answer(one), answer(other), "{one} and {other}");
        }
        let different = [
            ("0.5", "50%"),
            ("5", "5x"),
            ("5 million", "5"),
            ("2 hours 30 minutes", "230"),
            ("9 16", "916"),
            ("(1,2)", "(2,1)"),
            ("(1,2)", "[1,2]"),
            ("3 pi", "3"),
            ("6 more than x", "6"),
            ("12 - J", "12"),
        ];
        for (one, other) in different {
            assert_ne!(answer(one), answer(other), "{one} and {other}");
        }
    }

    #[test]
    fn brackets_of_any_size_survive_in_the_text() {
        let answer = answer(r"\left( 3, x \right)");
        assert_eq!(answer.text(), r"\left( 3, x \right)");
    }

    #[test]
    fn a_number_by_itself_is_an_answer() {
        assert_eq!(bare(" $29.00\n").text(), "29");
        assert!(!bare("I have 5 apples").is_some());
        assert!(!bare("1 + 1").is_some());
    }
}
