//! Responses from files: whatever made the answers, they become an artifact that belongs to prompts.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;
use w2s_answers::Rules;
use w2s_artifact::{Prompt, Response, prompt_fingerprint, summary::Dropped};

use super::gold;
use crate::{
    conversation::{RowFormat, malformed, text},
    error::DataError,
    source::Object,
};

/// Which columns of a row are what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct ResponseColumns {
    /// Column with the answer; `a.b` is the column `b` of the object in the column `a`
    #[cfg_attr(
        feature = "cli",
        arg(long, default_value = "answer", value_name = "COLUMN")
    )]
    pub answer_column: String,
    /// Column with the number of the prompt [default: the question tells which prompt it is]
    #[cfg_attr(feature = "cli", arg(long, value_name = "COLUMN"))]
    pub id_column: Option<String>,
    /// Column with the question [default: messages, conversations, prompt, instruction or question]
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "COLUMN", conflicts_with = "id_column")
    )]
    pub prompt_column: Option<String>,
    /// Column with the number of the sample, from 0 [default: the answers to a prompt are counted in the order of the rows]
    #[cfg_attr(feature = "cli", arg(long, value_name = "COLUMN"))]
    pub sample_column: Option<String>,
    /// Column with the right answer, which must be that of the prompt
    #[cfg_attr(feature = "cli", arg(long, value_name = "COLUMN"))]
    pub gold_column: Option<String>,
}

/// Responses, and what became of the rows that are none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// The responses, in the order of the rows.
    pub responses: Vec<Response>,
    /// Rows that were left out: `unmatched` answer no prompt, `empty` hold no answer.
    pub dropped: Dropped,
}

/// Makes responses of rows. `model` is what is said to have made them.
///
/// # Errors
///
/// A column is missing or holds something else; a row contradicts the right answer of its prompt; no row answers a prompt.
pub fn responses(
    rows: &[Object],
    columns: &ResponseColumns,
    prompts: &[Prompt],
    model: &str,
) -> Result<Imported, DataError> {
    let format = RowFormat {
        prompt_column: columns.prompt_column.clone(),
        ..RowFormat::default()
    };
    let by_question: HashMap<u64, &Prompt> = prompts
        .iter()
        .map(|prompt| (prompt_fingerprint(&prompt.messages), prompt))
        .collect();
    let by_id: HashMap<u64, &Prompt> = prompts.iter().map(|prompt| (prompt.id, prompt)).collect();
    let mut imported = Imported::default();
    let mut counted: HashMap<u64, u32> = HashMap::new();
    for row in rows {
        let prompt = match &columns.id_column {
            Some(column) => by_id.get(&integer(row, column)?),
            None => {
                let asked = format.question(row)?;
                asked.and_then(|asked| by_question.get(&prompt_fingerprint(&asked.messages)))
            }
        };
        let answer = value(row, &columns.answer_column)?;
        let answer = text(row, &columns.answer_column, answer)?;
        let (prompt, reason) = match prompt {
            None => (None, "unmatched"),
            Some(_) if answer.trim().is_empty() => (None, "empty"),
            Some(prompt) => (Some(prompt), ""),
        };
        let Some(prompt) = prompt else {
            *imported.dropped.entry(reason.to_owned()).or_default() += 1;
            continue;
        };
        if let Some(column) = &columns.gold_column {
            check_gold(row, column, prompt)?;
        }
        let next = counted.entry(prompt.id).or_default();
        let sample = match &columns.sample_column {
            Some(column) => u32::try_from(integer(row, column)?)
                .map_err(|_| malformed(row, format!("column `{column}` is no sample number")))?,
            None => *next,
        };
        *next += 1;
        imported.responses.push(Response {
            prompt: prompt.id,
            sample,
            text: answer,
            ids: Vec::new(),
            log_probs: Vec::new(),
            finished: true,
            model: model.to_owned(),
        });
    }
    if imported.responses.is_empty() {
        let count = |reason: &str| imported.dropped.get(reason).copied().unwrap_or_default();
        return Err(DataError::NothingImported {
            rows: rows.len(),
            unmatched: count("unmatched"),
            empty: count("empty"),
        });
    }
    Ok(imported)
}

/// Refuses a row whose right answer is not that of the prompt.
fn check_gold(row: &Object, column: &str, prompt: &Prompt) -> Result<(), DataError> {
    let stated = text(row, column, value(row, column)?)?;
    let stated = Rules::Corrected.gold(&stated);
    match gold(prompt, Rules::Corrected) {
        Some(known) if stated.is_some() && stated != known => Err(malformed(
            row,
            format!(
                "column `{column}` says that `{}` is right, and the answer of prompt {} is `{}`",
                stated.text(),
                prompt.id,
                known.text()
            ),
        )),
        _ => Ok(()),
    }
}

/// The value of a column, or of a column of the object in it.
pub(crate) fn value<'a>(row: &'a Object, column: &str) -> Result<&'a Value, DataError> {
    let whole = row.values.get(column);
    let nested = || {
        let mut names = column.split('.');
        let first = row.values.get(names.next()?)?;
        names.try_fold(first, |value, name| value.as_object()?.get(name))
    };
    whole
        .or_else(nested)
        .ok_or_else(|| DataError::MissingColumn {
            at: row.place.to_string(),
            column: column.to_owned(),
            present: row.values.keys().cloned().collect(),
        })
}

fn integer(row: &Object, column: &str) -> Result<u64, DataError> {
    let written = text(row, column, value(row, column)?)?;
    written.trim().parse().map_err(|_| {
        malformed(
            row,
            format!("column `{column}` holds `{written}`; a number from 0 is needed"),
        )
    })
}
