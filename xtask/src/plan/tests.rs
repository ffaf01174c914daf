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

/// The plan of a recipe that flags changed.
fn try_set(text: &str, set: &[&str], var: &[&str]) -> Result<Plan> {
    let mut recipe = Recipe::parse(Path::new("r.toml"), text)?;
    set.iter().try_for_each(|flag| recipe.set(flag))?;
    let var: Vec<String> = var.iter().map(|flag| (*flag).to_owned()).collect();
    let vars = recipe.settle(&var)?;
    Plan::expand(&recipe, &vars)
}

/// Every task as a line: its name, and its keys with the tasks that stand behind references.
fn lines(plan: &Plan) -> Vec<String> {
    let references: Vec<Option<String>> = plan
        .tasks
        .iter()
        .map(|task| Some(format!("<{}>", task.name)))
        .collect();
    let lines = (0..plan.tasks.len()).map(|index| {
        let arguments = plan.arguments(index, &Catalog::default(), &references);
        format!("{}: {}", plan.tasks[index].name, arguments.join(" "))
    });
    lines.collect()
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.tasks.iter().map(|task| task.name.as_str()).collect()
}

fn catalog() -> Catalog {
    Catalog::of([serde_json::from_value(serde_json::json!({
        "stage": "student",
        "operations": [{
            "name": "classify", "version": 1, "kind": "checkpoint", "about": "", "keys": [
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
        }, {
            "name": "sft", "version": 1, "kind": "checkpoint", "about": "", "keys": [
                {"name": "base", "help": "the model to train", "input": "artifact"},
                {"name": "pairs", "help": "the pairs", "input": "artifact"}
            ]
        }]
    }))
    .expect("a description"),
    serde_json::from_value(serde_json::json!({
        "stage": "report",
        "operations": [{"name": "build", "kind": "report", "keys": [
            {"name": "recipe", "help": "its name"},
            {"name": "predictions", "multiple": true, "help": "what it shows", "input": "artifact"}
        ]}]
    }))
    .expect("a description")])
}

const MATRIX: &str = r#"
[matrix]
seed = [0, 1]
size = ["s", "l"]
[step.report]
run = "report build"
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
run = "student classify"
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
run = "student classify"
base = "@imported|scratch"
[step.only-imported]
run = "student classify"
base = "@imported"
[step.report]
run = "report build"
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
            "[step.base]\nrun = \"student classify\"\nbase = \"x\"\nwhen = {when}\n\
             [step.naive]\nrun = \"student classify\"\nbase = \"x\"\nteacher = [\"@base\"]\n"
        ));
        plan.check_keys(&catalog()).expect("a list of at most one");
        let naive = plan.tasks.len() - 1;
        plan.arguments(naive, &catalog(), &[Some("checkpoint/1".to_owned()), None])
    };
    assert_eq!(
        arguments(true),
        ["classify", "--base", "x", "--teacher", "checkpoint/1"]
    );
    assert_eq!(arguments(false), ["classify", "--base", "x"]);
}

#[test]
fn keys_are_held_against_what_the_stage_knows() {
    let plan = plan(
        "[matrix]\nseed = [0, 1]\n[step.naive]\nrun = \"student classify\"\nbase = [\"x\", \"y\"]\nepoch = 3\ngold = \
         \"yes {seed}\"\n[step.other]\nrun = \"student clasify\"\n[step.third]\nrun = \"student classify\"\nepochs = \
         \"@naive[*]\"\nstore = 3\n",
    );
    assert_eq!(
        plan.check_keys(&catalog())
            .expect_err("wrong keys")
            .to_string(),
        "error: r.toml:5:1: key `base` of step `naive` is a list of 2, but it takes one value\n  \
         base: the model to train\n\
         error: r.toml:6:1: step `naive` has the key `epoch`, which `student classify` does not know\n\
         hint: did you mean `epochs`?\n\
         error: r.toml:7:1: key `gold` of step `naive` is `yes 0`; it takes true or false\n  \
         gold: train on gold labels\n\
         error: r.toml:7:1: key `gold` of step `naive` is `yes 1`; it takes true or false\n  \
         gold: train on gold labels\n\
         error: r.toml:8:7: step `other` runs `student clasify`, but `student` has no operation `clasify`\n\
         hint: did you mean `classify`?\n\
         error: r.toml:12:1: key `epochs` of step `third` refers to a step, but it does not take an artifact\n  \
         epochs: passes over the rows\n\
         error: r.toml:12:1: key `epochs` of step `third` is a list of 2, but it takes one value\n  \
         epochs: passes over the rows\n\
         error: r.toml:13:1: step `third` has the key `store`, which `student classify` does not know\n\
         hint: `store` belongs to the command: cargo xtask pipeline --help\n\
         error: r.toml:10:7: step `third` lacks the key `base`, which `student classify` needs\n  \
         base: the model to train\n"
    );
}

#[test]
fn a_step_is_a_command_line() {
    let plan = plan(
        "[step.a]\nrun = \"student classify\"\nbase = \"checkpoint/81be77d0\"\ngold = true\nepochs = -1\n[step.b]\nrun = \
         \"student classify\"\nbase = \"@a\"\nextra = [\"@a\", \"x\"]\ngold = false\nepochs = \"\"\n",
    );
    plan.check_keys(&catalog()).expect("right keys");
    let references = [Some("checkpoint/00ff".to_owned()), None];
    assert_eq!(
        plan.arguments(0, &catalog(), &references).join(" "),
        "classify --base checkpoint/81be77d0 --gold --epochs=-1"
    );
    assert_eq!(
        plan.arguments(1, &catalog(), &references).join(" "),
        "classify --base checkpoint/00ff --extra checkpoint/00ff --extra x"
    );
}

const ARMS: &str = r#"
[matrix.arm."*"]
role = "student"
model = "@student"
train = { labels = "@labels", loss = "{loss}" }
[matrix.arm]
weak = { role = "teacher", model = "@weak", train = "" }
naive = {}
ceiling = { role = "ceiling", train = { labels = "", gold = true } }
[matrix]
seed = [0, 1]
[vars]
loss = { default = "cross-entropy", help = "what is minimised", hint = "window goes to --var other=window" }
[step.weak]
run = "teacher finetune"
seed = "{seed}"
[step.labels]
run = "teacher label"
model = "@weak"
[step.student]
run = "student classify"
when = "{arm.train}"
with = "{arm.train}"
loss = "none"
[step.predict]
run = "eval predict"
model = "{arm.model}"
arm = "{arm}"
role = "{arm.role}"
[step.report]
run = "report build"
predictions = ["@predict[*]"]
"#;

#[test]
fn rows_are_arms_of_an_experiment() {
    let plan = try_set(ARMS, &["matrix.seed=[7]"], &[]).expect("a right plan");
    assert_eq!(
        lines(&plan),
        [
            "weak[seed=7]: finetune --seed 7",
            "labels[seed=7]: label --model <weak[seed=7]>",
            "student[arm=naive,seed=7]: classify --loss cross-entropy --labels <labels[seed=7]>",
            "student[arm=ceiling]: classify --loss cross-entropy --gold true",
            "predict[arm=weak,seed=7]: predict --model <weak[seed=7]> --arm weak --role teacher",
            "predict[arm=naive,seed=7]: predict --model <student[arm=naive,seed=7]> --arm naive --role student",
            "predict[arm=ceiling]: predict --model <student[arm=ceiling]> --arm ceiling --role ceiling",
            "report: build --predictions <predict[arm=weak,seed=7]> --predictions <predict[arm=naive,seed=7]> \
             --predictions <predict[arm=ceiling]>",
        ]
    );
    assert_eq!(
        plan.left_out,
        [(
            "student[arm=weak]".to_owned(),
            "when = \"{arm.train}\" is empty or false".to_owned()
        )]
    );
}

#[test]
fn flags_change_a_row_take_one_out_and_stand_above_all() {
    let lines = |set: &[&str]| {
        let plan = try_set(ARMS, set, &[]).unwrap_or_else(|complaint| panic!("{complaint}"));
        let lines = lines(&plan).into_iter();
        let students =
            lines.filter(|line| line.starts_with("student[") && !line.contains("seed=1"));
        students.collect::<Vec<_>>()
    };
    assert_eq!(
        lines(&["arm.naive.train.loss=window", "matrix.arm.ceiling=false"]),
        ["student[arm=naive,seed=0]: classify --loss window --labels <labels[seed=0]>"]
    );
    // A key that is typed for a step stands above every row, and one that is typed for a row above the step.
    assert_eq!(
        lines(&["student.loss=entropy"])[1],
        "student[arm=ceiling]: classify --loss entropy --gold true"
    );
    assert_eq!(
        lines(&["matrix.arm.other.train.alpha=0.3"])[2],
        "student[arm=other,seed=0]: classify --loss cross-entropy --labels <labels[seed=0]> --alpha 0.3"
    );
}

#[test]
fn a_new_axis_from_the_command_line_multiplies_what_uses_it() {
    let plan = try_set(
        ARMS,
        &[
            "weak.rows={gold}",
            "matrix.gold=[200,1000]",
            "matrix.seed=[0]",
            "predict.arm={arm} {gold}",
        ],
        &[],
    )
    .expect("a right plan");
    let report = lines(&plan).pop().expect("the report");
    assert_eq!(
        report,
        "report: build --predictions <predict[arm=weak,seed=0,gold=200]> --predictions <predict[arm=weak,seed=0,gold=1000]> \
         --predictions <predict[arm=naive,seed=0,gold=200]> --predictions <predict[arm=naive,seed=0,gold=1000]> \
         --predictions <predict[arm=ceiling,gold=200]> --predictions <predict[arm=ceiling,gold=1000]>"
    );
    assert_eq!(
        try_set(ARMS, &["matrix.gold=[200,1000]"], &[])
            .expect_err("nothing uses it")
            .to_string(),
        "error: --set matrix.gold=[200,1000]: nothing uses the matrix variable `gold`\n\
         hint: as in --set STEP.KEY={gold}\n"
    );
}

const CHAIN: &str = r#"
[matrix.link]
0 = { base = "@base[size=s]", labels = "@weak-labels" }
1 = { base = "@base[size=m]", labels = "@labels[link=0]" }
2 = { base = "@base[size=l]", labels = "@labels[link={link.teacher}]", teacher = 1 }
[matrix]
size = ["s", "m", "l"]
seed = [0]
[step.student]
run = "student classify"
base = "{link.base}"
labels = "{link.labels}"
[step.labels]
run = "teacher label"
model = "@student"
[step.base]
run = "base pretrain"
preset = "{size}"
[step.weak-labels]
run = "teacher label"
seed = "{seed}"
"#;

#[test]
fn a_row_may_refer_to_an_earlier_row_of_its_own_step() {
    assert_eq!(
        lines(&plan(CHAIN)),
        [
            "base[size=s]: pretrain --preset s",
            "base[size=m]: pretrain --preset m",
            "base[size=l]: pretrain --preset l",
            "weak-labels[seed=0]: label --seed 0",
            "student[link=0,seed=0]: classify --base <base[size=s]> --labels <weak-labels[seed=0]>",
            "labels[link=0,seed=0]: label --model <student[link=0,seed=0]>",
            "student[link=1,seed=0]: classify --base <base[size=m]> --labels <labels[link=0,seed=0]>",
            "labels[link=1,seed=0]: label --model <student[link=1,seed=0]>",
            "student[link=2,seed=0]: classify --base <base[size=l]> --labels <labels[link=1,seed=0]>",
            "labels[link=2,seed=0]: label --model <student[link=2,seed=0]>",
        ]
    );
}

#[test]
fn a_circle_of_rows_is_spelt_out() {
    assert_eq!(
        complaint(&CHAIN.replace("\"@weak-labels\" }", "\"@labels[link=2]\" }")),
        "error: r.toml:13:7: steps wait for each other: student[link=0] -> labels[link=2] -> student[link=2] -> \
         labels[link=1] -> student[link=1] -> labels[link=0] -> student[link=0]\n  an arrow reads: uses\n\
         hint: take one of these references out\n"
    );
    assert_eq!(
        complaint("[step.a]\nrun = \"data task\"\nx = \"@a\"\n"),
        "error: r.toml:1:7: steps wait for each other: a -> a\n  an arrow reads: uses\n\
         hint: take one of these references out\n"
    );
}

#[test]
fn what_refers_to_a_row_that_was_taken_out_is_left_out() {
    let plan = try_set(CHAIN, &["link.1=false"], &[]).expect("a right plan");
    assert!(!names(&plan).iter().any(|name| name.contains("link=2")));
    assert_eq!(
        plan.left_out,
        [
            (
                "student[link=2]".to_owned(),
                "it needs @labels[link={link.teacher}], which is left out".to_owned()
            ),
            (
                "labels[link=2,seed=0]".to_owned(),
                "it needs @student, which is left out".to_owned()
            )
        ]
    );
}

/// A recipe with one step that is multiplied by `arm` and has these keys.
fn with_rows(rows: &str, keys: &str) -> String {
    format!("[matrix.arm]\n{rows}\n[step.a]\nrun = \"student classify\"\n{keys}\n")
}

#[test]
fn what_rows_do_not_say_is_an_error() {
    assert_eq!(
        complaint(&with_rows("x = { lr = 1 }\ny = {}", "lr = \"{arm.lr}\"")),
        "error: r.toml:6:1: step `a` reads `{arm.lr}`, but row `y` of `arm` has no `lr`\n  r.toml:3:1: the row\n\
         hint: give it one, or all rows a default: [matrix.arm.\"*\"]\n"
    );
    assert_eq!(
        complaint(&with_rows(
            "x = { lr = 1, rol = 2 }",
            "lr = \"{arm.lr}\"\nrole = \"{arm.role}\""
        )),
        "error: r.toml:2:15: row `x` of `arm` has the key `rol`, which nothing reads\nhint: did you mean `role`?\n"
    );
    assert_eq!(
        complaint(&with_rows(
            "x = { t = { lr = 1, k = 2 } }",
            "lr = \"{arm.t.lr}\""
        )),
        "error: r.toml:2:21: row `x` of `arm` has the key `t.k`, which nothing reads\nhint: known here: t.lr\n"
    );
    assert_eq!(
        complaint(&with_rows(
            "x = { lr = \"{arm.rate}\", rate = \"{arm.lr}\" }",
            "lr = \"{arm.lr}\""
        )),
        "error: r.toml:2:7: `{arm.rate}` leads from row to row and comes to no end\n"
    );
    assert_eq!(
        complaint("[matrix]\nseed = [0]\n[step.a]\nrun = \"data task\"\nseed = \"{seed.x}\"\n"),
        "error: r.toml:5:1: `{seed.x}` reads a row, but `seed` has none\n\
         hint: rows are written [matrix.seed]; its value is {seed}\n"
    );
    assert_eq!(
        complaint(&with_rows("", "lr = \"{arm}\"")),
        "error: r.toml:1:9: matrix variable `arm` has no row\n"
    );
}

#[test]
fn a_table_is_laid_and_is_no_value() {
    assert_eq!(
        complaint(&with_rows("x = { t = { lr = 1 } }", "lr = \"{arm.t}\"")),
        "error: r.toml:2:7: a table cannot be a value of step `a`\n\
         hint: with = \"{arm.train}\" lays the keys of a table over those of a step\n"
    );
    assert_eq!(
        complaint(&with_rows("x = { t = \"\" }", "with = \"{arm.t}\"")),
        "error: r.toml:5:1: `with` of step `a` is `{arm.t}`, which is no table here\n\
         hint: leave the step out there: when = … with the same value, or give the row a table\n"
    );
    assert_eq!(
        complaint(&with_rows("x = { m = \"@a\" }", "lr = \"1{arm.m}\"")),
        "error: r.toml:5:1: `arm.m` is a reference and cannot stand inside a text\n"
    );
    let two = with_rows(
        "x = { t = { lr = 1, k = 2 }, u = { lr = 3 } }",
        "lr = 0\nk = 0\nwith = [\"{arm.t}\", \"{arm.u}\"]",
    );
    assert_eq!(lines(&plan(&two)), ["a[arm=x]: classify --lr 3 --k 2"]);
}

#[test]
fn a_value_in_brackets_must_be_one_of_the_matrix() {
    assert_eq!(
        complaint(
            "[matrix]\nsize = [\"s\", \"l\"]\n[matrix.pair]\nx = { chosen = \"m\" }\n[step.a]\nrun = \"data task\"\nsize = \
             \"{size}\"\n[step.b]\nrun = \"data pairs\"\nchosen = \"@a[size={pair.chosen}]\"\n"
        ),
        "error: r.toml:10:1: step `b` uses `@a[size={pair.chosen}]`, but that is `m`, and `size` is one of s, l\n"
    );
}

#[test]
fn a_row_names_the_operation_and_takes_keys_of_the_other_away() {
    let text = "[matrix.arm.\"*\"]\nrun = \"classify\"\ntrain = { epochs = 3 }\n[matrix.arm]\na = {}\nb = { run = \"sft\", train = \
                { epochs = \"\", PAIRS = \"x\" } }\n[step.student]\nrun = \"student {arm.run}\"\nwith = \"{arm.train}\"\nbase = \
                \"checkpoint/00\"\n";
    let right = plan(&text.replace("PAIRS", "pairs"));
    right.check_keys(&catalog()).expect("right keys");
    assert_eq!(
        lines(&right),
        [
            "student[arm=a]: classify --base checkpoint/00 --epochs 3",
            "student[arm=b]: sft --base checkpoint/00 --pairs x"
        ]
    );
    assert_eq!(
        plan(&text.replace("PAIRS", "pars").replace("\"x\"", "\"\""))
            .check_keys(&catalog())
            .expect_err("no operation has it")
            .to_string(),
        "error: r.toml:6:43: step `student` has the key `pars`, which `student sft` does not know\n\
         hint: did you mean `pairs`?\n"
    );
}

#[test]
fn a_condition_of_several_holds_when_one_does() {
    let text = "[vars]\na = { default = \"\" }\nb = { default = false }\n[step.x]\nrun = \"data task\"\nunless = [\"{a}\", \
                \"{b}\"]\n[step.y]\nrun = \"data task\"\nwhen = [\"{a}\", \"{b}\"]\n";
    let of = |var: &[&str]| {
        let plan = try_set(text, &[], var).expect("a right plan");
        names(&plan).join(" ")
    };
    assert_eq!(of(&[]), "x");
    assert_eq!(of(&["b=true"]), "y");
    assert_eq!(of(&["a=1"]), "y");
}

#[test]
fn a_list_that_is_needed_and_empty_says_what_was_left_out() {
    let plan = plan(
        "[vars]\nfile = { default = \"\" }\n[step.text]\nrun = \"data corpus\"\nwhen = \"{file}\"\n[step.a]\nrun = \"student \
         classify\"\nbase = [\"@text\"]\n",
    );
    assert_eq!(
        plan.check_keys(&catalog())
            .expect_err("no base")
            .to_string(),
        "error: r.toml:8:1: key `base` of step `a` is empty, but it is needed\n  base: the model to train\n  \
         `text` is left out: when = \"{file}\" is empty or false\n"
    );
}

#[test]
fn a_report_that_is_multiplied_by_accident_is_refused() {
    let text = "[matrix]\nseed = [0, 1]\n[step.a]\nrun = \"student classify\"\nbase = \"x\"\nepochs = \"{seed}\"\n[step.report]\nrun = \
                \"report build\"\nrecipe = \"{recipe}\"\npredictions = [\"@aFORGOTTEN\"]\n";
    plan(&text.replace("FORGOTTEN", "[*]"))
        .check_keys(&catalog())
        .expect("one report");
    plan(
        &text
            .replace("FORGOTTEN", "")
            .replace("{recipe}", "{recipe}-{seed}"),
    )
    .check_keys(&catalog())
    .expect("two reports with names");
    assert_eq!(
        plan(&text.replace("FORGOTTEN", ""))
            .check_keys(&catalog())
            .expect_err("two reports of one name")
            .to_string(),
        "error: r.toml:10:1: step `report` makes 2 reports that differ in nothing but what `predictions` reads: \
         report[seed=0], report[seed=1]\n\
         hint: gather for one report: predictions = [\"@a[*]\"]; for several, give each a name: recipe = \"{recipe}-{…}\"\n"
    );
}

#[test]
fn a_complaint_says_which_variable_stands_behind_a_value() {
    let plan = try_set(ARMS, &[], &["loss=window"]).expect("a right plan");
    let at = plan
        .tasks
        .iter()
        .position(|task| task.name == "student[arm=naive,seed=0]")
        .expect("the task");
    let line = "`loss` comes from --var loss=window; window goes to --var other=window";
    for printed in [
        "error: invalid value 'window' for '--loss <NAME>'",
        "error: there is no loss `window`.",
        "error: --loss is wrong",
    ] {
        assert_eq!(plan.behind(at, printed), [line], "{printed}");
    }
    for printed in [
        "error: --loss-scale is wrong",
        "error: windows are open",
        "error: no",
    ] {
        assert_eq!(plan.behind(at, printed), [""; 0], "{printed}");
    }
}

#[test]
fn a_variable_that_fills_the_matrix_is_named() {
    assert_eq!(
        try_set(
            "[vars]\nseeds = { default = [0] }\n[matrix]\nseed = \"{seeds}\"\n[step.a]\nrun = \"data task\"\nseed = \"{seed}\"\n",
            &[],
            &["seeds=3"]
        )
        .expect_err("no list")
        .to_string(),
        "error: r.toml:4:1: matrix variable `seed` is `3`, not a list\nhint: --var seeds=[3]\n"
    );
    assert_eq!(
        complaint("[matrix]\nseed = [1, 1]\n[step.a]\nrun = \"data task\"\nseed = \"{seed}\"\n"),
        "error: r.toml:2:1: matrix variable `seed` has the value `1` twice\n"
    );
}

#[test]
fn texts_are_filled_in_and_braces_escaped() {
    let text = |value: &str| {
        let text = format!(
            "[vars]\non = {{ default = true }}\nlist = {{ default = [1, 2] }}\nat = {{ default = \"@b\" }}\n[step.a]\nrun = \"data task\"\nx = \"{value}\"\n"
        );
        try_plan(&text).map(|plan| lines(&plan).join(" "))
    };
    assert_eq!(text("{on}").expect("known"), "a: task --x true");
    assert_eq!(text("{list}").expect("known"), "a: task --x 1 --x 2");
    assert_eq!(text("a-{on}").expect("known"), "a: task --x a-true");
    assert_eq!(
        text("Review: {{text}}").expect("escaped"),
        "a: task --x Review: {text}"
    );
    assert_eq!(text("@@home").expect("escaped"), "a: task --x @home");
    // What a variable holds is never a reference.
    assert_eq!(text("{at}").expect("a text"), "a: task --x @b");
    let complaint = |value: &str| text(value).expect_err("wrong").to_string();
    assert_eq!(
        complaint("{om}"),
        "error: r.toml:7:1: there is no variable `om`\nhint: did you mean `{on}`?\n"
    );
    assert_eq!(
        complaint("{sentence}"),
        "error: r.toml:7:1: there is no variable `sentence`\nhint: write {{sentence}} for the text {sentence} itself\n"
    );
    assert_eq!(
        complaint("a {list}"),
        "error: r.toml:7:1: `list` is a list and cannot stand inside a text\n"
    );
}

#[test]
fn values_of_the_matrix_are_parts_of_a_path() {
    let plan = plan(
        "[matrix]\nx = [\"a/../../x\", \"a/b\", \"a-b\", \"ä\", \"ö\"]\n[step.s]\nrun = \"data task\"\nx = \"{x}\"\n",
    );
    let slugs: Vec<&str> = plan.tasks.iter().map(|task| task.slug.as_str()).collect();
    assert_eq!(
        slugs,
        [
            "s-x-a~2f..~2f..~2fx",
            "s-x-a~2fb",
            "s-x-a-b",
            "s-x-~c3~a4",
            "s-x-~c3~b6"
        ]
    );
}

#[test]
fn a_matrix_that_is_too_large_is_refused_at_once() {
    let list = |count: usize| {
        let values: Vec<String> = (0..count).map(|value| value.to_string()).collect();
        format!("[{}]", values.join(","))
    };
    let text = format!(
        "[matrix]\na = {0}\nb = {0}\nc = {0}\n[step.x]\nrun = \"data task\"\na = \"{{a}}\"\n[step.y]\nrun = \"data task\"\nb = \
         \"{{b}}\"\n[step.z]\nrun = \"data task\"\nc = \"{{c}}\"\nx = \"@x\"\ny = \"@y\"\n",
        list(1000)
    );
    let hint = "hint: shorten a list of the matrix, or gather with [*] where a step need not be multiplied\n";
    assert_eq!(
        complaint(&text),
        format!(
            "error: r.toml:11:7: the recipe makes more than 100000 tasks, counted up to step `z`\n{hint}"
        )
    );
    assert_eq!(
        complaint(&text.replace("x = \"@x\"\ny = \"@y\"", "x = \"{a}\"\ny = \"{b}\"")),
        format!(
            "error: r.toml:11:7: the recipe makes more than 100000 tasks, counted up to step `z`\n{hint}"
        )
    );
    assert_eq!(
        complaint(&text.replace(
            "x = \"@x\"\ny = \"@y\"",
            "x = [\"@x[*]\", \"@x[*]\", \"@y[*]\"]"
        )),
        "error: the steps of the recipe read more than 2000000 artifacts together\n\
         hint: gather fewer: @step[seed=*] takes all seeds at one point of the rest\n"
    );
    let wide: String = (0..65).map(|axis| format!("v{axis} = [0]\n")).collect();
    assert_eq!(
        complaint(&format!("[matrix]\n{wide}[step.x]\nrun = \"data task\"\n")),
        "error: r.toml:66:1: the matrix has more than 64 variables\n"
    );
}

#[test]
fn thirty_thousand_steps_take_no_stack_and_little_time() {
    let began = std::time::Instant::now();
    let mut text = String::new();
    for step in 0..30_000 {
        text.push_str(&format!("[step.s{step}]\nrun = \"data task\"\n"));
        if step < 29_999 {
            text.push_str(&format!("x = \"@s{}\"\n", step + 1));
        }
    }
    let plan = plan(&text);
    assert_eq!(plan.tasks.len(), 30_000);
    assert_eq!(
        (
            plan.tasks[0].name.as_str(),
            plan.tasks[29_999].name.as_str()
        ),
        ("s29999", "s0")
    );
    // The same as rows that refer to the row before.
    let mut rows = "[matrix.link]\n0 = { from = \"x\" }\n".to_owned();
    for link in 1..30_000 {
        rows.push_str(&format!(
            "{link} = {{ from = \"@s[link={}]\" }}\n",
            link - 1
        ));
    }
    rows.push_str("[step.s]\nrun = \"data task\"\nx = \"{link.from}\"\n");
    assert_eq!(try_plan(&rows).expect("a right plan").tasks.len(), 30_000);
    let took = began.elapsed();
    assert!(took.as_secs() < 60, "it is quadratic: {took:?}");
}

#[test]
fn the_chain_of_the_tests_runs_link_by_link() {
    let chain = plan(include_str!("../../../tests/recipes/tiny-chain.toml"));
    let chain: Vec<&str> = names(&chain)
        .into_iter()
        .filter(|name| name.contains("seed=0") && !name.starts_with("predict"))
        .collect();
    assert_eq!(
        chain,
        [
            "data[seed=0]",
            "weak[link=weak,seed=0]",
            "labels[link=weak,seed=0]",
            "student[link=first,seed=0]",
            "student[link=direct,seed=0]",
            "labels[link=first,seed=0]",
            "student[link=second,seed=0]",
            "ceiling[seed=0]",
        ]
    );
}

#[test]
fn the_recipe_of_the_documentation_makes_a_report_for_each_share_of_noise() {
    let page = include_str!("../../../docs/recipes.md");
    let start = page
        .find("# How much the naive student")
        .expect("the recipe");
    let recipe = &page[start..];
    let noise = plan(&recipe[..recipe.find("```").expect("its end")]);
    let reports: Vec<String> = lines(&noise)
        .into_iter()
        .filter(|line| line.starts_with("report"))
        .collect();
    assert_eq!(
        reports[1..],
        [
            "report[noise=0.1]: build --recipe noise-0.1 --predictions <predict[arm=weak,noise=0.1]> \
             --predictions <predict[arm=naive,noise=0.1]> --predictions <predict[arm=ceiling,noise=0.1]>",
            "report[noise=0.2]: build --recipe noise-0.2 --predictions <predict[arm=weak,noise=0.2]> \
             --predictions <predict[arm=naive,noise=0.2]> --predictions <predict[arm=ceiling,noise=0.2]>",
        ]
    );
}
