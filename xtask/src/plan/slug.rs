//! What a task is called: for people, and as a file or folder.

use std::collections::HashMap;

/// Longer names lose their end.
const LONGEST: usize = 120;

/// `naive[seed=0]`.
pub fn name(step: &str, point: &[(&str, String)]) -> String {
    if point.is_empty() {
        return step.to_owned();
    }
    let point: Vec<String> = point
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("{step}[{}]", point.join(","))
}

/// Names of files and folders that were given.
#[derive(Debug, Default)]
pub struct Slugs(HashMap<String, usize>);

impl Slugs {
    /// `naive-seed-0`: one part of a path, unlike any other that was given, whatever the values hold.
    pub fn take(&mut self, step: &str, point: &[(&str, String)]) -> String {
        let mut slug = step.to_owned();
        for (name, value) in point {
            slug.push('-');
            slug.push_str(name);
            slug.push('-');
            value.bytes().for_each(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                    slug.push(char::from(byte));
                }
                byte => slug.push_str(&format!("~{byte:02x}")),
            });
        }
        slug.truncate(LONGEST);
        // Some file systems do not tell capitals from small letters.
        let mut count = self
            .0
            .get(&slug.to_lowercase())
            .map_or(1, |count| count + 1);
        let mut distinct = slug.clone();
        if count > 1 {
            distinct = format!("{slug}~{count}");
            while self.0.contains_key(&distinct.to_lowercase()) {
                count += 1;
                distinct = format!("{slug}~{count}");
            }
            self.0.insert(slug.to_lowercase(), count);
        }
        self.0.insert(distinct.to_lowercase(), 1);
        distinct
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn slugs_are_parts_of_a_path_and_distinct() {
        let mut slugs = Slugs::default();
        let mut take = |step: &str, value: &str| slugs.take(step, &[("x", value.to_owned())]);
        assert_eq!(take("a", "0.5"), "a-x-0.5");
        assert_eq!(take("a", "a/../../x"), "a-x-a~2f..~2f..~2fx");
        assert_eq!(take("a", "a/b"), "a-x-a~2fb");
        assert_eq!(take("a", "a-b"), "a-x-a-b");
        assert_eq!(take("a", "a~2fb"), "a-x-a~7e2fb");
        assert_eq!(take("a", "ä"), "a-x-~c3~a4");
        assert_eq!(take("a", "ö"), "a-x-~c3~b6");
        assert_eq!(take("a", ".."), "a-x-..");
        assert_eq!(take("a", ""), "a-x-");
        // Another step and another value, and the same letters.
        assert_eq!(take("a-x-0.5", "1"), "a-x-0.5-x-1");
        assert_eq!(take("a", "0.5-x-1"), "a-x-0.5-x-1~2");
        assert_eq!(take("a", "B"), "a-x-B");
        assert_eq!(take("a", "b"), "a-x-b~2");
        let long = [
            take("a", &"é".repeat(200)),
            take("a", &format!("{}!", "é".repeat(200))),
        ];
        assert!(long.iter().all(|slug| slug.len() < 130), "{long:?}");
        assert_ne!(long[0], long[1]);
    }

    #[test]
    fn a_thousand_equal_beginnings_are_told_apart() {
        let mut slugs = Slugs::default();
        let long = "v".repeat(200);
        let taken: HashSet<String> = (0..1000)
            .map(|count| slugs.take("a", &[("x", format!("{long}{count}"))]))
            .collect();
        assert_eq!(taken.len(), 1000);
    }
}
