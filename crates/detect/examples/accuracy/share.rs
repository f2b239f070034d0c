//! A share of a count with its 95 % interval.

use std::fmt;

/// `hits` of `all`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Share {
    pub(crate) hits: usize,
    pub(crate) all: usize,
}

impl Share {
    pub(crate) fn of(hits: usize, all: usize) -> Share {
        Share { hits, all }
    }

    pub(crate) fn add(&mut self, hit: bool) {
        self.hits += usize::from(hit);
        self.all += 1;
    }

    /// Wilson's interval, which stays sensible near 0 and 1.
    fn interval(self) -> (f64, f64) {
        let (n, z) = (self.all.max(1) as f64, 1.96f64);
        let p = self.hits as f64 / n;
        let middle = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
        let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt() / (1.0 + z * z / n);
        ((middle - half).max(0.0), (middle + half).min(1.0))
    }

    /// In percent, for small shares.
    pub(crate) fn percent(self) -> String {
        let (low, high) = self.interval();
        let p = 100.0 * self.hits as f64 / self.all.max(1) as f64;
        format!("{p:.3} % [{:.3}, {:.3}] ({} of {})", low * 100.0, high * 100.0, self.hits, self.all)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.all == 0 {
            return write!(f, "{:>24}", "-");
        }
        let (low, high) = self.interval();
        let p = self.hits as f64 / self.all as f64;
        write!(f, "{p:.3} [{low:.3}, {high:.3}] {:>5}", self.all)
    }
}
