use proptest::prelude::*;

use super::*;

const TIME: Duration = Duration::from_secs(100);
const STEP: Duration = Duration::from_secs(20);

fn weights(full: u32) -> Vec<u32> {
    let mut now = Instant::now();
    let mut all = Vec::new();
    let mut ramp = Ramp::begin(full, TIME, now);
    while let Some(at) = ramp {
        all.push(at.weight(full));
        assert_eq!(at.next, now + STEP);
        now += STEP;
        ramp = at.at(full, TIME, now);
    }
    all
}

#[test]
fn the_weights_are_the_originals() {
    assert_eq!(weights(100), [3, 6, 12, 24, 48]); // piranha.md 4.6, but for its 96 before 100
    assert_eq!(weights(64), [2, 4, 8, 16, 32]);
    assert_eq!(weights(5), [1, 2, 4]);
    assert_eq!(weights(2), [1]);
    assert_eq!(weights(1), [0; 0]);
    assert_eq!(weights(0), [0; 0]);
}

#[test]
fn without_time_there_is_no_ramp_and_before_its_time_no_step() {
    let now = Instant::now();
    assert_eq!(Ramp::begin(100, Duration::ZERO, now), None);
    let ramp = Ramp::begin(100, TIME, now).unwrap();
    assert_eq!(ramp.at(100, TIME, now + (STEP * 9 / 10)), Some(ramp));
}

proptest! {
    #[test]
    fn it_grows_at_every_step_and_ends(full in 0..=65_535_u32) {
        let weights = weights(full);
        prop_assert!(weights.len() <= DOUBLINGS as usize);
        prop_assert!(weights.windows(2).all(|pair| pair[1] == 2 * pair[0]));
        prop_assert!(weights.iter().all(|weight| (1..full).contains(weight)));
    }
}
