//! Things in the order in which they appear, each once.

/// The values of each key, in order of appearance.
pub(crate) fn grouped<K: PartialEq, V>(
    pairs: impl IntoIterator<Item = (K, V)>,
) -> Vec<(K, Vec<V>)> {
    let mut groups: Vec<(K, Vec<V>)> = Vec::new();
    for (key, value) in pairs {
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, values)) => values.push(value),
            None => groups.push((key, vec![value])),
        }
    }
    groups
}

/// Adds a thing that is not there yet.
pub(crate) fn add_once<T: PartialEq>(things: &mut Vec<T>, thing: T) {
    if !things.contains(&thing) {
        things.push(thing);
    }
}
