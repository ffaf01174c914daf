//! A store that is damaged in every way a disk, a person or another program can: each time the step that made the artifact,
//! or one that reads it, runs again. Nothing damaged may be used without a word, nothing may hang, and the same command must
//! mend it.
//!
//! `W2S_TORTURE_CASES` (25) and `W2S_TORTURE_SEED` (0) choose how often and what; `W2S_BIN_DIR` a folder with the binaries.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use w2s_artifact::{ArtifactRef, Input, Kind, Store};

/// Longer than any step of the recipes takes, on any machine.
const HANGS: Duration = Duration::from_secs(120);
/// The file of a training that says how long each step took, which differs from run to run.
const LOG: &str = "metrics.jsonl";

/// SplitMix64: seeded, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .into()
}

/// Where the binaries are, built if nobody names them.
fn binaries() -> PathBuf {
    if let Some(folder) = std::env::var_os("W2S_BIN_DIR") {
        return folder.into();
    }
    let done = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["build", "--release", "--workspace", "--bins", "--quiet"])
        .status()
        .unwrap();
    assert!(done.success(), "the binaries do not build");
    // This test is target/release/deps/torture-….
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().into()
}

/// An artifact of the whole store: how it is made, and what it must be again.
struct Step {
    reference: ArtifactRef,
    command: String,
    files: Files,
    reads: Vec<ArtifactRef>,
}

/// A store with every kind of artifact.
struct Bench {
    folder: tempfile::TempDir,
    store: Store,
    steps: Vec<Step>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bin = binaries();
        let store = Store::open(folder.path().join("store")).unwrap();
        let at = store.root().display().to_string();
        let pipeline = |recipe: &str, more: &[&str]| {
            let output = Command::new(bin.join("xtask"))
                .current_dir(root())
                .args(["pipeline", recipe, "--no-build", "--set", "matrix.seed=[0]"])
                .args(["--store", &at])
                .args(more)
                .env("W2S_BIN_DIR", &bin)
                .env("NO_COLOR", "1")
                .output()
                .unwrap();
            let (out, err) = texts(&output);
            assert!(output.status.success(), "{out}\n{err}");
            out
        };
        let mut commands = vec![format!(
            "{}/w2s-eval theory --dimension 10 --draws 2 --steps 10 --batch-steps 10 --runs 1 --store {at}",
            bin.display()
        )];
        for recipe in ["tests/recipes/tiny.toml", "tests/recipes/tiny-delta.toml"] {
            pipeline(recipe, &[]);
            let plan = pipeline(recipe, &["--dry-run", "--verbose"]);
            let said = plan
                .lines()
                .filter_map(|line| line.trim().strip_prefix("$ "));
            commands.extend(said.map(str::to_owned));
        }
        let steps = commands
            .into_iter()
            .map(|command| Step::of(&store, command));
        let steps: Vec<Step> = steps.collect();
        for kind in Kind::ALL {
            assert!(
                steps.iter().any(|step| step.reference.kind == kind),
                "no {kind}"
            );
        }
        Self {
            folder,
            store,
            steps,
        }
    }

    fn dir(&self, step: &Step) -> PathBuf {
        self.store.artifact_dir(&step.reference)
    }

    /// Whether the artifact is whole, and what it was at first.
    fn is_whole(&self, step: &Step) -> bool {
        // The bytes first: opening it would have the store forget what it trusts.
        timeless(files(&self.dir(step)), step) == step.files
            && self.store.require(&step.reference).is_ok()
    }
}

impl Step {
    fn of(store: &Store, command: String) -> Self {
        let output = run(&command).expect("the first run ends");
        let reference = reference(&output).unwrap_or_else(|| panic!("{command}: {output:?}"));
        let manifest = store.require(&reference).unwrap().manifest;
        let reads = manifest.inputs.iter().filter_map(|input| match input {
            Input::Artifact { artifact, .. } => Some(*artifact),
            Input::File { .. } => None,
        });
        let mut step = Self {
            reference,
            command,
            files: Files::new(),
            reads: reads.collect(),
        };
        step.files = timeless(files(&store.artifact_dir(&reference)), &step);
        step
    }
}

/// What is in a folder, hidden files left out: names, and contents of regular files.
type Files = BTreeMap<PathBuf, Option<Vec<u8>>>;

fn files(dir: &Path) -> Files {
    let mut found = Files::new();
    let mut paths = vec![dir.to_owned()];
    while let Some(path) = paths.pop() {
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                let entries = fs::read_dir(&path).unwrap();
                paths.extend(entries.map(|entry| entry.unwrap().path()));
            }
            Ok(_) if hidden => {}
            Ok(metadata) => {
                let bytes = metadata.is_file().then(|| fs::read(&path).unwrap());
                found.insert(path.strip_prefix(dir).unwrap().to_owned(), bytes);
            }
            Err(_) => {}
        }
    }
    found
}

/// The files without those that differ from run to run: seconds stand in manifests, training logs and reports.
fn timeless(mut files: Files, step: &Step) -> Files {
    let is_report = step.reference.kind == Kind::Report;
    files.retain(|name, _| {
        !is_report
            && ![LOG, "manifest.json"]
                .iter()
                .any(|log| name == Path::new(log))
    });
    files
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Runs a command of a shell; `None` if it hangs.
fn run(command: &str) -> Option<Output> {
    let mut child = Command::new("sh")
        .args(["-c", &format!("exec {command} --quiet")])
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > HANGS {
            child.kill().unwrap();
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Some(child.wait_with_output().unwrap())
}

/// What a run that succeeded printed.
fn line(output: &Output) -> Option<Value> {
    output.status.success().then_some(())?;
    serde_json::from_slice(&output.stdout).ok()
}

fn reference(output: &Output) -> Option<ArtifactRef> {
    line(output)?["artifact"].as_str()?.parse().ok()
}

/// One damage: what is done to the folder of an artifact, in words.
fn damage(dice: &mut Dice, dir: &Path, elsewhere: &Path) -> String {
    // A hidden file that an earlier damage made a folder or a pipe stays one: nobody needs it mended.
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    let name = dice.of(&names).clone();
    let path = dir.join(&name);
    let bytes = fs::read(&path).unwrap();
    let what = match dice.below(12) {
        0 | 1 => {
            let at = dice.below(bytes.len());
            let mut bytes = bytes;
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << dice.below(8);
            }
            fs::write(&path, bytes).unwrap();
            format!("a bit of byte {at} turned")
        }
        2 => {
            // As a disk does it: no time of change tells.
            let time = fs::metadata(&path).unwrap().modified().unwrap();
            let mut bytes = bytes;
            let at = dice.below(bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 0x55;
            }
            fs::write(&path, bytes).unwrap();
            let file = fs::File::options().append(true).open(&path).unwrap();
            file.set_modified(time).unwrap();
            format!("byte {at} rotten, the time as before")
        }
        3 => {
            let end = dice.below(bytes.len());
            fs::write(&path, &bytes[..end]).unwrap();
            format!("cut to {end} bytes")
        }
        4 => {
            fs::write(&path, [&bytes[..], b"more"].concat()).unwrap();
            "longer".to_owned()
        }
        5 => {
            fs::remove_file(&path).unwrap();
            "removed".to_owned()
        }
        6 => {
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
            "a folder".to_owned()
        }
        7 => {
            fs::remove_file(&path).unwrap();
            match dice.below(3) {
                0 => symlink(&path, &path).unwrap(),
                1 => symlink("no/such/file", &path).unwrap(),
                _ => {
                    let other = elsewhere.join(format!("other-{}", dice.next()));
                    fs::write(&other, bytes).unwrap();
                    symlink(other, &path).unwrap();
                }
            }
            "a link".to_owned()
        }
        8 => {
            fs::remove_file(&path).unwrap();
            let made = Command::new("mkfifo").arg(&path).status().unwrap();
            assert!(made.success());
            "a pipe".to_owned()
        }
        9 => {
            let foreign = [
                "adapter_config.json",
                "records.bin.bak",
                "added/file",
                "tokenizer.model",
            ];
            let foreign = dir.join(dice.of(&foreign));
            fs::create_dir_all(foreign.parent().unwrap()).unwrap();
            fs::write(foreign, "{}").unwrap();
            "beside a foreign file".to_owned()
        }
        10 => {
            let path = dir.join("manifest.json");
            let text = fs::read_to_string(&path).unwrap();
            let (old, new) = *dice.of(&[
                ("\"format\": 2", "\"format\": 1"),
                ("\"format\": 2", "\"format\": 3"),
                ("\"format\": 2", "\"format\": 99999999999"),
                ("\"format\": 2", "\"format\": \"2\""),
                ("\"bytes\": ", "\"bytes\": 9"),
                ("\"summary\": {", "\"summary\": {\"rows\": 7,"),
                ("\"name\": \"", "\"name\": \"../"),
                ("\"key\": \"", "\"key\": \"0"),
            ]);
            fs::write(&path, text.replacen(old, new, 1)).unwrap();
            return format!("manifest: {old} is {new}");
        }
        _ => {
            fs::remove_dir_all(dir).unwrap();
            match dice.below(3) {
                0 => symlink(dir, dir).unwrap(),
                1 => fs::write(dir, "a file").unwrap(),
                _ => fs::create_dir(dir).unwrap(),
            }
            return "its folder a link to itself, a file, or empty".to_owned();
        }
    };
    format!("{name} {what}")
}

/// Interrupts a step by force once it has saved something, and damages that.
fn damage_state(dice: &mut Dice, bench: &Bench, step: &Step) -> Option<String> {
    let partial = bench.store.partial_dir(&step.reference.key);
    fs::remove_dir_all(bench.dir(step)).unwrap();
    let mut child = Command::new("sh")
        .args(["-c", &format!("exec {} --quiet", step.command)])
        .current_dir(root())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut saved = Vec::new();
    while saved.is_empty() && child.try_wait().unwrap().is_none() {
        let entries = fs::read_dir(partial.join("scratch")).into_iter().flatten();
        saved = entries.flatten().map(|entry| entry.path()).collect();
    }
    child.kill().ok();
    child.wait().unwrap();
    saved.retain(|path| path.is_file());
    let path = (!saved.is_empty()).then(|| dice.of(&saved).clone())?;
    let mut bytes = fs::read(&path).ok()?;
    let at = dice.below(bytes.len());
    match dice.below(3) {
        0 => bytes.truncate(at),
        1 => bytes.extend_from_slice(b"more"),
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 0x55;
            }
        }
    }
    fs::write(&path, bytes).ok()?;
    Some(format!(
        "saved state {} at {at}",
        path.file_name()?.display()
    ))
}

/// What became of a damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// The step made the artifact again.
    Rebuilt,
    /// The step stopped with an error, and the next run made it again.
    Refused,
    /// The step took it for whole, by its size and time; whoever reads it is told, and the next run made it again.
    Late,
    /// What was damaged is read by nobody.
    Harmless,
}

/// Runs what reads or makes the artifact, and says how the store stood it; an error is what must not be.
fn outcome(dice: &mut Dice, bench: &Bench, step: &Step, harmed: bool) -> Result<Fate, String> {
    let reads = |reader: &&Step| reader.reads.contains(&step.reference);
    let readers: Vec<&Step> = bench.steps.iter().filter(reads).collect();
    let mut refused = false;
    if !readers.is_empty() && dice.below(2) == 0 {
        let reader = *dice.of(&readers);
        let output = run(&format!("{} --force", reader.command)).ok_or("a reader hangs")?;
        match (harmed, output.status.code()) {
            (true, Some(1 | 2)) => refused = true,
            (false, Some(0)) => {}
            (_, code) => {
                return Err(format!(
                    "a reader ended with {code:?}: {}",
                    texts(&output).1
                ));
            }
        }
    }
    let mut output = run(&step.command).ok_or("the step hangs")?;
    if matches!(output.status.code(), Some(1 | 2)) {
        refused = true;
        output = run(&step.command).ok_or("the second run hangs")?;
    }
    let Some(line) = line(&output) else {
        return Err(format!(
            "it ended with {}: {}",
            output.status,
            texts(&output).1
        ));
    };
    if bench.is_whole(step) {
        return Ok(match (refused, harmed) {
            (true, _) => Fate::Refused,
            (false, true) => Fate::Rebuilt,
            (false, false) => Fate::Harmless,
        });
    }
    if line["cached"] == true && bench.store.require(&step.reference).is_err() {
        let again = run(&step.command).ok_or("the run after it hangs")?;
        if again.status.success() && bench.is_whole(step) {
            return Ok(Fate::Late);
        }
    }
    Err(format!(
        "used or left damaged: {line}: {}",
        texts(&output).1
    ))
}

fn number(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

#[test]
fn no_damage_is_used_and_every_one_is_mended() {
    let (cases, seed) = (
        number("W2S_TORTURE_CASES", 25),
        number("W2S_TORTURE_SEED", 0),
    );
    let bench = Bench::new();
    let trained: Vec<&Step> = bench
        .steps
        .iter()
        .filter(|step| step.command.contains("--save-seconds"))
        .collect();
    let mut dice = Dice(seed);
    let mut fates: BTreeMap<Fate, usize> = BTreeMap::new();
    let mut states = 0;
    let mut wrong = Vec::new();
    for case in 0..cases {
        let of_state = dice.below(8) == 0;
        let step = if of_state {
            *dice.of(&trained)
        } else {
            dice.of(&bench.steps)
        };
        let before = files(&bench.dir(step));
        let what = match of_state {
            true => damage_state(&mut dice, &bench, step),
            false => Some(damage(&mut dice, &bench.dir(step), bench.folder.path())),
        };
        states += usize::from(of_state && what.is_some());
        let what = what.unwrap_or_else(|| "no state was saved in time".to_owned());
        let harmed = files(&bench.dir(step)) != before;
        match outcome(&mut dice, &bench, step, harmed) {
            Ok(fate) => *fates.entry(fate).or_default() += 1,
            Err(problem) => {
                wrong.push(format!(
                    "case {case}, {}, {what}: {problem}",
                    step.reference.short()
                ));
                // So that the next case begins with a whole store.
                let _ = fs::remove_dir_all(bench.dir(step))
                    .or_else(|_| fs::remove_file(bench.dir(step)));
                let _ = fs::remove_dir_all(bench.store.partial_dir(&step.reference.key));
                assert!(run(&step.command).is_some_and(|output| output.status.success()));
            }
        }
    }
    println!(
        "seed {seed}: {cases} damages, {states} of saved states: {fates:?}, {} wrong",
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        fates
            .get(&Fate::Rebuilt)
            .is_some_and(|&rebuilt| rebuilt > 0)
    );
}
