use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_host_with_the_primary_address_is_the_master_on_whichever_interface_it_is() {
    let here = [ip("127.0.0.1"), ip("10.9.9.9"), ip("10.0.0.1"), ip("2001:db8::1")];
    assert_eq!(role(Some(ip("10.0.0.1")), Some(ip("10.0.0.2")), &here), Role::Master);
    assert_eq!(role(Some(ip("2001:db8::1")), Some(ip("2001:db8::2")), &here), Role::Master);
}

#[test]
fn the_host_with_the_backup_address_is_the_backup() {
    assert_eq!(role(Some(ip("10.0.0.1")), Some(ip("10.0.0.2")), &[ip("10.0.0.2")]), Role::Backup);
    assert_eq!(role(None, Some(ip("10.0.0.2")), &[ip("10.0.0.2")]), Role::Backup);
}

#[test]
fn a_host_with_both_is_the_master() {
    assert_eq!(role(Some(ip("10.0.0.1")), Some(ip("10.0.0.2")), &[ip("10.0.0.2"), ip("10.0.0.1")]), Role::Master);
}

#[test]
fn a_mistyped_primary_makes_a_stranger_and_not_a_second_holder_of_the_virtual_ips() {
    assert_eq!(role(Some(ip("10.0.0.11")), None, &[ip("10.0.0.1")]), Role::Stranger);
    assert_eq!(role(Some(ip("10.0.0.11")), Some(ip("10.0.0.2")), &[]), Role::Stranger);
}

#[test]
fn a_file_that_names_no_director_is_for_the_only_one() {
    assert_eq!(role(None, None, &[ip("10.0.0.1")]), Role::Master);
}
