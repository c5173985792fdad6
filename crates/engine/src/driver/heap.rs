//! Returns freed memory from the allocator to the kernel.

/// Makes glibc return freed memory to the kernel: a block with a mapping of its own as soon as it
/// is freed, and the free memory at the end of an arena when it exceeds 128 KiB. A block of 128 KiB
/// or more gets a mapping, unless an arena has enough free memory for the block. A program calls
/// this function once, before it starts threads.
///
/// Without this call, glibc raises both limits when large blocks are freed: that of blocks with a
/// mapping up to 32 MiB, and that of an arena's end up to 64 MiB. There are up to eight arenas per
/// core. Once a program has set the limits, even to their initial values, glibc no longer changes
/// them. With another C library, this function does nothing.
#[cfg_attr(target_env = "gnu", allow(unsafe_code, reason = "mallopt has no safe wrapper"))]
pub fn return_freed_memory() {
    #[cfg(target_env = "gnu")]
    for setting in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: mallopt takes two integers by value and touches no memory of the caller. glibc
        // documents it as unsafe while other threads allocate; the caller has none yet.
        unsafe { libc::mallopt(setting, 128 * 1024) };
    }
}

/// Returns to the kernel the free memory between used blocks, which many small buffers leave
/// behind. The call takes some milliseconds per 100 MiB, so it must run on a thread of the pool,
/// not on an event loop. Without glibc, this does nothing.
#[cfg_attr(target_env = "gnu", allow(unsafe_code, reason = "malloc_trim has no safe wrapper"))]
pub(crate) fn trim_heaps() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes an integer by value and locks each arena while it trims that arena,
    // so it may be called at any time and from any thread (malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}
