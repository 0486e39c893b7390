//! "Did you mean …?"

/// The candidate that is most like `word`, if one is like it at all. Neither case nor what sets words apart counts: `CONNECT_TIMEOUT`
/// is `ConnectTimeout`.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Long words are not mistyped short ones, and the time that the distance takes grows with the square of the length.
    if word.len() > 64 {
        return None;
    }
    let letters = letters(word);
    let mut begun: Vec<&str> = Vec::new();
    let near = candidates
        .into_iter()
        .map(|candidate| {
            let other = self::letters(candidate);
            // `delay` for delaySeconds.
            if letters.len() >= 4 && (other.starts_with(&letters) || (other.len() >= 4 && letters.starts_with(&other)))
            {
                begun.push(candidate);
            }
            let most = other.len().max(letters.len()).div_ceil(3).min(4);
            (strsim::damerau_levenshtein(&letters, &other), most, candidate)
        })
        // Nothing of a word may be left of it.
        .filter(|(distance, most, _)| distance <= most && *distance < letters.len())
        .min_by_key(|(distance, ..)| *distance)
        .map(|(.., candidate)| candidate);
    near.or(match begun.as_slice() {
        [only] => Some(only),
        _ => None,
    })
}

/// `; did you mean "x"?`, or nothing.
#[must_use]
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map_or_else(String::new, suggestion)
}

/// `; did you mean "x"?`
#[must_use]
pub fn suggestion(word: &str) -> String {
    format!("; did you mean {word:?}?")
}

/// A word without what programs spell differently: case, and what sets its parts apart.
#[must_use]
pub fn letters(word: &str) -> String {
    let letters = word.chars().filter(|c| c.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not() {
        for (word, candidates, near) in [
            ("INGRESS", &["Ingress", "Egress"] as &[&str], Some("Ingress")),
            (
                "connect_timeout",
                &["ConnectFailed", "ConnectTimeout"],
                Some("ConnectTimeout"),
            ),
            ("security_group_refs", &["securityGroupRefs"], Some("securityGroupRefs")),
            ("delay", &["delaySeconds", "timeoutSeconds"], Some("delaySeconds")),
            ("subn", &["subnetRef", "subnetRefs"], None),
            ("x", &["IP"], None),
            ("weather", &["Healthy", "Unhealthy"], None),
            ("", &["a"], None),
        ] {
            assert_eq!(nearest(word, candidates.iter().copied()), near, "{word}");
        }
    }
}
