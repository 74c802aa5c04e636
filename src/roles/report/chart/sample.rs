//! Fewer points that draw the same picture.

/// More than these no series is drawn with.
pub(in crate::roles::report) const MOST_POINTS: usize = 500;

/// More bars than these no series has.
pub(super) const MOST_BARS: usize = 250;

/// At most this many of each stretch stay: its first, lowest, highest and last point, and its first gap.
const PER_STRETCH: usize = 5;

/// Keeps the points that show in a picture: of every stretch of the axis the ends, the extremes and a gap. The points
/// are in the order of x, and `place` tells where an x stands on the axis, 0 to 1.
pub(super) fn thinned(points: Vec<(f64, f64)>, place: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
    if points.len() <= MOST_POINTS {
        return points;
    }
    let stretches = MOST_POINTS / PER_STRETCH;
    points.chunk_by(|a, b| stretch(place(a.0), stretches) == stretch(place(b.0), stretches)).flat_map(kept).collect()
}

/// Keeps the tallest bar of every stretch of the axis, where there are more than can be told apart.
pub(super) fn tallest(points: Vec<(f64, f64)>, place: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
    if points.len() <= MOST_BARS {
        return points;
    }
    let stretches = points.chunk_by(|a, b| stretch(place(a.0), MOST_BARS) == stretch(place(b.0), MOST_BARS));
    let height = |point: &&(f64, f64)| if point.1.is_finite() { point.1.abs() } else { f64::NEG_INFINITY };
    stretches.filter_map(|bars| bars.iter().max_by(|a, b| height(a).total_cmp(&height(b))).copied()).collect()
}

/// The number of the stretch in which a place lies, of so many.
pub(super) fn stretch(place: f64, stretches: usize) -> usize {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place is between 0 and 1, and stretches are a few hundred"
    )]
    let number = (place * stretches as f64) as usize;
    number.min(stretches.saturating_sub(1))
}

fn kept(stretch: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let finite = || stretch.iter().enumerate().filter(|(_, point)| point.1.is_finite());
    let by_height = |a: &(usize, &(f64, f64)), b: &(usize, &(f64, f64))| a.1.1.total_cmp(&b.1.1);
    let mut kept: Vec<usize> =
        [finite().next(), finite().min_by(by_height), finite().max_by(by_height), finite().next_back()]
            .into_iter()
            .flatten()
            .map(|(at, _)| at)
            .chain(stretch.iter().position(|point| !point.1.is_finite()))
            .collect();
    kept.sort_unstable();
    kept.dedup();
    kept.into_iter().filter_map(|at| stretch.get(at).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(points: usize, gap_every: usize) -> Vec<(f64, f64)> {
        let y = |n: usize| if n % gap_every == gap_every - 1 { f64::NAN } else { ((n * 7_919) % 1_009) as f64 };
        (0..points).map(|n| (n as f64, y(n))).collect()
    }

    #[test]
    fn extremes_ends_and_gaps_stay_and_the_order_does() {
        for (points, gap_every) in [(501, 1_000_000), (100_000, 1_000_000), (100_000, 97), (100_000, 2), (100_000, 1)] {
            let all = wave(points, gap_every);
            let thin = thinned(all.clone(), |x| x / points as f64);
            assert!(thin.len() <= MOST_POINTS, "{points} {gap_every}: {}", thin.len());
            assert!(thin.windows(2).all(|pair| pair[0].0 < pair[1].0));
            assert!(thin.iter().all(|point| all.iter().any(|other| other.0 == point.0)));
            let heights = |points: &[(f64, f64)]| {
                let mut finite: Vec<f64> = points.iter().map(|point| point.1).filter(|y| y.is_finite()).collect();
                finite.sort_by(f64::total_cmp);
                (finite.first().copied(), finite.last().copied())
            };
            assert_eq!(heights(&thin), heights(&all), "{points} {gap_every}");
            let has_gap = |points: &[(f64, f64)]| points.iter().any(|point| point.1.is_nan());
            assert_eq!(has_gap(&thin), has_gap(&all), "{points} {gap_every}");
        }
    }

    #[test]
    fn of_many_bars_the_tallest_stay() {
        let bars = tallest(wave(10_000, 97), |x| x / 10_000.0);
        assert_eq!(bars.len(), MOST_BARS);
        assert!(bars.iter().any(|bar| bar.1 == 1_008.0), "{bars:?}");
        assert_eq!(tallest(wave(9, 3), |_| 0.0).len(), 9);
    }

    #[test]
    fn few_points_stay_as_they_are() {
        let points = wave(MOST_POINTS, 1_000_000);
        assert_eq!(thinned(points.clone(), |_| 0.0), points);
    }

    #[test]
    fn points_in_a_heap_do_not_cost_the_others_their_place() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|n| (f64::from(n) * 1e-6, 1.0)).collect();
        points.extend((1..100).map(|n| (f64::from(n), f64::from(n))));
        let thin = thinned(points, |x| x / 100.0);
        assert_eq!(thin.iter().filter(|point| point.0 >= 1.0).count(), 99);
    }
}
