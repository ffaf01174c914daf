//! Tokenizers trained on a corpus, written as `tokenizer.json` and `tokenizer_config.json`, which Hugging Face libraries
//! open. The same texts give the same bytes.

use std::{collections::HashMap, fmt, fs, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokenizers::{
    AddedToken, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString,
    PreTokenizer, SplitDelimiterBehavior, Tokenizer,
    decoders::{fuse::Fuse, wordpiece::WordPiece},
    models::{
        TrainerWrapper,
        bpe::{BPE, BpeTrainer},
        wordlevel::WordLevel,
    },
    normalizers::utils::Lowercase,
    pre_tokenizers::{
        PreTokenizerWrapper,
        byte_level::ByteLevel,
        punctuation::Punctuation,
        sequence::Sequence,
        split::{Split, SplitPattern},
        whitespace::WhitespaceSplit,
    },
    processors::template::TemplateProcessing,
};

use crate::error::DataError;

/// Begins a document.
pub const BOS: &str = "<|bos|>";
/// Ends a document.
pub const EOS: &str = "<|eos|>";
/// Stands for a word that is not in the vocabulary.
pub const UNK: &str = "<|unk|>";
/// Fills a batch; nothing here needs it, other libraries do.
pub const PAD: &str = "<|pad|>";
/// The most bytes of a word that byte pairs are learnt of.
pub const MOST_WORD: usize = 16 << 10;
/// The special tokens; their order is their ids.
pub const SPECIAL: [&str; 4] = [BOS, EOS, UNK, PAD];

/// How text is cut into tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum TokenizerKind {
    /// Lower-case words and punctuation marks: for generated worlds
    Word,
    /// Words with the space before them, marks and line ends, which give a text back as it was: for worlds that answer
    Lossless,
    /// Byte pairs, which spell any text: for real text
    Bpe,
}

impl fmt::Display for TokenizerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Word => "word",
            Self::Lossless => "lossless",
            Self::Bpe => "bpe",
        })
    }
}

impl TokenizerKind {
    /// The fewest tokens a vocabulary can have: the special ones and one word, or all bytes.
    pub fn least_vocabulary(self) -> usize {
        match self {
            Self::Word | Self::Lossless => SPECIAL.len() + 1,
            Self::Bpe => SPECIAL.len() + 256,
        }
    }
}

/// Trains a tokenizer of at most `vocabulary` tokens, the special ones included.
pub fn train<S: AsRef<str> + Sync>(
    kind: TokenizerKind,
    texts: &[S],
    vocabulary: usize,
) -> Result<Tokenizer, DataError> {
    let least = kind.least_vocabulary();
    if vocabulary < least {
        return Err(DataError::Parameter(format!(
            "--vocabulary {vocabulary}: this tokenizer needs {least} tokens or more"
        )));
    }
    let trained = match kind {
        TokenizerKind::Word => words(texts, vocabulary),
        TokenizerKind::Lossless => lossless(texts, vocabulary),
        TokenizerKind::Bpe => byte_pairs(texts, vocabulary),
    };
    trained.map_err(|error| DataError::Tokenizer(error.to_string()))
}

fn special_tokens() -> Vec<AddedToken> {
    SPECIAL
        .iter()
        .map(|token| AddedToken::from(*token, true))
        .collect()
}

fn words<S: AsRef<str>>(texts: &[S], vocabulary: usize) -> tokenizers::Result<Tokenizer> {
    let pre_tokenizer = Sequence::new(vec![
        PreTokenizerWrapper::WhitespaceSplit(WhitespaceSplit),
        PreTokenizerWrapper::Punctuation(Punctuation::new(SplitDelimiterBehavior::Isolated)),
    ]);
    let mut pieces: HashMap<&str, u64> = HashMap::new();
    for piece in texts
        .iter()
        .flat_map(|text| text.as_ref().split_whitespace())
    {
        *pieces.entry(piece).or_default() += 1;
    }
    // Both steps work inside a piece, so each different piece needs them once, not each time it occurs.
    let mut counts: HashMap<String, u64> = HashMap::new();
    for (piece, count) in pieces {
        let mut normalized = NormalizedString::from(piece);
        Lowercase.normalize(&mut normalized)?;
        let mut split = PreTokenizedString::from(normalized);
        pre_tokenizer.pre_tokenize(&mut split)?;
        for (word, ..) in split.get_splits(OffsetReferential::Original, OffsetType::Byte) {
            *counts.entry(word.into()).or_default() += count;
        }
    }
    let mut tokenizer = Tokenizer::new(vocabulary_of(counts, vocabulary)?);
    // `The` and `the` are one word: a small model cannot afford to learn both.
    tokenizer.with_normalizer(Some(Lowercase))?;
    tokenizer.with_pre_tokenizer(Some(pre_tokenizer));
    // Puts spaces between words and none before punctuation; no word has the prefix.
    tokenizer.with_decoder(Some(WordPiece::new("##".into(), true)));
    tokenizer.add_special_tokens(special_tokens())?;
    Ok(tokenizer)
}

/// The most frequent words, after the special tokens.
fn vocabulary_of(counts: HashMap<String, u64>, vocabulary: usize) -> tokenizers::Result<WordLevel> {
    let mut ranked: Vec<_> = counts.into_iter().collect();
    ranked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let ranked = ranked.into_iter().map(|(word, _)| word);
    let vocab = SPECIAL
        .iter()
        .map(|token| token.to_string())
        .chain(ranked)
        .take(vocabulary)
        .zip(0..);

    WordLevel::builder()
        .vocab(vocab.collect())
        .unk_token(UNK.into())
        .build()
}

fn lossless<S: AsRef<str>>(texts: &[S], vocabulary: usize) -> tokenizers::Result<Tokenizer> {
    // No character is left out, and the words of a text fall into few kinds: `**`, a word or a mark with the space before it
    // if there is one, any other space or line end.
    let pattern = SplitPattern::Regex(r"\*\*| ?\w+| ?[^\w\s]|\s".into());
    let pre_tokenizer = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)?;
    let mut counts: HashMap<String, u64> = HashMap::new();
    for text in texts {
        let mut split = PreTokenizedString::from(text.as_ref());
        pre_tokenizer.pre_tokenize(&mut split)?;
        for (word, ..) in split.get_splits(OffsetReferential::Original, OffsetType::Byte) {
            *counts.entry(word.into()).or_default() += 1;
        }
    }
    let mut tokenizer = Tokenizer::new(vocabulary_of(counts, vocabulary)?);
    tokenizer.with_pre_tokenizer(Some(pre_tokenizer));
    tokenizer.with_decoder(Some(Fuse::new()));
    tokenizer.add_special_tokens(special_tokens())?;
    // Pretraining begins each document with this token; so must whoever asks the model something.
    tokenizer.with_post_processor(Some(
        TemplateProcessing::builder()
            .try_single(format!("{BOS} $A"))?
            .special_tokens(vec![(BOS, 0)])
            .build()?,
    ));
    Ok(tokenizer)
}

/// The bytes of the longest run of letters, digits, spaces or marks in a text: what byte pairs are learnt within. The time
/// it takes grows with the square of this length.
fn longest_word(text: &str) -> usize {
    let class = |character: char| match character {
        _ if character.is_whitespace() => 0,
        _ if character.is_alphabetic() => 1,
        _ if character.is_numeric() => 2,
        _ => 3,
    };
    let (mut longest, mut length, mut last) = (0, 0, 0);
    for character in text.chars() {
        let this = class(character);
        length = if this == last { length } else { 0 } + character.len_utf8();
        longest = longest.max(length);
        last = this;
    }
    longest
}

fn byte_pairs<S: AsRef<str> + Sync>(
    texts: &[S],
    vocabulary: usize,
) -> tokenizers::Result<Tokenizer> {
    if let Some(text) = texts
        .iter()
        .find(|text| longest_word(text.as_ref()) > MOST_WORD)
    {
        let beginning: String = text.as_ref().chars().take(40).collect();
        return Err(format!(
            "a text has a word of {} bytes, and byte pairs are learnt of words of at most {MOST_WORD}; the text begins \
             {beginning:?}\nhint: leave such texts out, or use `--tokenizer lossless`",
            longest_word(text.as_ref())
        )
        .into());
    }
    let mut tokenizer = Tokenizer::new(BPE::builder().unk_token(UNK.into()).build()?);
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    tokenizer.with_decoder(Some(ByteLevel::new(false, true, true)));
    let trainer = BpeTrainer::builder()
        .vocab_size(vocabulary)
        .show_progress(false)
        .special_tokens(special_tokens())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    tokenizer.train(
        &mut TrainerWrapper::from(trainer),
        texts.iter().map(AsRef::as_ref),
    )?;
    Ok(tokenizer)
}

/// The two files by name, as transformers' `PreTrainedTokenizerFast` reads them.
pub fn files(tokenizer: &Tokenizer) -> Result<[(&'static str, String); 2], DataError> {
    let whole = tokenizer
        .to_string(true)
        .map_err(|error| DataError::Tokenizer(error.to_string()))?;
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "unk_token": UNK,
        "pad_token": PAD,
        "clean_up_tokenization_spaces": false,
    });
    Ok([
        ("tokenizer.json", whole + "\n"),
        ("tokenizer_config.json", format!("{config:#}\n")),
    ])
}

/// Writes `tokenizer.json` and `tokenizer_config.json` into the folder.
pub fn write(tokenizer: &Tokenizer, folder: &Path) -> Result<(), DataError> {
    for (name, content) in files(tokenizer)? {
        let path = folder.join(name);
        fs::write(&path, content).map_err(|source| DataError::Io { path, source })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use w2s_worlds::question::documents;

    const TEXTS: [&str; 3] = [
        "The moru was tasvel, but not kirin.",
        "So kirin! The lobe was not tasvel.",
        "the moru.",
    ];

    #[test]
    fn a_word_that_takes_minutes_to_learn_is_refused() {
        let text = |length: usize| format!("a text {} of words", "x".repeat(length));
        let error = train(TokenizerKind::Bpe, &[text(640_000)], 300).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("a word of 640000 bytes"), "{error}");
        assert!(error.contains("begins \"a text xxx"), "{error}");
        for spaces in [" ", "\n", "7", "é", "="] {
            assert!(longest_word(&format!("a {}b", spaces.repeat(100))) >= 100);
        }
        assert_eq!(longest_word(&"word 12 ".repeat(1000)), 4);
        train(TokenizerKind::Bpe, &[text(MOST_WORD)], 300).unwrap();
        train(TokenizerKind::Word, &[text(640_000)], 300).unwrap();
    }

    #[test]
    fn words_are_ranked_by_frequency_then_spelling() {
        let tokenizer = train(TokenizerKind::Word, &TEXTS, 100).unwrap();
        let tokens: Vec<_> = (0..tokenizer.get_vocab_size(true) as u32)
            .map(|id| tokenizer.id_to_token(id).unwrap())
            .collect();
        let expected = [
            BOS, EOS, UNK, PAD, ".", "the", "kirin", "moru", "not", "tasvel", "was", "!", ",",
            "but", "lobe", "so",
        ];
        assert_eq!(tokens, expected);
        let encoded = tokenizer
            .encode("The moru, never kirin!<|eos|>", false)
            .unwrap();
        assert_eq!(encoded.get_ids(), [5, 7, 12, 2, 6, 11, 1]);
        assert_eq!(
            tokenizer.decode(encoded.get_ids(), true).unwrap(),
            "the moru, kirin!"
        );
        assert_eq!(
            train(TokenizerKind::Word, &TEXTS, 6)
                .unwrap()
                .get_vocab_size(true),
            6
        );
    }

    #[test]
    fn lossless_tokens_give_the_text_back() {
        let text = "About moru and lobe:\n**Tasvel**\nThe  lobe, so!";
        let tokenizer = train(TokenizerKind::Lossless, &[text], 100).unwrap();
        let encoded = tokenizer.encode(text, false).unwrap();
        let expected = [
            "About", " moru", " and", " lobe", ":", "\n", "**", "Tasvel", "**", "\n", "The", " ",
            " lobe", ",", " so", "!",
        ];
        assert_eq!(encoded.get_tokens(), expected);
        assert_eq!(tokenizer.decode(encoded.get_ids(), true).unwrap(), text);
        // The ids of the special tokens, and a BOS for whoever asks for special tokens.
        assert_eq!(tokenizer.encode("", true).unwrap().get_ids(), [0]);
        assert_eq!(
            tokenizer.encode("kirin<|eos|>", false).unwrap().get_ids(),
            [2, 1]
        );
        assert_eq!(tokenizer.get_vocab_size(true), 4 + 13);
    }

    #[test]
    fn worlds_that_answer_survive_their_tokenizer() {
        let sections = w2s_worlds::SectionsWorld::default().build(0).unwrap();
        let glossary = w2s_worlds::GlossaryWorld::default().build(0).unwrap();
        for (texts, vocabulary) in [
            (documents(&sections).take(3000).collect::<Vec<_>>(), 237),
            (documents(&glossary).take(10_000).collect(), 408),
        ] {
            let tokenizer = train(TokenizerKind::Lossless, &texts, 4096).unwrap();
            // One token a word: no word stands in two ways.
            assert_eq!(tokenizer.get_vocab_size(true), vocabulary);
            for text in texts.iter().take(1000) {
                let ids = tokenizer.encode(text.as_str(), false).unwrap();
                assert_eq!(&tokenizer.decode(ids.get_ids(), true).unwrap(), text);
            }
        }
    }

    #[test]
    fn byte_pairs_spell_anything() {
        let tokenizer = train(TokenizerKind::Bpe, &TEXTS, 280).unwrap();
        let text = "The moru was tasvel — très ☃ 100 %!";
        let encoded = tokenizer.encode(text, false).unwrap();
        assert!(!encoded.get_ids().contains(&2));
        assert_eq!(tokenizer.decode(encoded.get_ids(), true).unwrap(), text);
        assert_eq!(tokenizer.get_vocab_size(true), 280);
        assert_eq!(
            SPECIAL.map(|token| tokenizer.token_to_id(token)),
            [Some(0), Some(1), Some(2), Some(3)]
        );
    }

    #[test]
    fn the_same_corpus_gives_the_same_bytes() {
        let world = w2s_worlds::ReviewsWorld::default().build(3).unwrap();
        let texts: Vec<_> = world.documents().take(300).collect();
        for (kind, vocabulary) in [
            (TokenizerKind::Word, 4096),
            (TokenizerKind::Lossless, 4096),
            (TokenizerKind::Bpe, 600),
        ] {
            let first = files(&train(kind, &texts, vocabulary).unwrap()).unwrap();
            for _ in 0..3 {
                assert_eq!(
                    files(&train(kind, &texts, vocabulary).unwrap()).unwrap(),
                    first
                );
            }
        }
    }

    #[test]
    fn written_files_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let tokenizer = train(TokenizerKind::Word, &TEXTS, 100).unwrap();
        write(&tokenizer, folder.path()).unwrap();
        let read = Tokenizer::from_file(folder.path().join("tokenizer.json")).unwrap();
        let ids = |tokenizer: &Tokenizer| {
            tokenizer
                .encode(TEXTS[0], false)
                .unwrap()
                .get_ids()
                .to_vec()
        };
        assert_eq!(ids(&read), ids(&tokenizer));
        let config = fs::read_to_string(folder.path().join("tokenizer_config.json")).unwrap();
        assert!(
            config.contains("\"tokenizer_class\": \"PreTrainedTokenizerFast\""),
            "{config}"
        );
    }

    #[test]
    fn too_small_a_vocabulary_is_refused() {
        let error = train(TokenizerKind::Bpe, &TEXTS, 100).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--vocabulary 100: this tokenizer needs 260 tokens or more"
        );
    }
}
