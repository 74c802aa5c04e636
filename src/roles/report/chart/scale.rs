//! What an axis spans, and where a value stands on it.

use super::super::Scale;

/// A piece of an axis, `low` below `high`; on a logarithmic one both are positive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::roles::report) struct Span {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) scale: Scale,
}

impl Span {
    /// The piece that holds all values that can be drawn, and nothing where there is none. A single value stands in
    /// the middle of a piece that is at least `least` wide.
    pub(in crate::roles::report) fn of(values: impl Iterator<Item = f64>, scale: Scale, least: f64) -> Option<Self> {
        let drawn = values.filter(|value| is_drawn(*value, scale));
        let (low, high) = drawn.fold(None, |extent, value| {
            let (low, high) = extent.unwrap_or((value, value));
            Some((value.min(low), value.max(high)))
        })?;
        let span = Self { low, high, scale };
        Some(if low < high { span } else { span.around(least) })
    }

    fn around(self, least: f64) -> Self {
        match self.scale {
            Scale::Linear => {
                // A number of any size must leave the point itself.
                let half = (least / 2.0).max(self.low.abs() * 1e-6);
                Self { low: self.low - half, high: self.high + half, ..self }
            }
            Scale::Log => {
                Self { low: (self.low / 3.0).max(f64::MIN_POSITIVE), high: (self.high * 3.0).min(f64::MAX), ..self }
            }
        }
    }

    /// The same for heights: a linear one begins at 0, unless all of it would then be a thin line at the top.
    pub(in crate::roles::report) fn of_heights(
        values: impl Iterator<Item = f64>,
        axis: Scale,
        base: Base,
    ) -> Option<Self> {
        let span = Self::of(values, axis, 0.0)?;
        let flat = base == Base::Free && (span.high - span.low) < span.high.abs().max(span.low.abs()) / 10.0;
        let constant = (span.high - span.low) <= span.high.abs().max(span.low.abs()) * 1e-5;
        match axis {
            // The least of bars must be seen, too.
            Scale::Log if base == Base::Zero => return Some(Self { low: span.low / 2.0, ..span }),
            Scale::Log => return Some(span),
            Scale::Linear if flat && !constant => return Some(span),
            Scale::Linear => {}
        }
        let (low, high) = if constant { (span.middle(), span.middle()) } else { (span.low, span.high) };
        let (low, high) = (low.min(0.0), high.max(0.0));
        Some(Self { low, high: if low < high { high } else { 1.0 }, ..span })
    }

    fn middle(&self) -> f64 {
        self.low / 2.0 + self.high / 2.0
    }

    /// Where a value stands, 0 at the low end and 1 at the high one; nothing where it cannot be drawn.
    pub(in crate::roles::report) fn place(&self, value: f64) -> Option<f64> {
        if !is_drawn(value, self.scale) {
            return None;
        }
        // Halves, for the difference of two large numbers may be none.
        let on_axis = |value: f64| match self.scale {
            Scale::Linear => value / 2.0,
            Scale::Log => value.log10(),
        };
        let (low, high) = (on_axis(self.low), on_axis(self.high));
        Some(((on_axis(value) - low) / (high - low)).clamp(0.0, 1.0))
    }

    /// The same piece with `share` of its width more at either end.
    pub(super) fn padded(&self, share: f64) -> Self {
        let (low, high) = match self.scale {
            Scale::Linear => {
                let more = (self.high / 2.0 - self.low / 2.0) * share * 2.0;
                (self.low - more, self.high + more)
            }
            Scale::Log => {
                let more = (self.high / self.low).powf(share);
                (self.low / more, self.high * more)
            }
        };
        let least = if self.scale == Scale::Log { f64::MIN_POSITIVE } else { f64::MIN };
        Self { low: low.max(least), high: high.min(f64::MAX), ..*self }
    }

    pub(super) fn starts_at_zero(&self) -> bool {
        self.scale == Scale::Linear && self.low == 0.0
    }
}

/// Whether heights are measured from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::roles::report) enum Base {
    Zero,
    Free,
}

/// Whether a value has a place on an axis: a logarithmic one has none for 0 and below.
pub(super) fn is_drawn(value: f64, scale: Scale) -> bool {
    match scale {
        Scale::Linear => value.is_finite(),
        Scale::Log => value.is_finite() && value > 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::Scale::{Linear, Log};
    use super::*;

    fn span(values: &[f64], scale: Scale) -> Option<(f64, f64)> {
        Span::of(values.iter().copied(), scale, 1.0).map(|span| (span.low, span.high))
    }

    #[test]
    fn it_holds_what_can_be_drawn() {
        for (values, scale, want) in [
            (&[3.0, -1.0, f64::NAN, f64::INFINITY, 2.0][..], Linear, Some((-1.0, 3.0))),
            (&[3.0, -1.0, 0.0, 2.0], Log, Some((2.0, 3.0))),
            (&[5.0], Linear, Some((4.5, 5.5))),
            (&[5.0, 5.0], Log, Some((5.0 / 3.0, 15.0))),
            (&[1e18], Linear, Some((1e18 - 1e12, 1e18 + 1e12))),
            (&[], Linear, None),
            (&[f64::NAN], Linear, None),
            (&[0.0, -1.0], Log, None),
        ] {
            assert_eq!(span(values, scale), want, "{values:?} {scale:?}");
        }
    }

    #[test]
    fn heights_begin_at_zero_unless_they_would_be_a_thin_line() {
        for (values, base, want) in [
            (&[2.0, 8.0][..], Base::Free, (0.0, 8.0)),
            (&[99.2, 99.9], Base::Free, (99.2, 99.9)),
            (&[99.2, 99.9], Base::Zero, (0.0, 99.9)),
            (&[-4.0, -2.0], Base::Free, (-4.0, 0.0)),
            (&[7.0, 7.0], Base::Free, (0.0, 7.0)),
            (&[0.0, 0.0], Base::Free, (0.0, 1.0)),
        ] {
            let span = Span::of_heights(values.iter().copied(), Linear, base).unwrap();
            assert_eq!((span.low, span.high), want, "{values:?} {base:?}");
        }
    }

    #[test]
    fn padding_never_leaves_the_numbers() {
        for (low, high, scale, want) in [
            (0.0, 10.0, Linear, (-1.0, 11.0)),
            (-f64::MAX, f64::MAX, Linear, (-f64::MAX, f64::MAX)),
            (f64::MIN_POSITIVE, f64::MAX, Log, (f64::MIN_POSITIVE, f64::MAX)),
        ] {
            let span = Span { low, high, scale }.padded(0.1);
            assert_eq!((span.low, span.high), want, "{low} to {high}");
        }
    }

    #[test]
    fn places_are_shares_of_the_axis() {
        let linear = Span { low: 10.0, high: 20.0, scale: Linear };
        let log = Span { low: 1.0, high: 10_000.0, scale: Log };
        let vast = Span { low: -f64::MAX, high: f64::MAX, scale: Linear };
        for (span, value, want) in [
            (linear, 10.0, Some(0.0)),
            (linear, 15.0, Some(0.5)),
            (linear, 25.0, Some(1.0)),
            (linear, f64::NAN, None),
            (log, 100.0, Some(0.5)),
            (log, 0.0, None),
            (vast, 0.0, Some(0.5)),
        ] {
            assert_eq!(span.place(value), want, "{span:?} {value}");
        }
    }
}
