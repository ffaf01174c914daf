//! The flags that say which world is generated, shared by the operations that make text of one.

use anyhow::bail;
use clap::ValueEnum;
use serde::{Serialize, Serializer};
use serde_json::Value;
use w2s_stage::HintExt;

use w2s_worlds::{
    GlossaryWorld, ProblemsWorld, QuestionWorld, Requests, RequestsWorld, ReviewsWorld, Sections,
    SectionsWorld, WorldError, question,
};

use crate::tokenizer::TokenizerKind;

/// What to type where a world must ask.
const ASKING: &str =
    "say `--world sections`, `--world glossary`, `--world problems` or `--world requests`";

/// A language that can be generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum WorldName {
    /// Opinions about things, in made-up words
    Reviews,
    /// Questions about things, answered in sections under bold headers
    Sections,
    /// Sentences of one made-up language and their translations
    Glossary,
    /// Word problems whose answers take a few steps of arithmetic
    Problems,
    /// Requests, and answers that are helpful, harmless, both or neither
    Requests,
}

impl WorldName {
    fn as_str(self) -> &'static str {
        match self {
            Self::Reviews => "reviews",
            Self::Sections => "sections",
            Self::Glossary => "glossary",
            Self::Problems => "problems",
            Self::Requests => "requests",
        }
    }

    /// The tokenizer that suits its text.
    pub(crate) fn tokenizer(self) -> TokenizerKind {
        match self {
            Self::Reviews => TokenizerKind::Word,
            Self::Sections | Self::Glossary | Self::Problems | Self::Requests => {
                TokenizerKind::Lossless
            }
        }
    }

    /// Documents of its corpus unless the user says otherwise: around a million tokens, for a minute of pretraining.
    fn documents(self) -> usize {
        match self {
            Self::Reviews => 32_000,
            Self::Sections => 16_000,
            Self::Glossary => 60_000,
            Self::Problems => 4_000,
            Self::Requests => 20_000,
        }
    }
}

/// Which world, and its knobs. All steps of an experiment must be given the same ones.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "World")]
pub struct WorldParams {
    /// Generate the text instead of reading files
    #[arg(long, value_enum, value_name = "NAME")]
    pub world: Option<WorldName>,
    /// Makes up the words and all texts of the world
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub world_seed: u64,
    /// The knobs of the reviews world.
    #[command(flatten, next_help_heading = "World `reviews`")]
    pub reviews: ReviewsWorld,
    /// The knobs of the sections world.
    #[command(flatten, next_help_heading = "World `sections`")]
    pub sections: SectionsWorld,
    /// The knobs of the glossary world.
    #[command(flatten, next_help_heading = "World `glossary`")]
    pub glossary: GlossaryWorld,
    /// The knobs of the problems world.
    #[command(flatten, next_help_heading = "World `problems`")]
    pub problems: ProblemsWorld,
    /// The knobs of the requests world.
    #[command(flatten, next_help_heading = "World `requests`")]
    pub requests: RequestsWorld,
}

/// The knobs of other worlds say nothing about this one, so they are no part of the key.
impl Serialize for WorldParams {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Chosen<'a, Knobs> {
            world: Option<WorldName>,
            world_seed: u64,
            #[serde(flatten)]
            knobs: &'a Knobs,
        }
        fn chosen<S: Serializer>(
            params: &WorldParams,
            knobs: &impl Serialize,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            let (world, world_seed) = (params.world, params.world_seed);
            Chosen {
                world,
                world_seed,
                knobs,
            }
            .serialize(serializer)
        }
        match self.world {
            None => serializer.serialize_none(),
            Some(WorldName::Reviews) => chosen(self, &self.reviews, serializer),
            Some(WorldName::Sections) => chosen(self, &self.sections, serializer),
            Some(WorldName::Glossary) => chosen(self, &self.glossary, serializer),
            Some(WorldName::Problems) => chosen(self, &self.problems, serializer),
            Some(WorldName::Requests) => chosen(self, &self.requests, serializer),
        }
    }
}

impl WorldParams {
    pub(crate) fn is_off(&self) -> bool {
        self.world.is_none()
    }

    /// Refuses impossible knobs of the chosen world and changed ones of the others, which would be without effect.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let Some(world) = self.world else {
            return Ok(());
        };
        match world {
            WorldName::Reviews => self.reviews.check()?,
            WorldName::Sections => self.sections.check()?,
            WorldName::Glossary => self.glossary.check()?,
            WorldName::Problems => self.problems.check()?,
            WorldName::Requests => self.requests.check()?,
        }
        for owner in WorldName::value_variants() {
            let changed = match owner {
                WorldName::Reviews => changed_knob(&self.reviews),
                WorldName::Sections => changed_knob(&self.sections),
                WorldName::Glossary => changed_knob(&self.glossary),
                WorldName::Problems => changed_knob(&self.problems),
                WorldName::Requests => changed_knob(&self.requests),
            };
            if let Some((knob, value)) = changed?.filter(|_| *owner != world) {
                bail!(
                    "--{knob} {value} is a knob of the world `{}`; this is `{}`",
                    owner.as_str(),
                    world.as_str()
                );
            }
        }
        Ok(())
    }

    /// Refuses a world whose texts have no classes.
    pub(crate) fn check_classifies(&self) -> anyhow::Result<()> {
        match self.world {
            None | Some(WorldName::Reviews) => Ok(()),
            Some(world) => {
                let name = world.as_str();
                let refused: anyhow::Result<()> = Err(anyhow::anyhow!(
                    "the world `{name}` has questions and no classes to tell apart"
                ));
                refused.hint(format!("ask them: `w2s-data questions --world {name}`"))
            }
        }
    }

    /// The first documents of the world that was named.
    pub(crate) fn documents(&self, number: Option<usize>) -> anyhow::Result<Vec<String>> {
        let usual = self.world.map_or(0, WorldName::documents);
        let number = number.unwrap_or(usual);
        if let Some(WorldName::Reviews) = self.world {
            let world = self.reviews.clone().build(self.world_seed)?;
            return Ok(world.documents().take(number).collect());
        }
        let world = self.asking()?;
        Ok(question::documents(&*world).take(number).collect())
    }

    /// The world that was named, if it asks questions.
    pub(crate) fn asking(&self) -> anyhow::Result<Box<dyn QuestionWorld>> {
        match self.world {
            Some(WorldName::Sections) => Ok(Box::new(self.sections()?)),
            Some(WorldName::Glossary) => {
                Ok(Box::new(self.glossary.clone().build(self.world_seed)?))
            }
            Some(WorldName::Problems) => {
                Ok(Box::new(self.problems.clone().build(self.world_seed)?))
            }
            Some(WorldName::Requests) => Ok(Box::new(self.requests()?)),
            Some(WorldName::Reviews) => {
                Err(anyhow::anyhow!("the world `reviews` asks no questions")).hint(ASKING)
            }
            None => Err(anyhow::anyhow!("no world is named")).hint(ASKING),
        }
    }

    /// The requests world, if it was named: the one whose answers two objectives order.
    pub(crate) fn preferring(&self) -> anyhow::Result<Requests> {
        match self.world {
            Some(WorldName::Requests) => Ok(self.requests()?),
            Some(world) => {
                let refused = anyhow::anyhow!(
                    "the world `{}` has no objectives that order its answers",
                    world.as_str()
                );
                Err(refused).hint("say `--world requests`")
            }
            None => Err(anyhow::anyhow!("no world is named")).hint("say `--world requests`"),
        }
    }

    fn requests(&self) -> Result<Requests, WorldError> {
        self.requests.clone().build(self.world_seed)
    }

    /// The sections world.
    pub(crate) fn sections(&self) -> Result<Sections, WorldError> {
        self.sections.clone().build(self.world_seed)
    }
}

/// The first knob that is not at its default, by the name of its flag, with its value.
fn changed_knob<T: Serialize + Default>(
    knobs: &T,
) -> Result<Option<(String, Value)>, serde_json::Error> {
    let (given, usual) = (
        serde_json::to_value(knobs)?,
        serde_json::to_value(T::default())?,
    );
    let knobs = given.as_object().into_iter().flatten();
    let changed = knobs
        .filter(|(knob, value)| usual.get(knob.as_str()) != Some(value))
        .map(|(knob, value)| (knob.replace('_', "-"), value.clone()));
    Ok({ changed }.next())
}
