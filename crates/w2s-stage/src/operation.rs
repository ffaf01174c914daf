//! What a stage binary has to say about each of its subcommands: name, flags, inputs, and the work itself.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::Value;
use w2s_artifact::Kind;

use crate::known::KnownInputs;
use crate::step::Step;

/// A subcommand of a stage.
///
/// The struct is the flags (`clap::Args`) and at the same time the parameters that go into the key (`Serialize`). Fields
/// that name inputs carry `#[serde(skip)]`: their content is hashed instead of their spelling. Field names must not be
/// those of the shared flags: `store`, `device`, `threads`, `step`, `check`, `force`, `verbose`, `quiet`. A field that
/// flattens another struct of flags has a doc comment as any other field: clap would make it the subcommand's description,
/// and the shell sets that to [`ABOUT`](Self::ABOUT) after all of them.
pub trait Operation: clap::Args + serde::Serialize + Send + Sync + 'static {
    /// The subcommand, such as `finetune`.
    const NAME: &'static str;
    /// Raised whenever the same parameters and inputs give another result.
    const VERSION: u32;
    /// What it makes.
    const KIND: Kind;
    /// One line for `--help`.
    const ABOUT: &'static str;

    /// Names what the operation reads, each by its flag.
    fn inputs(&self, inputs: &mut Inputs);

    /// Checks the values that were given, without any work. An error here is a wrong flag: exit code 2.
    fn check(&self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Looks at what is known of the inputs, some of which may only be planned: who makes them, with which parameters, from
    /// what. An error here, like one of [`check`](Self::check), is told before the first step of a recipe runs: exit code 2.
    /// An artifact of which nothing is known passes.
    fn check_inputs(&self, _known: &KnownInputs) -> anyhow::Result<()> {
        Ok(())
    }

    /// Does the work: writes files into [`Step::dir`] and returns the summary for the manifest, an object.
    /// [`Step::headline`] says in a few words what was made.
    fn run(&self, step: &Step) -> anyhow::Result<Value>;
}

/// An [`Operation`] without its type, so that a stage can hold several.
pub(crate) trait AnyOperation: Sync {
    fn name(&self) -> &'static str;
    fn version(&self) -> u32;
    fn kind(&self) -> Kind;
    fn inputs(&self, inputs: &mut Inputs);
    fn check(&self) -> anyhow::Result<()>;
    fn check_inputs(&self, known: &KnownInputs) -> anyhow::Result<()>;
    fn run(&self, step: &Step) -> anyhow::Result<Value>;
    fn parameters(&self) -> serde_json::Result<Value>;
}

impl<T: Operation> AnyOperation for T {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn version(&self) -> u32 {
        T::VERSION
    }

    fn kind(&self) -> Kind {
        T::KIND
    }

    fn inputs(&self, inputs: &mut Inputs) {
        Operation::inputs(self, inputs);
    }

    fn check(&self) -> anyhow::Result<()> {
        Operation::check(self)
    }

    fn check_inputs(&self, known: &KnownInputs) -> anyhow::Result<()> {
        Operation::check_inputs(self, known)
    }

    fn run(&self, step: &Step) -> anyhow::Result<Value> {
        Operation::run(self, step)
    }

    fn parameters(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }
}

/// An artifact as it is named on the command line: `kind/hex` with at least four digits, or the path of its folder. It is
/// no `Serialize`: the field that holds it must be `#[serde(skip)]`, since the key takes the artifact it resolves to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactArg(String);

impl ArtifactArg {
    /// What was typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ArtifactArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("an artifact is named `KIND/HEX`, or by the path of its folder".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ArtifactArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<w2s_artifact::ArtifactRef> for ArtifactArg {
    fn from(reference: w2s_artifact::ArtifactRef) -> Self {
        Self(reference.to_string())
    }
}

/// One, none or several artifacts: what a field of an operation can hold.
pub trait ArtifactArgs {
    /// The artifacts in the order in which they were given.
    fn each(&self) -> Vec<&ArtifactArg>;
}

impl ArtifactArgs for ArtifactArg {
    fn each(&self) -> Vec<&ArtifactArg> {
        vec![self]
    }
}

impl ArtifactArgs for Option<ArtifactArg> {
    fn each(&self) -> Vec<&ArtifactArg> {
        self.iter().collect()
    }
}

impl ArtifactArgs for Vec<ArtifactArg> {
    fn each(&self) -> Vec<&ArtifactArg> {
        self.iter().collect()
    }
}

/// One, none or several paths: what a field of an operation can hold.
pub trait FileArgs {
    /// The paths in the order in which they were given.
    fn each(&self) -> Vec<&Path>;
}

impl FileArgs for Path {
    fn each(&self) -> Vec<&Path> {
        vec![self]
    }
}

impl FileArgs for PathBuf {
    fn each(&self) -> Vec<&Path> {
        vec![self]
    }
}

impl FileArgs for Option<PathBuf> {
    fn each(&self) -> Vec<&Path> {
        self.as_deref().into_iter().collect()
    }
}

impl FileArgs for Vec<PathBuf> {
    fn each(&self) -> Vec<&Path> {
        self.iter().map(PathBuf::as_path).collect()
    }
}

/// What an operation says it reads.
#[derive(Debug, Default)]
pub struct Inputs {
    pub(crate) named: Vec<NamedInput>,
}

/// The values of one flag.
#[derive(Debug)]
pub(crate) struct NamedInput {
    pub(crate) name: String,
    pub(crate) values: Values,
}

/// What a flag named.
#[derive(Debug)]
pub(crate) enum Values {
    Artifacts {
        given: Vec<ArtifactArg>,
        kind: Option<Kind>,
    },
    Files(Vec<PathBuf>),
}

impl Inputs {
    /// Reads the artifacts given by the flag `name`: one (`ArtifactArg`), perhaps one (`Option`) or several (`Vec`).
    /// [`ArtifactInput::of`] on the result says which kind they must be.
    pub fn artifact(
        &mut self,
        name: &str,
        given: &(impl ArtifactArgs + ?Sized),
    ) -> ArtifactInput<'_> {
        let values = Values::Artifacts {
            given: given.each().into_iter().cloned().collect(),
            kind: None,
        };
        self.named.push(NamedInput {
            name: name.to_owned(),
            values,
        });
        ArtifactInput(self.named.last_mut())
    }

    /// Reads the files or folders given by the flag `name`: one (`PathBuf`), perhaps one (`Option`) or several (`Vec`).
    pub fn file(&mut self, name: &str, given: &(impl FileArgs + ?Sized)) {
        let values = Values::Files(given.each().into_iter().map(Path::to_owned).collect());
        self.named.push(NamedInput {
            name: name.to_owned(),
            values,
        });
    }
}

/// An artifact input that was just named.
#[derive(Debug)]
pub struct ArtifactInput<'a>(Option<&'a mut NamedInput>);

impl ArtifactInput<'_> {
    /// Refuses artifacts of any other kind before the step runs.
    pub fn of(self, wanted: Kind) {
        if let Some(NamedInput {
            values: Values::Artifacts { kind, .. },
            ..
        }) = self.0
        {
            *kind = Some(wanted);
        }
    }
}
