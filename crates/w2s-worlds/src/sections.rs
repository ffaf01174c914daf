//! The sections world: questions about two things, and answers in short sections under bold headers.
//!
//! ```text
//! About moru and kirin:
//! **Tasvel**
//! The lobe banu.
//! **Gesin**
//! Some harul lobe dima.
//! ```
//!
//! The first line is the question, the rest the answer. Which words a section says belongs to the two things it is asked
//! about; how many sections there are is drawn for every document, and the document ends after the last. So a model that
//! learned the language has a habit that can be counted, the number of headers, and preferences can be made for more of
//! it, for less, or for neither: experiment A of delta learning (arXiv 2507.06187).

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{
    Stream, WorldError,
    question::QuestionWorld,
    words::{Weighted, check_range, invent},
};

const OPENERS: [&str; 4] = ["The", "A", "This", "Some"];

/// The knobs of the sections world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct SectionsWorld {
    /// Things that can be asked about, two at a time
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().topics, value_name = "N"))]
    pub topics: usize,
    /// Words that are said about a thing
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().topic_words, value_name = "N"))]
    pub topic_words: usize,
    /// Words that can be said about things; each belongs to several
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().detail_words, value_name = "N"))]
    pub detail_words: usize,
    /// Different headers of sections
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().headers, value_name = "N"))]
    pub headers: usize,
    /// Sections of a document: where the bell curve has its top
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().sections_mean, value_name = "X"))]
    pub sections_mean: f64,
    /// Sections of a document: standard deviation of the bell curve, before it is cut off below 1 and above the maximum
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().sections_spread, value_name = "X"))]
    pub sections_spread: f64,
    /// Sections of a document, at most
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().sections_max, value_name = "N"))]
    pub sections_max: usize,
}

impl Default for SectionsWorld {
    fn default() -> Self {
        Self {
            topics: 100,
            topic_words: 5,
            detail_words: 100,
            headers: 24,
            sections_mean: 4.0,
            sections_spread: 2.0,
            sections_max: 12,
        }
    }
}

impl SectionsWorld {
    /// Refuses knobs that no world can have.
    pub fn check(&self) -> Result<(), WorldError> {
        check_range("topics", self.topics, 10..=20_000)?;
        check_range("detail-words", self.detail_words, 1..=20_000)?;
        check_range("topic-words", self.topic_words, 1..=self.detail_words)?;
        check_range("headers", self.headers, 1..=20_000)?;
        check_range("sections-max", self.sections_max, 1..=1_000)?;
        let most = self.sections_max as f64;
        check_range("sections-mean", self.sections_mean, 1.0..=most)?;
        check_range("sections-spread", self.sections_spread, 0.1..=1_000.0)
    }

    /// Makes up the language of this seed.
    pub fn build(self, seed: u64) -> Result<Sections, WorldError> {
        self.check()?;
        let mut stream = Stream::new("sections lexicon", seed, 0);
        let number = self.topics + self.detail_words + self.headers;
        let mut words = invent(number, &["and"], &mut stream).into_iter();
        let mut take = |number| words.by_ref().take(number).collect::<Vec<_>>();
        let (topics, details, headers) = (
            take(self.topics),
            take(self.detail_words),
            take(self.headers),
        );
        let mut ranks: Vec<usize> = (0..self.detail_words).collect();
        let said = topics.iter().map(|topic| {
            stream.shuffle(&mut ranks);
            (topic.clone(), ranks[..self.topic_words].to_vec())
        });
        let said = said.collect();
        let bell = |sections: usize| {
            let distance = (sections as f64 - self.sections_mean) / self.sections_spread;
            (-distance * distance / 2.0).exp()
        };
        Ok(Sections {
            lengths: Weighted::new((1..=self.sections_max).map(bell)),
            exactly: None,
            seed,
            topics,
            said,
            details,
            headers: headers.iter().map(|word| capitalised(word)).collect(),
        })
    }
}

fn capitalised(word: &str) -> String {
    let mut word = word.to_string();
    word[..1].make_ascii_uppercase();
    word
}

/// The language of one seed.
#[derive(Clone, Debug)]
pub struct Sections {
    seed: u64,
    /// Index 0 is one section.
    lengths: Weighted,
    exactly: Option<usize>,
    topics: Vec<String>,
    /// Indices into `details` by topic.
    said: HashMap<String, Vec<usize>>,
    details: Vec<String>,
    headers: Vec<String>,
}

impl Sections {
    /// The same language with so many sections in every answer, instead of a number drawn for each. From the same stream, a
    /// longer answer begins with the shorter one.
    pub fn exactly(self, sections: usize) -> Self {
        Self {
            exactly: Some(sections),
            ..self
        }
    }
}

impl QuestionWorld for Sections {
    fn name(&self) -> &'static str {
        "sections"
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn gap(&self) -> &'static str {
        // The question ends its line.
        ""
    }

    fn draw(&self, stream: &mut Stream) -> String {
        let first = stream.below(self.topics.len());
        let other = (first + 1 + stream.below(self.topics.len() - 1)) % self.topics.len();
        format!("About {} and {}:\n", self.topics[first], self.topics[other])
    }

    fn answer(&self, question: &str, stream: &mut Stream) -> Option<String> {
        let topics = question.strip_prefix("About ")?.strip_suffix(":\n")?;
        let (first, other) = topics.split_once(" and ")?;
        let details = [&self.said.get(first)?[..], self.said.get(other)?].concat();
        let sections = self
            .exactly
            .unwrap_or_else(|| 1 + self.lengths.draw(stream));
        let mut lines = Vec::with_capacity(2 * sections);
        for _ in 0..sections {
            lines.push(format!(
                "**{}**",
                self.headers[stream.below(self.headers.len())]
            ));
            let mut line = stream.choose(&OPENERS).to_string();
            for _ in 0..2 + stream.below(2) {
                line.push(' ');
                line.push_str(&self.details[stream.choose(&details)]);
            }
            lines.push(line + ".");
        }
        Some(lines.join("\n"))
    }

    fn right_answer(&self, _question: &str) -> Option<String> {
        None
    }

    fn wrong_answer(&self, _question: &str, _stream: &mut Stream) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::question::{Part, documents, questions};

    fn world() -> Sections {
        SectionsWorld::default().build(0).unwrap()
    }

    fn headers(text: &str) -> usize {
        let bold = |line: &&str| line.starts_with("**") && line.ends_with("**");
        text.lines().filter(bold).count()
    }

    /// A language of one header and one word, so that its text can be written down.
    fn tiny() -> Sections {
        let said = ["moru", "kirin"].map(|topic| (topic.to_string(), vec![0]));
        Sections {
            seed: 0,
            lengths: Weighted::new([1.0].into_iter()),
            exactly: Some(2),
            topics: vec!["moru".into(), "kirin".into()],
            said: said.into(),
            details: vec!["lobe".into()],
            headers: vec!["Tasvel".into()],
        }
    }

    #[test]
    fn a_section_is_a_header_and_a_line() {
        let mut stream = Stream::new("test", 0, 0);
        let question = tiny().draw(&mut stream);
        assert!(["About moru and kirin:\n", "About kirin and moru:\n"].contains(&&*question));
        let answer = tiny().answer(&question, &mut stream).unwrap();
        let lines: Vec<_> = answer.split('\n').collect();
        assert_eq!(
            (lines.len(), lines[0], lines[2]),
            (4, "**Tasvel**", "**Tasvel**")
        );
        for line in [lines[1], lines[3]] {
            let (opener, rest) = line.split_once(' ').unwrap();
            assert!(OPENERS.contains(&opener), "{line}");
            assert!(["lobe lobe.", "lobe lobe lobe."].contains(&rest), "{line}");
        }
    }

    #[test]
    fn other_texts_are_no_questions() {
        let mut stream = Stream::new("test", 0, 0);
        for text in [
            "About moru and lobe:\n",
            "About moru:\n",
            "About moru and kirin:",
            "moru and kirin:\n",
        ] {
            assert_eq!(tiny().answer(text, &mut stream), None, "{text}");
        }
    }

    #[test]
    fn answers_have_exactly_the_sections_that_are_asked_for() {
        for sections in [1, 2, 3, 9] {
            let world = world().exactly(sections);
            let mut stream = Stream::new("test", 0, 0);
            for question in questions(&world, Part::Train, 0).take(200) {
                let answer = world.answer(&question, &mut stream).unwrap();
                assert_eq!(headers(&answer), sections, "{answer}");
            }
        }
    }

    #[test]
    fn a_longer_answer_begins_with_the_shorter_one() {
        let answer = |sections| {
            let world = world().exactly(sections);
            let question = questions(&world, Part::Train, 0).next().unwrap();
            world
                .answer(&question, &mut Stream::new("test", 0, 0))
                .unwrap()
        };
        let (three, two) = (answer(3), answer(2));
        assert!(three.starts_with(&(two + "\n**")), "{three}");
    }

    #[test]
    fn documents_have_the_sections_of_the_bell_curve() {
        let world = world();
        let counts: Vec<_> = documents(&world)
            .take(4000)
            .map(|text| headers(&text))
            .collect();
        // By hand: weights exp(-(k - 4)^2 / 8) for k = 1 to 12 have the mean 4.175 and the deviation
        // 1.83, so its standard error here is 0.03.
        let mean = counts.iter().sum::<usize>() as f64 / 4000.0;
        assert!((mean - 4.175).abs() < 0.1, "{mean}");
        assert!(counts.iter().all(|count| (1..=12).contains(count)));
        assert!(counts.contains(&1) && counts.contains(&9));
    }

    #[test]
    fn an_answer_keeps_to_the_words_of_its_topics() {
        let world = world();
        let mut stream = Stream::new("test", 0, 0);
        let said = |topic: &str| -> HashSet<&str> {
            let details = world.said[topic].iter();
            details
                .map(|&detail| world.details[detail].as_str())
                .collect()
        };
        for question in questions(&world, Part::Test, 0).take(100) {
            let words: Vec<_> = question.split([' ', ':']).map(str::to_string).collect();
            let known = &said(&words[1]) | &said(&words[3]);
            let answer = world.answer(&question, &mut stream).unwrap();
            for line in answer.lines().filter(|line| !line.starts_with('*')) {
                let mut words = line.trim_end_matches('.').split(' ').skip(1);
                assert!(words.all(|word| known.contains(word)), "{line}");
            }
        }
    }

    #[test]
    fn parts_never_meet() {
        let world = world();
        let asked: HashSet<_> = documents(&world)
            .take(5000)
            .map(|text| text.split_inclusive('\n').next().unwrap().to_string())
            .collect();
        let of = |part, seed| -> HashSet<_> { questions(&world, part, seed).collect() };
        let (train, validation, test) = (
            of(Part::Train, 0),
            of(Part::Validation, 1),
            of(Part::Test, 2),
        );
        // 100 topics make 9900 questions: a quarter, and twice an eighth.
        assert!((2200..2750).contains(&train.len()), "{}", train.len());
        assert!(
            (1100..1400).contains(&validation.len()),
            "{}",
            validation.len()
        );
        assert!((1100..1400).contains(&test.len()), "{}", test.len());
        assert!(asked.len() > 2500);
        let parts = [&asked, &train, &validation, &test];
        let together: HashSet<_> = parts.into_iter().flatten().collect();
        assert_eq!(
            together.len(),
            parts.iter().map(|part| part.len()).sum::<usize>()
        );
    }

    #[test]
    fn impossible_knobs_are_refused() {
        let refused = |knobs: SectionsWorld| knobs.build(0).unwrap_err().to_string();
        let usual = SectionsWorld::default;
        assert_eq!(
            refused(SectionsWorld {
                topics: 1,
                ..usual()
            }),
            "--topics 1: between 10 and 20000 is possible"
        );
        assert_eq!(
            refused(SectionsWorld {
                topic_words: 101,
                ..usual()
            }),
            "--topic-words 101: between 1 and 100 is possible"
        );
        assert_eq!(
            refused(SectionsWorld {
                sections_mean: 13.0,
                ..usual()
            }),
            "--sections-mean 13: between 1 and 12 is possible"
        );
        assert_eq!(
            refused(SectionsWorld {
                sections_spread: 0.0,
                ..usual()
            }),
            "--sections-spread 0: between 0.1 and 1000 is possible"
        );
    }
}
