//! What artifacts were made from: the manifests behind them, and how models are related.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use w2s_artifact::{ArtifactRef, Input, Kind, Manifest, Store};

/// The manifests of a store, each read once. One that is no longer there is left out, which the provenance warns of.
pub(crate) struct Lineage<'a> {
    store: &'a Store,
    read: RefCell<HashMap<ArtifactRef, Option<Rc<Manifest>>>>,
}

impl<'a> Lineage<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self {
            store,
            read: RefCell::default(),
        }
    }

    pub(crate) fn store(&self) -> &'a Store {
        self.store
    }

    pub(crate) fn manifest(&self, reference: ArtifactRef) -> Option<Rc<Manifest>> {
        let mut read = self.read.borrow_mut();
        let found = read.entry(reference).or_insert_with(|| {
            Manifest::read(&self.store.artifact_dir(&reference)).ok().map(Rc::new)
        });
        found.clone()
    }

    /// The model behind predictions or scores, through the answers that it gave.
    pub(crate) fn model_of(&self, manifest: &Manifest) -> Option<ArtifactRef> {
        if let Some(model) = manifest.input("model") {
            return Some(model);
        }
        self.manifest(manifest.input("responses")?)?.input("model")
    }

    /// The pretrained checkpoint that a model was trained from, itself if it is one: what it names as its base, or what
    /// the features were computed with.
    pub(crate) fn base_of(&self, model: ArtifactRef) -> ArtifactRef {
        let mut at = model;
        while let Some(manifest) = self.manifest(at) {
            let next = ["base", "model", "features"].iter().find_map(|name| manifest.input(name));
            match next {
                Some(next) if at.kind == Kind::Features || next.kind != Kind::Responses => at = next,
                _ => break,
            }
        }
        at
    }

    /// How near `teacher` is among all that `student` was made from: larger is nearer, 0 is not at all. Its own base is no
    /// teacher, even where it taught others.
    pub(crate) fn learnt_from(&self, student: ArtifactRef, teacher: ArtifactRef) -> usize {
        let base = self.base_of(student);
        let mut seen = HashSet::from([student]);
        let mut open = VecDeque::from([(student, usize::MAX)]);
        while let Some((at, near)) = open.pop_front() {
            if at == teacher && at != student && at != base {
                return near;
            }
            for next in self.manifest(at).iter().flat_map(|manifest| artifacts(manifest)) {
                if seen.insert(next) {
                    open.push_back((next, near - 1));
                }
            }
        }
        0
    }

    /// Whether `model` was trained from `base`, or is it.
    pub(crate) fn started_from(&self, model: ArtifactRef, base: ArtifactRef) -> bool {
        let mut at = Some(model);
        while let Some(here) = at {
            if here == base {
                return true;
            }
            at = self.manifest(here).and_then(|manifest| {
                ["base", "features"].iter().find_map(|name| manifest.input(name))
            });
        }
        false
    }

    /// Whether two models were trained from one base on the same data.
    pub(crate) fn same_start(&self, first: ArtifactRef, second: ArtifactRef) -> bool {
        let data = |model| self.manifest(model)?.input("data");
        self.base_of(first) == self.base_of(second) && data(first) == data(second)
    }
}

/// The artifacts that something was made from.
pub(crate) fn artifacts(manifest: &Manifest) -> impl Iterator<Item = ArtifactRef> + '_ {
    manifest.inputs.iter().filter_map(|input| match input {
        Input::Artifact { artifact, .. } => Some(*artifact),
        Input::File { .. } => None,
    })
}
