//! Rows of text under aligned heads.

use crate::out::plain;

/// The head of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// What it says.
    pub name: &'a str,
    /// Whether its cells end below each other, as those of numbers do.
    pub right: bool,
}

/// Columns as wide as their longest cell, without those that are empty in every row. A row that is too short ends in empty
/// cells.
pub fn aligned(heads: &[Head<'_>], rows: &[Vec<String>]) -> String {
    let cell = |row: &Vec<String>, column: usize| {
        row.get(column)
            .map_or_else(String::new, |cell| plain(cell).into_owned())
    };
    let columns: Vec<(Head<'_>, Vec<String>)> = heads
        .iter()
        .enumerate()
        .map(|(column, head)| (*head, rows.iter().map(|row| cell(row, column)).collect()))
        .filter(|(_, cells): &(_, Vec<String>)| cells.iter().any(|cell| !cell.is_empty()))
        .collect();
    let length = |text: &str| console::measure_text_width(text);
    let padded = |text: &str, width: usize, right: bool| {
        let space = " ".repeat(width.saturating_sub(length(text)));
        match right {
            true => format!("{space}{text}"),
            false => format!("{text}{space}"),
        }
    };
    let mut lines: Vec<Vec<String>> = vec![Vec::new(); rows.len() + 1];
    for (head, cells) in &columns {
        let name = plain(head.name).into_owned();
        let width = cells.iter().chain([&name]).map(|text| length(text)).max();
        for (line, text) in lines.iter_mut().zip([&name].into_iter().chain(cells)) {
            line.push(padded(text, width.unwrap_or(0), head.right));
        }
    }
    lines
        .iter()
        .map(|cells| format!("{}\n", cells.join("  ").trim_end()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_empty_ones_go() {
        let heads = [
            ("arm", false),
            ("n", true),
            ("note", false),
            ("größe", true),
        ];
        let heads = heads.map(|(name, right)| Head { name, right });
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
        let rows = [row(&["naïve", "600", "", "1"]), row(&["a\u{1b}b", "1,200"])];
        insta::assert_snapshot!(aligned(&heads, &rows), @r"
        arm           n  größe
        naïve       600      1
        a\u001bb  1,200
        ");
    }
}
