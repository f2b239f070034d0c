//! The pages of the program itself, as the dynamic linker mapped them. Must not touch one that was ever written to.

use std::ffi::{c_int, c_void};

use rustix::mm::Advice;

pub(crate) fn give_back_program() {
    // SAFETY: the callback has the type that is asked for and does not unwind; no data is handed to it.
    unsafe { libc::dl_iterate_phdr(Some(let_go), std::ptr::null_mut()) };
}

/// Asked once for each object that is mapped.
unsafe extern "C" fn let_go(object: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    // SAFETY: the linker hands over a description that lives as long as this call, with as many headers as it says.
    let (base, headers) = unsafe {
        let object = &*object;
        if object.dlpi_phdr.is_null() {
            return 0;
        }
        (object.dlpi_addr as usize, std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()))
    };
    let page = rustix::param::page_size();
    for header in headers {
        // What the linker may write to, if only once to relocate it, has pages that no file could give back.
        let is_written = header.p_flags & libc::PF_W != 0;
        if header.p_type != libc::PT_LOAD || is_written {
            continue;
        }
        let (start, size) = (base + header.p_vaddr as usize, header.p_memsz as usize);
        let (first, end) = (start.next_multiple_of(page), (start + size) / page * page);
        if first < end {
            // SAFETY: whole pages within one mapping of a file, which is read-only and private, and which nobody has
            // written to: the next access reads the same bytes again.
            let _ = unsafe { rustix::mm::madvise(first as *mut c_void, end - first, Advice::LinuxDontNeed) };
        }
    }
    0
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_program_goes_on_and_reads_the_same() {
        static WORDS: [u64; 4096] = [7; 4096];
        let resident = || {
            let map = std::fs::read_to_string("/proc/self/smaps_rollup").expect("map");
            let line = map.lines().find_map(|line| line.strip_prefix("Rss:")).expect("resident");
            line.trim().trim_end_matches(" kB").parse::<u64>().expect("number")
        };
        let sum = WORDS.iter().sum::<u64>();
        let before = resident();
        super::give_back_program();
        assert!(resident() < before);
        assert_eq!(std::hint::black_box(&WORDS).iter().sum::<u64>(), sum);
    }
}
