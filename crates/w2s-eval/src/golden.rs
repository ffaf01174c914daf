//! Reads `data/golden/eval.json`, the published and hand-checked cases that the tests of this crate hold the code to.

use serde_json::Value;

/// The case named `id`.
pub(crate) fn case(id: &str) -> Value {
    let text = include_str!("../../../data/golden/eval.json");
    let cases: Vec<Value> = serde_json::from_str(text).expect("golden cases are JSON");
    let case = cases.into_iter().find(|case| case["id"] == id);
    case.unwrap_or_else(|| panic!("no golden case `{id}`"))
}
