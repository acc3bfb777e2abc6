//! One cell: a client's request to an upstream and the upstream's answer back, through the door that the
//! gateway uses, each step checked in the bytes that travel.

use super::clients::{Client, Gap};
use super::compare::{at, held_or_told, kept_ids, names_the_request, numbered, same};
use super::node::Node;
use super::story::{Bit, Counts, Feature, RESULTS, Said, Told, Who};
use super::told::Heard;
use super::upstreams::{self, Upstream};
use super::wire::{chunkings, framed, section};
use crate::chain::{EVENT_BYTES, context, read_stream};
use bytes::Bytes;
use trunkline_core::{Action, Fault, FaultKind, Fold, Loss, Losses, OnUnsupported};
use trunkline_dialect::framing::{Framing, Whole};
use trunkline_dialect::restore::Restore;
use trunkline_dialect::rope::Rope;
use trunkline_dialect::scan::{DEEPEST, Scan};
use trunkline_dialect::seal::{Key, Sealer, unseal};
use trunkline_dialect::tap::{StreamTap, tap_reply};
use trunkline_dialect::{
    StreamReader, StreamWriter, Written, read_call, read_reply, write_call, write_error, write_reply, writes,
};

/// Whole or streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    Unary,
    Stream,
}

/// What came of a cell.
#[derive(Debug, Default)]
pub(super) struct Cell {
    pub(super) passed: usize,
    pub(super) failures: Vec<String>,
    pub(super) losses: Losses,
}

impl Cell {
    pub(super) fn case(&mut self, name: impl Into<String>, result: Result<(), String>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(why) => self.failures.push(format!("{}: {why}", name.into())),
        }
    }

    fn lose(&mut self, losses: &Losses) {
        losses.iter().cloned().for_each(|loss| self.losses.push_once(loss));
    }
}

/// Runs every case of one cell.
pub(super) fn run(
    client: &'static Client,
    upstream: &'static Upstream,
    feature: Feature,
    mode: Mode,
) -> Cell {
    let pair = Pair { client, upstream, feature, mode };
    let mut cell = Cell::default();
    if let Some(Gap::Refused { param, .. }) = client.gap(feature) {
        cell.case("refusal", pair.refusal(Some(param)));
        return cell;
    }
    if let Some(upstreams::Gap::Refused { .. }) = upstream.gap(feature) {
        cell.case("refusal", pair.refusal(None));
        return cell;
    }
    match feature {
        Feature::Error => pair.errors(&mut cell),
        Feature::Cut => pair.cuts(&mut cell),
        Feature::Text
        | Feature::Tools
        | Feature::Parallel
        | Feature::Thinking
        | Feature::Image
        | Feature::Document
        | Feature::Structured
        | Feature::Cached => pair.conversation(&mut cell),
    }
    if upstream.is_spoken_by(client) && pair.is_conversation() {
        cell.case("splice", pair.splice());
    }
    cell
}

/// A client, an upstream, and what goes on between them.
pub(super) struct Pair {
    pub(super) client: &'static Client,
    pub(super) upstream: &'static Upstream,
    feature: Feature,
    pub(super) mode: Mode,
}

impl Pair {
    fn is_conversation(&self) -> bool {
        !matches!(self.feature, Feature::Error | Feature::Cut)
    }

    fn key() -> Key {
        Key::new(&context().seal)
    }

    /// The client's request.
    pub(super) fn request(&self) -> Result<String, String> {
        let body = section(self.client.requests, self.feature.request())?.concat();
        Ok(match self.mode {
            Mode::Unary if self.client.streaming.is_empty() => body,
            // Some servers stream unless they are told not to.
            Mode::Unary => body.replacen('{', r#"{"stream":false,"#, 1),
            Mode::Stream => body.replacen('{', &["{", self.client.streaming].concat(), 1),
        })
    }

    /// What the upstream receives for `body`.
    pub(super) fn send(&self, body: &str) -> Result<(Written, Losses), Fault> {
        let mut losses = Losses::default();
        let mut call = read_call(self.client.dialect, body.as_bytes(), &mut losses)?;
        // The path says it where the body does not.
        call.stream.on = self.mode == Mode::Stream;
        unseal(&mut call, &Self::key(), &mut losses);
        let target = (self.upstream.target)();
        let mut written = write_call(self.upstream.dialect, &call, &target, &mut losses)?;
        let (client, upstream) = (self.client.dialect, self.upstream.dialect);
        let wanted = call.reasoning.is_wanted();
        written.restore.sealer = Some(Sealer { key: Self::key(), client, upstream, wanted });
        Ok((written, losses))
    }

    /// The bytes of the upstream's stream, event by event.
    pub(super) fn events(&self, section_name: &str) -> Result<Vec<Vec<u8>>, String> {
        Ok(framed(self.upstream.dialect, &section(self.upstream.answers, &format!("{section_name} stream"))?))
    }

    pub(super) fn body(&self) -> Result<&'static str, String> {
        section(self.upstream.answers, &format!("{} whole", self.feature.answer()))?
            .first()
            .copied()
            .ok_or("empty".into())
    }

    /// The refusal of a request that holds what cannot be said: before anything is sent, naming the part.
    fn refusal(&self, param: Option<&str>) -> Result<(), String> {
        let body = self.request()?;
        let fault = self.send(&body).err().ok_or("it is not refused")?;
        same("class", &matches!(fault.kind, FaultKind::Unsupported | FaultKind::InvalidRequest), &true)?;
        let named = fault.param.clone().ok_or("the refusal names nothing")?;
        let part = at(Node::read(&body)?, &named).ok_or(format!("{named} is not in the request"))?;
        match param {
            Some(param) => same("param", &named.as_str(), &param)?,
            None => same(&format!("{named} is the part"), &part.raw().contains("JVBERi0="), &true)?,
        }
        let shown = write_error(self.client.dialect, &fault, "req-1");
        let shown = String::from_utf8(shown).map_err(|error| error.to_string())?;
        same("message", &(self.client.error)(&shown)?.message, &fault.message)
    }

    fn conversation(&self, cell: &mut Cell) {
        let sent = self.request().and_then(|body| {
            let sent = self.send(&body).map_err(|fault| format!("{fault:?}"))?;
            Ok((body, sent))
        });
        let (body, (written, losses)) = match sent {
            Ok(sent) => sent,
            Err(why) => return cell.case("request", Err(why)),
        };
        cell.lose(&losses);
        cell.case("request", self.asks(&body, &written, &losses));
        match self.mode {
            Mode::Unary => self.whole(cell, &body, &written.restore),
            Mode::Stream => self.streams(cell, &written.restore),
        }
    }

    /// The upstream is asked what the client asked.
    fn asks(&self, request: &str, written: &Written, losses: &Losses) -> Result<(), String> {
        let body = std::str::from_utf8(&written.body).map_err(|error| error.to_string())?;
        let got = (self.upstream.read)(body)?;
        let want = self.upstream.takes(self.client.asks(self.feature));
        same("turns", &numbered(&got.said), &numbered(&want.said)).map_err(|why| format!("{why}\n{body}"))?;
        let keeps = !self.upstream.can.ids || kept_ids(&got, &want);
        same("ids", &keeps, &true).map_err(|why| format!("{why}\n{body}"))?;
        same("system", &got.system, &want.system)?;
        same("tools", &got.tools, &want.tools)?;
        same("copies", &written.fan_out, &1)?;
        if got.stream.is_some_and(|on| on != (self.mode == Mode::Stream)) {
            return Err(format!("stream is {:?}", got.stream));
        }
        held_or_told(&got, &want, losses)?;
        let is_longer = want.said.len() > self.client.asks(self.feature).said.len();
        let invented = losses.iter().any(|loss| loss.action == Action::Invented);
        same("an invented turn is told", &(invented || !is_longer), &true)?;
        self.tells_gaps(losses)?;
        if let Some(loss) = losses.refused(OnUnsupported::Warn) {
            return Err(format!("refused: {loss:?}"));
        }
        names_the_request(Node::read(request)?, losses)
    }

    fn expected(&self) -> Told {
        self.client.shown(self.upstream.says(self.feature, self.mode))
    }

    /// What one side has no form for, though the request is served, is told.
    fn tells_gaps(&self, losses: &Losses) -> Result<(), String> {
        if let Some(Gap::Dropped { param, .. }) = self.client.gap(self.feature) {
            same(&format!("{param} is told"), &losses.iter().any(|loss| loss.path == param), &true)?;
        }
        if let Some(upstreams::Gap::Dropped { words, .. }) = self.upstream.gap(self.feature) {
            let is_it = |loss: &Loss| {
                loss.action == Action::Dropped
                    && words.iter().any(|word| loss.path.to_lowercase().contains(word))
            };
            same(&format!("{words:?} is told"), &losses.iter().any(is_it), &true)?;
        }
        Ok(())
    }

    /// Ids that the upstream does not give are made, and all different. Behind an id there may be state,
    /// where the client's dialect has no field for it.
    fn check(&self, got: &Told) -> Result<(), String> {
        let mut got = got.clone();
        let mut made = Vec::new();
        for said in &mut got.said {
            let Said::Call { id, .. } = said else { continue };
            if let Some((own, _)) = id.split_once("__sealed__").filter(|_| self.upstream.proof.is_some()) {
                *id = own.to_owned();
            }
            if self.upstream.ids.is_none() {
                made.push(std::mem::take(id));
            }
        }
        let calls = made.len();
        made.sort();
        made.dedup();
        same("different ids", &made.len(), &calls)?;
        let want = self.expected();
        // Where an upstream counts nothing, a dialect that must count says nought.
        if want.counts.is_none() && got.counts == Some(Counts::default()) {
            got.counts = None;
        }
        same("answer", &got, &want)
    }

    fn whole(&self, cell: &mut Cell, request: &str, restore: &Restore) {
        let answer = match self.answered(restore) {
            Ok((answer, losses)) => {
                cell.lose(&losses);
                answer
            }
            Err(why) => return cell.case("answer", Err(why)),
        };
        let told = (self.client.whole)(&answer);
        cell.case(
            "answer",
            told.and_then(|told| self.check(&told)).map_err(|why| format!("{why}\n{answer}")),
        );
        if writes(self.client.dialect) {
            cell.case("read back", self.read_back(&answer, restore));
        }
        let loops = matches!(self.feature, Feature::Tools | Feature::Parallel | Feature::Thinking);
        if let Some(next) = self.client.next.filter(|_| loops && self.upstream.can.call) {
            cell.case("next turn", next(request, &answer).and_then(|body| self.next_turn(&body)));
        }
    }

    /// The text of the whole answer that the client gets.
    fn answered(&self, restore: &Restore) -> Result<(String, Losses), String> {
        let mut reply = read_reply(self.upstream.dialect, self.body()?.as_bytes())
            .map_err(|fault| format!("{fault:?}"))?;
        restore.reply(&mut reply);
        let mut losses = Losses::default();
        let out = write_reply(self.client.dialect, &reply, &context(), &mut losses);
        let out = out.map_err(|fault| format!("{fault:?}"))?;
        Ok((String::from_utf8(out).map_err(|error| error.to_string())?, losses))
    }

    /// A gateway behind this one reads the same whole answer off the stream and off the body.
    fn read_back(&self, answer: &str, restore: &Restore) -> Result<(), String> {
        let fault = |fault: Fault| format!("{fault:?}");
        let whole = read_reply(self.client.dialect, answer.as_bytes()).map_err(fault)?;
        let events = self.events(self.feature.answer())?;
        let (bytes, _) = self.relay(&events, restore);
        let mut fold = Fold::default();
        read_stream(self.client.dialect, &[&bytes], |event| fold.push(event));
        let streamed = fold.finish().map_err(fault)?;
        same("choices", &streamed.choices, &whole.choices)?;
        if !self.upstream.can.count_streams {
            return Ok(());
        }
        same(
            "usage",
            &streamed.usage.map(|usage| usage.output_total),
            &whole.usage.map(|usage| usage.output_total),
        )
    }

    /// The client's next request brings the answer back as the upstream gave it.
    fn next_turn(&self, body: &str) -> Result<(), String> {
        let (written, losses) = self.send(body).map_err(|fault| format!("{fault:?}"))?;
        let sent = std::str::from_utf8(&written.body).map_err(|error| error.to_string())?;
        let got = (self.upstream.read)(sent)?;
        let mut want = self.upstream.takes(self.client.asks(self.feature)).said;
        let told = self.expected();
        for said in &told.said {
            want.push((
                Who::Model,
                match said {
                    Said::Thought(text) => Bit::Thought(text.clone()),
                    Said::Words(text) => Bit::Words(text.clone()),
                    Said::Call { id, name, arguments } => {
                        Bit::Call { id: Some(id.clone()), name: name.clone(), arguments: arguments.clone() }
                    }
                },
            ));
        }
        let calls = told.said.iter().filter_map(|said| match said {
            Said::Call { id, .. } => Some(Some(id.clone())),
            _ => None,
        });
        want.extend(
            calls.zip(RESULTS).map(|(id, text)| (Who::User, Bit::Result { id, text: text.to_owned() })),
        );
        let spoken = |said: &[(Who, Bit)]| {
            let spoken = said.iter().filter(|(_, bit)| !matches!(bit, Bit::Thought(_)));
            numbered(&spoken.cloned().collect::<Vec<_>>())
        };
        same("turns", &spoken(&got.said), &spoken(&want)).map_err(|why| format!("{why}\n{sent}"))?;
        if self.upstream.ids.is_some() {
            let given = |said: &[(Who, Bit)]| -> Vec<_> {
                let ids = said.iter().filter_map(|(_, bit)| match bit {
                    Bit::Call { id, .. } => id.clone(),
                    _ => None,
                });
                ids.rev().take(RESULTS.len().min(told.said.len())).collect()
            };
            let own: Vec<_> = given(&want).into_iter().filter(|id| !id.starts_with("call_h")).collect();
            same("ids of the upstream", &own.iter().all(|id| given(&got.said).contains(id)), &true)?;
        }
        if self.feature == Feature::Thinking {
            let proof = self.upstream.proof_from(self.client);
            let proofs: Vec<_> = proof.into_iter().map(str::to_owned).collect();
            same("proofs", &got.proofs, &proofs).map_err(|why| format!("{why}\n{losses:?}\n{sent}"))?;
        }
        Ok(())
    }

    /// The bytes a client gets for a stream in these pieces, and what it lost.
    pub(super) fn relay(&self, pieces: &[Vec<u8>], restore: &Restore) -> (Vec<u8>, Losses) {
        let mut restore = restore.clone();
        let mut writer = StreamWriter::new(self.client.dialect, context()).unwrap();
        let mut out = Vec::new();
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        read_stream(self.upstream.dialect, &pieces, |event| {
            restore.push(event, &mut |event| writer.write(event, &mut out));
        });
        (out, writer.losses().clone())
    }

    fn streams(&self, cell: &mut Cell, restore: &Restore) {
        let events = match self.events(self.feature.answer()) {
            Ok(events) => events,
            Err(why) => return cell.case("stream", Err(why)),
        };
        let (whole, losses) = self.relay(&events, restore);
        cell.lose(&losses);
        for (name, pieces) in chunkings(&events) {
            let (bytes, _) = self.relay(&pieces, restore);
            let heard = (self.client.stream)(&bytes).and_then(|heard| match heard {
                Heard::Whole(told) => self.check(&told),
                Heard::Failed { trouble, .. } => Err(format!("{trouble:?}")),
            });
            let heard = heard.map_err(|why| format!("{why}\n{}", String::from_utf8_lossy(&bytes)));
            cell.case(name, heard.and_then(|()| same("bytes however cut", &(bytes == whole), &true)));
        }
    }

    /// Nothing but the model's name changes, and the books are kept all the same.
    fn splice(&self) -> Result<(), String> {
        let (dialect, request) = (self.client.dialect, self.request()?);
        let mut scan = Scan::new(DEEPEST);
        request
            .as_bytes()
            .chunks(7)
            .try_for_each(|piece| scan.push(piece))
            .map_err(|error| error.to_string())?;
        let scanned = scan.finish().map_err(|error| error.to_string())?;
        if let Some((_, range)) = scanned.model.filter(|(_, range)| !range.is_empty()) {
            let spliced = Rope::from(request.clone().into_bytes())
                .splice(&[(range, Bytes::from_static(br#""other""#))]);
            same("request", &&*spliced.joined(), &request.replacen(r#""m""#, r#""other""#, 1).as_bytes())?;
        }
        let counts = self.expected().counts.unwrap_or_default();
        let used = |usage: Option<Box<trunkline_core::Usage>>| {
            usage.map(|usage| (usage.input_total.unwrap_or(0), usage.output_total.unwrap_or(0)))
        };
        if self.mode == Mode::Unary {
            let tapped = tap_reply(dialect, &[Bytes::from_static(self.body()?.as_bytes())]);
            return same("tapped", &used(tapped.usage), &Some((counts.input, counts.output)));
        }
        let events = self.events(self.feature.answer())?;
        for (name, pieces) in chunkings(&events) {
            let (mut whole, mut tap) = (Whole::new(Framing::of(dialect)), StreamTap::new(dialect, 1));
            let mut out = Vec::new();
            for piece in pieces {
                if let Some(events) = whole.push(piece.into()) {
                    tap.see(&events);
                    out.extend_from_slice(&events);
                }
            }
            same(&format!("{name}: bytes"), &(out == events.concat()), &true)?;
            same(&format!("{name}: a clean end"), &tap.close(), &true)?;
            let tapped = &tap.tapped;
            same(
                &format!("{name}: tapped"),
                &used(tapped.usage.clone()),
                &Some((counts.input, counts.output)),
            )?;
        }
        StreamReader::new(dialect, EVENT_BYTES).map(drop).map_err(|fault| format!("{fault:?}"))
    }
}
