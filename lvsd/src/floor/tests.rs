use proptest::prelude::*;

use super::*;

const GOOD: Member = Member { available: Some(true), is_kept: false, stays: false, fell: None };
const NEVER_UP: Member = Member { available: Some(false), ..GOOD };
const SILENT: Member = Member { available: None, ..GOOD };

fn fell(order: u64) -> Member {
    Member { fell: Some(order), ..NEVER_UP }
}

fn kept(order: u64) -> Member {
    Member { is_kept: true, stays: true, ..fell(order) }
}

#[test]
fn while_there_are_more_than_the_floor_nobody_is_told() {
    assert_eq!(who_stays(0, &[GOOD, fell(1)]), [false, false]);
    assert_eq!(who_stays(1, &[GOOD, GOOD, fell(1)]), [false, false, false]);
}

#[test]
fn the_last_good_ones_are_told_before_they_fail() {
    assert_eq!(who_stays(2, &[GOOD, fell(1), GOOD]), [true, false, true]);
}

#[test]
fn one_that_stayed_goes_on_until_there_are_enough_good_ones() {
    assert_eq!(who_stays(1, &[kept(2), fell(1)]), [true, false]);
    assert_eq!(who_stays(2, &[kept(2), fell(3), GOOD]), [true, false, true], "it stays, whoever fell after it");
    assert_eq!(who_stays(1, &[kept(2), fell(1), GOOD]), [false, false, true]);
}

#[test]
fn when_all_fall_at_once_the_last_come_back() {
    assert_eq!(who_stays(2, &[fell(1), fell(3), fell(2)]), [false, true, true]);
}

#[test]
fn one_that_never_was_in_use_is_not_put_there() {
    assert_eq!(who_stays(2, &[NEVER_UP, SILENT, fell(1)]), [false, false, true]);
}

#[test]
fn a_predecessors_kept_ones_and_a_replaced_nannys_stay() {
    let found = Member { is_kept: true, ..NEVER_UP };
    let replaced = Member { stays: true, ..SILENT };
    assert_eq!(who_stays(1, &[fell(5), found]), [false, true]);
    assert_eq!(who_stays(1, &[fell(5), replaced]), [false, true]);
}

fn any_member() -> impl Strategy<Value = Member> {
    (any::<Option<bool>>(), any::<bool>(), any::<bool>(), prop::option::of(0..9_u64)).prop_map(
        |(available, is_kept, stays, fell)| Member {
            available,
            is_kept: is_kept && available == Some(false),
            stays,
            fell,
        },
    )
}

proptest! {
    #[test]
    fn no_less_than_the_floor_are_in_use_if_there_are_so_many_that_were(
        min_up in 0..6_u32, members in prop::collection::vec(any_member(), 0..8),
    ) {
        let stay = who_stays(min_up, &members);
        let in_use = members.iter().zip(&stay).filter(|(it, stays)| it.available == Some(true) || **stays).count();
        let good = members.iter().filter(|it| it.available == Some(true)).count();
        let were = members.iter().filter(|it| it.available == Some(true) || Rank::of(it).is_some()).count();
        prop_assert!(in_use >= were.min(min_up as usize));
        prop_assert!(in_use <= good.max(min_up as usize), "and no more than it takes");
    }

    /// What is told makes no new telling, or lvsd and its nannies would never rest.
    #[test]
    fn it_rests(min_up in 0..6_u32, members in prop::collection::vec(any_member(), 0..8)) {
        let stay = who_stays(min_up, &members);
        let told: Vec<Member> = members
            .iter()
            .zip(&stay)
            .map(|(it, stays)| Member { stays: *stays, is_kept: *stays && it.available == Some(false), ..*it })
            .collect();
        prop_assert_eq!(who_stays(min_up, &told), stay);
    }

    #[test]
    fn whoever_of_the_last_fails_next_is_told_already(
        min_up in 1..6_u32, members in prop::collection::vec(any_member(), 1..8), who: prop::sample::Index,
    ) {
        let stay = who_stays(min_up, &members);
        let good: Vec<usize> = (0..members.len()).filter(|n| members[*n].available == Some(true)).collect();
        if !good.is_empty() && good.len() <= min_up as usize {
            prop_assert!(stay[good[who.index(good.len())]]);
        }
    }
}
