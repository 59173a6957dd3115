//! The server, whose code panics where the file says that `PANICS` names: see `engine/src/injection.rs`.

use std::process::ExitCode;

use relampago_http::allocator::{self, Allocator};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    allocator::set_up();
    relampago_http::cli::main()
}
