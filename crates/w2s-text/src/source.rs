//! The source of a chat template as the engine reads it: what transformers' Jinja does to one before it parses, and the
//! `generation` blocks that only transformers knows.

/// Ready for the engine: line breaks as Jinja has them, and `generation` blocks, by which some mark the answers for
/// transformers' own masks, as blocks of the same scope without a meaning.
pub(crate) fn prepared(source: &str) -> String {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut out = String::with_capacity(source.len());
    let mut rest = source.as_str();
    while let Some(place) = rest.find('{') {
        let (before, tag) = rest.split_at(place);
        out.push_str(before);
        let length = match tag.as_bytes().get(1) {
            Some(b'#') => end_of(tag, "#}"),
            Some(b'{') => end_of_code(tag, "}}"),
            Some(b'%') => end_of_code(tag, "%}"),
            _ => 1,
        };
        let (tag, after) = tag.split_at(length);
        match word(tag) {
            "generation" => out.push_str(&tag.replacen("generation", "with", 1)),
            "endgeneration" => out.push_str(&tag.replacen("endgeneration", "endwith", 1)),
            "raw" => {
                let (raw, behind) = after.split_at(end_of_raw(after));
                out.push_str(tag);
                out.push_str(raw);
                rest = behind;
                continue;
            }
            _ if tag.starts_with("{#") => out.push_str(tag),
            _ => out.push_str(&without_percent(tag)),
        }
        rest = after;
    }
    out + rest
}

/// The only word of a block tag, or nothing: all that matters here.
fn word(tag: &str) -> &str {
    let inside = tag.strip_prefix("{%").and_then(|t| t.strip_suffix("%}"));
    let inside = inside.unwrap_or_default();
    let inside = inside.strip_prefix(['-', '+']).unwrap_or(inside);
    inside.strip_suffix(['-', '+']).unwrap_or(inside).trim()
}

/// Code with `'…' % right` of a literal text as `('…'|percent(right))`: the engine has no such operator for texts.
fn without_percent(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(open) = rest.find(['"', '\'']) {
        let (before, literal) = rest.split_at(open);
        let (literal, after) = literal.split_at(end_of_literal(literal));
        out.push_str(before);
        rest = after;
        let right = after.trim_start().strip_prefix('%').map(str::trim_start);
        match right.map(|right| right.split_at(end_of_operand(right))) {
            Some((right, behind)) if !right.is_empty() => {
                let right = without_percent(right);
                out.push_str(&format!("({literal}|{PERCENT}({right}))"));
                rest = behind;
            }
            _ => out.push_str(literal),
        }
    }
    out + rest
}

/// The name of the filter that does what `%` does in Python.
pub(crate) const PERCENT: &str = "percent";

/// Behind the quotation mark that ends the literal which begins here.
fn end_of_literal(text: &str) -> usize {
    let quote = text.as_bytes().first().copied();
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((place, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            _ if Some(byte) == quote => return place + 1,
            _ => {}
        }
    }
    text.len()
}

/// Behind the value that begins here, with its attributes, subscripts and calls; 0 where none begins.
fn end_of_operand(text: &str) -> usize {
    let word = |text: &str| {
        text.find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(text.len())
    };
    let mut end = match text.as_bytes().first() {
        Some(b'"' | b'\'') => end_of_literal(text),
        Some(b'(' | b'[') => end_of_brackets(text),
        _ => word(text),
    };
    while end > 0 {
        let more = match text.as_bytes().get(end) {
            Some(b'.') => 1 + word(&text[end + 1..]),
            Some(b'(' | b'[') => end_of_brackets(&text[end..]),
            _ => break,
        };
        end += more;
    }
    end
}

/// Behind the bracket that closes the one which begins here.
fn end_of_brackets(text: &str) -> usize {
    let (mut place, mut depth) = (0, 0_usize);
    while let Some(byte) = text.as_bytes().get(place) {
        match byte {
            b'"' | b'\'' => place += end_of_literal(&text[place..]) - 1,
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        place += 1;
        if depth == 0 {
            return place;
        }
    }
    text.len()
}

/// Behind the first `end`, or the end of the text.
fn end_of(text: &str, end: &str) -> usize {
    text.find(end).map_or(text.len(), |place| place + end.len())
}

/// The same, where an `end` between quotation marks is none.
fn end_of_code(text: &str, end: &str) -> usize {
    let mut quote = None;
    let mut bytes = text.bytes().enumerate().skip(2);
    while let Some((place, byte)) = bytes.next() {
        match quote {
            Some(_) if byte == b'\\' => drop(bytes.next()),
            Some(open) if byte == open => quote = None,
            Some(_) => {}
            None if byte == b'"' || byte == b'\'' => quote = Some(byte),
            None if text.as_bytes()[place..].starts_with(end.as_bytes()) => {
                return place + end.len();
            }
            None => {}
        }
    }
    text.len()
}

/// The length of what stands in a `raw` block, with the tag that ends it.
fn end_of_raw(text: &str) -> usize {
    let mut from = 0;
    while let Some(place) = text[from..].find("{%") {
        let length = end_of(&text[from + place..], "%}");
        let tag = &text[from + place..from + place + length];
        from += place + length;
        if word(tag) == "endraw" {
            return from;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::prepared;

    #[test]
    fn texts_are_formatted_by_a_filter() {
        for (source, expected) in [
            ("{{ '%s' % a }}", "{{ ('%s'|percent(a)) }}"),
            (
                "{{ \"%s%s\"%(a.b, ')') ~ 'c' }}",
                "{{ (\"%s%s\"|percent((a.b, ')'))) ~ 'c' }}",
            ),
            (
                "{% set x = '%s' % a.b[0].c(1) + 'd' -%}",
                "{% set x = ('%s'|percent(a.b[0].c(1))) + 'd' -%}",
            ),
            (
                "{{ '%s' % ('%d' % 1, 2) }}",
                "{{ ('%s'|percent((('%d'|percent(1)), 2))) }}",
            ),
            (
                "{{ 7 % 2 }}{% set x = 'a' %}{% set y = 'a'%}",
                "{{ 7 % 2 }}{% set x = 'a' %}{% set y = 'a'%}",
            ),
            ("'%s' % a {# '%s' % a #}", "'%s' % a {# '%s' % a #}"),
            ("{{ '%s' % (", "{{ ('%s'|percent(())"),
        ] {
            assert_eq!(prepared(source), expected);
        }
    }

    #[test]
    fn generation_blocks_are_found_in_all_spellings_and_nowhere_else() {
        for (source, expected) in [
            ("{%generation%}a{%endgeneration%}", "{%with%}a{%endwith%}"),
            (
                "{%-generation-%}a{%- endgeneration +%}",
                "{%-with-%}a{%- endwith +%}",
            ),
            (
                "{%  generation  %}{%\nendgeneration\n%}",
                "{%  with  %}{%\nendwith\n%}",
            ),
            ("{# {% generation %} #}", "{# {% generation %} #}"),
            ("{{ '{% generation %}' }}", "{{ '{% generation %}' }}"),
            (
                "{{ \"\\\"{% generation %}\" }}",
                "{{ \"\\\"{% generation %}\" }}",
            ),
            ("{% set generation = 1 %}", "{% set generation = 1 %}"),
            (
                "{% raw %}{% generation %}{%- endraw %}{% generation %}",
                "{% raw %}{% generation %}{%- endraw %}{% with %}",
            ),
            ("{ {% generation", "{ {% generation"),
            ("a\r\nb\rc\n", "a\nb\nc\n"),
            ("ü{", "ü{"),
        ] {
            assert_eq!(prepared(source), expected);
        }
    }
}
