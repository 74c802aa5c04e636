//! What is measured again and again, on a machine that others use too.

/// The best of so many tries counts, of what is measured and of its limits: whatever else runs only makes it worse, and a
/// broker that has just started is slow for a while.
pub const TRIES: usize = 3;

/// The try of which this is highest.
pub fn best<T>(tries: impl IntoIterator<Item = T>, of: impl Fn(&T) -> f64) -> T {
    tries.into_iter().max_by(|a, b| of(a).total_cmp(&of(b))).expect("tries")
}

/// The highest that this is of any try.
pub fn highest<T>(tries: &[T], of: impl Fn(&T) -> f64) -> f64 {
    tries.iter().map(of).fold(0.0, f64::max)
}
