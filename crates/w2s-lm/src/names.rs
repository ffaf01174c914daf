//! Where the parameters of a model lie in the files of its family.

use crate::Family;

/// Where a parameter lies in a file: a tensor, perhaps transposed, perhaps one of three parts of it.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) transposed: bool,
    /// Which third of the output columns, of GPT-2's fused query, key and value projection.
    pub(crate) third: Option<usize>,
}

impl Place {
    /// The shape that the file has for a parameter of the shape `expected`.
    pub(crate) fn stored(&self, expected: &[usize]) -> Vec<usize> {
        let mut stored = expected.to_vec();
        if self.third.is_some() {
            stored[0] *= 3;
        }
        if self.transposed {
            stored.reverse();
        }
        stored
    }
}

/// How the tensors of one folder are named.
#[derive(Debug)]
pub(crate) struct Names {
    family: Family,
    /// What the names of the decoder's tensors begin with: `model.` or, of GPT-2, `transformer.`; other tools leave it out
    /// or put something before it.
    body: String,
    /// What stands before `lm_head.weight`.
    head: String,
}

/// What the decoder's tensors begin with where transformers writes them.
fn usual(family: Family) -> &'static str {
    match family {
        Family::Gpt2 => "transformer.",
        Family::Llama | Family::Qwen2 => "model.",
    }
}

impl Names {
    /// As transformers writes them.
    pub(crate) fn usual(family: Family) -> Self {
        Self {
            family,
            body: usual(family).into(),
            head: String::new(),
        }
    }

    /// As the tensors of a folder are named: the token embedding tells what stands before the names. Where there is no
    /// embedding they are the usual ones.
    ///
    /// # Errors
    ///
    /// Several embeddings of which none has the usual name.
    pub(crate) fn of<'a>(
        family: Family,
        names: impl Iterator<Item = &'a String>,
    ) -> Result<Self, String> {
        let embedding = match family {
            Family::Gpt2 => "wte.weight",
            Family::Llama | Family::Qwen2 => "embed_tokens.weight",
        };
        let usual = usual(family);
        let found: Vec<&str> = names
            .filter_map(|name| name.strip_suffix(embedding))
            .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
            .collect();
        let body = match found[..] {
            [] => usual,
            [prefix] => prefix,
            _ if found.contains(&usual) => usual,
            _ => {
                let found: Vec<String> =
                    found.iter().map(|p| format!("`{p}{embedding}`")).collect();
                return Err(format!(
                    "it has several token embeddings, {}: which of them is the model's cannot be told",
                    found.join(", ")
                ));
            }
        };
        Ok(Self {
            family,
            body: body.into(),
            head: body.strip_suffix(usual).unwrap_or_default().into(),
        })
    }

    /// The name of a tensor that stands beside the decoder, such as `lm_head.weight`.
    pub(crate) fn beside(&self, name: &str) -> String {
        format!("{}{name}", self.head)
    }

    /// The place of a parameter, by its path in the module tree.
    pub(crate) fn place(&self, path: &str) -> Place {
        let plain = |name: String| Place {
            name,
            transposed: false,
            third: None,
        };
        let Some(rest) = path.strip_prefix("model.") else {
            return plain(self.beside(path));
        };
        let body = &self.body;
        if self.family != Family::Gpt2 {
            return plain(format!("{body}{rest}"));
        }
        let Some(rest) = rest.strip_prefix("layers.") else {
            return plain(match rest {
                "embed_tokens.weight" => format!("{body}wte.weight"),
                "embed_positions.weight" => format!("{body}wpe.weight"),
                other => format!("{body}{}", other.replace("norm.", "ln_f.")),
            });
        };
        let (layer, rest) = rest.split_once('.').expect("a layer has parts");
        let (part, kind) = rest
            .rsplit_once('.')
            .expect("a part has a weight or a bias");
        let (name, transposed, third) = match part {
            "input_layernorm" => ("ln_1", false, None),
            "post_attention_layernorm" => ("ln_2", false, None),
            "self_attn.q_proj" => ("attn.c_attn", true, Some(0)),
            "self_attn.k_proj" => ("attn.c_attn", true, Some(1)),
            "self_attn.v_proj" => ("attn.c_attn", true, Some(2)),
            "self_attn.o_proj" => ("attn.c_proj", true, None),
            "mlp.up_proj" => ("mlp.c_fc", true, None),
            "mlp.down_proj" => ("mlp.c_proj", true, None),
            other => unreachable!("GPT-2 has no `{other}`"),
        };
        Place {
            name: format!("{body}h.{layer}.{name}.{kind}"),
            transposed: transposed && kind == "weight",
            third,
        }
    }

    /// Whether a tensor says nothing of what the decoder computes: tables that are computed anew, and heads beside it that
    /// stand for other tasks.
    pub(crate) fn is_idle(&self, name: &str) -> bool {
        let mask = self.family == Family::Gpt2
            && [".attn.bias", ".attn.masked_bias"]
                .iter()
                .any(|end| name.ends_with(end));
        let other_task = ["score.", "classifier.", "v_head."]
            .iter()
            .any(|part| name.starts_with(&self.beside(part)));
        mask || other_task || name.ends_with(".rotary_emb.inv_freq")
    }
}

/// Names in one text: numbered ones that differ in their numbers alone are told once, with their count.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let pattern = |name: &str| {
        let parts = name.split('.');
        let parts = parts.map(|part| match part.parse::<u64>() {
            Ok(_) => "*",
            Err(_) => part,
        });
        parts.collect::<Vec<_>>().join(".")
    };
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for name in names {
        let pattern = pattern(name);
        match groups.iter_mut().find(|(other, _)| *other == pattern) {
            Some((_, members)) => members.push(name),
            None => groups.push((pattern, vec![name])),
        }
    }
    let told = groups.iter().map(|(pattern, members)| match members[..] {
        [name] => format!("`{name}`"),
        _ => format!("`{pattern}` ({} of them)", members.len()),
    });
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(family: Family, found: &[&str]) -> Result<Names, String> {
        let found: Vec<String> = found.iter().map(|name| (*name).to_owned()).collect();
        Names::of(family, found.iter())
    }

    #[test]
    fn the_embedding_tells_the_prefix() {
        let read = |family, embedding: &str, path: &str| {
            names(family, &[embedding]).unwrap().place(path).name
        };
        let norm = "model.norm.weight";
        let llama = |embedding| read(Family::Llama, embedding, norm);
        assert_eq!(llama("model.embed_tokens.weight"), "model.norm.weight");
        assert_eq!(llama("embed_tokens.weight"), "norm.weight");
        assert_eq!(
            llama("module.model.embed_tokens.weight"),
            "module.model.norm.weight"
        );
        let head = |embedding| read(Family::Llama, embedding, "lm_head.weight");
        assert_eq!(head("embed_tokens.weight"), "lm_head.weight");
        assert_eq!(
            head("module.model.embed_tokens.weight"),
            "module.lm_head.weight"
        );
        assert_eq!(read(Family::Gpt2, "wte.weight", norm), "ln_f.weight");
        assert_eq!(
            read(Family::Gpt2, "transformer.wte.weight", norm),
            "transformer.ln_f.weight"
        );
    }

    #[test]
    fn of_several_embeddings_the_usual_one_counts() {
        let usual = ["vision.embed_tokens.weight", "model.embed_tokens.weight"];
        assert_eq!(names(Family::Llama, &usual).unwrap().body, "model.");
        let neither = ["a.embed_tokens.weight", "b.embed_tokens.weight"];
        let error = names(Family::Llama, &neither).unwrap_err();
        assert!(
            error.contains("`a.embed_tokens.weight`, `b.embed"),
            "{error}"
        );
    }

    #[test]
    fn names_that_differ_in_numbers_are_told_once() {
        assert_eq!(
            listed(["model.layers.0.x.bias", "model.layers.11.x.bias", "y"]),
            "`model.layers.*.x.bias` (2 of them), `y`"
        );
    }
}
