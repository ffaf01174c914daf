//! Reads `data/golden/eval.json`, the published and hand-checked cases that the tests of this crate hold the code to.

use serde_json::Value;

/// One case of the file.
pub(crate) struct Case {
    pub(crate) id: String,
    inputs: Value,
    expected: Value,
}

/// The case named `id`.
pub(crate) fn case(id: &str) -> Case {
    group(id)
        .pop()
        .unwrap_or_else(|| panic!("no golden case `{id}`"))
}

/// The cases whose name begins with `prefix`.
pub(crate) fn group(prefix: &str) -> Vec<Case> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/golden/eval.json");
    let text = std::fs::read_to_string(path).expect("golden cases");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("golden cases are JSON");
    cases
        .into_iter()
        .map(|case| Case {
            id: case["id"].as_str().expect("id").to_owned(),
            inputs: case["inputs"].clone(),
            expected: case["expected"].clone(),
        })
        .filter(|case| case.id.starts_with(prefix))
        .collect()
}

impl Case {
    pub(crate) fn input(&self, name: &str) -> f64 {
        self.inputs[name].as_f64().expect("number")
    }

    pub(crate) fn floats(&self, name: &str) -> Vec<f64> {
        floats(&self.inputs[name])
    }

    pub(crate) fn bools(&self, name: &str) -> Vec<bool> {
        self.floats(name)
            .iter()
            .map(|&value| value != 0.0)
            .collect()
    }

    pub(crate) fn labels(&self, name: &str) -> Vec<u32> {
        self.floats(name)
            .iter()
            .map(|&value| value as u32)
            .collect()
    }

    pub(crate) fn value(&self) -> f64 {
        self.optional_value().expect("number")
    }

    pub(crate) fn optional_value(&self) -> Option<f64> {
        self.expected.as_f64()
    }

    pub(crate) fn expected(&self, name: &str) -> f64 {
        self.expected[name].as_f64().expect("number")
    }

    pub(crate) fn expected_floats(&self, name: &str) -> Vec<f64> {
        floats(&self.expected[name])
    }

    /// One of the expected `counts`.
    pub(crate) fn expected_count(&self, name: &str) -> f64 {
        self.expected["counts"][name].as_f64().expect("number")
    }

    pub(crate) fn expected_bools(&self, name: &str) -> Vec<bool> {
        floats(&self.expected[name])
            .iter()
            .map(|&value| value != 0.0)
            .collect()
    }
}

fn floats(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .expect("list")
        .iter()
        .map(|item| item.as_f64().expect("number"))
        .collect()
}
