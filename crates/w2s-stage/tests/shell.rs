//! A stage as a process: what it prints, what it keeps, and how it ends. The stage is `examples/toy.rs`, which
//! `cargo test` builds beside the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

fn toy() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests
        .ancestors()
        .nth(2)
        .unwrap()
        .join("examples/toy")
        .with_extension(std::env::consts::EXE_EXTENSION);
    assert!(
        path.exists(),
        "{} is missing; `cargo test -p w2s-stage` builds it",
        path.display()
    );
    path
}

/// A store of its own and the toy stage on it.
struct Toy {
    folder: TempDir,
}

impl Toy {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(toy());
        command
            .args(arguments)
            .env("W2S_STORE", self.store())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The JSON line of a run that must succeed.
    fn line(&self, arguments: &[&str]) -> Value {
        let output = self.output(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Waits until a child began to work on something.
    fn wait_for_work(&self) {
        let begun = Instant::now();
        let partial = self.store().join("partial");
        let scratch = || {
            fs::read_dir(&partial)
                .into_iter()
                .flatten()
                .flatten()
                .any(|entry| entry.path().join("scratch").exists())
        };
        while !scratch() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "the child did not begin"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn a_run_prints_one_line_and_the_next_is_cached() {
    let toy = Toy::new();
    let first = toy.line(&[
        "count",
        "--documents",
        "5",
        "--threads",
        "3",
        "--step",
        "numbers",
    ]);
    assert_eq!(first["cached"], json!(false));
    assert_eq!(
        first["summary"],
        json!({"documents": 5, "resumed_at": 0, "rayon": 3, "line": "5 documents"})
    );
    let name = first["artifact"].as_str().unwrap();
    assert!(name.starts_with("corpus/") && name.len() == "corpus/".len() + 64);
    assert!(first["seconds"].as_f64().unwrap() >= 0.0);

    let manifest =
        fs::read_to_string(Path::new(first["path"].as_str().unwrap()).join("manifest.json"))
            .unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["stage"], "toy");
    assert_eq!(manifest["operation"], "count");
    assert_eq!(manifest["step"], "numbers");
    assert_eq!(manifest["threads"], 3);
    assert_eq!(manifest["device"], "flex");
    assert_eq!(
        manifest["parameters"],
        json!({"documents": 5, "style": "digits", "pause_ms": 0, "fail": null})
    );
    assert!(manifest["started"].as_str().unwrap().starts_with("20"));

    // Threads and step name are not in the key.
    let second = toy.line(&["count", "--documents", "5", "--threads", "1"]);
    assert_eq!(second["cached"], json!(true));
    for field in ["artifact", "path", "seconds", "summary"] {
        assert_eq!(second[field], first[field]);
    }
    assert_ne!(
        toy.line(&["count", "--documents", "6"])["artifact"],
        first["artifact"]
    );
}

#[test]
fn inputs_shape_the_key_and_reach_the_step() {
    let toy = Toy::new();
    let corpus = toy.line(&["count", "--documents", "5"])["artifact"]
        .as_str()
        .unwrap()
        .to_owned();
    let other = toy.line(&["count", "--documents", "2"])["artifact"]
        .as_str()
        .unwrap()
        .to_owned();
    let plain = toy.line(&["copy", "--corpus", &corpus]);
    assert_eq!(plain["summary"]["documents"], 5);
    // A prefix names the same artifact.
    assert_eq!(
        toy.line(&["copy", "--corpus", &corpus[..16]])["cached"],
        json!(true)
    );
    assert_eq!(
        toy.line(&["copy", "--corpus", &corpus, "--thin"])["summary"]["documents"],
        3
    );
    let more = toy.line(&[
        "copy", "--corpus", &corpus, "--more", &other, "--more", &other,
    ]);
    assert_eq!(more["summary"]["documents"], 9);

    let file = toy.folder.path().join("file.txt");
    fs::write(&file, "hello").unwrap();
    let file = file.to_str().unwrap();
    let with_file = toy.line(&["copy", "--corpus", &corpus, "--file", file]);
    assert_eq!(with_file["summary"]["documents"], 6);
    fs::write(file, "world").unwrap();
    assert_ne!(
        toy.line(&["copy", "--corpus", &corpus, "--file", file])["artifact"],
        with_file["artifact"]
    );
}

#[test]
fn check_names_the_result_and_does_nothing() {
    let toy = Toy::new();
    let plan = toy.line(&["count", "--check"]);
    assert_eq!(plan["cached"], json!(false));
    assert_eq!(
        plan["reason"],
        "it was not made with these parameters and inputs"
    );
    // The plan of a later step needs the name of the earlier only.
    let corpus = plan["artifact"].as_str().unwrap().to_owned();
    let later = toy.line(&["copy", "--corpus", &corpus, "--check"]);
    assert_eq!(later["cached"], json!(false));
    assert_eq!(
        fs::read_dir(toy.store().join("artifacts")).unwrap().count(),
        0
    );

    assert_eq!(toy.line(&["count"])["artifact"], plan["artifact"]);
    assert_eq!(
        toy.line(&["copy", "--corpus", &corpus])["artifact"],
        later["artifact"]
    );
    let again = toy.line(&["count", "--check"]);
    assert_eq!(again["cached"], json!(true));
    assert!(again["reason"].as_str().unwrap().starts_with("made 20"));
    let forced = toy.line(&["count", "--check", "--force"]);
    assert_eq!(
        (&forced["cached"], &forced["reason"]),
        (&json!(false), &json!("it is run again with --force"))
    );
}

#[test]
fn a_check_looks_through_steps_that_are_only_planned() {
    let toy = Toy::new();
    let reference = |line: &Value| line["artifact"].as_str().unwrap().to_owned();
    let notes = || {
        let notes = fs::read_dir(toy.store().join("planned"));
        notes.into_iter().flatten().count()
    };
    let one = ["count", "--documents", "1", "--step", "one"];
    let count = reference(&toy.line(&[&one[..], &["--check"]].concat()));
    let copy = ["copy", "--corpus", &count];
    let copied = reference(&toy.line(&[&copy[..], &["--check"]].concat()));
    let thin = ["copy", "--thin", "--corpus", &copied];
    assert_eq!(notes(), 2);
    let refused = failure(&toy, &[&thin[..], &["--check"]].concat());
    assert_eq!(
        refused,
        (
            2,
            format!(
                "error: --thin would leave nothing out of {}, which holds one document\nhint: leave --thin out\n",
                &copied[.."corpus/".len() + 8]
            )
        )
    );
    // Made instead of planned, it is known as well, and the notes are gone.
    toy.line(&one);
    toy.line(&copy);
    assert_eq!(notes(), 0);
    assert_eq!(failure(&toy, &[&thin[..], &["--check"]].concat()), refused);
    assert_eq!(failure(&toy, &thin), refused);
    // A name of which nothing is known passes the check.
    let unknown = format!("corpus/{}", "ab".repeat(32));
    toy.line(&["copy", "--thin", "--corpus", &unknown, "--check"]);
}

#[cfg(unix)]
#[test]
fn where_nothing_can_be_noted_a_check_still_answers() {
    let toy = Toy::new();
    toy.line(&["count"]);
    // A file where the folder should be: nobody can make it, whoever runs the test.
    fs::write(toy.store().join("planned"), "").unwrap();
    assert_eq!(toy.line(&["count", "--check"])["cached"], true);
    assert_eq!(
        toy.line(&["count", "--documents", "4", "--check"])["cached"],
        false
    );
}

#[test]
fn describe_says_what_a_recipe_may_write() {
    let toy = Toy::new();
    let described = toy.line(&["describe"]);
    assert_eq!(described["stage"], "toy");
    let count = &described["operations"][0];
    assert_eq!(
        (&count["name"], &count["version"], &count["kind"]),
        (&json!("count"), &json!(1), &json!("corpus"))
    );
    assert_eq!(
        count["keys"][0],
        json!({"name": "documents", "required": false, "multiple": false, "boolean": false, "default": "3",
               "values": [], "help": "Documents to write", "input": null})
    );
    assert_eq!(count["keys"][1]["values"], json!(["digits", "words"]));
    assert_eq!(count["keys"][2]["name"], "pause-ms");
    let keys = described["operations"][1]["keys"].as_array().unwrap();
    let shape = |index: usize| {
        let key = &keys[index];
        (
            key["name"].as_str().unwrap(),
            key["required"] == true,
            key["multiple"] == true,
            key["boolean"] == true,
            key["input"].as_str(),
        )
    };
    assert_eq!(keys.len(), 5);
    assert_eq!(keys[4]["values"], json!(["examples", "prompts"]));
    assert_eq!(shape(0), ("corpus", true, false, false, Some("artifact")));
    assert_eq!(shape(1), ("more", false, true, false, Some("artifact")));
    assert_eq!(shape(2), ("file", false, false, false, Some("file")));
    assert_eq!(shape(3), ("thin", false, false, true, None));
}

/// Exit code and error text of a run that must fail.
fn failure(toy: &Toy, arguments: &[&str]) -> (i32, String) {
    let output = toy.output(arguments);
    assert!(
        output.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    (output.status.code().unwrap(), stderr(&output))
}

#[test]
fn wrong_flags_exit_with_2() {
    let toy = Toy::new();
    let wrong = |arguments: &[&str]| {
        let (code, text) = failure(&toy, arguments);
        assert_eq!(code, 2, "{text}");
        text
    };
    assert!(wrong(&["count", "--document", "3"]).contains("--documents"));
    assert!(wrong(&["copy"]).contains("--corpus"));
    assert!(wrong(&["cuont"]).contains("count"));
    let purpose = wrong(&["copy", "--corpus", "corpus/1234", "--purpose", "prompt"]);
    assert!(
        purpose.contains("[possible values: examples, prompts]")
            && purpose.contains("a similar value exists: 'prompts'"),
        "{purpose}"
    );
    assert_eq!(
        wrong(&["count", "--documents", "0"]),
        "error: --documents is 0, at least 1 is needed\nhint: leave it out for 3\n"
    );
    assert_eq!(
        wrong(&["count", "--device", "cuda:0"]),
        "error: --device cuda:0 cannot be used\n  caused by: `cuda:0` is not compiled in\nhint: add `--features cuda`\n"
    );
    assert!(wrong(&["count", "--threads", "0"]).contains("--threads"));
    assert!(wrong(&["count", "--threads", "65535"]).contains("65535 is not in 1..=1024"));
    assert!(
        wrong(&["count", "--documents", "18446744073709551615"]).contains(
            "invalid value for '--documents': 18446744073709551615 is not in 0..=1000000000"
        )
    );
    assert!(
        wrong(&["copy", "--corpus", "corps/1234"])
            .contains("`corps` is not a kind of artifact\nhint: write `KIND/HEX`")
    );
    assert!(
        wrong(&["copy", "--corpus", "corpus/1234"]).contains("corpus/1234 is not in the store")
    );
    let labels = format!("labels/{}", "ab".repeat(32));
    assert_eq!(
        wrong(&["copy", "--corpus", &labels]),
        "error: --corpus needs corpus, labels/abababab was given\n"
    );
    let corpus = format!("corpus/{}", "ab".repeat(32));
    for check in [&["--check"][..], &[]] {
        let arguments = [
            &["copy", "--corpus", &corpus, "--file", "no/such/file"],
            check,
        ]
        .concat();
        assert!(wrong(&arguments).starts_with(
            "error: --file cannot be read\n  caused by: cannot read no/such/file\n  caused by: No such file or directory"
        ));
    }
}

#[test]
fn a_failed_step_exits_with_1() {
    let toy = Toy::new();
    assert_eq!(
        failure(&toy, &["count", "--fail", "no more numbers"]),
        (
            1,
            "error: counting failed\n  caused by: no more numbers\nhint: count on\n".to_owned()
        )
    );
    let (code, text) = failure(&toy, &["count", "--fail", "panic"]);
    assert_eq!(code, 1);
    assert!(
        text.contains("a bug") && text.contains("error: the step panicked"),
        "{text}"
    );
    let corpus = format!("corpus/{}", "ab".repeat(32));
    let (code, text) = failure(&toy, &["copy", "--corpus", &corpus]);
    assert_eq!(code, 1);
    assert!(
        text.starts_with("error: the input --corpus corpus/abababab is not in the store "),
        "{text}"
    );
    assert!(
        text.contains("\nhint: run the step that makes it first"),
        "{text}"
    );
}

#[test]
fn a_command_shares_store_errors_and_exit_codes_and_makes_nothing() {
    let toy = Toy::new();
    let (code, text) = failure(&toy, &["words", "corpus/1234"]);
    assert_eq!(code, 2);
    assert!(text.starts_with("error: there is no store at "), "{text}");
    assert!(!toy.store().exists());

    let count = toy.line(&["count", "--documents", "5"]);
    let corpus = count["artifact"].as_str().unwrap();
    assert_eq!(toy.line(&["words", corpus, "--quiet"]), json!({"words": 5}));
    assert_eq!(
        fs::read_dir(toy.store().join("artifacts")).unwrap().count(),
        1
    );
    let (code, text) = failure(&toy, &["words", "corpus/0000"]);
    assert_eq!(code, 1);
    assert!(
        text.starts_with("error: corpus/0000 is not in the store ") && text.contains("\nhint: "),
        "{text}"
    );
    let (code, text) = failure(&toy, &["words", corpus, "--panic"]);
    assert_eq!(code, 1);
    assert!(text.contains("error: the step panicked"), "{text}");
    // Flags of operations mean nothing to a command.
    assert_eq!(failure(&toy, &["words", corpus, "--check"]).0, 2);
    assert_eq!(failure(&toy, &["words"]).0, 2);

    let described = toy.line(&["describe"]);
    assert_eq!(described["operations"].as_array().unwrap().len(), 2);
}

#[test]
fn a_store_that_cannot_be_written_is_named() {
    let toy = Toy::new();
    let file = toy.folder.path().join("file");
    fs::write(&file, "").unwrap();
    let root = file.join("store");
    let root = root.to_str().unwrap();
    for check in [&["--check"][..], &[]] {
        let (code, text) = failure(&toy, &[&["count", "--store", root], check].concat());
        assert_eq!(code, 1);
        assert!(
            text.starts_with(&format!("error: cannot use the store {root}\n")),
            "{text}"
        );
        assert!(
            text.contains("Not a directory")
                && text.contains("\nhint: name a folder that can be written"),
            "{text}"
        );
    }
}

#[test]
fn a_damaged_result_is_made_again_and_a_damaged_input_named() {
    let toy = Toy::new();
    let first = toy.line(&["count"]);
    let copy = ["copy", "--corpus", first["artifact"].as_str().unwrap()];
    let records = Path::new(first["path"].as_str().unwrap()).join("records.bin");
    let whole = fs::read(&records).unwrap();
    fs::write(&records, &whole[1..]).unwrap();

    assert!(
        toy.line(&["count", "--check"])["reason"]
            .as_str()
            .unwrap()
            .starts_with("it is damaged: records.bin has ")
    );
    let (code, text) = failure(&toy, &copy);
    assert_eq!(code, 1);
    assert!(text.contains("is damaged: records.bin has "), "{text}");

    let output = toy.output(&["count"]);
    assert!(
        stderr(&output).contains("is damaged and made again: records.bin has"),
        "{}",
        stderr(&output)
    );
    assert_eq!(fs::read(&records).unwrap(), whole);
    toy.line(&copy);
}

#[test]
fn force_runs_again_and_replaces() {
    let toy = Toy::new();
    let first = toy.line(&["count", "--threads", "1"]);
    let forced = toy.line(&["count", "--threads", "2", "--force"]);
    assert_eq!(forced["cached"], json!(false));
    assert_eq!(forced["artifact"], first["artifact"]);
    assert_eq!(toy.line(&["count"])["summary"]["rayon"], 2);
    assert_eq!(
        fs::read_dir(toy.store().join("partial")).unwrap().count(),
        0
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_the_same_command_resumes() {
    for name in ["INT", "TERM"] {
        let toy = Toy::new();
        let count = ["count", "--documents", "80", "--pause-ms", "25"];
        let child = toy.spawn(&count);
        toy.wait_for_work();
        std::thread::sleep(Duration::from_millis(100));
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
        assert!(output.stdout.is_empty());
        let text = stderr(&output);
        assert!(
            text.contains(
                "error: interrupted\nhint: the state is saved; the same command resumes\n"
            ),
            "{text}"
        );
        let plan = toy.line(&[&count[..], &["--check"]].concat());
        assert_eq!(plan["reason"], "an earlier run of it was not finished");

        let resumed = toy.line(&count);
        let at = resumed["summary"]["resumed_at"].as_u64().unwrap();
        assert!((1..80).contains(&at), "{at}");
        assert_eq!(resumed["summary"]["documents"], 80);
    }
}

#[cfg(unix)]
#[test]
fn a_state_that_could_not_be_saved_is_told_after_ctrl_c() {
    let toy = Toy::new();
    let child = toy.spawn(&[
        "count",
        "--documents",
        "400",
        "--pause-ms",
        "25",
        "--unsaved",
        "the disk is full",
    ]);
    toy.wait_for_work();
    std::thread::sleep(Duration::from_millis(100));
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = stderr(&output);
    assert!(
        text.ends_with("error: cannot write the state: the disk is full\n"),
        "{text}"
    );
}

#[cfg(unix)]
#[test]
fn a_second_ctrl_c_ends_at_once() {
    let toy = Toy::new();
    // One document takes longer than the test waits, so that the first signal alone does not end it.
    let child = toy.spawn(&["count", "--documents", "2", "--pause-ms", "20000"]);
    toy.wait_for_work();
    std::thread::sleep(Duration::from_millis(100));
    let begun = Instant::now();
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(stderr(&output).contains("press Ctrl-C again to stop at once"));
}

#[test]
fn a_killed_run_leaves_a_usable_store() {
    let toy = Toy::new();
    let count = ["count", "--documents", "8", "--pause-ms", "20"];
    for pause in [0, 30, 90] {
        let mut child = toy.spawn(&count);
        toy.wait_for_work();
        std::thread::sleep(Duration::from_millis(pause));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let line = toy.line(&count);
    assert_eq!(line["summary"]["documents"], 8);
    assert_eq!(toy.line(&count)["cached"], json!(true));
}

#[test]
fn two_processes_make_a_thing_once() {
    let toy = Toy::new();
    let count = ["count", "--documents", "10", "--pause-ms", "50"];
    let children: Vec<Child> = (0..3).map(|_| toy.spawn(&count)).collect();
    let mut cached = Vec::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let line: Value = serde_json::from_slice(&output.stdout).unwrap();
        cached.push(line["cached"] == true);
        let waited = stderr(&output).contains("waiting for another process that makes corpus/");
        assert!(
            !waited || line["cached"] == true,
            "it waited and made the thing again"
        );
    }
    cached.sort_unstable();
    assert_eq!(cached, [false, true, true]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_names_the_file_and_the_same_command_goes_on() {
    let toy = Toy::new();
    let count = ["count", "--documents", "2"];
    let plan = toy.line(&["count", "--documents", "2", "--check"]);
    let name = plan["artifact"].as_str().unwrap();
    // The state an unfinished run leaves, on a disk whose every write fails as a full one's does.
    let partial = toy
        .store()
        .join("partial")
        .join(name.strip_prefix("corpus/").unwrap());
    fs::create_dir(&partial).unwrap();
    fs::write(partial.join(".artifact"), name).unwrap();
    std::os::unix::fs::symlink("/dev/full", partial.join(".records.bin.tmp")).unwrap();
    let (code, text) = failure(&toy, &count);
    assert_eq!(code, 1);
    let expected = format!(
        "error: cannot write {}\n  caused by: No space left on device",
        partial.join("records.bin").display()
    );
    assert!(text.contains(&expected), "{text}");
    assert!(text.contains("\nhint: free some space"), "{text}");
    assert_eq!(toy.line(&count)["summary"]["documents"], 2);
}

#[test]
fn progress_is_plain_lines_in_a_pipe_and_nothing_when_quiet() {
    let toy = Toy::new();
    let text = stderr(&toy.output(&["count", "--documents", "3"]));
    assert!(
        text.starts_with("     count  3 / 3 documents  100.0%"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text}");
    assert_eq!(
        stderr(&toy.output(&["count", "--documents", "4", "--quiet"])),
        ""
    );
    assert_eq!(stderr(&toy.output(&["count", "--documents", "3"])), "");
}

#[test]
fn help_shows_flags_and_exit_codes() {
    let toy = Toy::new();
    let help = |arguments: &[&str]| {
        let output = toy.output(arguments);
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    let stage = help(&["--help"]);
    assert!(
        stage.contains("Usage: w2s-toy")
            && stage.contains("130 interrupted")
            && !stage.contains("describe")
    );
    // Neither the doc comment of a flattened field nor that of its struct.
    let count = help(&["count", "--help"]);
    assert!(
        count.starts_with("Writes documents that are numbers\n\n"),
        "{count}"
    );
    assert!(count.contains("Usage: w2s-toy count [OPTIONS]"), "{count}");
    assert!(help(&["copy", "--help"]).contains("[possible values: examples, prompts]"));
    assert!(
        count.contains("Documents to write [default: 3]") && count.contains("\nRun:\n"),
        "{count}"
    );
}
