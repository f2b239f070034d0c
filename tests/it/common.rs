//! What most tests need: the emulator behind a front, and bodies in the two families.

use anyhow::{Result, ensure};
use sallyport_tests::aimock::Aimock;
use sallyport_tests::clients::Client;
use sallyport_tests::encodings::Form;
use sallyport_tests::expect::Template;
use sallyport_tests::front::{Onward, PROVIDER_NAMES};
use sallyport_tests::secrets::Secret;
use sallyport_tests::{Front, Stage, TestRoot};
use serde_json::{Value, json};

/// The providers, as the engine finds them.
pub(crate) struct Providers {
    pub(crate) root: TestRoot,
    pub(crate) front: Front,
    _aimock: Option<Aimock>,
}

impl Providers {
    /// With the emulator behind the front.
    pub(crate) fn emulated() -> Result<Providers> {
        Providers::behind(Aimock::start()?)
    }

    pub(crate) fn behind(aimock: Aimock) -> Result<Providers> {
        let root = TestRoot::new()?;
        let front = Front::start(&root, &PROVIDER_NAMES)?;
        front.forward(Onward::Emulator(aimock.address));
        Ok(Providers { root, front, _aimock: Some(aimock) })
    }

    /// With a front that answers as the test says.
    pub(crate) fn scripted() -> Result<Providers> {
        let root = TestRoot::new()?;
        let front = Front::start(&root, &PROVIDER_NAMES)?;
        Ok(Providers { root, front, _aimock: None })
    }

    /// A stage whose engine takes these for the real providers; not started.
    pub(crate) fn stage(&self) -> Result<Stage> {
        Ok(Stage::new()?.behind(&self.front, &self.root))
    }
}

/// The two families that are understood in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    OpenAi,
    Anthropic,
}

impl Family {
    pub(crate) const BOTH: [Family; 2] = [Family::OpenAi, Family::Anthropic];

    pub(crate) fn host(self) -> &'static str {
        match self {
            Family::OpenAi => "api.openai.com",
            Family::Anthropic => "api.anthropic.com",
        }
    }

    pub(crate) fn path(self) -> &'static str {
        match self {
            Family::OpenAi => "/v1/chat/completions",
            Family::Anthropic => "/v1/messages",
        }
    }

    pub(crate) fn url(self) -> String {
        format!("https://{}{}", self.host(), self.path())
    }

    pub(crate) fn headers(self) -> [&'static str; 2] {
        match self {
            Family::OpenAi => ["authorization: Bearer no-key-needed", "accept: */*"],
            Family::Anthropic => ["x-api-key: no-key-needed", "anthropic-version: 2023-06-01"],
        }
    }

    /// A body with each of `places` in the system text, in the user's words, and in a tool's result. Its spacing is
    /// odd on purpose: whoever writes the JSON anew is found out.
    pub(crate) fn body(self, secrets: &[Secret], places: &[(usize, Form)]) -> Template {
        let mut body = Template::default();
        let fill = |body: &mut Template| {
            for &(secret, form) in places {
                body.secret(secrets, secret, form);
            }
        };
        match self {
            Family::OpenAi => {
                body.text("{ \"model\":\"gpt-4o\" ,\"messages\":[\n {\"role\":\"system\",\"content\":\"You are a guard. ");
                fill(&mut body);
                body.text("\"},\t{\"content\":\"Caf\\u00e9 \\/ look: ");
                fill(&mut body);
                body.text(concat!(
                    "\",\"role\":\"user\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"call_1\",",
                    "\"type\":\"function\",\"function\":{\"name\":\"read_file\",\"arguments\":\"{\\\"path\\\":\\\"a.txt\\\"}\"}}]},",
                    "{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":\"1\\t"
                ));
                fill(&mut body);
                body.text("\"}\n],\"temperature\":1.0e0,  \"user\":\"u-\\ud83d\\ude00\" }\n");
            }
            Family::Anthropic => {
                body.text("{\"model\": \"claude-sonnet-4-5\",\"max_tokens\":1024, \"system\":[{\"type\":\"text\",\"text\":\"Guard. ");
                fill(&mut body);
                body.text("\",\"cache_control\":{\"type\":\"ephemeral\"}}],\n\"messages\":[{\"role\":\"user\",\"content\":\"Caf\\u00e9 \\/ ");
                fill(&mut body);
                body.text(concat!(
                    "\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"read_file\",",
                    "\"input\":{\"path\":\"a.txt\"}}]} ,{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",",
                    "\"tool_use_id\":\"toolu_1\",\"content\":[{\"type\":\"text\",\"text\":\"1\\t"
                ));
                fill(&mut body);
                body.text("\"}]}]}],\"metadata\":{\"user_id\":\"u-\\ud83d\\ude00\"},\"stream\":false }");
            }
        }
        body
    }
}

/// A small request in the given family with these words of the user.
pub(crate) fn prompt(family: Family, text: &str, stream: bool) -> String {
    let text = sallyport_tests::encodings::inside_json_string(text);
    match family {
        Family::OpenAi => format!(
            "{{\"model\":\"gpt-4o\",\"stream\":{stream},\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}]}}"
        ),
        Family::Anthropic => format!(
            "{{\"model\":\"claude-sonnet-4-5\",\"max_tokens\":200,\"stream\":{stream},\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}]}}"
        ),
    }
}

/// Both SDKs in Python and in Node, plain and streaming, may try twice, and each tells its caller of this refusal.
pub(crate) fn sdks_are_refused(client: &Client, status: u16, words: &str) -> Result<()> {
    let messages = json!([{"role": "user", "content": "hello"}]);
    for vendor in ["openai", "anthropic"] {
        let arguments = match vendor {
            "openai" => json!({"model": "gpt-4o", "messages": messages}),
            _ => json!({"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": messages}),
        };
        for mode in ["plain", "stream"] {
            let outcome = client.python("sdk.py", &[vendor, mode, "2"], &arguments.to_string())?;
            let answer: Value = serde_json::from_str(&outcome.ok()?.stdout)?;
            let said = answer["error"].as_str().unwrap_or_default();
            ensure!(answer["status"] == status && said.contains(words), "{vendor} {mode}: {answer}");

            let outcome = client.node_sdk(&[vendor, mode, "2"], &arguments.to_string())?;
            let answer: Value = serde_json::from_str(&outcome.ok()?.stdout)?;
            let said = answer["error"].as_str().unwrap_or_default();
            ensure!(answer["status"] == status && said.contains(words), "{vendor} in Node, {mode}: {answer}");
            ensure!(answer["attempts"] == 1, "it asks in vain: {vendor} in Node, {mode}: {answer}");
        }
    }
    Ok(())
}
