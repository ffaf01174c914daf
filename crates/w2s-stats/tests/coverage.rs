//! How often the nominal 95 % intervals hold the truth: experiments are drawn again and again from a known world.
//!
//! A world has three arms of accuracy `weak`, `student` and `ceiling`. A seed shifts each arm by a normal effect, half of whose
//! variance the arms share. Items differ in difficulty, the items of one group less than others: whether an arm gets an item
//! right is a probit of the arm's accuracy, the group, the item and chance, half of whose variance is chance. Everything
//! is read through the public functions, as a report does.
//!
//! `cargo test --release -p w2s-stats --test coverage -- --ignored --nocapture` prints the tables of `docs/statistics.md`.

use rayon::prelude::*;
use statrs::distribution::{ContinuousCDF, Normal};
use w2s_stats::{Design, Series, Terms, pgr};

/// xoshiro256++, seeded by SplitMix64, and normal numbers by Box and Muller.
struct Dice([u64; 4]);

impl Dice {
    fn new(seed: u64) -> Self {
        let mut state = seed;
        Self([0; 4].map(|_: u64| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }))
    }

    fn next(&mut self) -> u64 {
        let s = &mut self.0;
        let out = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        out
    }

    fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn normals(&mut self) -> [f64; 2] {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * self.uniform()).sin_cos();
        [radius * cos, radius * sin]
    }

    fn normal_column(&mut self, n: usize) -> Vec<f64> {
        let mut column = Vec::with_capacity(n + 1);
        while column.len() < n {
            column.extend(self.normals());
        }
        column.truncate(n);
        column
    }
}

#[derive(Clone, Copy)]
struct World {
    seeds: usize,
    /// Standard deviation of a seed's effect on an arm's accuracy.
    seed_sd: f64,
    items: usize,
    /// Items that belong together.
    group: usize,
    /// Whether all seeds have the same items.
    crossed: bool,
    /// Accuracies of weak, student and ceiling.
    arms: [f64; 3],
}

/// Shares of the variance of an item's difficulty; the rest is chance.
const DIFFICULTY: f64 = 0.5;
const OF_THE_GROUP: f64 = 0.3;
/// Cells of the table of difficulties.
const CELLS: usize = 160;
const REACH: f64 = 5.0;

impl World {
    fn design(&self) -> Design {
        let groups: Vec<u64> = (0..self.items)
            .map(|item| (item / self.group) as u64)
            .collect();
        match self.crossed {
            true => Design::crossed(self.seeds, &groups),
            false => Design::nested(&vec![groups; self.seeds]),
        }
    }

    /// Which cell of difficulty each item is in.
    fn difficulties(&self, dice: &mut Dice) -> Vec<u8> {
        let groups = dice.normal_column(self.items.div_ceil(self.group));
        let items = dice.normal_column(self.items);
        let of_group = (OF_THE_GROUP / DIFFICULTY).sqrt();
        let of_item = (1.0 - OF_THE_GROUP / DIFFICULTY).sqrt();
        let cell = |(item, own): (usize, f64)| {
            let difficulty = match self.group {
                1 => own,
                _ => of_group * groups[item / self.group] + of_item * own,
            };
            let at = (difficulty + REACH) / (2.0 * REACH) * CELLS as f64;
            at.clamp(0.0, CELLS as f64 - 1.0) as u8
        };
        items.into_iter().enumerate().map(cell).collect()
    }

    /// Right or wrong, by arm, seed and item.
    fn draw(&self, dice: &mut Dice) -> [Vec<Vec<f64>>; 3] {
        let normal = Normal::standard();
        let shared = self.crossed.then(|| self.difficulties(dice));
        let mut arms = [vec![], vec![], vec![]];
        for _ in 0..self.seeds {
            let own = shared.is_none().then(|| self.difficulties(dice));
            let difficulties = shared.as_ref().or(own.as_ref()).expect("one of them");
            let effects = [dice.normals(), dice.normals()];
            for (arm, columns) in arms.iter_mut().enumerate() {
                let own = effects[(arm + 1) / 2][(arm + 1) % 2];
                let effect = self.seed_sd * (effects[0][0] + own) / 2f64.sqrt();
                let accuracy = (self.arms[arm] + effect).clamp(0.001, 0.999);
                let threshold = normal.inverse_cdf(accuracy);
                let chances: Vec<u32> = (0..CELLS)
                    .map(|cell| {
                        let middle = (cell as f64 + 0.5) / CELLS as f64 * 2.0 * REACH - REACH;
                        let chance =
                            (threshold - DIFFICULTY.sqrt() * middle) / (1.0 - DIFFICULTY).sqrt();
                        (normal.cdf(chance) * f64::from(u32::MAX)) as u32
                    })
                    .collect();
                let right = difficulties.iter().map(|&cell| {
                    f64::from(u8::from(
                        (dice.next() >> 32) as u32 <= chances[usize::from(cell)],
                    ))
                });
                columns.push(right.collect());
            }
        }
        arms
    }

    fn describe(&self) -> String {
        let items = match self.crossed {
            true => "same",
            false => "own",
        };
        let group = match self.group {
            1 => String::new(),
            n => format!(" in groups of {n}"),
        };
        format!(
            "{} | {:.0} | {items} {}{group}",
            self.seeds,
            100.0 * self.seed_sd,
            self.items
        )
    }
}

/// How often an interval held the truth, and the half of its mean width, in points.
#[derive(Clone, Copy, Default)]
struct Held {
    held: usize,
    given: usize,
    width: f64,
}

impl Held {
    fn see(&mut self, interval: Option<[f64; 2]>, truth: f64) {
        if let Some([low, high]) = interval {
            self.given += 1;
            self.held += usize::from(low <= truth && truth <= high);
            self.width += (high - low) / 2.0;
        }
    }

    fn add(&mut self, other: &Self) {
        self.held += other.held;
        self.given += other.given;
        self.width += other.width;
    }

    fn share(&self) -> f64 {
        self.held as f64 / self.given as f64
    }

    fn points(&self) -> f64 {
        100.0 * self.width / self.given as f64
    }
}

/// Accuracy of the student, student minus weak, ceiling minus weak, and PGR.
type Row = [Held; 4];

fn replicate<const N: usize>(
    count: usize,
    one: impl Fn(&mut Dice, &mut [Held; N]) + Sync,
) -> [Held; N] {
    let chunks: Vec<[Held; N]> = (0..count.div_ceil(50))
        .into_par_iter()
        .map(|chunk| {
            let mut dice = Dice::new(chunk as u64);
            let mut sums = [Held::default(); N];
            for _ in 0..50 {
                one(&mut dice, &mut sums);
            }
            sums
        })
        .collect();
    let mut sums = [Held::default(); N];
    for chunk in &chunks {
        for (sum, held) in sums.iter_mut().zip(chunk) {
            sum.add(held);
        }
    }
    sums
}

fn coverage(world: &World, count: usize) -> Row {
    let design = world.design();
    let [weak_truth, student_truth, ceiling_truth] = world.arms;
    let share = pgr::value(weak_truth, student_truth, ceiling_truth).expect("a gap");
    replicate(count, |dice, sums: &mut Row| {
        let [weak, student, ceiling]: [Series; 3] =
            world.draw(dice).map(|columns| design.mean(&columns));
        sums[0].see(student.interval(), student_truth);
        sums[1].see(student.minus(&weak).interval(), student_truth - weak_truth);
        sums[2].see(ceiling.minus(&weak).interval(), ceiling_truth - weak_truth);
        sums[3].see(pgr::recovered(&weak, &student, &ceiling).ci95, share);
    })
}

const GAP: [f64; 3] = [0.70, 0.775, 0.85];

fn worlds(seeds: &[usize], items: &[usize]) -> Vec<World> {
    let mut worlds = Vec::new();
    for &crossed in &[true, false] {
        for &items in items {
            for &group in &[1, 5] {
                for &seed_sd in &[0.0, 0.01, 0.05] {
                    for &seeds in seeds {
                        worlds.push(World {
                            seeds,
                            seed_sd,
                            items,
                            group,
                            crossed,
                            arms: GAP,
                        });
                    }
                }
            }
        }
    }
    worlds
}

fn line(world: &World, row: &Row, count: usize) -> String {
    let mut line = format!("| {} |", world.describe());
    for held in &row[..3] {
        line += &format!(" {:.1} ({:.1}) |", 100.0 * held.share(), held.points());
    }
    // An experiment without an interval of PGR claims nothing, so it is not wrong.
    let given = row[3].given as f64 / count as f64;
    let never_wrong = 1.0 - given + row[3].held as f64 / count as f64;
    line + &format!(
        " {:.1} | {:.0} | {:.1} |",
        100.0 * never_wrong,
        100.0 * given,
        100.0 * row[3].share()
    )
}

/// Experiments a cell in the tests that always run.
const FEW: usize = 1000;
/// Three standard errors of a coverage of 95 % out of [`FEW`].
const NOISE: f64 = 0.021;

/// The whole table on 200 items, with groups at one spread of the seeds only.
#[test]
fn intervals_cover_what_they_say() {
    let worlds = worlds(&[2, 3, 5, 10], &[200]).into_iter();
    for world in worlds.filter(|world| world.group == 1 || world.seed_sd == 0.01) {
        let row = coverage(&world, FEW);
        let most = if world.seeds == 2 { 0.985 } else { 0.97 };
        for (name, held) in ["accuracy", "difference", "gap", "PGR"].iter().zip(&row) {
            let share = held.share();
            // PGR is counted where it is given, which two seeds rarely allow.
            let noise = NOISE * (FEW as f64 / held.given as f64).sqrt();
            assert!(
                share > 0.93 - noise && share < most + noise,
                "{name}: {share} in | {}",
                line(&world, &row, FEW)
            );
        }
    }
}

/// One seed: the seed's own accuracy on all items there are.
#[test]
fn one_seed_covers_its_items() {
    for group in [1, 5] {
        let world = World {
            seeds: 1,
            seed_sd: 0.0,
            items: 200,
            group,
            crossed: true,
            arms: GAP,
        };
        let row = coverage(&world, FEW);
        for held in &row[..3] {
            assert!(
                (0.93 - NOISE..0.97 + NOISE).contains(&held.share()),
                "{}",
                line(&world, &row, FEW)
            );
        }
    }
}

/// The simulation can tell: rows of one question that count as independent give intervals that are too narrow.
#[test]
fn ignoring_groups_does_not_cover() {
    let world = World {
        seeds: 1,
        seed_sd: 0.0,
        items: 200,
        group: 5,
        crossed: true,
        arms: GAP,
    };
    let ungrouped = World { group: 1, ..world }.design();
    let [held] = replicate(FEW, |dice, sums: &mut [Held; 1]| {
        let [_, student, _] = world.draw(dice);
        sums[0].see(ungrouped.mean(&student).interval(), world.arms[1]);
    });
    assert!(held.share() < 0.92, "{}", held.share());
}

/// Arms that are nearly always right: no interval is empty, none leaves the range, and few items do not make them liars.
#[test]
fn nearly_always_right() {
    for (seeds, items, crossed) in CORNERS {
        let world = nearly_right(seeds, items, crossed);
        let row = coverage(&world, FEW);
        for held in [row[0], row[1]] {
            assert!(
                held.given == FEW && held.share() > 0.93 - NOISE,
                "{}",
                line(&world, &row, FEW)
            );
        }
    }
}

const CORNERS: [(usize, usize, bool); 5] = [
    (1, 50, true),
    (1, 200, true),
    (3, 50, true),
    (3, 200, true),
    (3, 200, false),
];

fn nearly_right(seeds: usize, items: usize, crossed: bool) -> World {
    World {
        seeds,
        seed_sd: 0.0,
        items,
        group: 1,
        crossed,
        arms: [0.97, 0.98, 0.99],
    }
}

/// A gap of two points: PGR is given rarely, and wrong no more often for it.
fn small_gap(seeds: usize, seed_sd: f64, items: usize) -> World {
    World {
        seeds,
        seed_sd,
        items,
        group: 1,
        crossed: false,
        arms: [0.80, 0.81, 0.82],
    }
}

#[test]
fn a_small_gap_is_not_claimed() {
    let world = small_gap(3, 0.01, 200);
    let [.., gap, share] = coverage(&world, FEW);
    assert!((0.93 - NOISE..0.97 + NOISE).contains(&gap.share()));
    assert!((share.given as f64) < 0.25 * FEW as f64, "{}", share.given);
    assert!((share.given - share.held) as f64 <= (0.05 + NOISE) * FEW as f64);
}

/// Metrics that are no means.
const CURVED: [&str; 6] = [
    "AUROC",
    "prior-matched accuracy",
    "balanced accuracy",
    "weighted F1",
    "agreement where the teacher is wrong",
    "difference of AUROC",
];

/// Scores of a teacher and a student for two classes of unequal size, with a threshold in the wrong place.
fn curved(
    design: &Design,
    seeds: usize,
    items: usize,
    crossed: bool,
    dice: &mut Dice,
) -> [Series; 6] {
    let (mut auroc, mut teacher_auroc, mut matched) = (vec![], vec![], vec![]);
    let (mut balanced, mut f1, mut same_error, mut wrong) = (vec![], vec![], vec![], vec![]);
    let mut gold = vec![];
    let mut difficulty = vec![];
    for seed in 0..seeds {
        if seed == 0 || !crossed {
            gold = (0..items)
                .map(|_| u32::from(dice.uniform() < 0.35))
                .collect::<Vec<_>>();
            difficulty = dice.normal_column(items);
        }
        let positive: Vec<bool> = gold.iter().map(|&class| class == 1).collect();
        let [effect, other] = dice.normals();
        let mut arm = |skill: f64, effect: f64| -> Vec<f64> {
            let noise = dice.normal_column(items);
            let rows = gold.iter().zip(&difficulty).zip(noise);
            rows.map(|((&class, hard), noise)| {
                (skill + effect) * (2.0 * f64::from(class) - 1.0) + 0.7 * hard + 0.7 * noise + 0.3
            })
            .collect()
        };
        let teacher = arm(0.6, 0.1 * effect);
        let student = arm(1.0, 0.1 * other);
        let class = |scores: &[f64]| {
            scores
                .iter()
                .map(|&score| u32::from(score > 0.0))
                .collect::<Vec<_>>()
        };
        let (said, taught) = (class(&student), class(&teacher));
        auroc.push(Terms::auroc(&student, &positive));
        teacher_auroc.push(Terms::auroc(&teacher, &positive));
        matched.push(Terms::prior_matched_accuracy(&student, &positive));
        balanced.push(Terms::balanced_accuracy(&said, &gold));
        f1.push(Terms::weighted_f1(&said, &gold));
        let number = |flag: bool| f64::from(u8::from(flag));
        let rows = || said.iter().zip(&taught).zip(&gold);
        same_error.push(
            rows()
                .map(|((s, t), g)| number(s == t && t != g))
                .collect::<Vec<_>>(),
        );
        wrong.push(rows().map(|((_, t), g)| number(t != g)).collect::<Vec<_>>());
    }
    let auroc = design.metric(&auroc);
    let difference = auroc.minus(&design.metric(&teacher_auroc));
    [
        auroc,
        design.metric(&matched),
        design.metric(&balanced),
        design.metric(&f1),
        design
            .mean(&same_error)
            .over(&design.mean(&wrong))
            .as_share(),
        difference,
    ]
}

fn curved_coverage(seeds: usize, items: usize, crossed: bool, count: usize) -> [Held; 6] {
    let one_item_each = |items: usize| (0..items as u64).collect::<Vec<u64>>();
    let design = match crossed {
        true => Design::crossed(seeds, &one_item_each(items)),
        false => Design::nested(&vec![one_item_each(items); seeds]),
    };
    // The truth is the same estimate on seeds and items without end.
    let many = Design::nested(&vec![one_item_each(4000); 100]);
    let truths: Vec<[f64; 6]> = (0..16)
        .into_par_iter()
        .map(|run| {
            curved(&many, 100, 4000, false, &mut Dice::new(1_000_000 + run))
                .map(|series| series.mean)
        })
        .collect();
    let truth = |at: usize| truths.iter().map(|truth| truth[at]).sum::<f64>() / truths.len() as f64;
    replicate(count, |dice, sums: &mut [Held; 6]| {
        let found = curved(&design, seeds, items, crossed, dice);
        for (at, (held, series)) in sums.iter_mut().zip(&found).enumerate() {
            held.see(series.interval(), truth(at));
        }
    })
}

#[test]
fn metrics_that_are_no_means_cover_too() {
    let count = 1000;
    for (seeds, crossed) in [(3, true), (3, false), (5, true)] {
        for (name, held) in CURVED
            .iter()
            .zip(curved_coverage(seeds, 300, crossed, count))
        {
            let share = held.share();
            assert!(
                share > 0.93 - 0.02 && share < 0.97 + 0.02,
                "{name}, {seeds} seeds, crossed {crossed}: {share}"
            );
        }
    }
}

#[test]
#[ignore = "takes minutes"]
fn the_whole_table() {
    let count = std::env::var("W2S_REPLICATES").map_or(4000, |n| n.parse().expect("a number"));
    println!(
        "| seeds | seed sd | items a seed | accuracy | difference | gap | PGR, never wrong | PGR given | PGR where given |"
    );
    println!("| ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    let show = |world: &World| println!("{}", line(world, &coverage(world, count), count));
    for world in worlds(&[2, 3, 5, 10], &[200, 2000]) {
        show(&world);
    }
    println!("\none seed");
    for world in worlds(&[1], &[200, 2000]) {
        if world.crossed && world.seed_sd == 0.0 {
            show(&world);
        }
    }
    println!("\nnearly always right");
    for (seeds, items, crossed) in CORNERS {
        show(&nearly_right(seeds, items, crossed));
    }
    println!("\na gap of two points");
    for (seeds, seed_sd, items) in [
        (3, 0.0, 200),
        (3, 0.01, 2000),
        (10, 0.01, 200),
        (10, 0.01, 2000),
    ] {
        show(&small_gap(seeds, seed_sd, items));
    }
    println!("\nfew groups");
    for items in [25, 50, 100] {
        for seeds in [1, 3] {
            show(&World {
                seeds,
                seed_sd: 0.0,
                items,
                group: 5,
                crossed: true,
                arms: GAP,
            });
        }
    }
    println!("\nno means");
    for (seeds, crossed) in [(2, true), (3, true), (3, false), (5, true), (10, false)] {
        for items in [200, 2000] {
            let held = curved_coverage(seeds, items, crossed, count / 2);
            let cells =
                held.map(|held| format!("{:.1} ({:.1})", 100.0 * held.share(), held.points()));
            let design = if crossed { "same" } else { "own" };
            println!("| {seeds} | {design} {items} | {} |", cells.join(" | "));
        }
    }
}
