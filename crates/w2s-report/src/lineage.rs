//! What artifacts were made from: the manifests behind them, and how models are related.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use serde::Deserialize;
use serde_json::Value;
use w2s_artifact::{ArtifactRef, Input, Kind, Manifest, Role, Store};

/// The parameters of other stages that a report knows by name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Parameters {
    pub(crate) arm: Option<String>,
    pub(crate) role: Option<Role>,
    pub(crate) seed: Option<u64>,
    pub(crate) tag: Option<Vec<String>>,
    /// The side of its pairs that `student sft` imitates.
    pub(crate) side: Option<String>,
}

impl Parameters {
    /// What is known of resolved parameters; nothing of those of another shape.
    pub(crate) fn of(parameters: &Value) -> Self {
        Self::deserialize(parameters).unwrap_or_default()
    }
}

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
        let folder = || self.store.artifact_dir(&reference);
        let found = read.entry(reference);
        let found = found.or_insert_with(|| Some(Rc::new(Manifest::read(&folder()).ok()?)));
        found.clone()
    }

    /// What something reads by the flag `name`.
    pub(crate) fn input(&self, reference: ArtifactRef, name: &str) -> Option<ArtifactRef> {
        self.manifest(reference)?.input(name)
    }

    /// The model behind predictions or scores, through the answers that it gave.
    pub(crate) fn model_of(&self, manifest: &Manifest) -> Option<ArtifactRef> {
        if let Some(model) = manifest.input("model") {
            return Some(model);
        }
        self.input(manifest.input("responses")?, "model")
    }

    /// The pretrained checkpoint that a model was trained from, itself if it is one: what it names as its base, or what
    /// the features were computed with.
    pub(crate) fn base_of(&self, model: ArtifactRef) -> ArtifactRef {
        let next = |at: ArtifactRef| {
            let manifest = self.manifest(at)?;
            let mut names = ["base", "model", "features"].iter();
            let next = names.find_map(|name| manifest.input(name))?;
            (at.kind == Kind::Features || next.kind != Kind::Responses).then_some(next)
        };
        let mut at = model;
        while let Some(next) = next(at) {
            at = next;
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
            let manifest = self.manifest(at);
            for next in manifest.iter().flat_map(|manifest| artifacts(manifest)) {
                if seen.insert(next) {
                    open.push_back((next, near - 1));
                }
            }
        }
        0
    }

    /// Whether `model` was trained from `base`, or is it.
    pub(crate) fn started_from(&self, model: ArtifactRef, base: ArtifactRef) -> bool {
        let next = |at: &ArtifactRef| {
            let manifest = self.manifest(*at)?;
            let mut names = ["base", "features"].iter();
            names.find_map(|name| manifest.input(name))
        };
        std::iter::successors(Some(model), next).any(|at| at == base)
    }

    /// Whether two models were trained from one base on the same data: 2 where they have pairs in common too, 0 where not.
    pub(crate) fn same_start(&self, first: ArtifactRef, second: ArtifactRef) -> usize {
        let start = |model| (self.base_of(model), self.input(model, "data"));
        if start(first) != start(second) {
            return 0;
        }
        let [first, second] = [first, second].map(|model| self.pair_sources(model));
        1 + usize::from(!first.is_disjoint(&second))
    }

    /// The pairs that a model learnt from as they were before anybody ordered them anew or mixed them.
    fn pair_sources(&self, model: ArtifactRef) -> HashSet<ArtifactRef> {
        let mut open: Vec<ArtifactRef> = self.input(model, "pairs").into_iter().collect();
        let (mut seen, mut sources) = (HashSet::new(), HashSet::new());
        while let Some(at) = open.pop() {
            let manifest = self.manifest(at);
            let inputs = manifest.iter().flat_map(|manifest| artifacts(manifest));
            let before: Vec<_> = inputs.filter(|input| input.kind == Kind::Pairs).collect();
            if before.is_empty() {
                sources.insert(at);
            }
            open.extend(before.into_iter().filter(|pairs| seen.insert(*pairs)));
        }
        sources
    }
}

/// The artifacts that something was made from.
pub(crate) fn artifacts(manifest: &Manifest) -> impl Iterator<Item = ArtifactRef> + '_ {
    manifest.inputs.iter().filter_map(|input| match input {
        Input::Artifact { artifact, .. } => Some(*artifact),
        Input::File { .. } => None,
    })
}
