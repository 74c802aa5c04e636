//! A whole number on the command line.

/// Reads a whole number of at least `LEAST`.
///
/// # Errors
/// What is allowed.
pub(super) fn at_least<const LEAST: u64>(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| *number >= LEAST);
    number.ok_or_else(|| format!("must be a whole number of at least {LEAST}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_such_number_is_told_what_is_allowed() {
        assert_eq!(at_least::<1>("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(at_least::<0>("0"), Ok(0));
        for wrong in ["0", "-1", "", "1.5", "many"] {
            assert_eq!(at_least::<1>(wrong), Err("must be a whole number of at least 1".to_owned()), "{wrong}");
        }
    }
}
