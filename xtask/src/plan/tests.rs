//! Whole recipes in, tasks and complaints out.

use std::path::Path;

use super::*;
use crate::stages::Catalog;

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
