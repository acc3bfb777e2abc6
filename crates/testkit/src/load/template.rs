//! The request as bytes, with the places that change from one to the next.

use super::Plan;
use crate::clock;
use memchr::memmem;

const SERIAL: &[u8] = b"UNIQ000000";
const SESSION: &[u8] = b"SESS00";

/// A request ready to be sent again and again.
#[derive(Debug)]
pub(super) struct Template {
    bytes: Vec<u8>,
    serials: Vec<usize>,
    sessions: Vec<usize>,
    session_count: u64,
    sent: u64,
}

impl Template {
    pub(super) fn new(plan: &Plan) -> Self {
        let method = if plan.body.is_empty() { "GET" } else { "POST" };
        let mut head = format!("{method} {} HTTP/1.1\r\nhost: {}\r\n", plan.path, plan.target);
        for (name, value) in &plan.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !plan.body.is_empty() {
            head.push_str(&format!(
                "content-type: application/json\r\ncontent-length: {}\r\n",
                plan.body.len()
            ));
        }
        head.push_str("\r\n");
        let offset = head.len();
        let places = |mark: &[u8]| memmem::find_iter(&plan.body, mark).map(|at| at + offset).collect();
        let (serials, sessions) = (places(SERIAL), places(SESSION));
        let bytes = [head.as_bytes(), &plan.body].concat();
        Self { bytes, serials, sessions, session_count: plan.sessions.max(1), sent: 0 }
    }

    /// The next request.
    pub(super) fn next(&mut self) -> &[u8] {
        self.sent += 1;
        for at in &self.serials {
            if let Some(place) = self.bytes.get_mut(*at..at + SERIAL.len()) {
                clock::write_digits(self.sent, place);
            }
        }
        // Spread by a large odd factor: neighbours in time belong to different sessions.
        let session = (self.sent.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) % self.session_count;
        for at in &self.sessions {
            if let Some(place) = self.bytes.get_mut(*at..at + SESSION.len()) {
                clock::write_digits(session, place);
            }
        }
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_become_numbers_of_the_same_length() {
        let body = br#"{"a":"SESS00","b":"UNIQ000000"}"#.to_vec();
        let mut template = Template::new(&Plan { body: body.clone(), sessions: 1, ..Plan::default() });
        template.next();
        let second = String::from_utf8(template.next().to_vec()).unwrap();
        assert!(second.ends_with(r#"{"a":"000000","b":"0000000002"}"#), "{second}");
        assert!(second.contains(&format!("content-length: {}\r\n", body.len())));
        assert!(Template::new(&Plan::default()).next().starts_with(b"GET /v1"));
    }
}
