//! The store as its users see it: what survives, what is refused, and who waits for whom.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, mpsc};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use w2s_artifact::{
    Artifact, ArtifactRef, Document, Example, Key, Kind, Label, Prediction, Provenance, Split,
    Status, Store, StoreError,
};

fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    (folder, store)
}

fn reference(kind: Kind, byte: u8) -> ArtifactRef {
    ArtifactRef::new(kind, Key::from_bytes([byte; 32]))
}

fn labels(first: u64) -> Vec<Label> {
    (first..first + 3)
        .map(|id| Label {
            id,
            probabilities: vec![0.25, 0.75],
        })
        .collect()
}

fn make(store: &Store, byte: u8) -> Artifact {
    let pending = store.begin(&reference(Kind::Labels, byte)).unwrap();
    pending.write_records(&labels(u64::from(byte))).unwrap();
    pending
        .commit(Provenance {
            summary: json!({"rows": 3}),
            ..Provenance::default()
        })
        .unwrap()
}

fn damage(status: Status) -> String {
    match status {
        Status::Damaged(reason) => reason,
        other => panic!("not damaged: {other:?}"),
    }
}

#[test]
fn what_is_committed_is_read_back() {
    let (_folder, store) = store();
    let wanted = reference(Kind::Labels, 1);
    assert!(!store.contains(&wanted));
    assert!(store.get(&wanted).unwrap().is_none());
    let made = make(&store, 1);
    assert!(store.contains(&wanted));
    let artifact = store.get(&wanted).unwrap().unwrap();
    assert_eq!(artifact.records::<Label>().unwrap(), labels(1));
    assert_eq!(artifact.manifest, made.manifest);
    assert_eq!(artifact.manifest.summary, json!({"rows": 3}));
    assert_eq!(artifact.manifest.files[0].name, "records.bin");
    assert_eq!(artifact.path, store.artifact_dir(&wanted));
    assert!(!store.partial_dir(&wanted.key).exists());
    assert_eq!(store.list().unwrap(), [wanted]);
}

#[test]
fn records_are_shown_as_json() {
    let (_folder, store) = store();
    let example = Example {
        id: 1,
        split: Split::Transfer,
        group: 4,
        label: 1,
        text: "good".into(),
    };
    let pending = store.begin(&reference(Kind::Examples, 2)).unwrap();
    pending
        .write_records(&[example.clone(), Example { id: 2, ..example }])
        .unwrap();
    let artifact = pending.commit(Provenance::default()).unwrap();
    let row = json!({"id": 1, "split": "transfer", "group": 4, "label": 1, "text": "good"});
    assert_eq!(artifact.rows_json(1).unwrap(), [row]);
    assert_eq!(artifact.records_json().unwrap().count(), 2);

    let pending = store.begin(&reference(Kind::Checkpoint, 3)).unwrap();
    pending
        .write_file("metrics.jsonl", b"{\"step\":1}\n{\"step\":2}\n")
        .unwrap();
    let artifact = pending.commit(Provenance::default()).unwrap();
    assert_eq!(
        artifact.rows_json(9).unwrap(),
        [json!({"step": 1}), json!({"step": 2})]
    );
}

#[test]
fn kinds_are_not_mixed_up() {
    let (_folder, store) = store();
    let artifact = make(&store, 1);
    let message = artifact.records::<Prediction>().unwrap_err().to_string();
    assert_eq!(message, "labels/01010101 holds labels, not predictions");
    let pending = store.begin(&reference(Kind::Corpus, 2)).unwrap();
    assert!(matches!(
        pending.write_records(&labels(0)),
        Err(StoreError::WrongKind { .. })
    ));
}

#[test]
fn references_are_resolved_from_prefixes_and_folders() {
    let (folder, store) = store();
    let (one, two) = (make(&store, 0x11), make(&store, 0x12));
    let resolve = |text: &str| store.resolve(text);
    let message = |text: &str| resolve(text).unwrap_err().to_string();
    assert_eq!(resolve("labels/1111").unwrap(), one.reference);
    assert_eq!(resolve(&two.reference.to_string()).unwrap(), two.reference);
    assert_eq!(resolve(two.path.to_str().unwrap()).unwrap(), two.reference);
    // A full reference is a name; the step that makes it may not have run yet.
    let future = reference(Kind::Checkpoint, 9);
    assert_eq!(resolve(&future.to_string()).unwrap(), future);

    assert!(message("labels/2222").starts_with("labels/2222 is not in the store "));
    assert!(message("labels/11").contains("2 hex digits are too few"));
    assert!(message("labels/xyz1").contains("0-9 and a-f"));
    assert!(message("label/1111").contains("`label` is not a kind"));
    assert!(message("./nowhere/at/all").contains("no such folder"));
    assert!(message(folder.path().to_str().unwrap()).contains("has no manifest.json"));
    let close = format!("labels/{}{}", "11".repeat(31), "22")
        .parse()
        .unwrap();
    let pending = store.begin(&close).unwrap();
    pending.commit(Provenance::default()).unwrap();
    assert!(
        message("labels/1111")
            .starts_with("`labels/1111` names 2 artifacts: labels/111111111111, ")
    );
    // A copy elsewhere is not the artifact of this store.
    let copy = folder.path().join("copy");
    fs::create_dir(&copy).unwrap();
    fs::copy(one.path.join("manifest.json"), copy.join("manifest.json")).unwrap();
    assert!(message(copy.to_str().unwrap()).contains("is not part of the store"));
}

/// Something that happens to an artifact folder.
type Damage<'a> = &'a dyn Fn(&Path);

#[test]
fn damage_is_a_miss_and_is_repaired_by_the_next_commit() {
    let damages: [(&str, Damage); 6] = [
        ("records.bin hashes to ", &|path| {
            flip_last_byte(&path.join("records.bin"))
        }),
        ("records.bin has 3 bytes, 104 were written", &|path| {
            fs::write(path.join("records.bin"), "abc").unwrap()
        }),
        ("records.bin is missing", &|path| {
            fs::remove_file(path.join("records.bin")).unwrap()
        }),
        ("manifest.json is missing", &|path| {
            fs::remove_file(path.join("manifest.json")).unwrap()
        }),
        ("manifest.json is corrupt: ", &|path| {
            fs::write(path.join("manifest.json"), "{\"format\"").unwrap()
        }),
        ("manifest.json is missing", &|path| {
            fs::remove_dir_all(path).unwrap();
            fs::write(path, "a file instead").unwrap();
        }),
    ];
    for (reason, damage_it) in damages {
        let (_folder, store) = store();
        let artifact = make(&store, 1);
        damage_it(&artifact.path);
        let found = damage(store.status(&artifact.reference).unwrap());
        assert!(found.starts_with(reason), "{found}");
        assert!(!store.contains(&artifact.reference));
        assert!(store.get(&artifact.reference).unwrap().is_none());
        let error = store.require(&artifact.reference).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("labels/01010101 is damaged: {found}")
        );
        assert!(error.hint().unwrap().contains("again"));
        make(&store, 1);
        assert_eq!(
            store
                .require(&artifact.reference)
                .unwrap()
                .records::<Label>()
                .unwrap(),
            labels(1)
        );
        assert_eq!(
            fs::read_dir(store.root().join("partial")).unwrap().count(),
            0
        );
    }
}

fn flip_last_byte(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn damage_that_hides_from_the_quick_check_is_found_on_reading() {
    let (_folder, store) = store();
    let artifact = make(&store, 1);
    let path = artifact.file("records.bin");
    let changed = fs::metadata(&path).unwrap().modified().unwrap();
    flip_last_byte(&path);
    fs::File::options()
        .append(true)
        .open(&path)
        .unwrap()
        .set_modified(changed)
        .unwrap();
    assert!(store.contains(&artifact.reference));
    assert!(matches!(
        store.require(&artifact.reference),
        Err(StoreError::Damaged { .. })
    ));
    // Once found it stays found.
    assert!(!store.contains(&artifact.reference));
}

#[test]
fn a_touched_but_equal_file_is_no_damage() {
    let (_folder, store) = store();
    let artifact = make(&store, 1);
    let path = artifact.file("records.bin");
    fs::write(&path, fs::read(&path).unwrap()).unwrap();
    assert!(store.contains(&artifact.reference));
    assert!(store.contains(&artifact.reference));
}

/// A manifest with the checksum of its text, as somebody with bad intent would write it.
fn signed(text: &str) -> String {
    let begin = text.find("\"checksum\": \"").unwrap() + "\"checksum\": \"".len();
    let with = |checksum: &str| format!("{}{checksum}{}", &text[..begin], &text[begin + 64..]);
    let checksum = blake3::hash(with(&"0".repeat(64)).as_bytes()).to_hex();
    with(&checksum)
}

#[test]
fn a_manifest_cannot_point_out_of_its_folder() {
    let (folder, store) = store();
    let artifact = make(&store, 1);
    fs::write(folder.path().join("secret"), "x").unwrap();
    let path = artifact.path.join("manifest.json");
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace("records.bin", "../../../../secret");
    fs::write(&path, signed(&text)).unwrap();
    assert!(
        damage(store.status(&artifact.reference).unwrap())
            .contains("is not a name of a file in it")
    );
}

#[test]
fn a_folder_under_a_wrong_name_does_not_count() {
    let (_folder, store) = store();
    let artifact = make(&store, 1);
    let wrong = reference(Kind::Labels, 2);
    fs::rename(&artifact.path, store.artifact_dir(&wrong)).unwrap();
    assert_eq!(
        damage(store.status(&wrong).unwrap()),
        "its manifest is that of labels/01010101"
    );
}

#[test]
fn artifacts_of_other_versions_are_told_apart() {
    let (_folder, store) = store();
    let artifact = make(&store, 1);
    let path = artifact.path.join("manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    for (format, told) in [
        (1, "was made by an older w2s: format 1, this one reads 2"),
        (3, "needs a newer w2s: format 3, this one reads 2"),
    ] {
        let changed = format!("\"format\": {format}");
        fs::write(&path, text.replacen("\"format\": 2", &changed, 1)).unwrap();
        let found = damage(store.status(&artifact.reference).unwrap());
        assert!(found.ends_with(told), "{found}");
        // A miss, and not an error that stops every later run.
        assert!(store.get(&artifact.reference).unwrap().is_none());
        make(&store, 1);
        assert!(store.contains(&artifact.reference));
    }
}

#[test]
fn a_file_that_nobody_listed_is_damage() {
    let (_folder, store) = store();
    for name in ["chat_template.jinja", "more/weights.bin"] {
        let artifact = make(&store, 1);
        let path = artifact.file(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "{{ messages }}").unwrap();
        let told = format!("{name} was put there: the manifest does not list it");
        assert_eq!(damage(store.status(&artifact.reference).unwrap()), told);
        let error = store.require(&artifact.reference).unwrap_err();
        assert!(error.to_string().ends_with(&told), "{error}");
    }
    // Caches of other programs are hidden, and read by nobody here.
    let artifact = make(&store, 1);
    fs::write(artifact.file(".DS_Store"), "x").unwrap();
    assert!(store.contains(&artifact.reference));
}

#[test]
fn a_manifest_that_was_edited_is_damage() {
    let (_folder, store) = store();
    let artifact = make(&store, 1);
    let path = artifact.file("manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    let begin = text.find("\"files\": [").unwrap() + "\"files\": [".len();
    let end = begin + text[begin..].find(']').unwrap();
    let emptied = format!("{}{}", &text[..begin], &text[end..]);
    for edited in [
        text.replacen("\"rows\": 3", "\"rows\": 4", 1),
        emptied.clone(),
    ] {
        assert_ne!(edited, text);
        fs::write(&path, edited).unwrap();
        assert_eq!(
            damage(store.status(&artifact.reference).unwrap()),
            "manifest.json is corrupt: its checksum is that of another text"
        );
        assert!(store.get(&artifact.reference).unwrap().is_none());
    }
    fs::write(&path, signed(&emptied)).unwrap();
    assert_eq!(
        damage(store.status(&artifact.reference).unwrap()),
        "records.bin was put there: the manifest does not list it"
    );
}

#[cfg(unix)]
#[test]
fn links_are_damage_and_are_replaced() {
    let (_folder, store) = store();
    let artifact = make(&store, 1);
    let records = artifact.file("records.bin");
    fs::remove_file(&records).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &records).unwrap();
    let found = damage(store.status(&artifact.reference).unwrap());
    assert!(found.ends_with("it is a symbolic link"), "{found}");
    assert!(store.get(&artifact.reference).unwrap().is_none());
    make(&store, 1);
    assert!(store.contains(&artifact.reference));

    fs::remove_dir_all(&artifact.path).unwrap();
    std::os::unix::fs::symlink(&artifact.path, &artifact.path).unwrap();
    let found = damage(store.status(&artifact.reference).unwrap());
    assert!(
        found.starts_with("manifest.json cannot be opened"),
        "{found}"
    );
    assert!(store.get(&artifact.reference).unwrap().is_none());
    make(&store, 1);
    assert!(store.contains(&artifact.reference));
}

#[cfg(unix)]
#[test]
fn files_have_the_permissions_of_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, store) = store();
    let pending = store.begin(&reference(Kind::Checkpoint, 1)).unwrap();
    let private = pending.path().join("model.safetensors");
    fs::write(&private, "weights").unwrap();
    fs::set_permissions(&private, PermissionsExt::from_mode(0o600)).unwrap();
    let usual = pending.path().join("usual");
    fs::write(&usual, "").unwrap();
    let usual = fs::metadata(&usual).unwrap().permissions();
    let artifact = pending.commit(Provenance::default()).unwrap();
    let weights = fs::metadata(artifact.file("model.safetensors")).unwrap();
    assert_eq!(weights.permissions().mode(), usual.mode());
}

#[test]
fn an_unfinished_attempt_is_taken_over() {
    let (_folder, store) = store();
    let wanted = reference(Kind::Labels, 1);
    let pending = store.begin(&wanted).unwrap();
    assert!(!pending.resumed());
    fs::write(pending.scratch().unwrap().join("state"), "step 7").unwrap();
    fs::write(pending.path().join(".records.bin.tmp"), "half of the").unwrap();
    // What a kill leaves between the manifest and the rename.
    fs::write(pending.path().join("manifest.json"), "{}").unwrap();
    drop(pending);
    assert!(!store.contains(&wanted));

    let pending = store.begin(&wanted).unwrap();
    assert!(pending.resumed());
    assert_eq!(
        fs::read_to_string(pending.scratch().unwrap().join("state")).unwrap(),
        "step 7"
    );
    pending.write_records(&labels(1)).unwrap();
    let artifact = pending.commit(Provenance::default()).unwrap();
    assert_eq!(artifact.manifest.files.len(), 1);
    assert!(!artifact.path.join("scratch").exists());
    assert!(!artifact.path.join(".records.bin.tmp").exists());
    assert!(store.contains(&wanted));
}

#[test]
fn a_partial_folder_of_unknown_origin_is_cleared() {
    let (_folder, store) = store();
    let wanted = reference(Kind::Labels, 1);
    let partial = store.partial_dir(&wanted.key);
    fs::create_dir_all(partial.join("deep")).unwrap();
    fs::write(partial.join("deep/garbage"), "x").unwrap();
    assert!(!store.begin(&wanted).unwrap().resumed());
    assert!(!partial.join("deep").exists());
    fs::remove_dir_all(&partial).unwrap();
    fs::write(&partial, "a file").unwrap();
    assert!(!store.begin(&wanted).unwrap().resumed());
    assert!(make(&store, 1).path.exists());
}

#[test]
fn a_forced_attempt_begins_empty_and_replaces() {
    let (_folder, store) = store();
    let old = make(&store, 1);
    fs::write(
        store.begin(&old.reference).unwrap().path().join("left"),
        "x",
    )
    .unwrap();
    let pending = store.lock(&old.reference).unwrap().begin_anew().unwrap();
    assert!(!pending.resumed());
    // Until the commit the old one can be read.
    assert!(store.contains(&old.reference));
    pending.write_records(&labels(100)).unwrap();
    pending.commit(Provenance::default()).unwrap();
    let new = store.require(&old.reference).unwrap();
    assert_eq!(new.records::<Label>().unwrap(), labels(100));
    assert_eq!(new.manifest.files.len(), 1);
}

#[test]
fn one_at_a_time_makes_an_artifact_and_the_next_finds_it() {
    let (_folder, store) = store();
    let wanted = reference(Kind::Labels, 1);
    let (inside, made) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let barrier = Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                barrier.wait();
                let lock = store.lock(&wanted).unwrap();
                assert_eq!(
                    inside.fetch_add(1, Ordering::SeqCst),
                    0,
                    "two threads hold the lock"
                );
                if !store.contains(&wanted) {
                    let pending = lock.begin().unwrap();
                    std::thread::sleep(Duration::from_millis(20));
                    pending.write_records(&labels(1)).unwrap();
                    made.fetch_add(1, Ordering::SeqCst);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    pending.commit(Provenance::default()).unwrap();
                } else {
                    inside.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(made.load(Ordering::SeqCst), 1);
}

#[test]
fn a_second_begin_waits_for_the_first() {
    let (_folder, store) = store();
    let wanted = reference(Kind::Labels, 1);
    let first = store.begin(&wanted).unwrap();
    assert!(store.try_lock(&wanted).unwrap().is_none());
    // Another artifact is not disturbed.
    assert!(
        store
            .try_lock(&reference(Kind::Labels, 2))
            .unwrap()
            .is_some()
    );
    let (tell, hear) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let second = store.begin(&wanted).unwrap();
            tell.send(second.resumed()).unwrap();
        });
        assert!(
            hear.recv_timeout(Duration::from_millis(100)).is_err(),
            "the second did not wait"
        );
        drop(first);
        assert!(hear.recv_timeout(Duration::from_secs(10)).unwrap());
    });
}

#[test]
fn a_root_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::open(file.join("store")).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot create the folder {}",
            file.join("store/artifacts").display()
        )
    );
    assert!(error.hint().unwrap().contains("--store PATH"));
    assert!(
        std::error::Error::source(&error)
            .unwrap()
            .to_string()
            .contains("Not a directory")
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_keeps_the_store_usable() {
    let (_folder, store) = store();
    let wanted = reference(Kind::Corpus, 1);
    let pending = store.begin(&wanted).unwrap();
    // Every write to /dev/full fails the way a full disk does.
    std::os::unix::fs::symlink("/dev/full", pending.path().join(".records.bin.tmp")).unwrap();
    let documents = [Document {
        id: 0,
        text: "words".into(),
    }];
    let error = pending.write_records(&documents).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot write {}",
            pending.path().join("records.bin").display()
        )
    );
    assert!(
        std::error::Error::source(&error)
            .unwrap()
            .to_string()
            .contains("No space left on device")
    );
    drop(pending);
    assert!(!store.contains(&wanted));
    let pending = store.begin(&wanted).unwrap();
    pending.write_records(&documents).unwrap();
    pending.commit(Provenance::default()).unwrap();
    assert!(store.contains(&wanted));
}

#[test]
fn the_hash_of_a_large_input_is_remembered_until_the_file_changes() {
    let (folder, store) = store();
    let path = folder.path().join("model");
    fs::create_dir(&path).unwrap();
    let file = path.join("weights");
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(60);
    let write = |byte: u8, when| {
        fs::write(&file, vec![byte; 2 << 20]).unwrap();
        fs::File::options()
            .append(true)
            .open(&file)
            .unwrap()
            .set_modified(when)
            .unwrap();
    };
    write(1, long_ago);
    let first = store.hash_path(&path).unwrap();
    assert_eq!(first, w2s_artifact::hash_path(&path).unwrap());
    assert_eq!(
        fs::read_dir(store.root().join("hashes")).unwrap().count(),
        1
    );
    // What is remembered answers, which shows that the file is not read again.
    let memory = fs::read_dir(store.root().join("hashes"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let text = fs::read_to_string(&memory).unwrap();
    fs::write(&memory, text.replace(&first, "remembered")).unwrap();
    assert_eq!(store.hash_path(&path).unwrap(), "remembered");
    assert_eq!(store.hash_path_anew(&path).unwrap(), first);
    assert_eq!(store.hash_path(&path).unwrap(), first);
    let now = |byte, when| {
        write(byte, when);
        let found = store.hash_path(&path).unwrap();
        assert_eq!(found, w2s_artifact::hash_path(&path).unwrap());
    };
    now(2, long_ago + Duration::from_secs(1));
    // Only Unix tells that the time was put back.
    if cfg!(unix) {
        now(3, long_ago + Duration::from_secs(1));
    }
}
