//! Room for large bodies, used again. What is as large comes from the system page by page and goes back to it when it is
//! freed, which costs more than filling it; the allocator would keep it, but among small things that pin its pages. Must
//! not keep more than the next few bodies need.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};

/// Smaller bodies are left to the allocator.
pub(crate) const LARGE: usize = 512 * 1024;
/// Room is made in such steps: the next turn of a conversation is a little longer.
const STEP: usize = 256 * 1024;
/// As many bytes of free room are kept.
const KEPT: usize = 4 << 20;

static FREE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

fn free() -> MutexGuard<'static, Vec<Vec<u8>>> {
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets go of the room that is kept for large bodies. For quiet times.
pub fn give_back_room() {
    drop(std::mem::take(&mut *free()));
}

/// The pieces of a body, put together.
pub(crate) enum Pieces {
    Small(BytesMut),
    Large(Room),
}

impl Pieces {
    pub(crate) fn of(bytes: usize) -> Pieces {
        if bytes < LARGE {
            Pieces::Small(BytesMut::with_capacity(bytes))
        } else {
            Pieces::Large(Room::of(bytes))
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        match self {
            Pieces::Small(pieces) if pieces.len() + bytes.len() >= LARGE => {
                // Its length was not announced.
                let mut large = Room::of(2 * (pieces.len() + bytes.len()));
                large.push(pieces);
                large.push(bytes);
                *self = Pieces::Large(large);
            }
            Pieces::Small(pieces) => pieces.extend_from_slice(bytes),
            Pieces::Large(pieces) => pieces.push(bytes),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Pieces::Small(pieces) => pieces.len(),
            Pieces::Large(pieces) => pieces.len(),
        }
    }

    pub(crate) fn freeze(self) -> Bytes {
        match self {
            Pieces::Small(pieces) => pieces.freeze(),
            Pieces::Large(pieces) => pieces.freeze(),
        }
    }
}

impl Default for Pieces {
    fn default() -> Self {
        Pieces::Small(BytesMut::new())
    }
}

/// Where the pieces of a large body stand.
pub(crate) struct Room(Vec<u8>);

impl Room {
    /// For so many bytes at least. It has none yet.
    pub(crate) fn of(bytes: usize) -> Room {
        let mut free = free();
        let fitting = free.iter().enumerate().filter(|(_, room)| room.capacity() >= bytes);
        match fitting.min_by_key(|(_, room)| room.capacity()).map(|(at, _)| at) {
            Some(at) => Room(free.swap_remove(at)),
            None => Room(Vec::with_capacity(bytes.next_multiple_of(STEP))),
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The bytes; their room is free again when the last of those who have them is gone.
    pub(crate) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Room {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut room = std::mem::take(&mut self.0);
        room.clear();
        let mut free = free();
        let kept: usize = free.iter().map(Vec::capacity).sum();
        if kept + room.capacity() <= KEPT {
            free.push(room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_used_again_and_no_more_is_kept_than_the_next_bodies_need() {
        let (mut first, mut second) = (Room::of(LARGE), Room::of(LARGE));
        first.push(&[1; LARGE]);
        second.push(&[2; LARGE]);
        let (first, second) = (first.freeze(), second.freeze());
        assert!(first.iter().all(|byte| *byte == 1) && second.iter().all(|byte| *byte == 2));
        let (place, tail) = (first.as_ptr(), first.slice(1..));
        drop(first);
        assert_ne!(Room::of(LARGE).0.as_ptr(), place, "somebody still has its bytes");
        drop(tail);
        let again: Vec<Room> = (0..4).map(|_| Room::of(LARGE)).collect();
        assert!(again.iter().any(|room| room.0.as_ptr() == place));
        assert!(again.iter().all(|room| room.len() == 0));
        drop(again);
        drop((0..8).map(|_| Room::of(LARGE)).collect::<Vec<_>>());
        drop(Room::of(KEPT));
        assert!(free().iter().map(Vec::capacity).sum::<usize>() <= KEPT);
        drop(second);
        give_back_room();
        assert!(free().is_empty());
    }
}
