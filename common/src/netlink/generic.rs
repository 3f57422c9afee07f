//! Generic netlink: the four bytes before a family's attributes, and the number
//! a family goes by in this boot (linux/genetlink.h).

use std::time::Instant;

use nix::errno::Errno;

use super::message::{ACK, Attributes, Malformed, Request};
use super::socket::{Error, Socket};

/// Bytes of struct genlmsghdr.
const HEADER: usize = 4;
/// GENL_ID_CTRL: the controller's own message type.
const CONTROLLER: u16 = 16;
/// CTRL_CMD_GETFAMILY.
const GET_FAMILY: u8 = 3;
/// The controller's version that GET_FAMILY is asked in.
const CONTROLLER_VERSION: u8 = 2;
/// CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME.
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;

/// A request of a generic family: command and version behind the header. The
/// message type is the family's number, see [`Request::set_kind`].
pub fn request(command: u8, version: u8, flags: u16) -> Request {
    let mut request = Request::new(0, flags);
    request.fixed(&[command, version, 0, 0]);
    request
}

/// The attributes of a generic message's body.
pub fn attributes(body: &[u8]) -> Result<Attributes<'_>, Malformed> {
    body.get(HEADER..).map(Attributes::new).ok_or(Malformed("short generic header"))
}

/// The number of the family called `name` (15 bytes at most); `None` if there is
/// none. The kernel loads the module that claims the name, so asking may take as
/// long as that.
///
/// # Errors
/// As [`Socket::request`].
pub fn family(socket: &mut Socket, name: &str, until: Instant) -> Result<Option<u16>, Error> {
    let mut id = None;
    let mut request = request(GET_FAMILY, CONTROLLER_VERSION, ACK);
    request.set_kind(CONTROLLER);
    request.text(FAMILY_NAME, name);
    let outcome = socket.request(&mut request, until, |body| {
        id = family_id(body)?;
        Ok(())
    });
    match outcome {
        Ok(()) => Ok(id),
        Err(Error::Refused(refusal)) if refusal.errno == Errno::ENOENT => Ok(None),
        Err(e) => Err(e),
    }
}

fn family_id(body: &[u8]) -> Result<Option<u16>, Malformed> {
    for attribute in attributes(body)? {
        let attribute = attribute?;
        if attribute.kind == FAMILY_ID {
            return attribute.u16().map(Some);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
