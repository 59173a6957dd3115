//! The binary: see [`relampago_http::cli`].

use std::process::ExitCode;

use relampago_http::allocator::{self, Allocator};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    allocator::set_up();
    relampago_http::cli::main()
}
