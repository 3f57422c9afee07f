use super::*;

#[test]
fn every_pair() {
    use Standing::{Doubtful, Down, Unknown, Up};
    // fall 3, rise 2: (state, after a good one, after a bad one).
    let table = [
        (Unknown, Up { bad: 0 }, Doubtful { bad: 1 }),
        (Doubtful { bad: 1 }, Up { bad: 0 }, Doubtful { bad: 2 }),
        (Doubtful { bad: 2 }, Up { bad: 0 }, Down { good: 0 }),
        (Down { good: 0 }, Down { good: 1 }, Down { good: 0 }),
        (Down { good: 1 }, Up { bad: 0 }, Down { good: 0 }),
        (Up { bad: 0 }, Up { bad: 0 }, Up { bad: 1 }),
        (Up { bad: 1 }, Up { bad: 0 }, Up { bad: 2 }),
        (Up { bad: 2 }, Up { bad: 0 }, Down { good: 0 }),
    ];
    for (before, good, bad) in table {
        assert_eq!((before.after(true, 3, 2), before.after(false, 3, 2)), (good, bad), "{before:?}");
    }
    for once in [0, 1] {
        assert_eq!(Unknown.after(false, once, once), Down { good: 0 });
        assert_eq!(Down { good: 0 }.after(true, once, once), Up { bad: 0 });
    }
}
