//! PURE. Which packets wake us: classic BPF programs that the kernel runs for each
//! ARP or IPv6 packet, so that a busy host does not wake pulse for every frame.
//!
//! They are a sieve and not a judge: what comes through is read by [`crate::arp`].
//! The packet begins behind its Ethernet header.

use std::net::IpAddr;

/// One instruction, as struct sock_filter has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// BPF_*.
    pub code: u16,
    /// Instructions to skip if a comparison holds.
    pub if_true: u8,
    /// And if not.
    pub if_false: u8,
    /// An operand, an offset, or how many bytes of the packet to give.
    pub operand: u32,
}

/// BPF_LD | BPF_W | BPF_ABS and BPF_LD | BPF_B | BPF_ABS: to the accumulator.
const LOAD_WORD: u16 = 0x20;
const LOAD_BYTE: u16 = 0x30;
/// BPF_JMP | BPF_JEQ | BPF_K.
const IF_EQUAL: u16 = 0x15;
/// BPF_RET | BPF_K.
const RETURN: u16 = 0x06;

/// All of a packet.
const ALL: u32 = 0xffff;

/// With more addresses than that every claim wakes us: a program is limited by
/// net.core.optmem_max, once 20 KiB, which takes a few instructions for each.
const ADDRESSES_MAX: usize = 512;

/// Where the sender's address is in an ARP packet.
const ARP_SENDER: u32 = 14;
/// In an IPv6 packet: what follows its header, the kind of an ICMPv6 message, and
/// the last four bytes of an advertisement's target.
const NEXT_HEADER: u32 = 6;
const ICMP_KIND: u32 = 40;
const TARGET_END: u32 = 60;

/// Nothing comes through.
pub fn nothing() -> Vec<Instruction> {
    vec![give(0)]
}

/// ARP whose sender claims one of these; of IPv6 addresses it knows nothing.
pub fn arp_claims(addresses: &[IpAddr]) -> Vec<Instruction> {
    let words: Vec<u32> = addresses
        .iter()
        .filter_map(|address| match address {
            IpAddr::V4(address) => Some(address.to_bits()),
            IpAddr::V6(_) => None,
        })
        .collect();
    one_of(vec![], ARP_SENDER, &words)
}

/// Neighbour advertisements for one of these, or for one that ends as it does.
pub fn advertised_claims(addresses: &[IpAddr]) -> Vec<Instruction> {
    let words: Vec<u32> = addresses
        .iter()
        .filter_map(|address| match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => {
                let [.., a, b, c, d] = address.octets();
                Some(u32::from_be_bytes([a, b, c, d]))
            }
        })
        .collect();
    let mut head = unless_give_nothing(NEXT_HEADER, 58);
    head.extend(unless_give_nothing(ICMP_KIND, 136));
    one_of(head, TARGET_END, &words)
}

fn unless_give_nothing(offset: u32, byte: u32) -> Vec<Instruction> {
    vec![load(LOAD_BYTE, offset), if_equal(byte, 1, 0), give(0)]
}

/// Gives the packet if the word at `offset` is one of these.
fn one_of(mut program: Vec<Instruction>, offset: u32, words: &[u32]) -> Vec<Instruction> {
    if words.is_empty() {
        return nothing();
    }
    if words.len() > ADDRESSES_MAX {
        program.push(give(ALL));
        return program;
    }
    program.push(load(LOAD_WORD, offset));
    for word in words {
        program.extend([if_equal(*word, 0, 1), give(ALL)]);
    }
    program.push(give(0));
    program
}

const fn load(code: u16, offset: u32) -> Instruction {
    Instruction { code, if_true: 0, if_false: 0, operand: offset }
}

const fn if_equal(operand: u32, if_true: u8, if_false: u8) -> Instruction {
    Instruction { code: IF_EQUAL, if_true, if_false, operand }
}

const fn give(bytes: u32) -> Instruction {
    Instruction { code: RETURN, if_true: 0, if_false: 0, operand: bytes }
}

#[cfg(test)]
mod tests;
