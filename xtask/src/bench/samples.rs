//! Samples and what is said about them. Medians and percentiles, because a mean of times is ruled by its accidents.

/// What one side of a comparison measured.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// What cannot differ from one measurement to the next.
    pub fn one(value: f64) -> Self {
        Self(vec![value])
    }

    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub fn values(&self) -> &[f64] {
        &self.0
    }

    pub fn median(&self) -> f64 {
        self.percentile(0.5)
    }

    /// The value below which `part` (0 to 1) of the samples lie, between neighbours in proportion.
    pub fn percentile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
        let at = part * last as f64;
        let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
        low + (high - low) * at.fract()
    }

    /// `median (p10 – p90)`, or the only value.
    pub fn shown(&self) -> String {
        match self.0.as_slice() {
            [] => return "–".into(),
            [only] => return number(*only),
            _ => {}
        }
        format!("{} ({} – {})", number(self.median()), number(self.percentile(0.1)), number(self.percentile(0.9)))
    }
}

/// Three figures, no more than were measured.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_between_neighbours() {
        let samples = Samples(vec![4.0, 1.0, 3.0, 2.0]);
        assert_eq!(samples.median(), 2.5);
        assert_eq!(samples.percentile(0.0), 1.0);
        assert_eq!(samples.percentile(1.0), 4.0);
        assert_eq!(Samples(vec![7.0, 7.0]).shown(), "7.00 (7.00 – 7.00)");
        assert_eq!(Samples::one(7.0).shown(), "7.00");
        assert_eq!(Samples::default().shown(), "–");
    }

    #[test]
    fn numbers_have_three_figures() {
        assert_eq!([number(1234.5), number(56.78), number(0.126)], ["1234", "56.8", "0.13"]);
    }
}
