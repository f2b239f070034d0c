//! The same work for many things, on all processors; the order of what comes out is that of what went in.

use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) fn map<T: Sync, R: Send>(things: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(things.len().max(1));
    let one = || {
        let mut done = Vec::new();
        while let Some((number, thing)) = {
            let number = next.fetch_add(1, Ordering::Relaxed);
            things.get(number).map(|thing| (number, thing))
        } {
            done.push((number, work(thing)));
        }
        done
    };
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("a thread that ends well")).collect()
    });
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}
