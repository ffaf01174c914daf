//! Finding points of a step by the values of some variables, without looking at all of them.

use std::collections::HashMap;

use super::axes::Point;

/// Points by the values of some variables.
type Table = HashMap<Vec<u32>, Vec<usize>>;

/// The points of every step.
pub struct Index<'a> {
    points: Vec<&'a Point>,
    /// For each step its points, those with values for the same variables together.
    groups: Vec<Vec<(u64, Vec<usize>)>>,
    /// For a step, the variables its points have and those they are looked up by: a table, made when it is first wanted.
    tables: HashMap<(usize, u64, u64), Table>,
}

impl<'a> Index<'a> {
    /// Takes every point with its step; those without one are not found.
    pub fn new(steps: usize, points: impl IntoIterator<Item = (Option<usize>, &'a Point)>) -> Self {
        let mut index = Self {
            points: Vec::new(),
            groups: vec![Vec::new(); steps],
            tables: HashMap::new(),
        };
        for (at, (step, point)) in points.into_iter().enumerate() {
            index.points.push(point);
            let Some(step) = step else { continue };
            let groups = &mut index.groups[step];
            match groups.iter_mut().find(|(mask, _)| *mask == point.mask) {
                Some((_, group)) => group.push(at),
                None => groups.push((point.mask, vec![at])),
            }
        }
        index
    }

    /// The points of a step that agree with `wanted` wherever both have a value, in order.
    pub fn find(&mut self, step: usize, wanted: &Point) -> Vec<usize> {
        let Self {
            points,
            groups,
            tables,
        } = self;
        let mut found = Vec::new();
        for (mask, group) in &groups[step] {
            let fixed = mask & wanted.mask;
            let table = tables.entry((step, *mask, fixed)).or_insert_with(|| {
                let mut table = Table::new();
                for &at in group {
                    table.entry(points[at].project(fixed)).or_default().push(at);
                }
                table
            });
            if let Some(group) = table.get(&wanted.project(fixed)) {
                found.extend_from_slice(group);
            }
        }
        found.sort_unstable();
        found
    }
}
