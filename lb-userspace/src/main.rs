//! The `lb` binary: everything is in the library, so that tests reach it.

use std::process::ExitCode;

/// A request over HTTP/2 or TLS and the reading of a large configuration are thousands of small pieces
/// of memory: with glibc's allocator the one takes a tenth longer outside of the kernel, the other
/// half as long again. Without large pages: an idle daemon would hold 19 MB by them instead of 4.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    lb_userspace::cli::main()
}
