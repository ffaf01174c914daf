//! Templates and tokenizers that nobody wrote in good faith, or that came to harm on their way: each gets an answer, with no
//! abort, within five seconds, and below 1 GiB of memory. Each is read by a process of its own, which measures itself.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use w2s_text::{ChatTemplate, Encoder, TextError, Tokenizer, Turn};

const PATIENCE: Duration = Duration::from_secs(5);
const MEMORY: u64 = 1 << 30;

/// Numbers for the table, the same each time (Numerical Recipes' generator).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % bound as u64) as usize
    }
}

/// What a template is expected to come to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Refused,
    /// It is bad in one engine and harmless in another, so only an end is asked for.
    Any,
}

/// Templates that never end, take memory, or nest.
fn templates() -> Vec<(String, End)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile");
    let mut all: Vec<(String, End)> = Vec::new();
    for name in ["doubling", "indent", "loop", "macro"] {
        let path = folder.join(name).with_extension("jinja");
        all.push((std::fs::read_to_string(path).unwrap(), End::Refused));
    }
    let nested = std::fs::read_to_string(folder.join("nested.jinja")).unwrap();
    all.push((nested, End::Any));

    // What nests in the source.
    let (deep, deeper) = (10_000, 30_000);
    for n in [deep, deeper] {
        let wrapped = |open: &str, inside: &str, close: &str| {
            format!("{{{{ {}{inside}{} }}}}", open.repeat(n), close.repeat(n))
        };
        for source in [
            wrapped("(", "1", ")"),
            wrapped("[", "1", "]"),
            wrapped("{1:", "1", "}"),
            wrapped("not ", "1", ""),
            wrapped("-", "1", ""),
            wrapped("", "1", "+1"),
            wrapped("", "1", "**1"),
            wrapped("", "'a'", "~'a'"),
            wrapped("", "a", ".a"),
            wrapped("", "a", "[0]"),
            wrapped("", "a", "()"),
            wrapped("", "1", "|e"),
            wrapped("", "1", " is odd"),
            wrapped("", "1", " and 1"),
            wrapped("", "1", "<1"),
            wrapped("a(", "1", ")"),
            wrapped("1 if 1 else ", "1", ""),
            wrapped("'%s' % (", "1", ")"),
            "{% if 1 %}".repeat(n / 4) + &"{% endif %}".repeat(n / 4),
            "{% for x in y %}".repeat(n / 4) + &"{% endfor %}".repeat(n / 4),
            "{% macro a() %}".repeat(n / 5) + &"{% endmacro %}".repeat(n / 5),
            "{% generation %}".repeat(n / 8) + &"{% endgeneration %}".repeat(n / 8),
            format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(n / 4)),
            format!("{{% set {}a{} = 1 %}}", "(".repeat(n), ")".repeat(n)),
            "{".repeat(n),
            "{{'%s'%".repeat(n / 4),
        ] {
            all.push((source, End::Any));
        }
    }
    all.push(("a".repeat(200_000), End::Refused));

    // What nests or doubles in values, and everything that looks at one.
    let dag = "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}\
               {% set ns.y = [ns.y, ns.y] %}{% endfor %}";
    let chain = "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}";
    let chains = "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(12000) %}{% set ns.x = [ns.x] %}\
                  {% set ns.y = [ns.y] %}{% endfor %}";
    let dense = "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(90000) %}{% set ns.x = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[ns.x]]]]]]]]]]]]]]]]]]]]]]]]]]]]]] %}{% endfor %}";
    for make in [dag, chain, chains, dense] {
        for look in [
            "{{ ns.x }}",
            "{{ ns.x ~ '' }}",
            "{{ ns.x | string }}",
            "{{ ns.x | tojson }}",
            "{{ ns.x | tojson(indent=4) }}",
            "{{ ns.x | upper }}",
            "{{ ns.x == ns.y }}",
            "{{ ns.x < ns.y }}",
            "{{ ns.x in [ns.y] }}",
            "{{ {ns.x: 1} }}",
            "{{ [ns.x, ns.y] | unique }}",
            "{{ [ns.x, ns.y] | sort }}",
            "{{ [ns.x] | join }}",
            "{{ ''.join(ns.x) }}",
            "{{ '%s' % (ns.x,) }}",
            "{{ '%r' % (ns.x,) }}",
            "{{ '{}'.format(ns.x) }}",
            "{{ ns.x | pprint }}",
            "{{ ns.x | length }}",
            "{{ ns.x.a.b }}",
            "{{ raise_exception(ns.x) }}",
            "{{ [ns.x].count(ns.y) }}",
            "{{ ns.x | sum }}",
            "{{ ns.x | list | tojson }}",
            "{{ ns.x | reverse }}",
            "{{ ns.x | e }}",
            "{{ ns.x | urlencode }}",
            "{{ ns.x | replace('1', '2') }}",
            "{{ ns.x + ns.y }}",
            "{{ ns.x * 1000000 }}",
            "{{ ns.x | items }}",
            "{{ debug() }}",
        ] {
            all.push((format!("{make}{look}"), End::Any));
        }
    }

    // What is large at once.
    for huge in [
        "{{ 'a' * 10000000000 }}",
        "{{ [1] * 10000000000 }}",
        "{{ '%10000000000d' % 1 }}",
        "{{ '%.10000000000f' % 1 }}",
        "{{ '%*d' % (10000000000, 1) }}",
        "{{ '{:10000000000}'.format(1) }}",
        "{{ '{:{}}'.format(1, 10000000000) }}",
        "{{ '%1000000000s' | format('a') }}",
        "{{ messages | tojson(indent=99999999999999999999) }}",
        "{{ 'a' | indent(10000000000, true) }}",
        "{{ 'a' | center(10000000000) }}",
        "{{ 'a'.ljust(10000000000) }}",
        "{% set s = 'a' * 1000000 %}{{ ''.join([s] * 10000) }}",
        "{% set s = 'a' * 1000000 %}{{ [s] * 10000 | join }}",
        "{% set s = 'a' * 1000000 %}{{ '{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}'.format(s) * 9 }}",
        "{% set s = 'a' * 1000000 %}{{ s.replace('', s) }}",
        "{% set s = 'a' * 1000000 %}{{ s | replace('', s) }}",
        "{% set s = 'a' * 1000000 %}{{ s.replace('a', s) }}",
        "{% for i in range(100000) %}{% for j in range(100000) %}a{% endfor %}{% endfor %}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% include 'chat' %}",
        "{% extends 'chat' %}",
        "{% import 'chat' as a %}{{ a }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
        "{% set s = 'a' * 1000000 %}{% set l = [s] * 100000 %}{% for i in range(10000) %}{% if l.count(s ~ 'b') %}{% endif %}{% endfor %}a{{ 'a' * 10000000000 }}",
        "{% for i in range(100000) %}{% for j in range(90) %}{% set x = range(100000) | list | sort | unique | list %}{% endfor %}{% endfor %}",
    ] {
        all.push((huge.into(), End::Refused));
    }
    all.push((
        "{% set s = 'a ' * 10000000 %}{{ s.split(' ') | length }}".into(),
        End::Any,
    ));
    all.push(("{% set s = 'a' * 1000000 %}{% for i in range(100000) %}{% if s.count('aaab') %}{% endif %}{% endfor %}".into(), End::Refused));

    // Pieces at random.
    let pieces = [
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "(",
        ")",
        "[",
        "]",
        "'",
        "\"",
        "%",
        " if ",
        " for ",
        " in ",
        "messages",
        "|",
        "e",
        "~",
        " set x = ",
        "x",
        "1",
        "{% endfor %}",
        "{% endif %}",
        "{% for x in range(99999) %}",
        "{% raw %}",
        "{% endraw %}",
        "\\",
        "-",
        "*",
        "tojson",
        "ü",
        "\r\n",
        ".",
        ",",
        ":",
        "{% generation %}",
        "{% endgeneration %}",
        "{% macro x() %}",
        "{{ x() }}",
    ];
    let mut random = Random(7);
    for _ in 0..600 {
        let length = 1 + random.below(40);
        let source: String = (0..length)
            .map(|_| pieces[random.below(pieces.len())])
            .collect();
        all.push((source, End::Any));
    }
    all
}

/// A tokenizer that is sound.
fn sound() -> Value {
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [{"id": 0, "content": "</s>", "special": true, "single_word": false, "lstrip": false,
                          "rstrip": false, "normalized": true}],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "_"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "_"}]},
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "a+"}, "behavior": "Isolated", "invert": false},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "</s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [0], "tokens": ["</s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "_"}, "content": " "},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "a", "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                  "vocab": {"</s>": 0, "a": 1, "b": 2, "ab": 3, "_": 4, "e": 5}, "merges": [["a", "b"]]},
    })
}

/// Paths to all values inside.
fn places(value: &Value, at: String, all: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                places(field, format!("{at}/{}", name.replace('/', "~1")), all);
            }
        }
        Value::Array(entries) => {
            for (place, entry) in entries.iter().enumerate() {
                places(entry, format!("{at}/{place}"), all);
            }
        }
        _ => {}
    }
    all.push(at);
}

fn tokenizers() -> Vec<(String, End)> {
    let with = |at: &str, value: Value| {
        let mut tokenizer = sound();
        *tokenizer.pointer_mut(at).unwrap() = value;
        tokenizer.to_string()
    };
    let doubling = |count: usize| {
        let replace = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
        json!({"type": "Sequence", "normalizers": vec![replace; count]})
    };
    let doublings = |name: &str, rule: Value| json!({"type": "Sequence", name: vec![rule; 60]});
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
    let mut all = vec![
        (with("/normalizer", doubling(60)), End::Refused),
        (
            with(
                "/normalizer",
                doublings("normalizers", json!({"type": "Prepend", "prepend": "aaaa"})),
            ),
            End::Refused,
        ),
        (
            with("/pre_tokenizer", doublings("pretokenizers", byte_level)),
            End::Refused,
        ),
        (
            with(
                "/decoder",
                doublings(
                    "decoders",
                    json!({"type": "Replace", "pattern": {"Regex": "a"}, "content": "aa"}),
                ),
            ),
            End::Refused,
        ),
        (
            with(
                "/pre_tokenizer",
                json!({"type": "FixedLength", "length": 0}),
            ),
            End::Refused,
        ),
        (
            with(
                "/pre_tokenizer/pattern",
                json!({"Regex": "(a|a)*(a|a)*(a|a)*b$"}),
            ),
            // The engine gives up on a text by itself.
            End::Any,
        ),
        (
            with(
                "/pre_tokenizer/pattern",
                json!({"Regex": "(".repeat(100_000)}),
            ),
            End::Refused,
        ),
        (
            with(
                "/pre_tokenizer/pattern",
                json!({"Regex": "(a{90000}){90000}"}),
            ),
            End::Any,
        ),
        (with("/decoder/decoders/1/stop", json!(1_000_000)), End::Any),
        (
            with(
                "/truncation",
                json!({"max_length": u64::MAX, "stride": u64::MAX, "strategy": "LongestFirst", "direction": "Right"}),
            ),
            End::Any,
        ),
        (
            with(
                "/padding",
                json!({"strategy": {"Fixed": 100_000_000_000_u64}, "direction": "Right", "pad_to_multiple_of": 0,
                                 "pad_id": 0, "pad_type_id": 0, "pad_token": "a"}),
            ),
            End::Any,
        ),
        (
            with("/model/vocab/a", json!(4_294_967_297_u64)),
            End::Refused,
        ),
        (with("/model/vocab/a", json!(u32::MAX)), End::Any),
        (
            with("/added_tokens/0/id", json!(4_294_967_297_u64)),
            End::Refused,
        ),
        (
            with("/model/merges", json!(vec![json!(["a", "b"]); 2_100_000])),
            End::Refused,
        ),
        (
            format!(
                "{{\"model\": {}{}}}",
                "[".repeat(1_000_000),
                "]".repeat(1_000_000)
            ),
            End::Refused,
        ),
        (" ".repeat((64 << 20) + 1), End::Refused),
        (String::new(), End::Refused),
        (
            "version https://git-lfs.github.com/spec/v1".into(),
            End::Refused,
        ),
    ];
    // One value is another, everywhere.
    let mut places_of_sound = Vec::new();
    places(&sound(), String::new(), &mut places_of_sound);
    let strange = [
        json!(null),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(u32::MAX),
        json!(""),
        json!("a"),
        json!("ü".repeat(3000)),
        json!([]),
        json!({}),
        json!([[]]),
        json!({"a": 0}),
        json!({"type": "BPE"}),
        json!({"Regex": "(?=a)*"}),
        json!(true),
    ];
    let mut random = Random(11);
    for place in &places_of_sound {
        for _ in 0..4 {
            let value = &strange[random.below(strange.len())];
            all.push((with(place, value.clone()), End::Any));
        }
    }
    // Two at once, and bytes cut off.
    for _ in 0..100 {
        let mut tokenizer = sound();
        for _ in 0..2 {
            let place = &places_of_sound[random.below(places_of_sound.len())];
            if let Some(value) = tokenizer.pointer_mut(place) {
                *value = strange[random.below(strange.len())].clone();
            }
        }
        let mut text = tokenizer.to_string();
        if random.below(5) == 0 {
            let end = random.below(text.len() + 1);
            text.truncate(
                (0..=end)
                    .rev()
                    .find(|&end| text.is_char_boundary(end))
                    .unwrap(),
            );
        }
        all.push((text, End::Any));
    }
    all
}

/// Most memory that this process ever held; where the system does not say, none.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Processor time of this process, where the system says: its statistics count hundredths of a second.
fn computed() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().ok());
    Some(Duration::from_millis(10 * ticks.sum::<Option<u64>>()?))
}

/// What a process of its own makes of a model folder: an end in good time and memory, and whether it is an error.
fn child(folder: &Path, shown: &str) -> (bool, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_folder_that_is_asked_for", "--nocapture"])
        .env(FOLDER, folder)
        // To name all frames of a panic takes a second.
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{shown}: {}: {said}{errors}",
        output.status
    );
    let refused = said.split_once(REFUSED).map(|(_, error)| error.to_owned());
    (refused.is_some(), refused.unwrap_or(said))
}

/// Names the folder to the process that reads it.
const FOLDER: &str = "W2S_HOSTILE_FOLDER";
/// What that process says before an error.
const REFUSED: &str = "refused: ";

/// Not a test by itself: what a child process does.
#[test]
fn the_folder_that_is_asked_for() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let start = Instant::now();
    let result = if folder.join("tokenizer.json").exists() {
        read_tokenizer(&folder)
    } else {
        let turns = [turn("user", "a b"), turn("assistant", "c")];
        let template = ChatTemplate::load(&folder);
        template.and_then(|template| template.render(&turns, true).map(drop))
    };
    // A machine that gives this process little of its time does not make a template slow.
    let took = computed().unwrap_or_else(|| start.elapsed());
    let memory = most_memory();
    assert!(took < PATIENCE, "{took:?}");
    assert!(memory < MEMORY, "{memory} bytes");
    match result {
        Ok(()) => println!("taken"),
        Err(error) => println!("{REFUSED}{error}"),
    }
}

const fn turn(role: &'static str, content: &'static str) -> Turn<'static> {
    Turn { role, content }
}

/// Reads a tokenizer, and has it do what it can: only whether it is read matters then.
fn read_tokenizer(folder: &Path) -> Result<(), TextError> {
    let tokenizer = Tokenizer::load(folder)?;
    if let Ok(ids) = tokenizer.encode("ab é aaaaaaaa") {
        drop(tokenizer.decode(&ids));
    }
    drop(tokenizer.encode_all(vec!["a".into(); 3]));
    assert!(tokenizer.size() <= 1 + u32::MAX as usize);
    drop(Encoder::load(folder, 64));
    Ok(())
}

fn try_all(name: &str, cases: Vec<(String, End)>) {
    for (place, (source, end)) in cases.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), &source).unwrap();
        let start: String = source.chars().take(300).collect();
        let shown = format!("case {place}, {start}");
        let (refused, said) = child(folder.path(), &shown);
        assert!(refused || end == End::Any, "{shown} is taken");
        assert!(!refused || said.contains(name), "{shown}: {said}");
    }
}

#[test]
fn whatever_template_comes_gets_an_answer() {
    try_all("chat_template.jinja", templates());
}

#[test]
fn whatever_tokenizer_comes_gets_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), sound().to_string()).unwrap();
    assert!(Tokenizer::load(folder.path()).is_ok());
    try_all("tokenizer.json", tokenizers());
}
