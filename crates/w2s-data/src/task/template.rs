//! Texts made of columns.

/// A text with columns in braces; `{{` and `}}` are braces.
#[derive(Debug, PartialEq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug, PartialEq)]
enum Piece {
    Words(String),
    Column(String),
}

impl Template {
    /// The template that `text` is; it needs a column.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let template = Self::parse_any(text)?;
        if template.columns().next().is_none() {
            return Err(format!("{text:?} names no column in braces"));
        }
        Ok(template)
    }

    /// The template that `text` is; without a column it is the same for all rows.
    pub(super) fn parse_any(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut words = String::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '{' | '}' if rest.peek() == Some(&c) => words.extend(rest.next()),
                '{' => {
                    let mut column = String::new();
                    loop {
                        match rest.next() {
                            Some('}') if !column.is_empty() => break,
                            Some(c) if c != '{' && c != '}' => column.push(c),
                            Some(_) => {
                                return Err(format!("{text:?} has a brace without a column"));
                            }
                            None => return Err(format!("{text:?} has a brace without its end")),
                        }
                    }
                    if !words.is_empty() {
                        pieces.push(Piece::Words(std::mem::take(&mut words)));
                    }
                    pieces.push(Piece::Column(column));
                }
                '}' => return Err(format!("{text:?} has a closing brace too many")),
                c => words.push(c),
            }
        }
        if !words.is_empty() {
            pieces.push(Piece::Words(words));
        }
        Ok(Self(pieces))
    }

    /// The column by that name, as it is.
    pub(crate) fn column(name: &str) -> Self {
        Self(vec![Piece::Column(name.to_owned())])
    }

    /// The columns it names, in their order.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Column(name) => Some(name.as_str()),
            Piece::Words(_) => None,
        })
    }

    /// The text with these values. A text whose columns are all empty is none, whatever words stand around them.
    pub(crate) fn fill<'a>(&self, value: impl Fn(&str) -> &'a str) -> Option<String> {
        let mut columns = self.columns().peekable();
        if columns.peek().is_some() && columns.all(|column| value(column).is_empty()) {
            return None;
        }
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Words(words) => words,
            Piece::Column(name) => value(name),
        });
        Some(pieces.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_can_be_written() {
        let template = Template::parse("{{{body}}}").unwrap();
        assert_eq!(template.columns().collect::<Vec<_>>(), ["body"]);
        assert_eq!(template.fill(|_| "x").unwrap(), "{x}");
        assert_eq!(template.fill(|_| ""), None);
    }

    #[test]
    fn a_template_that_is_none_is_refused() {
        let problem = |text: &str| Template::parse(text).unwrap_err();
        assert_eq!(problem("mail"), "\"mail\" names no column in braces");
        assert_eq!(problem("{body"), "\"{body\" has a brace without its end");
        assert_eq!(problem("{}"), "\"{}\" has a brace without a column");
        assert_eq!(problem("body}"), "\"body}\" has a closing brace too many");
    }
}
