//! The barrier that sled believes it has.
//!
//! sled 0.34.7 ends every write with `sync_file_range` and takes what was written for stable then: it says so in the
//! headers of later segments, and writes over segments whose content it has moved there. But that call syncs
//! no metadata. After a power cut a file that had grown may be short again while a reused segment behind the
//! gap is new, and sled, which trusts the header, opens a log with a hole in it or gives up. That was seen.
//!
//! So the program brings a `sync_file_range` of its own, which the linker prefers to the C library's. It is
//! `fdatasync`.

use libc::{c_int, c_uint, off64_t};

use crate::StorageError;

/// Stands in for the C library's: syncs the data of the whole file, and its size.
#[expect(unsafe_code, reason = "takes the place of a C function, whose signature it has")]
#[unsafe(no_mangle)]
extern "C" fn sync_file_range(file: c_int, _offset: off64_t, _length: off64_t, _flags: c_uint) -> c_int {
    if cfg!(feature = "unsafe-no-fdatasync") {
        return 0;
    }
    // SAFETY: the call takes no pointer; of a number that is no open file it says so.
    unsafe { libc::fdatasync(file) }
}

/// Refuses to go on if sled's calls do not come here, which depends on how the program was linked.
pub(crate) fn check() -> Result<(), StorageError> {
    let called = libc::sync_file_range as *const ();
    let meant = sync_file_range as *const ();
    if std::ptr::eq(called, meant) { Ok(()) } else { Err(StorageError::NoBarrier) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_leads_here() {
        assert!(check().is_ok());
    }
}
