//! The header blocks of HTTP/2 (HPACK, RFC 7541), as far as one call needs them. Pure.
//!
//! Our settings leave the other side no dynamic table, so that a block is read by
//! itself: a field is one of the static table, or stands there letter by letter. Of
//! what we send every field stands there letter by letter.

/// Why a block cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbled;

/// The last row of the static table (RFC 7541 appendix A).
const STATIC_LAST: usize = 61;

/// How many codes of Huffman's there are of each length, from none of no bit (RFC 7541
/// appendix B).
const CODES: [u16; 31] =
    [0, 0, 0, 0, 0, 10, 26, 32, 6, 0, 5, 3, 2, 6, 2, 3, 0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19, 29, 0, 4];

/// What the shortest of them mean, in their order; the others are what no name and no
/// value that is read here may hold.
const LETTERS: &[u8; 96] =
    b"012aceiost %-./3456789=A_bdfghlmnpru:BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz&*,;XZ!\"()?'+|#>\0$@[]~^}<`{\\";

/// What stands for the others.
const OTHER: u8 = b'?';

/// The code that no text may hold is the last.
const CODES_IN_ALL: usize = 257;

/// Puts a field behind a block.
pub fn write(block: &mut Vec<u8>, name: &str, value: &str) {
    // A field that stands there with its name, for nobody's table.
    block.push(0);
    for text in [name, value] {
        write_integer(block, 7, text.len());
        block.extend_from_slice(text.as_bytes());
    }
}

/// An integer in so many bits of a byte that is 0 in the others, and what does not fit
/// there behind it.
fn write_integer(block: &mut Vec<u8>, bits: u8, number: usize) {
    let full = (1_usize << bits) - 1;
    let mut rest = number;
    if let Some(left) = number.checked_sub(full) {
        block.push(u8::try_from(full).unwrap_or(u8::MAX));
        rest = left;
        while rest > 0x7f {
            block.push(u8::try_from(rest & 0x7f).unwrap_or_default() | 0x80);
            rest >>= 7;
        }
    }
    block.push(u8::try_from(rest).unwrap_or_default());
}

/// Reads a whole block, and hands each field on: its name, empty if it is one of the
/// static table that says nothing to a call, and its value.
///
/// # Errors
/// It is no block, or speaks of a table that we do not have.
pub fn read(block: &[u8], mut field: impl FnMut(&[u8], &[u8])) -> Result<(), Garbled> {
    let mut rest = block;
    let (mut name, mut value) = (Vec::new(), Vec::new());
    while let Some(first) = rest.first().copied() {
        if first & 0x80 != 0 {
            let (name, value) = of_static(integer(&mut rest, 7)?)?;
            field(name, value);
            continue;
        }
        if first & 0xe0 == 0x20 {
            // The size of the table: ours is none, whatever they think of it.
            integer(&mut rest, 5)?;
            continue;
        }
        let index = integer(&mut rest, if first & 0x40 == 0 { 4 } else { 6 })?;
        name.clear();
        match index {
            0 => text(&mut rest, &mut name)?,
            index => name.extend_from_slice(of_static(index)?.0),
        }
        value.clear();
        text(&mut rest, &mut value)?;
        field(&name, &value);
    }
    Ok(())
}

/// A row of the static table, if it is one that says something to a call; another is
/// empty.
fn of_static(index: usize) -> Result<(&'static [u8], &'static [u8]), Garbled> {
    Ok(match index {
        0 => return Err(Garbled),
        8 => (b":status", b"200"),
        9 => (b":status", b"204"),
        10 => (b":status", b"206"),
        11 => (b":status", b"304"),
        12 => (b":status", b"400"),
        13 => (b":status", b"404"),
        14 => (b":status", b"500"),
        31 => (b"content-type", b""),
        _ if index <= STATIC_LAST => (b"", b""),
        _ => return Err(Garbled),
    })
}

fn byte(rest: &mut &[u8]) -> Result<u8, Garbled> {
    let (byte, behind) = rest.split_first().ok_or(Garbled)?;
    *rest = behind;
    Ok(*byte)
}

/// An integer that begins in so many bits; none is larger than a block can be long.
fn integer(rest: &mut &[u8], bits: u8) -> Result<usize, Garbled> {
    let full = (1_usize << bits) - 1;
    let mut number = usize::from(byte(rest)?) & full;
    if number < full {
        return Ok(number);
    }
    for shift in [0, 7, 14] {
        let next = byte(rest)?;
        number += usize::from(next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Garbled)
}

fn text(rest: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Garbled> {
    let is_huffman = rest.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer(rest, 7)?;
    let (text, behind) = rest.split_at_checked(length).ok_or(Garbled)?;
    *rest = behind;
    if is_huffman {
        return decode(text, out);
    }
    out.extend_from_slice(text);
    Ok(())
}

/// Huffman's code. Those of one length are numbers in a row, and the next length goes on
/// behind them: how many there are of each says it all.
fn decode(text: &[u8], out: &mut Vec<u8>) -> Result<(), Garbled> {
    // The code so far and its length; the first code of this length, and how many are shorter.
    let (mut code, mut length, mut first, mut shorter) = (0_u32, 0_usize, 0_u32, 0_usize);
    for bit in text.iter().flat_map(|byte| (0..8).rev().map(move |at| u32::from(byte >> at & 1))) {
        (code, first, length) = (code << 1 | bit, first << 1, length + 1);
        let codes = CODES.get(length).copied().ok_or(Garbled)?;
        let nth = usize::try_from(code - first).map_err(|_| Garbled)?;
        if nth < usize::from(codes) {
            let symbol = shorter + nth;
            if symbol + 1 == CODES_IN_ALL {
                return Err(Garbled);
            }
            out.push(LETTERS.get(symbol).copied().unwrap_or(OTHER));
            (code, length, first, shorter) = (0, 0, 0, 0);
        } else {
            first += u32::from(codes);
            shorter += usize::from(codes);
        }
    }
    // What is left over of the last byte are ones.
    if length < 8 && code + 1 == 1 << length { Ok(()) } else { Err(Garbled) }
}

#[cfg(test)]
mod tests;
