//! Medians and spreads of rounds.

/// The middle value; of an even number of values the mean of the two in the middle. 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match (sorted.len() % 2, sorted.get(half)) {
        (_, None) => 0.0,
        (1, Some(middle)) => *middle,
        (_, Some(upper)) => (sorted[half - 1] + upper) / 2.0,
    }
}

/// The smallest and the largest value; 0 of none.
pub fn spread(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if values.is_empty() { (0.0, 0.0) } else { (least, most) }
}

/// The value that this share of all is not above (nearest rank); 0 of none. Sorts the values.
pub fn percentile(values: &mut [u32], share: f64) -> u32 {
    values.sort_unstable();
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.max(1) - 1).copied().unwrap_or(0)
}

/// `median (least–most)` with so many decimals.
pub fn told(values: &[f64], decimals: usize) -> String {
    let (least, most) = spread(values);
    format!("{:.decimals$} ({least:.decimals$}–{most:.decimals$})", median(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middles_and_ends() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!((median(&[]), spread(&[])), (0.0, (0.0, 0.0)));
        assert_eq!(told(&[1.0, 4.0, 2.0], 1), "2.0 (1.0–4.0)");
        let mut values: Vec<u32> = (1..=100).rev().collect();
        assert_eq!([0.5, 0.99, 1.0].map(|share| percentile(&mut values, share)), [50, 99, 100]);
        assert_eq!(percentile(&mut [], 0.5), 0);
    }
}
