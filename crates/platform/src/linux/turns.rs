//! How long a thread may keep a core, and with it how soon it gets one.

use std::time::Duration;

pub(crate) fn take_short_turns(turn: Duration) {
    // SAFETY: plain numbers, for which zero is a value.
    let mut wish: libc::sched_attr = unsafe { std::mem::zeroed() };
    wish.size = size_of::<libc::sched_attr>() as u32;
    wish.sched_policy = libc::SCHED_OTHER as u32;
    // SAFETY: `getpriority` takes numbers alone; of threads it knows the calling one as 0.
    wish.sched_nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    wish.sched_runtime = u64::try_from(turn.as_nanos()).unwrap_or(u64::MAX);
    // A kernel that does not know of turns (before 6.12) ignores them; one that forbids the call leaves all as it was.
    // SAFETY: the structure says its own size and lives through the call; 0 is the calling thread, and no flags.
    let _ = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const wish, 0) };
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    #[test]
    fn a_thread_stays_an_ordinary_one() {
        std::thread::spawn(|| {
            super::take_short_turns(Duration::from_micros(200));
            // SAFETY: takes a number alone.
            assert_eq!(unsafe { libc::sched_getscheduler(0) }, libc::SCHED_OTHER);
            let own = std::fs::read_to_string("/proc/thread-self/sched").unwrap_or_default();
            let turn = own.lines().find_map(|line| line.strip_prefix("se.slice")?.rsplit(' ').next());
            // Only kernels that have them tell.
            assert!(turn.is_none_or(|nanos| nanos == "200000"), "{turn:?}");
        })
        .join()
        .expect("a thread");
    }
}
