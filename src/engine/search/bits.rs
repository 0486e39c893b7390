//! Bits of the words that columns are made of.

/// Words of a column for so many rules; at least one, so that columns can be told apart.
pub(crate) fn words(rules: usize) -> usize {
    rules.div_ceil(64).max(1)
}

/// The bits of a word that stand for positions below `end`.
pub(super) fn below(end: usize, word: usize) -> u64 {
    match end.saturating_sub(word * 64) {
        0 => 0,
        bits @ 1..64 => (1 << bits) - 1,
        _ => u64::MAX,
    }
}

/// The position of the lowest bit.
pub(super) fn bit(word: u64) -> usize {
    usize::try_from(word.trailing_zeros()).unwrap_or(64)
}

/// The position of the lowest bit.
pub(super) fn first(words: impl Iterator<Item = u64>) -> Option<usize> {
    words
        .enumerate()
        .find(|(_, word)| *word != 0)
        .map(|(at, word)| at * 64 + bit(word))
}

pub(super) fn count(words: impl Iterator<Item = u64>) -> usize {
    words.map(|word| usize::try_from(word.count_ones()).unwrap_or(0)).sum()
}

/// The moves that bring the bits of `mask` together at the low end (Warren, Hacker's Delight, 7-4).
pub(super) fn compression(mut mask: u64) -> [u64; 6] {
    let mut out = [0; 6];
    let mut gaps = !mask << 1;
    for (step, out) in out.iter_mut().enumerate() {
        let mut parity = gaps ^ (gaps << 1);
        for shift in [2, 4, 8, 16, 32] {
            parity ^= parity << shift;
        }
        let moving = parity & mask;
        *out = moving;
        mask = (mask ^ moving) | (moving >> (1 << step));
        gaps &= !parity;
    }
    out
}

/// The bits of a masked word brought together.
pub(super) fn compressed(mut word: u64, moves: &[u64; 6]) -> u64 {
    for (step, moving) in moves.iter().enumerate() {
        let bits = word & moving;
        word = (word ^ bits) | (bits >> (1 << step));
    }
    word
}
