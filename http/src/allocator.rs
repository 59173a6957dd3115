//! The allocator of the binary: mimalloc, asked the short way for what nearly everything is.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ffi::{c_int, c_long};
use std::time::{Duration, Instant};

use libmimalloc_sys::{mi_collect, mi_malloc, mi_option_set_default, mi_realloc, mi_zalloc};
use mimalloc::MiMalloc;
use rustix::thread::disable_transparent_huge_pages;

/// `mi_option_purge_delay`, which the bindings have no name for.
const PURGE_DELAY: c_int = 15;
/// How long freed memory is kept before the system gets it back, ms. What a spike needs comes and goes by the
/// batch: giving it back after the usual second costs a tenth of the CPU for pages that are cleared again.
const KEEP_FREED_MS: c_long = 10_000;

/// How often a thread looks for what others gave back.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// Every block of at least this size is aligned to it.
const NATURAL: usize = 16;

/// mimalloc. Its own adapter asks for every block by its alignment, which for blocks that are not a power of two in
/// size means a larger block, and a slower way to give it back.
#[derive(Debug)]
pub struct Allocator;

fn is_natural(layout: Layout) -> bool {
    layout.align() <= NATURAL && layout.align() <= layout.size()
}

#[expect(unsafe_code, reason = "an allocator is written in terms of a trait that is unsafe")]
// SAFETY: mimalloc's blocks are aligned to 16 bytes unless they are smaller, and then to their size at least;
// everything else is left to the adapter. Blocks of both are given back in the same way.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller vouches.
        unsafe { if is_natural(layout) { mi_malloc(layout.size()).cast() } else { MiMalloc.alloc(layout) } }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller vouches.
        unsafe {
            if is_natural(layout) { mi_zalloc(layout.size()).cast() } else { MiMalloc.alloc_zeroed(layout) }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller vouches; a block of any alignment may be given.
        unsafe {
            if layout.align() <= NATURAL && layout.align() <= size {
                mi_realloc(block.cast(), size).cast()
            } else {
                MiMalloc.realloc(block, layout, size)
            }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller vouches.
        unsafe { MiMalloc.dealloc(block, layout) }
    }
}

/// Keeps what was freed for a while, and has memory come by the small page. To be called before any thread is started.
///
/// A huge page is cleared as a whole when it is first touched: on a virtual machine that was seen to stop a worker for
/// 7 to 15 ms, and every tenth of a second of a sale touches one.
pub fn set_up() {
    // Without it the server is as right as with it.
    let _kept = disable_transparent_huge_pages(true);
    keep_freed_memory();
}

#[expect(unsafe_code, reason = "a setting of the C allocator, made before any thread is started")]
fn keep_freed_memory() {
    // SAFETY: takes two numbers; the first is in the range of the options.
    unsafe { mi_option_set_default(PURGE_DELAY, KEEP_FREED_MS) };
}

thread_local! {
    static TIDIED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Gives back what other threads have freed of this thread's memory, if that was not done a moment ago. A thread that
/// allocates sees to it by itself; to be called when one comes to rest: states that were packed under load and stored
/// since would stay with it else.
#[expect(unsafe_code, reason = "tells the C allocator to tidy up")]
pub fn tidy() {
    let now = Instant::now();
    if TIDIED.get().is_none_or(|last| now.duration_since(last) >= TIDY_EVERY) {
        TIDIED.set(Some(now));
        // SAFETY: may be called at any time; where another allocator is installed there is nothing to do.
        unsafe { mi_collect(false) };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]
    use super::*;

    /// The numbers of the options are the allocator's own and may change with it.
    #[test]
    #[expect(unsafe_code, reason = "asks the C allocator")]
    fn the_option_is_the_one_that_is_meant() {
        const USUAL_MS: c_long = 1_000;
        // SAFETY: takes a number in the range of the options.
        assert_eq!(unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) }, USUAL_MS);
        keep_freed_memory();
        // SAFETY: as above.
        assert_eq!(unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) }, KEEP_FREED_MS);
    }

    #[test]
    #[expect(unsafe_code, reason = "asks an allocator")]
    fn every_block_is_aligned_as_it_is_asked_for() {
        for align in [1, 2, 4, 8, 16, 32, 64, 128, 4096] {
            for size in (1..=300).chain([1000, 1025, 4097, 70_000, 3_000_001]) {
                let is_aligned = |block: *mut u8| !block.is_null() && block.addr().is_multiple_of(align);
                let layout = Layout::from_size_align(size, align).expect("a layout");
                // SAFETY: the layouts are sound, and every block is used and given back with its own.
                unsafe {
                    let block = Allocator.alloc(layout);
                    assert!(is_aligned(block), "{layout:?}");
                    block.write_bytes(7, size);
                    let block = Allocator.realloc(block, layout, 2 * size);
                    assert!(is_aligned(block), "{layout:?} grown");
                    assert_eq!(std::slice::from_raw_parts(block, size), vec![7; size]);
                    let grown = Layout::from_size_align(2 * size, align).expect("a layout");
                    Allocator.dealloc(block, grown);
                    let block = Allocator.alloc_zeroed(layout);
                    assert!(is_aligned(block), "{layout:?} zeroed");
                    assert_eq!(std::slice::from_raw_parts(block, size), vec![0; size]);
                    Allocator.dealloc(block, layout);
                }
            }
        }
    }
}
