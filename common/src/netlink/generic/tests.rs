//! The controller's bytes (linux/genetlink.h), by hand.

use super::*;

#[test]
fn a_request_has_command_and_version_behind_its_header() {
    let mut request = request(4, 1, ACK);
    assert_eq!(request.stamp(0)[16..], [4, 1, 0, 0]);
}

#[test]
fn a_family_is_found_by_its_number_attribute() {
    // CTRL_ATTR_FAMILY_NAME, CTRL_ATTR_FAMILY_ID, CTRL_ATTR_VERSION
    let mut answer = Request::new(16, 0);
    answer.fixed(&[1, 2, 0, 0]).text(2, "IPVS").u16(1, 28).u32(3, 1);
    let bytes = answer.stamp(0);
    assert_eq!(family_id(&bytes[16..]), Ok(Some(28)));
    assert_eq!(family_id(&bytes[16..32]), Ok(None));
    for length in 0..4 {
        assert!(family_id(&bytes[16..16 + length]).is_err());
    }
}
