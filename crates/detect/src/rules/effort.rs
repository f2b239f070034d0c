//! What looking costs, counted in steps and not in time, so that a test can hold every rule to a bound on any machine. Nothing
//! is counted outside of tests.

#[cfg(test)]
thread_local! {
    static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// A program took so many steps.
#[inline(always)]
pub(super) fn spent(steps: usize) {
    #[cfg(test)]
    STEPS.set(STEPS.get() + steps);
    #[cfg(not(test))]
    let _ = steps;
}

/// A regex engine went over so many bytes.
#[inline(always)]
pub(super) fn searched(bytes: usize) {
    /// Where its automaton has grown too large it goes through them one state after the other.
    const STEPS_A_BYTE: usize = 16;
    spent(bytes * STEPS_A_BYTE);
}

/// The steps of this thread since it was last asked.
#[cfg(test)]
pub(super) fn taken() -> usize {
    STEPS.take()
}
