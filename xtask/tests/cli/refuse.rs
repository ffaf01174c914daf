//! What is wrong with a recipe, a flag or a store is told before anything runs.

use crate::place::{Place, RECIPE};

#[test]
fn every_step_is_checked_before_the_first_one_runs() {
    let place = Place::new();
    let refused = place.pipeline(&["--set", "data.refuse=true"]);
    assert_eq!(refused.code, Some(2));
    insta::assert_snapshot!(refused.stderr, @r"
    error: step `data[seed=0]` and 1 more like it cannot start
      caused by: the source is empty
      caused by: it has 0 bytes
    hint: fill it
    ");
    assert_eq!(place.started(), [""; 0]);
}

#[test]
fn unknown_keys_are_all_reported_with_the_nearest() {
    let place = Place::new();
    let refused = place.pipeline(&["--set", "naive.epoch=3", "--set", "report.device=cuda"]);
    assert_eq!(refused.code, Some(2));
    insta::assert_snapshot!(refused.stderr, @r"
    error: --set naive.epoch=3: step `naive` has the key `epoch`, which `student classify` does not know
    hint: did you mean `epochs`?
    error: --set report.device=cuda: step `report` has the key `device`, which `report build` does not know
    hint: `device` belongs to the command: cargo xtask pipeline --help
    ");
}

#[test]
fn wrong_recipes_are_told_by_place() {
    let place = Place::new();
    let told = |text: &str| {
        let ran = place.recipe(text).pipeline(&[]);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        ran.stderr
    };
    insta::assert_snapshot!(told("[step.a]\nrun = \"data task\"\nrows = = 3\n"), @r"
    error: small.toml:3:8: extra `=`, expected nothing
    ");
    insta::assert_snapshot!(told(&RECIPE.replacen("data = \"@data\"", "data = \"@naive\"", 1)), @r"
    error: small.toml:20:7: steps wait for each other: weak[seed=0] -> naive[seed=0] -> labels[seed=0] -> weak[seed=0]
      an arrow reads: uses
    hint: take one of these references out
    ");
    insta::assert_snapshot!(told(&RECIPE.replace("\"@labels\"", "\"@lables\"")), @r"
    error: small.toml:28:1: step `naive` uses `@lables`, but there is no step `lables`
    hint: did you mean `labels`?
    ");
    insta::assert_snapshot!(told(&RECIPE.replace("default = 10, ", "")), @r"
    error: recipe `small` needs --var rows=…
      --var rows=…  how many rows (required)
    hint: cargo xtask pipeline small.toml --var rows=…
    ");
    insta::assert_snapshot!(told(&RECIPE.replace("data task", "data tusk")), @r"
    error: small.toml:11:7: step `data` runs `data tusk`, but `data` has no operation `tusk`
    hint: did you mean `task`?
    ");
    insta::assert_snapshot!(place.xtask(&["pipeline", "weak-to-stong"]).stderr, @r"
    error: there is no recipe `weak-to-stong`
      recipes: classify, deception, deception-dpo, deception-reward, deception-simpo, delta, delta-ladder, delta-self, delta-style, delta-theory, features, linear-probe, preference, reasoning, reasoning-own, weak-to-strong
    hint: did you mean `cargo xtask pipeline weak-to-strong`?
    ");
    assert_eq!(place.xtask(&["pipeline", "weak-to-stong"]).code, Some(2));
    assert_eq!(place.xtask(&["pipeline", "--jobs", "0"]).code, Some(2));
    assert_eq!(place.started(), [""; 0]);
}

#[test]
fn a_store_that_cannot_be_written_is_named_with_the_cause() {
    let place = Place::new();
    let ran = place.pipeline(&["--store", "small.toml"]);
    assert_eq!(ran.code, Some(1));
    insta::assert_snapshot!(ran.stderr, @r"
    error: cannot create the folder small.toml/artifacts
      caused by: Not a directory (os error 20)
    hint: name a folder that can be written with `--store PATH` or W2S_STORE
    ");
}
