//! Names in a sentence.

/// The most that are named.
const MOST: usize = 12;

/// The first twelve names, and how many more there are.
pub fn first_few(names: &[&str]) -> String {
    match names.len().saturating_sub(MOST) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names[..MOST].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_are_named_and_the_others_counted() {
        assert_eq!(first_few(&[]), "");
        assert_eq!(first_few(&["a"; 12]), "a, a, a, a, a, a, a, a, a, a, a, a");
        assert_eq!(first_few(&["a"; 13]), "a, a, a, a, a, a, a, a, a, a, a, a and 1 more");
    }
}
