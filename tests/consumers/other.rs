//! Another static library in Rust, with its own copy of the standard library, that catches a panic of its own.

/// Divides, or says -1 after a panic.
#[unsafe(no_mangle)]
pub extern "C" fn other_divide(dividend: i32, divisor: i32) -> i32 {
    std::panic::catch_unwind(|| {
        assert!(divisor != 0, "divided by zero");
        dividend / divisor
    })
    .unwrap_or(-1)
}
