// A Rust program that panics through frames with destructors, and catches it; its argument: rounds of other work
// between two panics (0; see stacks-throw.cc).
// FLAGS: -O -g
use std::panic;

// As std::hint::black_box(), which Debian 12's rustc does not have yet.
#[inline(always)]
fn black_box<T: Copy>(value: T) -> T {
    unsafe { std::ptr::read_volatile(&value) }
}

struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        black_box(1);
    }
}

#[inline(never)]
fn burn(mut seed: u64) -> u64 {
    for _ in 0..300 {
        seed = black_box(seed.wrapping_mul(6364136223846793005));
    }
    seed
}

#[inline(never)]
fn panicker(seed: u64) -> u64 {
    if burn(seed) != 1 {
        panic!("thrown");
    }
    seed
}

#[inline(never)]
fn passer(depth: u32, seed: u64) -> u64 {
    let _cleaned = Guard;
    let value = if depth > 0 { passer(depth - 1, seed) } else { panicker(seed) };
    black_box(value) + 1
}

#[inline(never)]
fn catcher(seed: u64) -> bool {
    panic::catch_unwind(move || passer(6, seed)).is_err()
}

#[inline(never)]
fn other_work(rounds: u64) -> u64 {
    (0..rounds).fold(1, |seed, _| black_box(seed * 3 % 1000003))
}

fn main() {
    let rounds = std::env::args().nth(1).map_or(0, |text| text.parse().unwrap());

    panic::set_hook(Box::new(|_| {}));
    println!("ready");
    loop {
        black_box(other_work(rounds));
        black_box(catcher(black_box(2)));
    }
}
