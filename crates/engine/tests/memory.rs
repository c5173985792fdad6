//! The allocator returns freed memory to the kernel. It is the only test of its process, because it
//! changes allocator settings and measures resident memory.

#![cfg(target_env = "gnu")]

use std::sync::{Arc, Barrier};
use std::{fs, thread};

use sockeye_engine::driver::return_freed_memory;

/// Resident memory in KiB.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn memory_of_large_buffers_returns_when_they_are_freed() {
    const THREADS: usize = 4;
    return_freed_memory();
    let start = resident();
    let step = Arc::new(Barrier::new(THREADS + 1));
    let threads = [(); THREADS].map(|()| {
        let step = Arc::clone(&step);
        thread::spawn(move || {
            // By default, glibc keeps later buffers in its heap after the first one was freed.
            for _ in 0..2 {
                let buffer = vec![7_u8; 20 << 20];
                step.wait();
                step.wait();
                drop(std::hint::black_box(buffer));
                step.wait();
            }
            // The thread must exist while its heap is measured.
            step.wait();
        })
    });
    for _ in 0..2 {
        step.wait();
        assert!(resident() > start + THREADS * 16 * 1024, "the buffers are in use");
        step.wait();
        step.wait();
    }
    let kept = resident().saturating_sub(start);
    step.wait();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(kept < 8 * 1024, "{kept} KiB are still resident");
}
