//! Memory that is waited for once instead of many times.

/// Reads a word of each of many places in turn, going on by none of them. They lie anywhere in memory: so all of them are
/// waited for at once, where a look-up would wait for each before it knows where to go on.
pub fn bring_near<W: Into<u64>>(words: impl Iterator<Item = W>) {
    std::hint::black_box(words.fold(0, |read, word| read ^ word.into()));
}
