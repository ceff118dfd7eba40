//! The `hop3` executable: chooses allocator and TLS provider, then hands over to the library.

use std::process::ExitCode;

/// glibc keeps what a burst took; mimalloc gives it back. It does not ask for huge pages (`no_thp`), which would have a
/// server with one application hold 30 MB more.
#[global_allocator]
static ALLOCATOR: hop3_allocator::MiMalloc = hop3_allocator::MiMalloc;

fn main() -> ExitCode {
    // First of all, or two providers meet; an error means that one is installed already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    ExitCode::from(hop3::cli::run(std::env::args_os()))
}
