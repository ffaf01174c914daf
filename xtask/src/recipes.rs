//! `cargo xtask recipes`: what there is to run.

use crate::cli::Recipes;
use crate::complaint::Result;
use crate::out::print;
use crate::plan::Plan;
use crate::recipe::Recipe;
use crate::workspace;

/// Lists the recipes, a line each, or tells all about one.
pub fn recipes(arguments: &Recipes) -> Result<()> {
    if let Some(name) = &arguments.recipe {
        return print(&told(&Recipe::find(name)?));
    }
    let recipes = Recipe::names(&workspace::recipes())
        .iter()
        .map(|name| Recipe::find(name))
        .collect::<Result<Vec<_>>>()?;
    print(&lines(&recipes))
}

fn lines(recipes: &[Recipe]) -> String {
    let width = recipes.iter().map(|recipe| recipe.name.len()).max();
    let width = width.unwrap_or(0);
    let mut text: String = recipes
        .iter()
        .map(|recipe| format!("{:<width$}  {}\n", recipe.name, recipe.about))
        .collect();
    text.push_str("\none in full: cargo xtask recipes NAME\n");
    text
}

fn told(recipe: &Recipe) -> String {
    let mut text = format!("{}: {}\n", recipe.name, recipe.about);
    let mut block = |lines: Vec<String>| {
        if !lines.is_empty() {
            text.push('\n');
        }
        for line in lines {
            text.push_str(format!("    {line}").trim_end());
            text.push('\n');
        }
    };
    block(recipe.comment.lines().map(str::to_owned).collect());
    block(recipe.var_lines());
    let matrix = recipe.matrix.iter();
    block(
        matrix
            .map(|entry| format!("matrix {} = {}", entry.key, entry.value))
            .collect(),
    );
    block(steps(recipe));
    text
}

/// The steps with the number of matrix points of each, as far as that is known without variables.
fn steps(recipe: &Recipe) -> Vec<String> {
    let plan = recipe
        .settle(&[])
        .and_then(|vars| Plan::expand(recipe, &vars))
        .ok();
    let width = recipe
        .steps
        .iter()
        .map(|step| step.name.len())
        .max()
        .unwrap_or(0);
    recipe
        .steps
        .iter()
        .map(|step| {
            let line = format!("{:<width$}  {} {}", step.name, step.stage, step.operation);
            let count = plan.as_ref().map_or(1, |plan| {
                plan.tasks
                    .iter()
                    .filter(|task| task.step == step.name)
                    .count()
            });
            match count {
                0 => format!("{line}  (left out)"),
                1 => line,
                count => format!("{line}  x {count}"),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_recipe_in_the_folder_reads_and_opens_with_a_comment() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        let names = Recipe::names(&folder);
        assert!(names.contains(&"weak-to-strong".to_owned()));
        for name in names {
            let recipe = Recipe::find(&name).unwrap_or_else(|complaint| panic!("{complaint}"));
            assert_eq!(recipe.name, name, "a recipe is called like its file");
            assert!(recipe.comment.len() > 100, "{name} opens with a comment");
            assert!(!recipe.about.is_empty(), "{name} says what it is about");
            let vars: Vec<String> = recipe
                .vars
                .iter()
                .filter(|var| var.default.is_none())
                .map(|var| format!("{}=x", var.name))
                .collect();
            let vars = recipe
                .settle(&vars)
                .unwrap_or_else(|complaint| panic!("{complaint}"));
            Plan::expand(&recipe, &vars).unwrap_or_else(|complaint| panic!("{complaint}"));
        }
    }

    #[test]
    fn a_recipe_is_told_with_its_variables_and_steps() {
        let recipe = Recipe::parse(
            Path::new("r.toml"),
            "# Shows a thing.\nabout = \"a thing\"\n[vars]\nrows = { default = 3, help = \"how many\" }\n[matrix]\nseed = [0, \
             1]\n[step.data]\nrun = \"data task\"\nseed = \"{seed}\"\n[step.report]\nrun = \"report build\"\n",
        )
        .expect("a right recipe");
        insta::assert_snapshot!(told(&recipe), @r"
        r: a thing

            Shows a thing.

            --var rows=3  how many

            matrix seed = [0, 1]

            data    data task  x 2
            report  report build
        ");
    }
}
