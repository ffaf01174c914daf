//! Which steps a recipe makes: the matrix multiplied out, references resolved, in an order in which they can run.
//!
//! [`Plan::expand`] needs only the recipe, so that a typo is found before anything is built. [`Plan::check_keys`] holds
//! the steps against what the stage binaries say of themselves, and [`Plan::arguments`] writes a step as a command line.

use std::collections::BTreeMap;

use crate::complaint::{Complaint, Result, nearest};
use crate::recipe::{Entry, Place, Recipe, Step, Value, interpolate, is_name_character, variables};
use crate::stages::Catalog;

/// The steps of a run, in an order in which each comes after what it needs.
#[derive(Debug)]
pub struct Plan {
    /// One entry a step and matrix point.
    pub tasks: Vec<Task>,
    /// Steps that a condition leaves out, with the reason.
    pub left_out: Vec<(String, String)>,
}

/// One step at one point of the matrix.
#[derive(Debug)]
pub struct Task {
    /// The step's name in the recipe.
    pub step: String,
    /// The step's name with its matrix point, as in `naive[seed=0]`.
    pub name: String,
    /// The stage, as in `student`.
    pub stage: String,
    /// The operation, as in `train`.
    pub operation: String,
    /// Where the step is written.
    pub place: Place,
    settings: Vec<(Place, String, Setting)>,
    /// Indices of the tasks whose artifacts it reads.
    pub needs: Vec<usize>,
}

/// A key's value with references resolved.
#[derive(Debug, PartialEq, Eq)]
enum Setting {
    Bool(bool),
    Text(String),
    Artifact(usize),
    List(Vec<Setting>),
}

/// A value as written, with references told apart from text.
enum Node {
    Plain(Value),
    Reference(Reference),
    List(Vec<Node>),
}

/// `@step`, `@step|other`, `@step[*]`, `@step[seed=0]`.
#[derive(Debug, PartialEq, Eq)]
struct Reference {
    text: String,
    /// The first of these that is not left out.
    steps: Vec<String>,
    /// Every point of every variable.
    all: bool,
    /// Variables named in brackets; no value means every value.
    chosen: Vec<(String, Option<String>)>,
}

/// What is needed of a step while it is expanded.
struct Expanding<'a> {
    step: &'a Step,
    nodes: Vec<(&'a Entry, Node)>,
    /// Matrix variables the step is multiplied by.
    dimensions: Vec<String>,
    /// The tasks it became: matrix point and index.
    tasks: Vec<(BTreeMap<String, Value>, usize)>,
}

impl Plan {
    /// Multiplies the steps by the matrix and resolves their references.
    pub fn expand(recipe: &Recipe, vars: &BTreeMap<String, Value>) -> Result<Self> {
        let matrix = recipe.matrix_values(vars)?;
        let mut steps = read_steps(recipe)?;
        check_names(recipe, &steps, vars)?;
        let order = order(&steps)?;
        let mut plan = Self {
            tasks: Vec::new(),
            left_out: Vec::new(),
        };
        for &index in &order {
            steps[index].dimensions = dimensions(&steps[index], &steps, &matrix)?;
            for point in points(&steps[index].dimensions, &matrix) {
                let name = task_name(&steps[index], &point);
                let mut values = vars.clone();
                values.extend(point.clone());
                match settle(&steps[index], &steps, &point, &values)? {
                    Settled::LeftOut(reason) => plan.left_out.push((name, reason)),
                    Settled::Settings(settings) => {
                        let mut needs = Vec::new();
                        settings
                            .iter()
                            .for_each(|(_, _, setting)| setting.needs(&mut needs));
                        needs.sort_unstable();
                        needs.dedup();
                        let step = steps[index].step;
                        steps[index].tasks.push((point, plan.tasks.len()));
                        plan.tasks.push(Task {
                            step: step.name.clone(),
                            name,
                            stage: step.stage.clone(),
                            operation: step.operation.clone(),
                            place: step.place.clone(),
                            settings,
                            needs,
                        });
                    }
                }
            }
        }
        if plan.tasks.is_empty() {
            return Err(Complaint::usage(format!(
                "recipe `{}` leaves every step out",
                recipe.name
            )));
        }
        Ok(plan)
    }

    /// The stages the tasks use, each once.
    pub fn stages(&self) -> Vec<&str> {
        let mut stages: Vec<&str> = self.tasks.iter().map(|task| task.stage.as_str()).collect();
        stages.sort_unstable();
        stages.dedup();
        stages
    }

    /// The task or tasks that `--from` names, and everything after them.
    pub fn from(&self, name: &str) -> Result<Vec<bool>> {
        let mut again: Vec<bool> = self
            .tasks
            .iter()
            .map(|task| task.step == name || task.name == name)
            .collect();
        if !again.contains(&true) {
            let mut known: Vec<&str> = self.tasks.iter().map(|task| task.step.as_str()).collect();
            known.dedup();
            return Err(Complaint::usage(format!(
                "--from {name}: no step of this run is called `{name}`"
            ))
            .nearest(name, known));
        }
        for index in 0..self.tasks.len() {
            if self.tasks[index].needs.iter().any(|&need| again[need]) {
                again[index] = true;
            }
        }
        Ok(again)
    }

    /// Holds every step against the operations and keys the stage binaries know.
    pub fn check_keys(&self, catalog: &Catalog) -> Result<()> {
        let mut complaints: Vec<Complaint> = Vec::new();
        for task in &self.tasks {
            for complaint in self.key_complaints(task, catalog) {
                // The same mistake stands at every matrix point.
                if !complaints.contains(&complaint) {
                    complaints.push(complaint);
                }
            }
        }
        Complaint::all(complaints).map_or(Ok(()), Err)
    }

    fn key_complaints(&self, task: &Task, catalog: &Catalog) -> Vec<Complaint> {
        let operations = catalog.operations(&task.stage);
        let Some(operation) = operations.iter().find(|known| known.name == task.operation) else {
            return vec![
                Complaint::usage(format!(
                    "{}: step `{}` runs `{} {}`, but `{}` has no operation `{}`",
                    task.place, task.step, task.stage, task.operation, task.stage, task.operation
                ))
                .nearest(
                    &task.operation,
                    operations.iter().map(|known| known.name.as_str()),
                ),
            ];
        };
        let mut complaints = Vec::new();
        for (place, key, setting) in &task.settings {
            let Some(known) = operation.keys.iter().find(|known| known.name == *key) else {
                let names = operation.keys.iter().map(|known| known.name.as_str());
                let complaint = Complaint::usage(format!(
                    "{place}: step `{}` has the key `{key}`, which `{} {}` does not know",
                    task.step, task.stage, task.operation
                ));
                complaints.push(match nearest(key, names.clone()) {
                    Some(near) => complaint.hint(format!("did you mean `{near}`?")),
                    None if ["store", "device", "threads", "force"].contains(&key.as_str()) => {
                        complaint.hint(format!(
                            "`{key}` belongs to the command: cargo xtask pipeline --help"
                        ))
                    }
                    None => complaint.hint(format!(
                        "its keys: {}",
                        names.collect::<Vec<_>>().join(", ")
                    )),
                });
                continue;
            };
            let say = |what: String| {
                Complaint::usage(format!(
                    "{place}: key `{key}` of step `{}` {what}",
                    task.step
                ))
                .detail(format!(
                    "{key}: {}",
                    known.help.as_deref().unwrap_or_default()
                ))
            };
            if known.input.as_deref() != Some("artifact") && setting.holds_artifact() {
                complaints.push(say(
                    "refers to a step, but it does not take an artifact".to_owned()
                ));
            }
            if known.boolean && !setting.is_switch() {
                complaints.push(say(format!(
                    "is `{}`; it takes true or false",
                    setting.plain()
                )));
            }
            if !known.multiple
                && let Setting::List(items) = setting
                && items.len() > 1
            {
                let count = items.len();
                complaints.push(say(format!("is a list of {count}, but it takes one value")));
            }
            if known.required && setting.is_absent() {
                complaints.push(say("is empty, but it is needed".to_owned()));
            }
        }
        for known in operation.keys.iter().filter(|known| known.required) {
            if !task.settings.iter().any(|(_, key, _)| *key == known.name) {
                complaints.push(
                    Complaint::usage(format!(
                        "{}: step `{}` lacks the key `{}`, which `{} {}` needs",
                        task.place, task.step, known.name, task.stage, task.operation
                    ))
                    .detail(format!(
                        "{}: {}",
                        known.name,
                        known.help.as_deref().unwrap_or_default()
                    )),
                );
            }
        }
        complaints
    }

    /// The operation and its flags; `references` holds the artifact of every task that comes before.
    pub fn arguments(
        &self,
        index: usize,
        catalog: &Catalog,
        references: &[Option<String>],
    ) -> Vec<String> {
        let task = &self.tasks[index];
        let mut arguments = vec![task.operation.clone()];
        let operations = catalog.operations(&task.stage);
        for (_, key, setting) in &task.settings {
            let boolean = operations
                .iter()
                .find(|operation| operation.name == task.operation)
                .and_then(|operation| operation.keys.iter().find(|known| known.name == *key))
                .is_some_and(|known| known.boolean);
            match setting {
                _ if boolean && setting.is_absent() => {}
                _ if boolean => arguments.push(format!("--{key}")),
                Setting::List(items) => {
                    for item in items.iter().filter(|item| !item.is_empty_text()) {
                        item.push(key, references, &mut arguments);
                    }
                }
                // An empty text leaves the flag to its default.
                setting if setting.is_empty_text() => {}
                setting => setting.push(key, references, &mut arguments),
            }
        }
        arguments
    }
}

impl Setting {
    fn is_empty_text(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }

    fn needs(&self, needs: &mut Vec<usize>) {
        match self {
            Self::Artifact(index) => needs.push(*index),
            Self::List(items) => items.iter().for_each(|item| item.needs(needs)),
            Self::Bool(_) | Self::Text(_) => {}
        }
    }

    fn holds_artifact(&self) -> bool {
        match self {
            Self::Artifact(_) => true,
            Self::List(items) => items.iter().any(Self::holds_artifact),
            Self::Bool(_) | Self::Text(_) => false,
        }
    }

    fn is_switch(&self) -> bool {
        match self {
            Self::Bool(_) => true,
            Self::Text(text) => ["", "true", "false"].contains(&text.as_str()),
            Self::Artifact(_) | Self::List(_) => false,
        }
    }

    fn is_absent(&self) -> bool {
        match self {
            Self::Bool(value) => !value,
            Self::Text(text) => text.is_empty() || text == "false",
            Self::List(items) => items.is_empty(),
            Self::Artifact(_) => false,
        }
    }

    fn plain(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Text(text) => text.clone(),
            Self::Artifact(_) => "an artifact".to_owned(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::plain).collect();
                format!("[{}]", items.join(", "))
            }
        }
    }

    fn push(&self, key: &str, references: &[Option<String>], arguments: &mut Vec<String>) {
        let value = match self {
            Self::Artifact(index) => references
                .get(*index)
                .cloned()
                .flatten()
                .unwrap_or_default(),
            other => other.plain(),
        };
        // A value such as -1 would be read as a flag of its own.
        if value.starts_with('-') {
            arguments.push(format!("--{key}={value}"));
        } else {
            arguments.push(format!("--{key}"));
            arguments.push(value);
        }
    }
}

fn read_steps(recipe: &Recipe) -> Result<Vec<Expanding<'_>>> {
    recipe
        .steps
        .iter()
        .map(|step| {
            let nodes = step
                .entries
                .iter()
                .map(|entry| Ok((entry, node(&entry.value, &entry.place)?)))
                .collect::<Result<_>>()?;
            Ok(Expanding {
                step,
                nodes,
                dimensions: Vec::new(),
                tasks: Vec::new(),
            })
        })
        .collect()
}

fn node(value: &Value, place: &Place) -> Result<Node> {
    Ok(match value {
        Value::List(items) => Node::List(
            items
                .iter()
                .map(|item| node(item, place))
                .collect::<Result<_>>()?,
        ),
        Value::Text(text) => match text.strip_prefix('@') {
            // `@@` is a text that starts with one @.
            Some(rest) if rest.starts_with('@') => Node::Plain(Value::Text(rest.to_owned())),
            Some(rest) => Node::Reference(reference(text, rest, place)?),
            None => Node::Plain(value.clone()),
        },
        Value::Bool(_) => Node::Plain(value.clone()),
    })
}

fn reference(text: &str, rest: &str, place: &Place) -> Result<Reference> {
    let wrong = || {
        Complaint::usage(format!("{place}: `{text}` is not a reference"))
            .hint("as in @data, @data[*], @data[seed=0], or @imported|pretrained; @@ for a text that starts with @")
    };
    let (names, brackets) = match rest.split_once('[') {
        None => (rest, None),
        Some((names, brackets)) => (names, Some(brackets.strip_suffix(']').ok_or_else(wrong)?)),
    };
    let steps: Vec<String> = names
        .split('|')
        .map(|name| name.trim().to_owned())
        .collect();
    if !steps
        .iter()
        .all(|name| !name.is_empty() && name.chars().all(is_name_character))
    {
        return Err(wrong());
    }
    let mut reference = Reference {
        text: text.to_owned(),
        steps,
        all: false,
        chosen: Vec::new(),
    };
    match brackets {
        None => {}
        Some("*") => reference.all = true,
        Some(list) => {
            for choice in list.split(',') {
                let (variable, value) = choice.split_once('=').ok_or_else(wrong)?;
                let value = value.trim();
                let value = (value != "*").then(|| value.to_owned());
                reference.chosen.push((variable.trim().to_owned(), value));
            }
        }
    }
    Ok(reference)
}

impl Node {
    fn references<'a>(&'a self, found: &mut Vec<&'a Reference>) {
        match self {
            Self::Plain(_) => {}
            Self::Reference(reference) => found.push(reference),
            Self::List(items) => items.iter().for_each(|item| item.references(found)),
        }
    }

    fn variables(&self, place: &Place, names: &mut Vec<String>) -> Result<()> {
        match self {
            Self::Plain(value) => names.extend(variables(value, place)?),
            Self::Reference(_) => {}
            Self::List(items) => {
                for item in items {
                    item.variables(place, names)?;
                }
            }
        }
        Ok(())
    }
}

impl Expanding<'_> {
    fn references(&self) -> Vec<(&Place, &Reference)> {
        let mut found = Vec::new();
        for (entry, node) in &self.nodes {
            let mut references = Vec::new();
            node.references(&mut references);
            found.extend(
                references
                    .into_iter()
                    .map(|reference| (&entry.place, reference)),
            );
        }
        found
    }

    fn conditions(&self) -> impl Iterator<Item = &Entry> {
        self.step.when.iter().chain(&self.step.unless)
    }
}

/// Every `{name}` and every `@step` must exist.
fn check_names(
    recipe: &Recipe,
    steps: &[Expanding<'_>],
    vars: &BTreeMap<String, Value>,
) -> Result<()> {
    let mut values = vars.clone();
    for entry in &recipe.matrix {
        values.insert(entry.key.clone(), Value::Text(String::new()));
    }
    let mut complaints = Vec::new();
    for expanding in steps {
        let plain = expanding
            .nodes
            .iter()
            .map(|(entry, node)| (*entry, Some(node)));
        for (entry, node) in plain.chain(expanding.conditions().map(|entry| (entry, None))) {
            if node.is_some_and(|node| matches!(node, Node::Reference(_))) {
                continue;
            }
            if let Err(complaint) = interpolate(&entry.value, &values, &entry.place) {
                complaints.push(complaint);
            }
        }
        for (place, reference) in expanding.references() {
            for name in &reference.steps {
                if !steps.iter().any(|other| other.step.name == *name) {
                    complaints.push(
                        Complaint::usage(format!(
                            "{place}: step `{}` uses `{}`, but there is no step `{name}`",
                            expanding.step.name, reference.text
                        ))
                        .nearest(name, steps.iter().map(|other| other.step.name.as_str())),
                    );
                }
            }
            for (variable, value) in &reference.chosen {
                let complaint = |what: String| {
                    Complaint::usage(format!(
                        "{place}: step `{}` uses `{}`, but {what}",
                        expanding.step.name, reference.text
                    ))
                };
                match recipe.matrix.iter().find(|entry| entry.key == *variable) {
                    None => complaints.push(
                        complaint(format!("the matrix has no variable `{variable}`")).nearest(
                            variable,
                            recipe.matrix.iter().map(|entry| entry.key.as_str()),
                        ),
                    ),
                    Some(entry) => {
                        let Some(value) = value else { continue };
                        let known = match interpolate(&entry.value, vars, &entry.place)? {
                            Value::List(known) => known,
                            single => vec![single],
                        };
                        if !known.iter().any(|known| known.to_string() == *value) {
                            complaints.push(complaint(format!(
                                "`{variable}` is one of {}",
                                known
                                    .iter()
                                    .map(Value::to_string)
                                    .collect::<Vec<_>>()
                                    .join(", ")
                            )));
                        }
                    }
                }
            }
        }
    }
    Complaint::all(complaints).map_or(Ok(()), Err)
}

/// The steps in an order in which each comes after those it refers to, otherwise as written.
fn order(steps: &[Expanding<'_>]) -> Result<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    fn visit(
        index: usize,
        steps: &[Expanding<'_>],
        marks: &mut [Mark],
        path: &mut Vec<usize>,
        order: &mut Vec<usize>,
    ) -> Result<()> {
        match marks[index] {
            Mark::Done => return Ok(()),
            Mark::Open => {
                let start = path.iter().position(|&open| open == index).unwrap_or(0);
                let names: Vec<&str> = path[start..]
                    .iter()
                    .chain([&index])
                    .map(|&step| steps[step].step.name.as_str())
                    .collect();
                let place = &steps[path[path.len() - 1]].step.place;
                return Err(Complaint::usage(format!(
                    "{place}: steps wait for each other: {}",
                    names.join(" -> ")
                ))
                .detail("an arrow reads: uses")
                .hint("take one of these references out"));
            }
            Mark::New => {}
        }
        marks[index] = Mark::Open;
        path.push(index);
        for (_, reference) in steps[index].references() {
            for name in &reference.steps {
                if let Some(next) = steps.iter().position(|other| other.step.name == *name) {
                    visit(next, steps, marks, path, order)?;
                }
            }
        }
        path.pop();
        marks[index] = Mark::Done;
        order.push(index);
        Ok(())
    }
    let mut marks = vec![Mark::New; steps.len()];
    let mut order = Vec::new();
    for index in 0..steps.len() {
        visit(index, steps, &mut marks, &mut Vec::new(), &mut order)?;
    }
    Ok(order)
}

/// The matrix variables a step uses, itself or through a reference, in the matrix's order.
fn dimensions(
    step: &Expanding<'_>,
    steps: &[Expanding<'_>],
    matrix: &[(String, Vec<Value>)],
) -> Result<Vec<String>> {
    let mut used = Vec::new();
    for (entry, node) in &step.nodes {
        node.variables(&entry.place, &mut used)?;
    }
    for entry in step.conditions() {
        used.extend(variables(&entry.value, &entry.place)?);
    }
    for (_, reference) in step.references() {
        if reference.all {
            continue;
        }
        for other in steps
            .iter()
            .filter(|other| reference.steps.contains(&other.step.name))
        {
            let free = other.dimensions.iter().filter(|dimension| {
                !reference
                    .chosen
                    .iter()
                    .any(|(chosen, _)| chosen == *dimension)
            });
            used.extend(free.cloned());
        }
    }
    Ok(matrix
        .iter()
        .map(|(name, _)| name.clone())
        .filter(|name| used.contains(name))
        .collect())
}

/// Every combination of the dimensions' values, the last one changing fastest.
fn points(dimensions: &[String], matrix: &[(String, Vec<Value>)]) -> Vec<BTreeMap<String, Value>> {
    let mut points = vec![BTreeMap::new()];
    for (name, values) in matrix.iter().filter(|(name, _)| dimensions.contains(name)) {
        points = points
            .into_iter()
            .flat_map(|point| {
                values.iter().map(move |value| {
                    let mut point = point.clone();
                    point.insert(name.clone(), value.clone());
                    point
                })
            })
            .collect();
    }
    points
}

fn task_name(step: &Expanding<'_>, point: &BTreeMap<String, Value>) -> String {
    if point.is_empty() {
        return step.step.name.clone();
    }
    let point: Vec<String> = step
        .dimensions
        .iter()
        .filter_map(|name| Some(format!("{name}={}", point.get(name)?)))
        .collect();
    format!("{}[{}]", step.step.name, point.join(","))
}

enum Settled {
    LeftOut(String),
    Settings(Vec<(Place, String, Setting)>),
}

fn settle(
    step: &Expanding<'_>,
    steps: &[Expanding<'_>],
    point: &BTreeMap<String, Value>,
    values: &BTreeMap<String, Value>,
) -> Result<Settled> {
    if let Some(when) = &step.step.when
        && interpolate(&when.value, values, &when.place)?.is_empty()
    {
        return Ok(Settled::LeftOut(format!(
            "when = \"{}\" is empty or false",
            when.value
        )));
    }
    if let Some(unless) = &step.step.unless {
        let value = interpolate(&unless.value, values, &unless.place)?;
        if !value.is_empty() {
            return Ok(Settled::LeftOut(format!(
                "unless = \"{}\" is {value}",
                unless.value
            )));
        }
    }
    let mut settings = Vec::new();
    for (entry, node) in &step.nodes {
        match resolve(node, &entry.place, steps, point, values)? {
            Some(setting) => settings.push((entry.place.clone(), entry.key.clone(), setting)),
            None => {
                return Ok(Settled::LeftOut(format!(
                    "it needs {}, which is left out",
                    entry.value
                )));
            }
        }
    }
    Ok(Settled::Settings(settings))
}

/// `None` when the value is a reference to a step that is left out.
fn resolve(
    node: &Node,
    place: &Place,
    steps: &[Expanding<'_>],
    point: &BTreeMap<String, Value>,
    values: &BTreeMap<String, Value>,
) -> Result<Option<Setting>> {
    Ok(match node {
        Node::Plain(value) => Some(setting(interpolate(value, values, place)?)),
        Node::List(items) => {
            let mut settings = Vec::new();
            for item in items {
                match resolve(item, place, steps, point, values)? {
                    // A list gathers what there is.
                    None => {}
                    Some(Setting::List(inner)) => settings.extend(inner),
                    Some(setting) => settings.push(setting),
                }
            }
            Some(Setting::List(settings))
        }
        Node::Reference(reference) => {
            let gathers =
                reference.all || reference.chosen.iter().any(|(_, value)| value.is_none());
            let found = reference
                .steps
                .iter()
                .filter_map(|name| steps.iter().find(|other| other.step.name == *name))
                .map(|other| {
                    let at_point = other.tasks.iter().filter(|(candidate, _)| {
                        candidate.iter().all(|(variable, value)| {
                            match reference
                                .chosen
                                .iter()
                                .find(|(chosen, _)| chosen == variable)
                            {
                                Some((_, None)) => true,
                                Some((_, Some(chosen))) => value.to_string() == *chosen,
                                None => reference.all || point.get(variable) == Some(value),
                            }
                        })
                    });
                    at_point
                        .map(|(_, index)| Setting::Artifact(*index))
                        .collect::<Vec<_>>()
                })
                .find(|tasks| !tasks.is_empty())
                .unwrap_or_default();
            if gathers {
                Some(Setting::List(found))
            } else {
                found.into_iter().next()
            }
        }
    })
}

fn setting(value: Value) -> Setting {
    match value {
        Value::Bool(value) => Setting::Bool(value),
        Value::Text(text) => Setting::Text(text),
        Value::List(items) => Setting::List(items.into_iter().map(setting).collect()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn try_plan(text: &str) -> Result<Plan> {
        let recipe = Recipe::parse(Path::new("r.toml"), text)?;
        let vars = recipe.settle(&[])?;
        Plan::expand(&recipe, &vars)
    }

    fn plan(text: &str) -> Plan {
        try_plan(text).unwrap_or_else(|complaint| panic!("{complaint}"))
    }

    fn complaint(text: &str) -> String {
        try_plan(text).expect_err("the recipe is wrong").to_string()
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.tasks.iter().map(|task| task.name.as_str()).collect()
    }

    fn catalog() -> Catalog {
        Catalog::of([serde_json::from_value(serde_json::json!({
            "stage": "student",
            "operations": [{
                "name": "train", "version": 1, "kind": "checkpoint", "about": "", "keys": [
                    {"name": "base", "required": true, "multiple": false, "boolean": false, "default": null,
                     "help": "the model to train", "input": "artifact"},
                    {"name": "extra", "required": false, "multiple": true, "boolean": false, "default": null,
                     "help": "more", "input": "artifact"},
                    {"name": "teacher", "required": false, "multiple": false, "boolean": false, "default": null,
                     "help": "another model", "input": "artifact"},
                    {"name": "epochs", "required": false, "multiple": false, "boolean": false, "default": 1,
                     "help": "passes over the rows", "input": null},
                    {"name": "gold", "required": false, "multiple": false, "boolean": true, "default": false,
                     "help": "train on gold labels", "input": null}
                ]
            }]
        }))
        .expect("a description")])
    }

    const MATRIX: &str = r#"
[matrix]
seed = [0, 1]
size = ["s", "l"]
[step.report]
run = "eval report"
predictions = ["@weak[*]", "@naive[*]"]
[step.base]
run = "base pretrain"
preset = "{size}"
[step.data]
run = "data task"
seed = "{seed}"
[step.weak]
run = "teacher finetune"
base = "@base[size=s]"
data = "@data"
[step.naive]
run = "student train"
base = "@base"
data = "@data"
teacher = "@weak"
"#;

    #[test]
    fn a_step_is_multiplied_by_the_variables_it_uses_directly_or_through_a_reference() {
        let plan = plan(MATRIX);
        assert_eq!(
            names(&plan),
            [
                "base[size=s]",
                "base[size=l]",
                "data[seed=0]",
                "data[seed=1]",
                "weak[seed=0]",
                "weak[seed=1]",
                "naive[seed=0,size=s]",
                "naive[seed=0,size=l]",
                "naive[seed=1,size=s]",
                "naive[seed=1,size=l]",
                "report",
            ]
        );
    }

    #[test]
    fn references_stay_at_their_matrix_point_and_gathers_take_all() {
        let plan = plan(MATRIX);
        let needs = |name: &str| {
            let task = plan
                .tasks
                .iter()
                .find(|task| task.name == name)
                .expect("the task");
            let needs: Vec<&str> = task
                .needs
                .iter()
                .map(|&need| plan.tasks[need].name.as_str())
                .collect();
            needs.join(" ")
        };
        assert_eq!(needs("weak[seed=1]"), "base[size=s] data[seed=1]");
        assert_eq!(
            needs("naive[seed=1,size=l]"),
            "base[size=l] data[seed=1] weak[seed=1]"
        );
        assert_eq!(
            needs("report"),
            "weak[seed=0] weak[seed=1] naive[seed=0,size=s] naive[seed=0,size=l] naive[seed=1,size=s] \
             naive[seed=1,size=l]"
        );
    }

    #[test]
    fn a_cycle_is_named() {
        assert_eq!(
            complaint(
                "[step.a]\nrun = \"data task\"\nx = \"@b\"\n[step.b]\nrun = \"data task\"\nx = [\"@c[*]\"]\n[step.c]\nrun = \
                 \"data task\"\nx = \"@b\"\n"
            ),
            "error: r.toml:7:7: steps wait for each other: b -> c -> b\n  an arrow reads: uses\nhint: take one of these \
             references out\n"
        );
    }

    #[test]
    fn an_unknown_step_suggests_the_nearest() {
        assert_eq!(
            complaint(
                "[step.labels]\nrun = \"data task\"\n[step.b]\nrun = \"data task\"\nx = \"@lables\"\n"
            ),
            "error: r.toml:5:1: step `b` uses `@lables`, but there is no step `lables`\nhint: did you mean `labels`?\n"
        );
    }

    #[test]
    fn a_value_outside_the_matrix_is_refused() {
        assert_eq!(
            complaint(
                "[matrix]\nseed = [0, 1]\n[step.a]\nrun = \"data task\"\nseed = \"{seed}\"\n[step.b]\nrun = \"data \
                 task\"\nx = \"@a[seed=7]\"\n"
            ),
            "error: r.toml:8:1: step `b` uses `@a[seed=7]`, but `seed` is one of 0, 1\n"
        );
    }

    const CONDITIONS: &str = r#"
[vars]
folder = { default = "", help = "a model folder" }
[step.imported]
run = "base import"
when = "{folder}"
model = "{folder}"
[step.scratch]
run = "base pretrain"
unless = "{folder}"
[step.weak]
run = "student train"
base = "@imported|scratch"
[step.only-imported]
run = "student train"
base = "@imported"
[step.report]
run = "eval report"
predictions = ["@weak", "@only-imported"]
"#;

    #[test]
    fn a_condition_leaves_steps_out_with_what_needs_them() {
        let plan = plan(CONDITIONS);
        assert_eq!(names(&plan), ["scratch", "weak", "report"]);
        assert_eq!(plan.tasks[2].needs, [1]);
        assert_eq!(
            plan.left_out,
            [
                (
                    "imported".to_owned(),
                    "when = \"{folder}\" is empty or false".to_owned()
                ),
                (
                    "only-imported".to_owned(),
                    "it needs @imported, which is left out".to_owned()
                ),
            ]
        );
    }

    #[test]
    fn a_condition_that_holds_keeps_the_step() {
        let recipe = Recipe::parse(Path::new("r.toml"), CONDITIONS).expect("a right recipe");
        let vars = recipe
            .settle(&["folder=models/x".into()])
            .expect("a known variable");
        let plan = Plan::expand(&recipe, &vars).expect("a right plan");
        assert_eq!(
            names(&plan),
            ["imported", "weak", "only-imported", "report"]
        );
    }

    #[test]
    fn from_takes_everything_after_a_step() {
        let plan = plan(MATRIX);
        let again = |name: &str| {
            let again = plan.from(name).expect("a known step");
            let names: Vec<&str> = plan
                .tasks
                .iter()
                .zip(again)
                .filter(|(_, again)| *again)
                .map(|(task, _)| task.name.as_str())
                .collect();
            names.join(" ")
        };
        assert_eq!(
            again("weak[seed=1]"),
            "weak[seed=1] naive[seed=1,size=s] naive[seed=1,size=l] report"
        );
        assert_eq!(again("report"), "report");
        assert_eq!(
            plan.from("waek").expect_err("no such step").to_string(),
            "error: --from waek: no step of this run is called `waek`\nhint: did you mean `weak`?\n"
        );
    }

    #[test]
    fn a_list_gives_one_value_what_may_be_left_out() {
        let arguments = |when: bool| {
            let plan = plan(&format!(
                "[step.base]\nrun = \"student train\"\nbase = \"x\"\nwhen = {when}\n\
                 [step.naive]\nrun = \"student train\"\nbase = \"x\"\nteacher = [\"@base\"]\n"
            ));
            plan.check_keys(&catalog()).expect("a list of at most one");
            let naive = plan.tasks.len() - 1;
            plan.arguments(naive, &catalog(), &[Some("checkpoint/1".to_owned()), None])
        };
        assert_eq!(
            arguments(true),
            ["train", "--base", "x", "--teacher", "checkpoint/1"]
        );
        assert_eq!(arguments(false), ["train", "--base", "x"]);
    }

    #[test]
    fn keys_are_held_against_what_the_stage_knows() {
        let plan = plan(
            "[matrix]\nseed = [0, 1]\n[step.naive]\nrun = \"student train\"\nbase = [\"x\", \"y\"]\nepoch = 3\ngold = \
             \"yes {seed}\"\n[step.other]\nrun = \"student trian\"\n[step.third]\nrun = \"student train\"\nepochs = \
             \"@naive[*]\"\nstore = 3\n",
        );
        assert_eq!(
            plan.check_keys(&catalog())
                .expect_err("wrong keys")
                .to_string(),
            "error: r.toml:5:1: key `base` of step `naive` is a list of 2, but it takes one value\n  \
             base: the model to train\n\
             error: r.toml:6:1: step `naive` has the key `epoch`, which `student train` does not know\n\
             hint: did you mean `epochs`?\n\
             error: r.toml:7:1: key `gold` of step `naive` is `yes 0`; it takes true or false\n  \
             gold: train on gold labels\n\
             error: r.toml:7:1: key `gold` of step `naive` is `yes 1`; it takes true or false\n  \
             gold: train on gold labels\n\
             error: r.toml:8:7: step `other` runs `student trian`, but `student` has no operation `trian`\n\
             hint: did you mean `train`?\n\
             error: r.toml:12:1: key `epochs` of step `third` refers to a step, but it does not take an artifact\n  \
             epochs: passes over the rows\n\
             error: r.toml:12:1: key `epochs` of step `third` is a list of 2, but it takes one value\n  \
             epochs: passes over the rows\n\
             error: r.toml:13:1: step `third` has the key `store`, which `student train` does not know\n\
             hint: `store` belongs to the command: cargo xtask pipeline --help\n\
             error: r.toml:10:7: step `third` lacks the key `base`, which `student train` needs\n  \
             base: the model to train\n"
        );
    }

    #[test]
    fn a_step_is_a_command_line() {
        let plan = plan(
            "[step.a]\nrun = \"student train\"\nbase = \"checkpoint/81be77d0\"\ngold = true\nepochs = -1\n[step.b]\nrun = \
             \"student train\"\nbase = \"@a\"\nextra = [\"@a\", \"x\"]\ngold = false\nepochs = \"\"\n",
        );
        plan.check_keys(&catalog()).expect("right keys");
        let references = [Some("checkpoint/00ff".to_owned()), None];
        assert_eq!(
            plan.arguments(0, &catalog(), &references).join(" "),
            "train --base checkpoint/81be77d0 --gold --epochs=-1"
        );
        assert_eq!(
            plan.arguments(1, &catalog(), &references).join(" "),
            "train --base checkpoint/00ff --extra checkpoint/00ff --extra x"
        );
    }
}
