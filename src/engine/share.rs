//! Exact parts of a whole.
//!
//! All of IPv6 times all source ports has about 2^144 packets, more than the widest built-in number holds, so that
//! counts are kept in three 64-bit limbs. Only what a share needs is here: sums, products and long division by ten; the
//! engine takes no crate for it.

use std::cmp::Ordering;

use super::{Span, SpanSet};

/// A count of packets, exact up to 2^192.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Count([u64; 3]); // least significant limb first

impl Count {
    /// The count `number` + 1: the size of a span whose ends are `number` apart.
    fn successor(number: u128) -> Self {
        let mut out = Self::from_u128(number);
        out.add(Self([1, 0, 0]));
        out
    }

    #[allow(clippy::cast_possible_truncation, reason = "cut into limbs")]
    fn from_u128(number: u128) -> Self {
        Self([number as u64, (number >> 64) as u64, 0])
    }

    /// How many pairs there are of a number of the one set and a number of the other, which is given as disjoint spans.
    #[must_use]
    pub fn product(left: &SpanSet<u128>, right: impl Iterator<Item = Span<u16>>) -> Self {
        let factor: u64 = right.map(|span| u64::from(span.last - span.first) + 1).sum();
        let mut out = Self::default();
        if factor > 0 {
            for span in left.spans() {
                out.add(Self::successor(span.last - span.first));
            }
            out.scale(factor);
        }
        out
    }

    /// Adds another count.
    pub fn add(&mut self, other: Self) {
        let mut carry = false;
        for (limb, more) in self.0.iter_mut().zip(other.0) {
            let (sum, over) = limb.overflowing_add(more);
            let (sum, over_again) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, over || over_again);
        }
    }

    fn subtract(&mut self, other: Self) {
        let mut borrow = false;
        for (limb, less) in self.0.iter_mut().zip(other.0) {
            let (rest, under) = limb.overflowing_sub(less);
            let (rest, under_again) = rest.overflowing_sub(u64::from(borrow));
            (*limb, borrow) = (rest, under || under_again);
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "cut into limbs")]
    fn scale(&mut self, factor: u64) {
        let mut carry = 0u128;
        for limb in &mut self.0 {
            let product = u128::from(*limb) * u128::from(factor) + carry;
            (*limb, carry) = (product as u64, product >> 64);
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "about")]
    fn approximately(self) -> f64 {
        let limb = 2f64.powi(64);
        self.0.iter().rev().fold(0.0, |sum, part| sum * limb + *part as f64)
    }

    fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

impl Ord for Count {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

impl PartialOrd for Count {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// An exact part of a whole: `part` of `whole` packets, at most all of them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Share {
    part: Count,
    whole: Count,
}

/// Digits shown of a share that does not end sooner.
const SIGNIFICANT_DIGITS: usize = 12;

impl Share {
    /// `part` of `whole`; the caller sees to it that the part is not greater.
    #[must_use]
    pub fn new(part: Count, whole: Count) -> Self {
        Self { part, whole }
    }

    /// Whether nothing is in the part.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.part.is_zero()
    }

    /// Whether the part is the whole.
    #[must_use]
    pub fn is_all(&self) -> bool {
        !self.whole.is_zero() && self.part == self.whole
    }

    /// The greater of two shares of the same whole.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        if other.part > self.part { other } else { self }
    }

    /// Whether this is more of the same whole than the other.
    #[must_use]
    pub fn exceeds(self, other: Self) -> bool {
        self.part > other.part
    }

    /// About the share as a number, for showing: only the whole is 1, only nothing is 0.
    #[must_use]
    pub fn ratio(self) -> f64 {
        if self.is_none() || self.whole.is_zero() {
            return 0.0;
        }
        if self.is_all() {
            return 1.0;
        }
        let about = self.part.approximately() / self.whole.approximately();
        about.clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON)
    }

    /// The share as a decimal between 0 and 1, digit by digit and cut, never rounded, after twelve significant digits: only
    /// the whole reads "1", only nothing reads "0".
    #[must_use]
    pub fn to_decimal(self) -> String {
        if self.is_none() || self.whole.is_zero() {
            return "0".into();
        }
        if self.part >= self.whole {
            return "1".into();
        }
        let mut out = String::from("0.");
        let mut rest = self.part;
        let mut significant = 0;
        while significant < SIGNIFICANT_DIGITS && !rest.is_zero() {
            rest.scale(10);
            let mut digit = b'0';
            while rest >= self.whole {
                rest.subtract(self.whole);
                digit += 1;
            }
            if significant > 0 || digit > b'0' {
                significant += 1;
            }
            out.push(char::from(digit));
        }
        out.truncate(out.trim_end_matches('0').len());
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn share(part: u128, whole: u128) -> String {
        Share::new(Count::from_u128(part), Count::from_u128(whole)).to_decimal()
    }

    #[test]
    fn decimals_are_exact_or_cut() {
        assert_eq!(share(1, 2), "0.5");
        assert_eq!(share(1, 3), "0.333333333333");
        assert_eq!(share(2, 3), "0.666666666666");
        assert_eq!(share(3, 3), "1");
        assert_eq!(share(0, 3), "0");
        assert_eq!(share(1, 65_535), "0.0000152590218966");
        assert_eq!(share(u128::MAX - 1, u128::MAX), "0.999999999999");
    }

    #[test]
    fn all_of_ipv6_times_all_ports_is_counted() {
        let ports = || {
            std::iter::once(Span {
                first: 1,
                last: u16::MAX,
            })
        };
        let below = |last| SpanSet::from(Span { first: 0, last });
        let all = Count::product(&below(u128::MAX), ports());
        let half = Count::product(&below(u128::MAX / 2), ports());
        let one = Count::product(&below(0), std::iter::once(Span::one(1)));
        let mut twice_half = half;
        twice_half.add(half);
        assert_eq!(all, twice_half);
        assert_eq!(Share::new(half, all).to_decimal(), "0.5");
        let mut but_one = all;
        but_one.subtract(one);
        assert!(Share::new(but_one, all).ratio() < 1.0, "only the whole is 1");
        assert!(Share::new(one, all).ratio() > 0.0, "only nothing is 0");
        assert_eq!(
            Share::new(one, all).to_decimal(),
            "0.0000000000000000000000000000000000000000000448422350966"
        );
    }

    proptest! {
        #[test]
        fn decimal_agrees_with_integer_division(part in 0u64..1_000_000, more in 1u64..1_000_000) {
            let whole = part + more;
            let text = share(part.into(), whole.into());
            let digits = text.strip_prefix("0.").unwrap_or("");
            let power = 10u128.pow(u32::try_from(digits.len()).unwrap_or(0));
            let cut = digits.parse::<u128>().unwrap_or(0);
            let exact = u128::from(part) * power / u128::from(whole);
            prop_assert_eq!(cut, exact);
        }
    }
}
