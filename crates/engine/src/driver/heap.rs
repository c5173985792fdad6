//! How much freed memory the allocator keeps: the one setting of it that we change, and giving back
//! what it keeps all the same.

/// Has freed memory returned to the kernel: a block of 128 KiB or more when it is freed, and what is
/// free at the end of a heap above that. A program calls it once, before it starts threads.
///
/// Without it, glibc raises both thresholds with the largest block that was freed, to 32 and 64 MiB,
/// and every heap (there are up to eight for each core) may keep that much for ever. These values
/// are its initial ones; setting them keeps them fixed. With another C library this does nothing.
#[cfg_attr(target_env = "gnu", allow(unsafe_code, reason = "mallopt has no safe wrapper"))]
pub fn return_freed_memory() {
    #[cfg(target_env = "gnu")]
    for setting in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: mallopt takes two integers by value and locks the allocator's state (mallopt(3)),
        // so it may be called at any time and from any thread.
        unsafe { libc::mallopt(setting, 128 * 1024) };
    }
}

/// Gives free memory back to the kernel that lies between what is in use: what many small buffers
/// leave behind. It takes some milliseconds for each hundred MiB, so it is for a job's thread. With
/// another C library than glibc this does nothing.
#[cfg_attr(target_env = "gnu", allow(unsafe_code, reason = "malloc_trim has no safe wrapper"))]
pub(crate) fn trim_heaps() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes an integer by value and locks each heap while it looks through it
    // (malloc_trim(3)), so it may be called at any time and from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
