//! What a conversation is about, whatever it speaks: one [`Topic`] per check, one
//! [`Talk`] per conversation. Pure; hands the bytes on to the kind's own machine.

use std::net::IpAddr;

use super::exchange::{Exchange, Next, Script};
use super::{Outcome, dns, grpc, http, ping, smtp};

/// What is said and expected.
#[derive(Debug)]
pub enum Topic {
    /// A text sent and a text expected.
    Text(Script),
    /// An HTTP request.
    Http(http::Request),
    /// A gRPC call.
    Grpc(grpc::Request),
    /// An SMTP greeting.
    Smtp(smtp::Visit),
    /// A DNS question.
    Dns(dns::Question),
    /// An ICMP echo.
    Echo,
}

/// One conversation, from when the connection stands.
#[derive(Debug)]
pub enum Talk {
    /// About [`Topic::Text`].
    Text(Exchange),
    /// About [`Topic::Http`].
    Http(http::Reading),
    /// About [`Topic::Grpc`]; elsewhere, as it is larger than the others.
    Grpc(Box<grpc::Call>),
    /// About [`Topic::Smtp`].
    Smtp(smtp::Talk),
    /// About [`Topic::Dns`].
    Dns(dns::Asking),
    /// About [`Topic::Echo`].
    Echo(ping::Echo),
}

impl Topic {
    /// A new conversation with this address; `chance` should not be foreseen.
    pub fn begin(&self, to: IpAddr, chance: u64) -> Talk {
        match self {
            Self::Text(_) => Talk::Text(Exchange::default()),
            Self::Http(_) => Talk::Http(http::Reading::default()),
            Self::Grpc(request) => Talk::Grpc(Box::new(grpc::Call::new(request))),
            Self::Smtp(_) => Talk::Smtp(smtp::Talk::default()),
            Self::Dns(question) => {
                let [a, b, ..] = chance.to_be_bytes();
                Talk::Dns(dns::Asking::new(question, u16::from_be_bytes([a, b])))
            }
            Self::Echo => Talk::Echo(ping::Echo::new(to, chance)),
        }
    }

    /// What is sent without having heard anything, for the log.
    pub fn sends(&self) -> &[u8] {
        match self {
            Self::Text(script) => script.sends(),
            Self::Http(request) => request.bytes(),
            Self::Grpc(request) => request.bytes(),
            Self::Smtp(_) | Self::Dns(_) | Self::Echo => &[],
        }
    }
}

impl Talk {
    /// What is to be done now.
    pub fn next<'a>(&'a self, topic: &'a Topic) -> Next<'a> {
        match (self, topic) {
            (Self::Text(talk), Topic::Text(script)) => talk.next(script),
            (Self::Http(talk), Topic::Http(request)) => talk.next(request),
            (Self::Grpc(talk), Topic::Grpc(request)) => talk.next(request),
            (Self::Smtp(talk), Topic::Smtp(visit)) => talk.next(visit),
            (Self::Dns(talk), _) => talk.next(),
            (Self::Echo(talk), _) => talk.next(),
            (Self::Text(_) | Self::Http(_) | Self::Grpc(_) | Self::Smtp(_), _) => Next::Over(Outcome::Unexpected),
        }
    }

    /// So many bytes were sent.
    pub fn sent(&mut self, bytes: usize) {
        match self {
            Self::Text(talk) => talk.sent(bytes),
            Self::Http(talk) => talk.sent(bytes),
            Self::Grpc(talk) => talk.sent(bytes),
            Self::Smtp(talk) => talk.sent(bytes),
            Self::Dns(talk) => talk.sent(bytes),
            Self::Echo(talk) => talk.sent(),
        }
    }

    /// This much more of the answer is there, or a datagram. `None`: it goes on.
    pub fn received(&mut self, topic: &Topic, bytes: &[u8]) -> Option<Outcome> {
        match (self, topic) {
            (Self::Text(talk), Topic::Text(script)) if script.is_datagram() => {
                let outcome = if bytes.is_empty() { None } else { talk.received(script, bytes) };
                // A datagram is an answer by itself.
                Some(outcome.unwrap_or_else(|| talk.ended(script)))
            }
            (Self::Text(talk), Topic::Text(script)) => talk.received(script, bytes),
            (Self::Http(talk), Topic::Http(request)) => talk.received(request, bytes),
            (Self::Grpc(talk), _) => talk.received(bytes),
            (Self::Smtp(talk), _) => talk.received(bytes),
            (Self::Dns(talk), Topic::Dns(question)) => talk.received(question, bytes),
            (Self::Echo(talk), _) => talk.received(bytes),
            (Self::Text(_) | Self::Http(_) | Self::Dns(_), _) => Some(Outcome::Unexpected),
        }
    }

    /// The answer ended: the server closed.
    pub fn ended(&self, topic: &Topic) -> Outcome {
        match (self, topic) {
            (Self::Text(talk), Topic::Text(script)) => talk.ended(script),
            (Self::Http(talk), Topic::Http(request)) => talk.ended(request),
            (Self::Grpc(talk), _) => talk.ended(),
            (Self::Smtp(talk), _) => talk.ended(),
            (Self::Dns(talk), _) => talk.ended(),
            (Self::Echo(talk), _) => talk.timed_out(),
            (Self::Text(_) | Self::Http(_), _) => Outcome::Unexpected,
        }
    }

    /// The deadline came.
    pub fn timed_out(&self, topic: &Topic) -> Outcome {
        match (self, topic) {
            (Self::Text(talk), Topic::Text(script)) => talk.timed_out(script),
            (Self::Http(talk), Topic::Http(request)) => talk.timed_out(request),
            (Self::Grpc(talk), _) => talk.timed_out(),
            (Self::Smtp(talk), Topic::Smtp(visit)) => talk.timed_out(visit),
            (Self::Dns(talk), _) => talk.timed_out(),
            (Self::Echo(talk), _) => talk.timed_out(),
            (Self::Text(_) | Self::Http(_) | Self::Smtp(_), _) => Outcome::Unexpected,
        }
    }

    /// What is kept of the answer so far, for the log.
    pub fn got(&self) -> &[u8] {
        match self {
            Self::Text(talk) => talk.got(),
            Self::Http(talk) => talk.got(),
            Self::Grpc(talk) => talk.got(),
            Self::Smtp(talk) => talk.got(),
            Self::Dns(talk) => talk.got(),
            Self::Echo(talk) => talk.got(),
        }
    }
}
