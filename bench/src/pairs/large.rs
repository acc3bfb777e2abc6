//! Requests as agents send them, of any size: many tools and a long history, growing together.

use super::fixtures::request;
use crate::sentence;
use serde_json::Value;
use trunkline_core::Dialect;

/// Bytes of a tool's description, of a question in the history, and of a prompt per tool. Together they make
/// 200 tools a megabyte.
const DESCRIPTION: usize = 1200;
const QUESTION: usize = 2900;
const PROMPT: usize = 5200;

/// Where a request holds what grows.
enum Grows {
    /// Turns, tools, and where in a tool its name and description are.
    Turns { turns: &'static str, tools: &'static str, tool: &'static str },
    /// Nothing but one prompt.
    Prompt,
}

/// A request of about 5 KiB for each of `tools`: a tool, and a question with three calls and their results.
/// Names are such that most upstreams need others in their stead. `None` for what no client speaks.
#[must_use]
pub fn large_request(client: Dialect, tools: usize) -> Option<Vec<u8>> {
    let mut body: Value = serde_json::from_slice(&request(client)).ok()?;
    match grows(client)? {
        Grows::Prompt => *body.get_mut("prompt")? = sentence(PROMPT * tools).into(),
        Grows::Turns { turns: at, tools: offered, tool } => {
            let turns = body.pointer_mut(at)?.as_array_mut()?;
            let once = serde_json::to_string(turns).ok()?;
            turns.clear();
            for round in 0..tools {
                let once = once
                    .replace("call_h", &format!("call_{round}_"))
                    .replace("Wie wird das Wetter", &sentence(QUESTION));
                turns.extend(serde_json::from_str::<Vec<Value>>(&once).ok()?);
            }
            let offered = body.pointer_mut(offered)?.as_array_mut()?;
            let pattern = offered.first()?.clone();
            for number in 0..tools {
                let mut one = pattern.clone();
                let inner = one.pointer_mut(tool)?;
                *inner.get_mut("name")? = format!("crm.example/records.lookup-{number}").into();
                inner.as_object_mut()?.insert("description".into(), sentence(DESCRIPTION).into());
                offered.push(one);
            }
        }
    }
    serde_json::to_vec(&body).ok()
}

fn grows(client: Dialect) -> Option<Grows> {
    let turns = |turns, tools, tool| Some(Grows::Turns { turns, tools, tool });
    match client {
        Dialect::OpenaiChat | Dialect::OllamaChat => turns("/messages", "/tools", "/function"),
        Dialect::OpenaiResponses => turns("/input", "/tools", ""),
        Dialect::AnthropicMessages => turns("/messages", "/tools", ""),
        Dialect::GeminiGenerate => turns("/contents", "/tools/0/functionDeclarations", ""),
        Dialect::BedrockConverse => turns("/messages", "/toolConfig/tools", "/toolSpec"),
        Dialect::OpenaiCompletions | Dialect::OllamaGenerate => Some(Grows::Prompt),
        Dialect::CohereChat | Dialect::ReplicatePredictions | Dialect::Surface(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::{Pair, clients, key};

    #[test]
    fn two_hundred_tools_make_a_megabyte() {
        for client in clients() {
            let bytes = large_request(client, 200).unwrap().len();
            assert!((900_000..1_300_000).contains(&bytes), "{client}: {bytes}");
        }
    }

    /// What is written grows as what is read does, so nothing is repeated for each of the others.
    #[test]
    fn output_grows_with_the_request() {
        for pair in Pair::all() {
            let written = |tools| {
                let body = large_request(pair.client, tools).unwrap();
                pair.call(&body, key()).unwrap().body.len()
            };
            let [once, twice, four] = [20, 40, 80].map(written);
            let (first, second) = (twice - once, four - twice);
            // Numbers grow by a digit; nothing else does.
            assert!(first > 0 && second.abs_diff(2 * first) < first / 50, "{pair:?}: {once} {twice} {four}");
        }
    }
}
