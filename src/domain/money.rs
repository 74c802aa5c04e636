//! Money, exactly: decimal digits and a point, never a binary fraction.
//!
//! An amount has at most 28 significant digits, and so has a rate; their product has at most 56 and is kept whole. Digits
//! stand left-aligned in limbs of 14, so that comparing the place of the first digit and then the limbs compares values.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

const LIMB_DIGITS: usize = 14;
const LIMB: u64 = 100_000_000_000_000;
const SIGNIFICANT: usize = 2 * LIMB_DIGITS;
/// The powers of ten up to that of a limb.
const TENS: [u64; LIMB_DIGITS + 1] = {
    let mut tens = [1; LIMB_DIGITS + 1];
    let mut place = 1;
    while place < tens.len() {
        tens[place] = tens[place - 1] * 10;
        place += 1;
    }
    tens
};
/// How far from the point a digit may stand. Real money needs some twenty places; this bounds what a number can cost.
const FARTHEST_PLACE: i32 = 1_000;

/// A value of at least 0 with at most 28 significant digits, as a sender or a configuration writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount {
    /// The value is 0.d₁d₂d₃… × 10^`point`; the smallest number there is for zero.
    point: i32,
    limbs: [u64; 2],
}

/// A value in US dollars, at least 0, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usd {
    point: i32,
    limbs: [u64; 4],
}

/// US dollars for one unit of other currencies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rates(BTreeMap<[u8; 3], Amount>);

/// Why something is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRate {
    #[error("a currency is three capital letters, and not USD, whose rate is 1")]
    Currency,
    #[error("a rate must be greater than 0")]
    Zero,
}

impl Rates {
    /// Sets the dollars that one unit of a currency is worth.
    pub fn set(&mut self, code: &str, rate: Amount) -> Result<(), InvalidRate> {
        let code: [u8; 3] = code.as_bytes().try_into().map_err(|_| InvalidRate::Currency)?;
        if !code.iter().all(u8::is_ascii_uppercase) || &code == b"USD" {
            return Err(InvalidRate::Currency);
        }
        if rate.is_zero() {
            return Err(InvalidRate::Zero);
        }
        self.0.insert(code, rate);
        Ok(())
    }

    /// The rate of a currency by its ISO 4217 code, where one is set. US dollars need none.
    pub fn get(&self, code: &str) -> Option<Amount> {
        let code: [u8; 3] = code.as_bytes().try_into().ok()?;
        self.0.get(&code).copied()
    }

    /// Every currency with its rate, in the order of the codes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Amount)> {
        self.0.iter().filter_map(|(code, rate)| Some((std::str::from_utf8(code).ok()?, *rate)))
    }
}

/// Why a text is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAmount {
    #[error("must be a number as JSON writes it, like 12.50")]
    Grammar,
    #[error("must not be negative")]
    Negative,
    #[error("must have at most 28 significant digits")]
    TooManyDigits,
    #[error("must have no digit more than 1000 places from the point")]
    OutOfRange,
}

impl Amount {
    const ZERO: Self = Self { point: i32::MIN, limbs: [0; 2] };

    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// The amount as dollars, where it is dollars already.
    pub fn as_usd(self) -> Usd {
        Usd { point: self.point, limbs: [self.limbs[0], self.limbs[1], 0, 0] }
    }

    /// The amount in dollars at `rate` dollars a unit: the exact product.
    pub fn at_rate(self, rate: Self) -> Usd {
        if self.is_zero() || rate.is_zero() {
            return Usd::ZERO;
        }
        let mut product = [0_u128; 4];
        for (i, a) in self.limbs.iter().enumerate() {
            for (j, b) in rate.limbs.iter().enumerate() {
                let part = u128::from(*a) * u128::from(*b);
                product[i + j] += part / u128::from(LIMB);
                product[i + j + 1] += part % u128::from(LIMB);
            }
        }
        let mut limbs = [0_u64; 4];
        let mut carry = 0;
        for i in (0..4).rev() {
            let sum = product[i] + carry;
            limbs[i] = (sum % u128::from(LIMB)) as u64;
            carry = sum / u128::from(LIMB);
        }
        Usd { point: self.point + rate.point, limbs }.left_aligned()
    }
}

impl Usd {
    pub const ZERO: Self = Self { point: i32::MIN, limbs: [0; 4] };

    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// A product of two values whose first digits stand first has its own first digit first or second.
    fn left_aligned(mut self) -> Self {
        if self.limbs[0] >= LIMB / 10 {
            return self;
        }
        let mut from_right = 0;
        for limb in self.limbs.iter_mut().rev() {
            let shifted = *limb * 10 + from_right;
            *limb = shifted % LIMB;
            from_right = shifted / LIMB;
        }
        self.point -= 1;
        self
    }
}

impl FromStr for Amount {
    type Err = InvalidAmount;

    /// Reads the grammar of a JSON number. Significant digits run from the first that is not 0 to the last written.
    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest.as_bytes()),
            None => (false, text.as_bytes()),
        };
        let whole = leading_digits(text);
        if whole.is_empty() || (whole.len() > 1 && whole[0] == b'0') {
            return Err(InvalidAmount::Grammar);
        }
        let rest = &text[whole.len()..];
        let (fraction, rest) = match rest.strip_prefix(b".") {
            Some(rest) => {
                let fraction = leading_digits(rest);
                if fraction.is_empty() {
                    return Err(InvalidAmount::Grammar);
                }
                (fraction, &rest[fraction.len()..])
            }
            None => (&rest[..0], rest),
        };
        let exponent = exponent(rest)?;
        let value = place(whole, fraction, exponent)?;
        if negative && !value.is_zero() {
            return Err(InvalidAmount::Negative);
        }
        Ok(value)
    }
}

/// Puts the digits of `whole.fraction × 10^exponent` where they belong.
fn place(whole: &[u8], fraction: &[u8], exponent: i32) -> Result<Amount, InvalidAmount> {
    let zeros = whole.iter().chain(fraction).take_while(|digit| **digit == b'0').count();
    let significant = whole.len() + fraction.len() - zeros;
    if significant == 0 {
        return Ok(Amount::ZERO);
    }
    if significant > SIGNIFICANT {
        return Err(InvalidAmount::TooManyDigits);
    }
    let offset = |length: usize| i32::try_from(length).map_err(|_| InvalidAmount::OutOfRange);
    let point = exponent.saturating_add(offset(whole.len())?).saturating_sub(offset(zeros)?);
    if point > FARTHEST_PLACE || point.saturating_sub(offset(significant)?) < -FARTHEST_PLACE {
        return Err(InvalidAmount::OutOfRange);
    }
    let mut limbs = [0_u64; 2];
    for (place, digit) in whole.iter().chain(fraction).skip(zeros).enumerate() {
        let limb = &mut limbs[place / LIMB_DIGITS];
        *limb = *limb * 10 + u64::from(digit - b'0');
    }
    // What was not written stands for zeros.
    let written = significant.min(LIMB_DIGITS);
    limbs[0] *= TENS[LIMB_DIGITS - written];
    limbs[1] *= TENS[SIGNIFICANT - significant.max(LIMB_DIGITS)];
    Ok(Amount { point, limbs })
}

fn exponent(text: &[u8]) -> Result<i32, InvalidAmount> {
    let Some(rest) = text.strip_prefix(b"e").or_else(|| text.strip_prefix(b"E")) else {
        return if text.is_empty() { Ok(0) } else { Err(InvalidAmount::Grammar) };
    };
    let (sign, digits) = match rest.first() {
        Some(b'-') => (-1, &rest[1..]),
        Some(b'+') => (1, &rest[1..]),
        _ => (1, rest),
    };
    if digits.is_empty() || leading_digits(digits).len() != digits.len() {
        return Err(InvalidAmount::Grammar);
    }
    // Saturates far outside what `place` lets through.
    let size = digits.iter().fold(0_i32, |n, digit| n.saturating_mul(10).saturating_add(i32::from(digit - b'0')));
    Ok(sign * size.min(1_000_000))
}

fn leading_digits(text: &[u8]) -> &[u8] {
    &text[..text.iter().take_while(|byte| byte.is_ascii_digit()).count()]
}

impl fmt::Display for Usd {
    /// A plain decimal without an exponent and without zeros at its end: `1234.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        let digits: String = self.limbs.iter().map(|limb| format!("{limb:014}")).collect();
        let digits = digits.trim_end_matches('0');
        let Ok(whole) = usize::try_from(self.point) else {
            return write!(f, "0.{}{digits}", "0".repeat(self.point.unsigned_abs() as usize));
        };
        match digits.len().checked_sub(whole) {
            _ if whole == 0 => write!(f, "0.{digits}"),
            Some(0) => f.write_str(digits),
            Some(_) => write!(f, "{}.{}", &digits[..whole], &digits[whole..]),
            None => write!(f, "{digits}{}", "0".repeat(whole - digits.len())),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_usd().fmt(f)
    }
}

/// How many digits stand before the point in the longest plain decimal that a product of two amounts can be.
const LONGEST_USD: usize = 4 * FARTHEST_PLACE as usize;

impl FromStr for Usd {
    type Err = InvalidAmount;

    /// Reads what `Display` writes, whole: a plain decimal without sign and exponent, of at most 56 significant digits.
    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        if text.len() > LONGEST_USD + 2 {
            return Err(InvalidAmount::OutOfRange);
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !plain(whole) || !plain(fraction) || (whole.len() > 1 && whole.starts_with('0')) {
            return Err(InvalidAmount::Grammar);
        }
        let digits = format!("{whole}{fraction}");
        let significant = digits.trim_start_matches('0');
        let zeros = digits.len() - significant.len();
        let significant = significant.trim_end_matches('0');
        if significant.is_empty() {
            return Ok(Self::ZERO);
        }
        if significant.len() > 4 * LIMB_DIGITS {
            return Err(InvalidAmount::TooManyDigits);
        }
        let offset = |length: usize| i32::try_from(length).map_err(|_| InvalidAmount::OutOfRange);
        let mut limbs = [0_u64; 4];
        for (place, digit) in significant.bytes().chain(std::iter::repeat(b'0')).take(4 * LIMB_DIGITS).enumerate() {
            let limb = &mut limbs[place / LIMB_DIGITS];
            *limb = *limb * 10 + u64::from(digit - b'0');
        }
        Ok(Self { point: offset(whole.len())? - offset(zeros)?, limbs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, InvalidAmount> {
        text.parse::<Amount>().map(|amount| amount.to_string())
    }

    #[test]
    fn the_grammar_is_that_of_a_json_number() {
        use InvalidAmount::*;
        for (text, want) in [
            ("0", Ok("0")),
            ("-0", Ok("0")),
            ("-0.00", Ok("0")),
            ("0e999999999999", Ok("0")),
            ("6.00", Ok("6")),
            ("0.18", Ok("0.18")),
            ("0.001", Ok("0.001")),
            ("100", Ok("100")),
            ("1e3", Ok("1000")),
            ("1.5E+2", Ok("150")),
            ("25e-3", Ok("0.025")),
            ("12345678901234567.89", Ok("12345678901234567.89")),
            ("1234567890123456789012345678", Ok("1234567890123456789012345678")),
            ("12345678901234567890123456789", Err(TooManyDigits)),
            ("1.0000000000000000000000000000", Err(TooManyDigits)),
            ("1e1001", Err(OutOfRange)),
            ("1e-99999999999", Err(OutOfRange)),
            ("-1", Err(Negative)),
            ("", Err(Grammar)),
            ("-", Err(Grammar)),
            ("+1", Err(Grammar)),
            ("01", Err(Grammar)),
            (".5", Err(Grammar)),
            ("5.", Err(Grammar)),
            ("1e", Err(Grammar)),
            ("1e+", Err(Grammar)),
            ("1 ", Err(Grammar)),
            ("1,000", Err(Grammar)),
            ("0x10", Err(Grammar)),
            ("NaN", Err(Grammar)),
            ("١", Err(Grammar)),
        ] {
            assert_eq!(read(text), want.map(String::from), "{text}");
        }
    }

    #[test]
    fn a_product_is_exact_to_the_last_digit() {
        for (amount, rate, want) in [
            ("10", "1.08", "10.8"),
            ("0.1", "0.2", "0.02"),
            ("1", "1", "1"),
            ("0", "1.08", "0"),
            ("99999999999999", "99999999999999", "9999999999999800000000000001"),
            (
                "9999999999999999999999999999",
                "9999999999999999999999999999",
                "99999999999999999999999999980000000000000000000000000001",
            ),
            ("92592592592592592592.5925925", "1.08", "99999999999999999999.9999999"),
        ] {
            let product = amount.parse::<Amount>().unwrap().at_rate(rate.parse().unwrap());
            assert_eq!(product.to_string(), want, "{amount} × {rate}");
        }
    }

    #[test]
    fn dollars_read_back_what_they_write_and_nothing_else() {
        let max = "9999999999999999999999999999";
        for (amount, rate) in [
            ("0", "1"),
            ("6.00", "1"),
            ("1234.5", "1.08"),
            (max, max),
            ("1e972", "1e972"),
            ("1e-1000", "1e-1000"),
            ("9999999999999999999999999999e-1000", "3e-1000"),
        ] {
            let usd = amount.parse::<Amount>().unwrap().at_rate(rate.parse().unwrap());
            assert_eq!(usd.to_string().parse(), Ok(usd), "{amount} × {rate}");
        }
        for (text, want) in [
            ("007", InvalidAmount::Grammar),
            ("1.", InvalidAmount::Grammar),
            (".1", InvalidAmount::Grammar),
            ("-1", InvalidAmount::Grammar),
            ("1e3", InvalidAmount::Grammar),
            ("", InvalidAmount::Grammar),
            (&"1".repeat(57), InvalidAmount::TooManyDigits),
            (&"1".repeat(5_000), InvalidAmount::OutOfRange),
        ] {
            assert_eq!(text.parse::<Usd>(), Err(want), "{text}");
        }
    }

    #[test]
    fn a_rate_is_of_a_currency_that_is_not_dollars_and_is_found_by_its_code() {
        use InvalidRate::*;
        let mut rates = Rates::default();
        for (code, rate, want) in [
            ("EUR", "1.08", Ok(())),
            ("JPY", "0.0064", Ok(())),
            ("EUR", "0", Err(Zero)),
            ("USD", "1", Err(Currency)),
            ("eur", "1", Err(Currency)),
            ("EURO", "1", Err(Currency)),
            ("E1R", "1", Err(Currency)),
            ("", "1", Err(Currency)),
        ] {
            assert_eq!(rates.set(code, rate.parse().unwrap()), want, "{code} {rate}");
        }
        let found: Vec<_> = rates.iter().map(|(code, rate)| format!("{code} {rate}")).collect();
        assert_eq!(found, ["EUR 1.08", "JPY 0.0064"]);
        assert_eq!(rates.get("EUR").map(|rate| rate.to_string()).as_deref(), Some("1.08"));
        for code in ["USD", "eur", "GBP", "", "EURO"] {
            assert_eq!(rates.get(code), None, "{code}");
        }
    }

    proptest::proptest! {
        #[test]
        fn order_and_product_agree_with_integers(
            a in 0_u64..1_000_000_000_000, b in 0_u64..1_000_000_000_000, da in 0_u32..9, db in 0_u32..9,
        ) {
            let amount = |n: u64, places: u32| format!("{n}e-{places}").parse::<Amount>().unwrap();
            let (x, y) = (amount(a, da), amount(b, db));
            let scaled = |n: u64, places: u32| u128::from(n) * 10_u128.pow(9 - places);
            proptest::prop_assert_eq!(x.cmp(&y), scaled(a, da).cmp(&scaled(b, db)));
            proptest::prop_assert_eq!(x.as_usd().cmp(&y.as_usd()), scaled(a, da).cmp(&scaled(b, db)));
            let product = format!("{}e-{}", u128::from(a) * u128::from(b), da + db).parse::<Amount>().unwrap();
            proptest::prop_assert_eq!(x.at_rate(y), product.as_usd());
        }
    }
}
