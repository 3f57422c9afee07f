use super::*;

#[test]
fn lines_on_stderr_have_the_originals_prefix_once() {
    assert_eq!(on_stderr(&Message::CannotOpen { file: "F".to_owned() }), "lvs: failed to open F");
    assert_eq!(on_stderr(&Message::Diagnostic("F:1:1: error: x".to_owned())), "F:1:1: error: x");
    assert_eq!(on_stderr(&Message::Rereading), "lvs: rereading configuration file");
}
