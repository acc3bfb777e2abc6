//! Codec skeleton.
#![expect(missing_docs, clippy::todo, reason = "skeleton")]
use crate::codec::{Context, Target, Written};
use trunkline_core::{Call, Event, Fault, Losses, Reply};

pub fn read_call(_body: &[u8], _losses: &mut Losses) -> Result<Call, Fault> {
    todo!()
}
pub fn write_call(_call: &Call, _target: &Target<'_>, _losses: &mut Losses) -> Result<Written, Fault> {
    todo!()
}
pub fn read_reply(_body: &[u8]) -> Result<Reply, Fault> {
    todo!()
}
pub fn write_reply(_reply: &Reply, _context: &Context, _losses: &mut Losses) -> Vec<u8> {
    todo!()
}
pub fn read_error(_status: u16, _body: &[u8]) -> Fault {
    todo!()
}
pub fn write_error(_fault: &Fault, _request_id: &str) -> Vec<u8> {
    todo!()
}
#[derive(Debug)]
pub struct StreamReader;
impl StreamReader {
    pub fn new(_event_bytes: usize) -> Self {
        todo!()
    }
    pub fn push(&mut self, _bytes: &[u8], _each: &mut dyn FnMut(Event<'_>)) {
        todo!()
    }
    pub fn close(&mut self, _each: &mut dyn FnMut(Event<'_>)) {
        todo!()
    }
}
#[derive(Debug)]
pub struct StreamWriter;
impl StreamWriter {
    pub fn new(_context: Context) -> Self {
        todo!()
    }
    pub fn write(&mut self, _event: Event<'_>, _out: &mut Vec<u8>) {
        todo!()
    }
}

pub fn needs_inlining(_call: &Call) -> Vec<String> {
    todo!()
}
pub fn inline(_call: &mut Call, _url: &str, _mime: &str, _data: String) {
    todo!()
}
