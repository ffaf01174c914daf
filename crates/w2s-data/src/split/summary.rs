//! The account of a split: what became of every row.

use std::{collections::HashSet, fmt::Write};

use w2s_artifact::{
    Example, Split,
    summary::{Dropped, SplitCount, SplitCounts, SplitPlan},
};

/// Adds rows that were left out; reasons without rows are not listed.
pub(super) fn count(dropped: &mut Dropped, reason: &str, rows: usize) {
    if rows > 0 {
        *dropped.entry(reason.to_owned()).or_default() += rows;
    }
}

/// Where the rows went, in a line.
pub(super) fn history(dropped: &Dropped, source_rows: usize) -> String {
    let mut parts = vec![format!("{source_rows} rows read")];
    parts.extend(
        dropped
            .iter()
            .map(|(reason, rows)| format!("{rows} {reason}")),
    );
    parts.join(", ")
}

/// The splits in numbers.
pub fn counts(examples: &[Example], classes: usize) -> SplitCounts {
    let count = |split: Split| {
        let of: Vec<&Example> = examples
            .iter()
            .filter(|example| example.split == split)
            .collect();
        let class = |class: usize| {
            of.iter()
                .filter(|example| example.label as usize == class)
                .count()
        };
        SplitCount {
            rows: of.len(),
            per_class: (0..classes).map(class).collect(),
            groups: of
                .iter()
                .map(|example| example.group)
                .collect::<HashSet<_>>()
                .len(),
        }
    };
    SplitCounts {
        gold: count(Split::Gold),
        transfer: count(Split::Transfer),
        test: count(Split::Test),
    }
}

/// The table a person reads.
pub fn table(plan: &SplitPlan) -> String {
    let width = plan
        .classes
        .iter()
        .map(|class| class.chars().count())
        .max()
        .unwrap_or(0)
        .max(9);
    let mut out = format!("{:<10}{:>10}{:>10}", "split", "rows", "groups");
    for class in &plan.classes {
        _ = write!(out, "  {class:>width$}");
    }
    for (name, count) in [
        ("gold", &plan.splits.gold),
        ("transfer", &plan.splits.transfer),
        ("test", &plan.splits.test),
    ] {
        let (rows, groups) = (thousands(count.rows), thousands(count.groups));
        _ = write!(out, "\n{name:<10}{rows:>10}{groups:>10}");
        for rows in &count.per_class {
            _ = write!(out, "  {:>width$}", thousands(*rows));
        }
    }
    let dropped = thousands(plan.dropped.values().sum());
    _ = write!(out, "\n{:<10}{dropped:>10}", "dropped");
    let reasons: Vec<_> = plan
        .dropped
        .iter()
        .map(|(reason, rows)| format!("{} {reason}", thousands(*rows)))
        .collect();
    if !reasons.is_empty() {
        _ = write!(out, "  {}", reasons.join(", "));
    }
    for (name, rows, what) in [
        ("read", plan.source_rows, ""),
        ("noise", plan.noisy_labels, "  gold labels turned over"),
        (
            "warning",
            plan.repeated_across_splits,
            "  rows whose text stands in another split too",
        ),
    ] {
        if rows > 0 {
            _ = write!(out, "\n{name:<10}{:>10}{what}", thousands(rows));
        }
    }
    out
}

/// 12345 as `12,345`.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
