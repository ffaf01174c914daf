//! From steps to tasks: each step multiplied by the variables it uses, itself or through what it refers to.
//!
//! A step is first multiplied by what its own values use, where the row of a variable may use further ones ([`Leaf`]).
//! Then what the steps behind its references use comes in; these may lead back to the step itself, at another point.
//! Only the tasks have to be in an order, and a circle among them is an error.

use std::collections::{BTreeMap, HashMap};

use super::axes::{Axis, Point, bits};
use super::index::Index;
use super::names::{self, Complaints};
use super::order;
use super::scope::{Cooked, Filled, Scope, Stop, Wanted};
use super::template::{Field, Part, parts};
use super::{Plan, Set, Setting, Task, slug};
use crate::complaint::{Complaint, Result};
use crate::recipe::{Entry, Place, Recipe, Step, Value};

/// So many tasks a recipe can make.
const MOST_TASKS: usize = 100_000;
/// So many artifacts all tasks together can read.
const MOST_READS: usize = 2_000_000;

/// A step with its values cut at `{names}` and `@references`.
pub struct Reading<'a> {
    pub step: &'a Step,
    pub operation: Vec<Part>,
    pub when: Option<Field>,
    pub unless: Option<Field>,
    pub with: Option<Field>,
    pub entries: Vec<Field>,
}

/// A step at a point of the variables that its own values use.
struct Leaf<'a> {
    step: usize,
    point: Point,
    does: Does<'a>,
}

enum Does<'a> {
    /// Nothing, for this reason.
    LeftOut(String),
    Run {
        operation: String,
        keys: Vec<Key<'a>>,
    },
}

/// A key with its value filled in.
struct Key<'a> {
    field: &'a Field,
    /// It comes from a row.
    laid: bool,
    value: Cooked<'a>,
    origins: Vec<String>,
}

/// A step at a point of all variables.
struct Candidate {
    leaf: usize,
    point: Point,
}

impl<'a> Reading<'a> {
    fn new(step: &'a Step) -> Result<Self> {
        let field = |entry: &Option<Entry>| entry.as_ref().map(Field::read).transpose();
        Ok(Self {
            step,
            operation: parts(&step.operation, &step.run)?,
            when: field(&step.when)?,
            unless: field(&step.unless)?,
            with: field(&step.with)?,
            entries: step
                .entries
                .iter()
                .map(Field::read)
                .collect::<Result<_>>()?,
        })
    }

    /// Everything that is written of it.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        let conditions = self.when.iter().chain(&self.unless).chain(&self.with);
        self.entries.iter().chain(conditions)
    }

    /// The keys that apply: tables that are laid over the step's own, and above both what `--set` says.
    fn keys(&'a self, scope: &Scope<'a>) -> Filled<Vec<(&'a Field, bool)>> {
        let mut keys: Vec<(&Field, bool)> =
            self.entries.iter().map(|field| (field, false)).collect();
        let Some(with) = &self.with else {
            return Ok(keys);
        };
        let is_typed = |field: &Field| matches!(field.place, Place::Flag(_));
        for field in scope.laid(with)? {
            match keys.iter_mut().find(|(key, _)| key.key == field.key) {
                Some((key, _)) if is_typed(key) => {}
                Some(key) => *key = (field, true),
                None => keys.push((field, true)),
            }
        }
        Ok(keys)
    }

    fn at(&'a self, scope: &Scope<'a>) -> Filled<Does<'a>> {
        if let Some(when) = &self.when
            && scope.condition(when)?.is_none()
        {
            return Ok(Does::LeftOut(format!(
                "when = \"{}\" is empty or false",
                when.written
            )));
        }
        if let Some(unless) = &self.unless
            && let Some(value) = scope.condition(unless)?
        {
            return Ok(Does::LeftOut(format!(
                "unless = \"{}\" is {value}",
                unless.written
            )));
        }
        let operation = scope.text(&self.operation, &self.step.run, &mut Vec::new(), 0)?;
        let mut keys = Vec::new();
        for (field, laid) in self.keys(scope)? {
            let mut origins = Vec::new();
            let value = scope.cook(&field.template, &field.place, &mut origins)?;
            keys.push(Key {
                field,
                laid,
                value,
                origins,
            });
        }
        Ok(Does::Run { operation, keys })
    }
}

impl Cooked<'_> {
    fn references<'s>(&'s self, found: &mut Vec<&'s Wanted<'s>>) {
        match self {
            Self::Bool(_) | Self::Text(_) => {}
            Self::Reference(wanted) => found.push(wanted),
            Self::List(items) => items.iter().for_each(|item| item.references(found)),
        }
    }
}

impl Leaf<'_> {
    fn keys(&self) -> &[Key<'_>] {
        match &self.does {
            Does::LeftOut(_) => &[],
            Does::Run { keys, .. } => keys,
        }
    }

    fn references(&self) -> Vec<&Wanted<'_>> {
        let mut found = Vec::new();
        self.keys()
            .iter()
            .for_each(|key| key.value.references(&mut found));
        found
    }
}

impl Wanted<'_> {
    /// Where it looks from a point; `None` when it names a row that was taken out.
    fn from(&self, point: &Point) -> Option<Point> {
        if self.gone {
            return None;
        }
        let mut at = point.clone();
        if self.written.all {
            return Some(bits(point.mask).fold(at, |at, axis| at.without(axis)));
        }
        for (axis, value) in &self.chosen {
            at = match value {
                Some(value) => at.with(*axis, *value),
                None => at.without(*axis),
            };
        }
        Some(at)
    }

    /// The variables that do not come in through it.
    fn chosen_mask(&self) -> u64 {
        self.chosen
            .iter()
            .fold(0, |mask, (axis, _)| mask | 1 << axis)
    }
}

/// Multiplies the steps by the matrix and resolves their references.
pub fn expand(recipe: &Recipe, vars: &BTreeMap<String, Value>) -> Result<Plan> {
    let axes = Axis::all(recipe, vars)?;
    let steps = recipe.steps.iter().map(Reading::new);
    let steps: Vec<Reading<'_>> = steps.collect::<Result<_>>()?;
    let known: HashMap<&str, usize> = recipe
        .steps
        .iter()
        .enumerate()
        .map(|(at, step)| (step.name.as_str(), at))
        .collect();
    names::check(&steps, &axes, vars, &known)?;
    let leaves = leaves(&steps, &axes, vars)?;
    let masks = masks(&leaves, steps.len(), &known)?;
    let ranks = ranks(&leaves, steps.len(), &known);
    let candidates = candidates(&leaves, &masks, &ranks, &axes, &steps)?;
    let names: Vec<String> = candidates
        .iter()
        .map(|candidate| {
            let step = &steps[leaves[candidate.leaf].step].step.name;
            slug::name(step, &named(&candidate.point, &axes))
        })
        .collect();
    let reads = reads(&leaves, &candidates, steps.len(), &known)?;
    let needs: Vec<Vec<usize>> = reads
        .iter()
        .map(|reads| {
            let mut needs: Vec<usize> = reads.iter().flatten().flatten().copied().collect();
            needs.sort_unstable();
            needs.dedup();
            needs
        })
        .collect();
    let step_of = |at: usize| leaves[candidates[at].leaf].step;
    let order = order::topological(&needs).map_err(|mut circle| {
        // It is told from the step that is written first.
        circle.pop();
        let first = (0..circle.len()).min_by_key(|&at| step_of(circle[at]));
        circle.rotate_left(first.unwrap_or(0));
        let place = &steps[step_of(circle[circle.len() - 1])].step.place;
        circle.push(circle[0]);
        let names: Vec<&str> = circle.iter().map(|&at| names[at].as_str()).collect();
        Complaint::usage(format!(
            "{place}: steps wait for each other: {}",
            shortened(&names).join(" -> ")
        ))
        .detail("an arrow reads: uses")
        .hint("take one of these references out")
    })?;

    let mut plan = Plan {
        tasks: Vec::new(),
        left_out: Vec::new(),
        vars: super::origins(recipe, vars),
    };
    let mut made: Vec<Option<usize>> = vec![None; candidates.len()];
    let mut slugs = slug::Slugs::default();
    for at in order {
        let candidate = &candidates[at];
        let leaf = &leaves[candidate.leaf];
        let (operation, keys) = match &leaf.does {
            Does::LeftOut(reason) => {
                plan.left_out.push((names[at].clone(), reason.clone()));
                continue;
            }
            Does::Run { operation, keys } => (operation, keys),
        };
        let mut found = reads[at].iter();
        let mut settings = Vec::new();
        let mut missing = None;
        for key in keys {
            match settle(&key.value, &mut found, &made) {
                Some(setting) => settings.push(Set {
                    place: key.field.place.clone(),
                    key: key.field.key.clone(),
                    laid: key.laid,
                    setting,
                    origins: key.origins.clone(),
                }),
                None => {
                    missing = Some(&key.field.written);
                    break;
                }
            }
        }
        if let Some(missing) = missing {
            let reason = format!("it needs {missing}, which is left out");
            plan.left_out.push((names[at].clone(), reason));
            continue;
        }
        let mut needs = Vec::new();
        settings
            .iter()
            .for_each(|set| set.setting.needs(&mut needs));
        needs.sort_unstable();
        needs.dedup();
        made[at] = Some(plan.tasks.len());
        let step = steps[leaf.step].step;
        plan.tasks.push(Task {
            step: step.name.clone(),
            name: names[at].clone(),
            slug: slugs.take(&step.name, &named(&candidate.point, &axes)),
            stage: step.stage.clone(),
            operation: operation.clone(),
            place: step.place.clone(),
            settings,
            needs,
        });
    }
    if plan.tasks.is_empty() {
        return Err(Complaint::usage(format!(
            "recipe `{}` leaves every step out",
            recipe.name
        )));
    }
    Ok(plan)
}

/// A circle as it is told: a long one loses its middle.
fn shortened<'a>(names: &[&'a str]) -> Vec<&'a str> {
    const SHOWN: usize = 12;
    if names.len() <= SHOWN {
        return names.to_vec();
    }
    let mut shown = names[..SHOWN - 2].to_vec();
    shown.push("…");
    shown.push(names[names.len() - 1]);
    shown
}

/// The values of a point with the names of their variables.
fn named<'a>(point: &Point, axes: &'a [Axis]) -> Vec<(&'a str, String)> {
    bits(point.mask)
        .filter_map(|axis| {
            let value = point.get(axis)?;
            Some((
                axes[axis].name.as_str(),
                axes[axis].values[value].to_string(),
            ))
        })
        .collect()
}

/// Every step at every point of the variables that its own values use.
fn leaves<'a>(
    steps: &'a [Reading<'a>],
    axes: &'a [Axis],
    vars: &'a BTreeMap<String, Value>,
) -> Result<Vec<Leaf<'a>>> {
    let mut leaves = Vec::new();
    let mut complaints = Complaints::default();
    'steps: for (at, reading) in steps.iter().enumerate() {
        let mut open = vec![Point::nowhere(axes.len())];
        while let Some(point) = open.pop() {
            let scope = Scope {
                vars,
                axes,
                point,
                step: &reading.step.name,
            };
            match reading.at(&scope) {
                Ok(does) => leaves.push(Leaf {
                    step: at,
                    point: scope.point,
                    does,
                }),
                Err(Stop::Needs(axis)) => {
                    let values = (0..axes[axis].values.len()).rev();
                    open.extend(values.map(|value| scope.point.with(axis, value)));
                }
                Err(Stop::Wrong(complaint)) => {
                    if !complaints.add(complaint) {
                        break 'steps;
                    }
                }
            }
            if leaves.len() + open.len() > MOST_TASKS {
                return Err(too_many(reading.step));
            }
        }
    }
    complaints.told()?;
    Ok(leaves)
}

fn too_many(step: &Step) -> Complaint {
    Complaint::usage(format!(
        "{}: the recipe makes more than {MOST_TASKS} tasks, counted up to step `{}`",
        step.place, step.name
    ))
    .hint("shorten a list of the matrix, or gather with [*] where a step need not be multiplied")
}

/// The variables of each leaf's tasks: its own, and those that come in through its references.
fn masks(leaves: &[Leaf<'_>], steps: usize, known: &HashMap<&str, usize>) -> Result<Vec<u64>> {
    let mut index = Index::new(steps, leaves.iter().map(indexed));
    let mut masks: Vec<u64> = leaves.iter().map(|leaf| leaf.point.mask).collect();
    // Which leaves take over the variables of which, but for those they choose themselves.
    let mut takers: Vec<Vec<(usize, u64)>> = vec![Vec::new(); leaves.len()];
    let mut reads = 0;
    for (at, leaf) in leaves.iter().enumerate() {
        for wanted in leaf.references() {
            if wanted.written.all {
                continue;
            }
            let Some(point) = wanted.from(&leaf.point) else {
                continue;
            };
            for step in &wanted.written.steps {
                for found in index.find(known[step.as_str()], &point) {
                    takers[found].push((at, wanted.chosen_mask()));
                    reads += 1;
                }
            }
            if reads > MOST_READS {
                return Err(too_many_reads());
            }
        }
    }
    let mut changed: Vec<usize> = (0..leaves.len()).collect();
    while let Some(at) = changed.pop() {
        for &(taker, chosen) in &takers[at] {
            let mask = masks[taker] | masks[at] & !chosen;
            if mask != masks[taker] {
                masks[taker] = mask;
                changed.push(taker);
            }
        }
    }
    Ok(masks)
}

fn too_many_reads() -> Complaint {
    Complaint::usage(format!(
        "the steps of the recipe read more than {MOST_READS} artifacts together"
    ))
    .hint("gather fewer: @step[seed=*] takes all seeds at one point of the rest")
}

fn indexed<'a>(leaf: &'a Leaf<'_>) -> (Option<usize>, &'a Point) {
    let runs = matches!(leaf.does, Does::Run { .. });
    (runs.then_some(leaf.step), &leaf.point)
}

/// The order of the steps, as far as their references give one.
fn ranks(leaves: &[Leaf<'_>], steps: usize, known: &HashMap<&str, usize>) -> Vec<usize> {
    let mut uses: Vec<Vec<usize>> = vec![Vec::new(); steps];
    for leaf in leaves {
        let used = leaf.references().into_iter().flat_map(|wanted| {
            let steps = wanted.written.steps.iter();
            steps.map(|step| known[step.as_str()])
        });
        let used: Vec<usize> = used.collect();
        for step in used {
            if uses[leaf.step].last() != Some(&step) {
                uses[leaf.step].push(step);
            }
        }
    }
    order::ranks(&uses)
}

/// Every step at every point, those of an earlier step first.
fn candidates(
    leaves: &[Leaf<'_>],
    masks: &[u64],
    ranks: &[usize],
    axes: &[Axis],
    steps: &[Reading<'_>],
) -> Result<Vec<Candidate>> {
    let mut candidates = Vec::new();
    for (at, leaf) in leaves.iter().enumerate() {
        let more: Vec<usize> = bits(masks[at] & !leaf.point.mask).collect();
        let count = more.iter().try_fold(1_usize, |count, &axis| {
            count.checked_mul(axes[axis].values.len())
        });
        if count.is_none_or(|count| candidates.len() + count > MOST_TASKS) {
            return Err(too_many(steps[leaf.step].step));
        }
        let mut points = vec![leaf.point.clone()];
        for axis in more {
            points = points
                .iter()
                .flat_map(|point| (0..axes[axis].values.len()).map(|value| point.with(axis, value)))
                .collect();
        }
        candidates.extend(
            points
                .into_iter()
                .map(|point| Candidate { leaf: at, point }),
        );
    }
    candidates.sort_by(|one, other| {
        let rank = |candidate: &Candidate| ranks[leaves[candidate.leaf].step];
        rank(one)
            .cmp(&rank(other))
            .then_with(|| one.point.order().cmp(other.point.order()))
    });
    Ok(candidates)
}

/// For each reference of each task, for each step it may mean, the tasks it names.
type Reads = Vec<Vec<Vec<usize>>>;

fn reads(
    leaves: &[Leaf<'_>],
    candidates: &[Candidate],
    steps: usize,
    known: &HashMap<&str, usize>,
) -> Result<Vec<Reads>> {
    let points = candidates.iter().map(|candidate| {
        let (step, _) = indexed(&leaves[candidate.leaf]);
        (step, &candidate.point)
    });
    let mut index = Index::new(steps, points);
    let mut count = 0;
    candidates
        .iter()
        .map(|candidate| {
            let wanted = leaves[candidate.leaf].references();
            let reads: Reads = wanted
                .into_iter()
                .map(|wanted| {
                    let Some(point) = wanted.from(&candidate.point) else {
                        return Vec::new();
                    };
                    let steps = wanted.written.steps.iter();
                    steps
                        .map(|step| index.find(known[step.as_str()], &point))
                        .collect()
                })
                .collect();
            count += reads.iter().flatten().map(Vec::len).sum::<usize>();
            if count > MOST_READS {
                return Err(too_many_reads());
            }
            Ok(reads)
        })
        .collect()
}

/// A key's value with the artifacts its references name; `None` when one of them is left out.
fn settle<'r>(
    value: &Cooked<'_>,
    reads: &mut impl Iterator<Item = &'r Vec<Vec<usize>>>,
    made: &[Option<usize>],
) -> Option<Setting> {
    Some(match value {
        Cooked::Bool(value) => Setting::Bool(*value),
        Cooked::Text(text) => Setting::Text(text.clone()),
        Cooked::List(items) => {
            let mut settings = Vec::new();
            for item in items {
                match settle(item, reads, made) {
                    // A list gathers what there is.
                    None => {}
                    Some(Setting::List(inner)) => settings.extend(inner),
                    Some(setting) => settings.push(setting),
                }
            }
            Setting::List(settings)
        }
        Cooked::Reference(wanted) => {
            let steps = reads.next()?;
            let artifacts = steps
                .iter()
                .map(|tasks| {
                    let made = tasks.iter().filter_map(|&task| made[task]);
                    made.map(Setting::Artifact).collect::<Vec<_>>()
                })
                .find(|artifacts| !artifacts.is_empty())
                .unwrap_or_default();
            if wanted.written.gathers() {
                Setting::List(artifacts)
            } else {
                artifacts.into_iter().next()?
            }
        }
    })
}
