//! Conversations as tokens: what is left out, what is cut, and which answers go to other prompts.

use crate::models::{WORDS, base, chat_base, pairs};
use w2s_artifact::Pair;
use w2s_lm::{EncodingArgs, Template, TooLong, device};
use w2s_lm::{SideCounts, encode_pairs};
use w2s_methods::{Conversation, encode_answers, open, reference};

fn encoding() -> EncodingArgs {
    EncodingArgs {
        template: Template::Model,
        max_tokens: None,
        too_long: TooLong::Drop,
        separate: false,
    }
}

fn chosen(pair: &Pair) -> Conversation {
    Conversation {
        prompt: pair.prompt,
        messages: pair.messages.clone(),
        answer: pair.chosen.text.clone(),
        finished: pair.chosen.finished,
    }
}

#[test]
fn a_prompt_without_room_is_told_when_nothing_else_is_left() {
    let mut rows = pairs(1);
    rows[0].messages[0].content = "which film ".repeat(20);
    let folder = tempfile::tempdir().unwrap();
    base(folder.path(), &WORDS, 1);
    let device = device("flex").unwrap();
    let refused = reference(
        folder.path(),
        &rows,
        &encoding(),
        false,
        &device,
        &mut |_, _| true,
    );
    assert_eq!(
        refused.unwrap_err().to_string(),
        "none of 1 pairs is left: 0 have the same answer on both sides; of the chosen answers 0 too long, 1 with a \
         prompt that leaves no room for an answer, 0 empty, 0 with the token that ends an answer inside it; of the \
         rejected answers 0 too long, 1 with a prompt that leaves no room for an answer, 0 empty, 0 with the token that \
         ends an answer inside it\n\
         hint: raise --max-tokens, up to the model's positions, or look at the rows with `w2s-data inspect`"
    );
}

#[test]
fn answers_that_differ_only_in_what_is_cut_off_are_identical() {
    let mut rows = pairs(3);
    // Of the second pair what fits is the same on both sides.
    rows[1].chosen.text = format!("{} good", "film ".repeat(40));
    rows[1].rejected.text = format!("{} bad and long", "film ".repeat(40));
    // Of the third the chosen side alone is cut.
    rows[2].chosen.text = "film ".repeat(40);
    let folder = tempfile::tempdir().unwrap();
    base(folder.path(), &WORDS, 1);
    let encoding = EncodingArgs {
        too_long: TooLong::Truncate,
        ..encoding()
    };
    let (_, encoder) = open(folder.path(), &encoding, &device("flex").unwrap()).unwrap();
    let encoded = encode_pairs(&encoder, &rows, true).unwrap();
    let ids: Vec<u64> = encoded.pairs.iter().map(|pair| pair.id).collect();
    assert_eq!(ids, [100, 102]);
    let counts = encoded.counts;
    assert_eq!((counts.pairs_dropped, counts.pairs_identical), (0, 1));
    let cut = |truncated| SideCounts {
        kept: 2,
        truncated,
        ..SideCounts::default()
    };
    assert_eq!((counts.chosen, counts.rejected), (cut(1), cut(0)));
    // Answers to other prompts: pair 100 has that of 102, and 102 that of 101, both cut.
    assert_eq!(counts.mismatched, Some(cut(2)));
}

#[test]
fn answers_to_other_prompts_are_the_neighbours_and_counted() {
    let mut rows = pairs(6);
    rows[2].messages = rows[1].messages.clone();
    rows[3].chosen.text = "film ".repeat(40);
    let folder = tempfile::tempdir().unwrap();
    base(folder.path(), &WORDS, 1);
    let (_, encoder) = open(folder.path(), &encoding(), &device("flex").unwrap()).unwrap();
    let encoded = encode_pairs(&encoder, &rows, true).unwrap();
    let ids = |text: &str| encoder.tokenizer().encode(text).unwrap();
    for pair in &encoded.pairs {
        // Pair 2 has the prompt of pair 1, so both take the answer of pair 0; that of pair 3 does not fit.
        let neighbour = match pair.id - 100 {
            0 => 5,
            1 | 2 => 0,
            4 => {
                assert_eq!(pair.mismatched, None);
                continue;
            }
            other => other - 1,
        } as usize;
        let prompt = ids(&rows[(pair.id - 100) as usize].messages[0].content);
        let answer = ids(&rows[neighbour].chosen.text);
        let mismatched = pair.mismatched.as_ref().unwrap();
        assert_eq!(
            mismatched.ids,
            [prompt, answer, vec![WORDS.len() as u32]].concat()
        );
    }
    let counts = encoded.counts.mismatched.unwrap();
    assert_eq!((counts.kept, counts.dropped.too_long), (4, 1));
    // Nobody asks for them: there are none.
    let plain = encode_pairs(&encoder, &rows, false).unwrap();
    assert!(plain.pairs.iter().all(|pair| pair.mismatched.is_none()));
    assert_eq!(plain.counts.mismatched, None);
}

#[test]
fn a_chat_template_ends_answers_with_its_own_token_and_names_the_prompt_it_refuses() {
    let folder = tempfile::tempdir().unwrap();
    chat_base(folder.path(), 1);
    let (_, encoder) = open(folder.path(), &encoding(), &device("flex").unwrap()).unwrap();
    let (eos, end) = (WORDS.len() as u32, WORDS.len() as u32 + 1);
    let rows = pairs(6);
    for (pair, text) in encode_pairs(&encoder, &rows, false)
        .unwrap()
        .pairs
        .iter()
        .zip(&rows)
    {
        for (side, said) in pair.sides.iter().zip([&text.chosen, &text.rejected]) {
            let words = said.text.split_whitespace().count();
            let ending = usize::from(said.finished);
            assert_eq!(side.answer, side.ids.len() - words - ending..side.ids.len());
            assert_eq!(side.ids.last() == Some(&end), said.finished);
            // One turn ends in the prompt; the EOS is no part of this template.
            let ends = side.ids.iter().filter(|id| **id == end).count();
            assert_eq!((ends, side.ids.contains(&eos)), (1 + ending, false));
        }
    }
    let mut refused = chosen(&rows[0]);
    (refused.prompt, refused.messages[0].content) = (7, "never".into());
    let error = encode_answers(&encoder, &[chosen(&rows[1]), refused]).unwrap_err();
    assert_eq!(error.to_string(), "the answer to prompt 7 does not encode");
    assert!(format!("{error:#}").contains("never is refused"));
}
