//! The binary: see [`relampago_http::cli`].

use std::ffi::{c_int, c_long};
use std::process::ExitCode;

use libmimalloc_sys::mi_option_set_default;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// `mi_option_purge_delay`, which the bindings have no name for.
const PURGE_DELAY: c_int = 15;
/// How long freed memory is kept before the system gets it back, ms. What a spike needs comes and goes by the
/// batch: giving it back after the usual second costs a tenth of the CPU for pages that are cleared again.
const KEEP_FREED_MS: c_long = 10_000;

fn main() -> ExitCode {
    keep_freed_memory();
    relampago_http::cli::main()
}

#[expect(unsafe_code, reason = "a setting of the C allocator, made before any thread is started")]
fn keep_freed_memory() {
    // SAFETY: takes two numbers; the first is in the range of the options.
    unsafe { mi_option_set_default(PURGE_DELAY, KEEP_FREED_MS) };
}

#[cfg(test)]
mod tests {
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
}
