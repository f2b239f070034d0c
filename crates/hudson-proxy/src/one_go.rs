//! A future that is polled again at once when it wakes itself. Within one connection hyper's halves, its bodies and
//! the upstream leg wake each other all the time, and all of them are the same task: to the runtime each such wake is
//! a task to be queued and another thread to be woken for it. Must not keep the thread from other tasks for long.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// How often a future may wake itself before others have their turn. Sockets have tokio's budget besides.
const MOST: usize = 64;

/// It is being polled: whoever wakes it now is seen when that is over.
const POLLED: u8 = 1;
const WOKEN: u8 = 2;

pub(crate) struct InOneGo<F> {
    future: F,
    go: OneGo,
}

/// The same for whatever is polled by hand, again and again.
pub(crate) struct OneGo {
    wakes: Arc<Wakes>,
    waker: Waker,
}

struct Wakes {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Woken already, its task was told.
        if self.state.fetch_or(WOKEN, Ordering::AcqRel) == 0 {
            self.task.wake();
        }
    }
}

impl<F> InOneGo<F> {
    pub(crate) fn new(future: F) -> Self {
        Self { future, go: OneGo::new() }
    }
}

impl<F: Future + Unpin> Future for InOneGo<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { future, go } = self.get_mut();
        go.poll(cx, |cx| Pin::new(&mut *future).poll(cx))
    }
}

impl OneGo {
    pub(crate) fn new() -> Self {
        let wakes = Arc::new(Wakes { state: AtomicU8::new(0), task: AtomicWaker::new() });
        Self { waker: wakes.clone().into(), wakes }
    }

    /// Polls until there is something, or nothing that has woken itself meanwhile.
    pub(crate) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let Self { wakes, waker } = self;
        wakes.task.register(cx.waker());
        for _ in 0..MOST {
            wakes.state.swap(POLLED, Ordering::AcqRel);
            if let Poll::Ready(output) = poll(&mut Context::from_waker(waker)) {
                return Poll::Ready(output);
            }
            if wakes.state.compare_exchange(POLLED, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return Poll::Pending;
            }
            if !tokio::task::coop::has_budget_remaining() {
                break;
            }
        }
        wakes.state.swap(WOKEN, Ordering::AcqRel);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Within [`poll`](Self::poll), before the rest is polled that was woken so far, if anything was.
    pub(crate) fn forget_wakes(&self) {
        self.wakes.state.swap(POLLED, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Wakes itself so many times, then waits to be woken.
    fn restless(mut times: usize) -> InOneGo<impl Future<Output = ()> + Unpin> {
        InOneGo::new(poll_fn(move |cx| {
            if times > 0 {
                times -= 1;
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        }))
    }

    #[test]
    fn what_wakes_itself_is_polled_again_and_nobody_is_told() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut future = restless(MOST - 1);
        assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        // Woken from elsewhere its task is told, once until it is polled.
        let elsewhere = future.go.waker.clone();
        std::thread::spawn(move || (elsewhere.wake_by_ref(), elsewhere.wake())).join().unwrap();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&waker)).is_pending());
        future.go.waker.wake_by_ref();
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn what_never_rests_gives_others_their_turn() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut future = restless(2 * MOST + 1);
        for turns in [1, 2, 2] {
            assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&waker)).is_pending());
            assert_eq!(count.0.load(Ordering::Relaxed), turns);
        }
    }

    #[test]
    fn what_was_woken_and_is_polled_next_costs_no_other_round() {
        let (go, mut polls) = (OneGo::new(), 0);
        let mut poll = |forgets: bool| {
            polls = 0;
            let polled = go.poll(&mut Context::from_waker(Waker::noop()), |cx| {
                polls += 1;
                if polls == 1 {
                    cx.waker().wake_by_ref();
                }
                if forgets {
                    go.forget_wakes();
                }
                Poll::<()>::Pending
            });
            assert!(polled.is_pending());
            polls
        };
        assert_eq!([poll(true), poll(false)], [1, 2]);
    }

    #[tokio::test]
    async fn no_wake_is_lost_between_threads() {
        let (give, mut take) = tokio::sync::mpsc::channel(1);
        let giver = std::thread::spawn(move || {
            for number in 0..20_000 {
                give.blocking_send(number).unwrap();
            }
        });
        let taken = InOneGo::new(Box::pin(async move {
            let mut sum = 0_u64;
            while let Some(number) = take.recv().await {
                sum += number;
            }
            sum
        }));
        assert_eq!(taken.await, 19_999 * 20_000 / 2);
        giver.join().unwrap();
    }
}
