//! Which items every seed was tested on, and which of them belong together.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use crate::interval::Rule;
use crate::series::Series;
use crate::terms::Terms;

/// The test items of every seed and the groups that they come in.
///
/// Items of one group (rows of one question, samples of one prompt) are drawn together. A group that several seeds have in
/// common makes their scores move together; whether it holds the same rows in each of them does not matter.
#[derive(Clone, Debug)]
pub struct Design(Arc<Layout>);

impl PartialEq for Design {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

#[derive(Debug, PartialEq)]
struct Layout {
    seeds: Vec<SeedItems>,
    groups: usize,
    /// That of 95 % intervals, which all scores of the design have in common.
    rule: Option<Rule>,
}

/// The items of one seed.
#[derive(Debug, PartialEq)]
pub(crate) struct SeedItems {
    /// Of each item, which of this seed's groups it belongs to.
    pub(crate) place: Vec<usize>,
    /// Of each of this seed's groups, its number among the groups of all seeds.
    pub(crate) group: Vec<usize>,
}

impl Design {
    /// Takes the group of each item, seed by seed. A number that two seeds share is one and the same group.
    ///
    /// # Panics
    ///
    /// When there is no seed, or a seed without items.
    pub fn new(groups: &[Vec<u64>]) -> Self {
        Self::number(groups, |_, group| group)
    }

    /// Every seed is tested on the same items, of these groups.
    ///
    /// # Panics
    ///
    /// When there is no seed or no item.
    pub fn crossed(seeds: usize, groups: &[u64]) -> Self {
        Self::new(&vec![groups.to_vec(); seeds])
    }

    /// Every seed is tested on items of its own; a number that two seeds share means nothing.
    ///
    /// # Panics
    ///
    /// When there is no seed, or a seed without items.
    pub fn nested(groups: &[Vec<u64>]) -> Self {
        Self::number(groups, |seed, group| (seed, group))
    }

    fn number<K: Eq + Hash>(groups: &[Vec<u64>], key: impl Fn(usize, u64) -> K) -> Self {
        assert!(!groups.is_empty(), "at least one seed");
        let mut numbers: HashMap<K, usize> = HashMap::new();
        let mut seeds = Vec::with_capacity(groups.len());
        for (seed, groups) in groups.iter().enumerate() {
            assert!(!groups.is_empty(), "seed {seed} has items");
            let (mut places, mut group) = (HashMap::new(), Vec::new());
            let place = groups.iter().map(|&name| {
                *places.entry(name).or_insert_with(|| {
                    let next = numbers.len();
                    group.push(*numbers.entry(key(seed, name)).or_insert(next));
                    group.len() - 1
                })
            });
            let place = place.collect();
            seeds.push(SeedItems { place, group });
        }
        let mut design = Self(Arc::new(Layout {
            seeds,
            groups: numbers.len(),
            rule: None,
        }));
        let rule = Rule::new(&design, 0.05);
        Arc::get_mut(&mut design.0)
            .expect("nobody else has it")
            .rule = rule;
        design
    }

    /// A score that is a mean over items: one number an item, seed by seed.
    ///
    /// # Panics
    ///
    /// When there is not one column a seed and one number an item.
    pub fn mean<C: AsRef<[f64]>>(&self, columns: &[C]) -> Series {
        let terms: Vec<Terms> = columns.iter().map(|c| Terms::mean(c.as_ref())).collect();
        self.metric(&terms)
    }

    /// Any other score, as its value and its [`Terms`] on every seed.
    ///
    /// # Panics
    ///
    /// When there is not one score a seed and one term an item.
    pub fn metric(&self, seeds: &[Terms]) -> Series {
        Series::new(self, seeds)
    }

    /// Number of seeds.
    pub fn seeds(&self) -> usize {
        self.0.seeds.len()
    }

    /// Items of all seeds together, an item as often as seeds have it.
    pub fn items(&self) -> usize {
        self.each().iter().map(|seed| seed.place.len()).sum()
    }

    /// Different groups of all seeds.
    pub fn groups(&self) -> usize {
        self.0.groups
    }

    /// Groups of one seed, on average.
    pub fn groups_per_seed(&self) -> f64 {
        let groups: usize = self.each().iter().map(|seed| seed.group.len()).sum();
        groups as f64 / self.seeds() as f64
    }

    /// Different items of all seeds; an estimate where seeds share some of them.
    pub(crate) fn distinct_items(&self) -> f64 {
        let per_group = self.items() as f64 / (self.groups_per_seed() * self.seeds() as f64);
        per_group * self.groups() as f64
    }

    /// The rule of 95 % intervals; none where nothing varies.
    pub(crate) fn rule(&self) -> Option<&Rule> {
        self.0.rule.as_ref()
    }

    pub(crate) fn each(&self) -> &[SeedItems] {
        &self.0.seeds
    }

    /// What a reader of the intervals has to know before trusting them, a sentence each.
    pub fn cautions(&self) -> Vec<String> {
        let mut cautions = Vec::new();
        match self.seeds() {
            1 => cautions.push(
                "one seed: intervals cover the choice of test items only, not how much another seed would differ".into(),
            ),
            2 => cautions.push(
                "two seeds: how much seeds differ is known from one difference only, so intervals are wide".into(),
            ),
            _ => (),
        }
        let groups = self.groups_per_seed();
        if groups < FEW_GROUPS {
            cautions.push(format!(
                "{groups:.0} independent test items a seed: below {FEW_GROUPS} intervals may be too narrow"
            ));
        }
        cautions
    }
}

/// Below this many groups a seed the simulation shows intervals that are too narrow.
const FEW_GROUPS: f64 = 20.0;

/// What the intervals of this design cover, as a report says it.
impl fmt::Display for Design {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seeds, groups) = (self.seeds(), self.groups());
        let items = if groups == self.items() || self.distinct_items() == groups as f64 {
            "test items"
        } else {
            "groups of test items"
        };
        match seeds {
            1 => write!(f, "items only: one seed, {groups} {items}"),
            _ if self.groups_per_seed() == groups as f64 => {
                write!(
                    f,
                    "seeds and items: {seeds} seeds on the same {groups} {items}"
                )
            }
            _ => write!(f, "seeds and items: {seeds} seeds, {groups} {items} in all"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_group_in_all_seeds_unless_nested() {
        let groups = [vec![7, 7, 9], vec![9, 8]];
        let shared = Design::new(&groups);
        assert_eq!((shared.seeds(), shared.items(), shared.groups()), (2, 5, 3));
        assert_eq!(shared.each()[0].place, [0, 0, 1]);
        assert_eq!(shared.each()[1].group, [1, 2]);
        assert_eq!(Design::nested(&groups).groups(), 4);
        assert_eq!(shared.groups_per_seed(), 2.0);
    }

    #[test]
    fn a_design_says_what_its_intervals_cover() {
        let hundred: Vec<u64> = (0..100).collect();
        let pairs: Vec<u64> = (0..100).map(|item| item / 2).collect();
        let text = |design: Design| design.to_string();
        assert_eq!(
            text(Design::crossed(1, &hundred)),
            "items only: one seed, 100 test items"
        );
        assert_eq!(
            text(Design::crossed(3, &pairs)),
            "seeds and items: 3 seeds on the same 50 groups of test items"
        );
        assert_eq!(
            text(Design::nested(&[hundred.clone(), hundred.clone()])),
            "seeds and items: 2 seeds, 200 test items in all"
        );
        assert!(Design::crossed(3, &hundred).cautions().is_empty());
        assert!(Design::crossed(1, &hundred).cautions()[0].starts_with("one seed"));
        assert!(Design::crossed(2, &hundred[..5]).cautions()[1].starts_with("5 independent"));
    }
}
