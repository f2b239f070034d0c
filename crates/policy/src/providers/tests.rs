use std::net::SocketAddr;
use std::process::Command;

use super::*;
use crate::settings::FailMode;

fn row(yaml: &str) -> ProviderRow {
    yaml::from_str(yaml).unwrap()
}

fn extended(origin: Origin, yaml: &str) -> Result<Registry, String> {
    let row = row(yaml);
    Registry::extended(&[AddedRow { origin, locked: false, row: &row }])
        .map_err(|problems| format!("{}: {}", problems[0].field, problems[0].message))
}

#[test]
fn the_embedded_table_is_sound() {
    let table: Table = yaml::from_str(PROVIDERS_YAML).unwrap();
    for row in &table.providers {
        assert_eq!(row.check(&table.regions), None);
        assert!(row.title.is_some(), "{} needs a title", row.name);
    }
    assert!(Registry::builtin().providers().len() >= 30);
}

#[test]
fn hosts_lead_to_their_provider() {
    let registry = Registry::builtin();
    let table = [
        ("api.openai.com", Some("openai")),
        ("API.OpenAI.com.", Some("openai")),
        ("chatgpt.com", Some("chatgpt")),
        ("ab.chatgpt.com", Some("openai-telemetry")),
        ("api.anthropic.com", Some("anthropic")),
        ("claude.ai", Some("claude")),
        ("generativelanguage.googleapis.com", Some("gemini")),
        ("aiplatform.googleapis.com", Some("vertex")),
        ("europe-west4-aiplatform.googleapis.com", Some("vertex")),
        ("cloudcode-pa.googleapis.com", Some("gemini-code-assist")),
        ("corp.openai.azure.com", Some("azure-openai")),
        ("a.b.services.ai.azure.com", Some("azure-openai")),
        ("bedrock-runtime.eu-central-1.amazonaws.com", Some("bedrock")),
        ("bedrock.us-east-1.amazonaws.com", Some("bedrock-control")),
        ("q.us-east-1.amazonaws.com", Some("amazon-q")),
        ("api.individual.githubcopilot.com", Some("github-copilot")),
        ("api2.cursor.sh", Some("cursor")),
        ("api5.cursor.sh", Some("cursor")),
        ("openrouter.ai", Some("openrouter")),
        ("x.endpoints.huggingface.cloud", Some("huggingface")),
        ("s3.us-east-1.amazonaws.com", None),
        ("storage.googleapis.com", None),
        ("evilapi.openai.com", None),
        ("api.openai.com.evil.example", None),
        ("openai.azure.com", None),
        ("example.org", None),
    ];
    for (host, expected) in table {
        let provider = registry.intercepted(host, 443);
        assert_eq!(provider.map(|p| p.name.as_str()), expected, "{host}");
    }
}

#[test]
fn account_and_mixed_hosts_are_tunnelled() {
    let registry = Registry::builtin();
    for host in
        ["auth.openai.com", "platform.claude.com", "api.github.com", "x.ghe.com", "authenticator.cursor.sh"]
    {
        assert!(registry.lookup(host, 443).unwrap().tunnel, "{host}");
        assert!(registry.intercepted(host, 443).is_none(), "{host}");
        assert!(!registry.intercepted_hosts().contains(&host.to_owned()), "{host}");
    }
}

#[test]
fn local_servers_count_by_port() {
    let registry = Registry::builtin();
    assert_eq!(registry.lookup("localhost", 11434).unwrap().name, "ollama");
    assert_eq!(registry.lookup("[::1]", 1234).unwrap().name, "lm-studio");
    assert!(registry.lookup("localhost", 8080).is_none());
    assert!(registry.intercepted_hosts().iter().all(|host| host != "localhost" && host != "127.0.0.1"));
}

#[test]
fn certificates_are_never_asked_for_a_broad_suffix() {
    let registry = Registry::builtin();
    let hosts = registry.intercepted_hosts();
    for host in &hosts {
        assert_eq!(hosts::fault(host), None, "{host}");
        let name = host.strip_prefix("*.").unwrap_or(host);
        for shared in ["amazonaws.com", "googleapis.com", "azure.com", "github.com", "githubusercontent.com"]
        {
            assert_ne!(name, shared);
        }
    }
    assert!(hosts.windows(2).all(|pair| pair[0] < pair[1]), "sorted, each once");
    assert!(hosts.len() < 200, "{} names make every handshake long", hosts.len());
}

#[test]
fn paths_decide_family_and_kind() {
    use {TrafficKind::*, WireFamily::*};
    let registry = Registry::builtin();
    let table = [
        ("openai", "/v1/chat/completions", OpenAiChat, Model),
        ("openai", "/v1/chat/completions/?x=1", OpenAiChat, Model),
        ("openai", "/v1/responses", Generic, Model),
        ("openai", "/v1/files", Generic, Files),
        ("openai", "/v1/files/abc/content", Generic, Files),
        ("openai", "/v1//files", Generic, Model),
        ("anthropic", "/v1/messages?beta=true", AnthropicMessages, Model),
        ("anthropic", "/v1/messages/count_tokens", AnthropicMessages, Model),
        ("anthropic", "/v1/messages/batches", Generic, Model),
        ("anthropic", "/api/event_logging/batch", Generic, Telemetry),
        ("anthropic", "/api/event_logging/../../v1/messages", Generic, Model),
        ("anthropic", "/api/event_logging/%2e%2e/v1/messages", Generic, Model),
        ("openai-telemetry", "/otlp/v1/metrics", Generic, Telemetry),
        ("azure-openai", "/openai/deployments/gpt-5/chat/completions?api-version=1", OpenAiChat, Model),
        ("groq", "/openai/v1/chat/completions", OpenAiChat, Model),
        (
            "vertex",
            "/v1/projects/p/locations/l/publishers/anthropic/models/claude-x:rawPredict",
            AnthropicMessages,
            Model,
        ),
        (
            "vertex",
            "/v1/projects/p/locations/l/publishers/google/models/gemini:generateContent",
            Generic,
            Model,
        ),
    ];
    for (name, path, family, kind) in table {
        let endpoint = registry.provider(name).unwrap().endpoint(path);
        assert_eq!(endpoint, Endpoint { family, kind }, "{name} {path}");
    }
}

#[test]
fn credentials_are_named_per_host() {
    let registry = Registry::builtin();
    let gemini = &registry.provider("gemini").unwrap().auth;
    assert!(gemini.exempts_query("key") && gemini.exempts_header("X-Goog-Api-Key"));
    assert!(!gemini.exempts_header("x-api-key"));
    let openai = &registry.provider("openai").unwrap().auth;
    assert!(openai.exempts_subprotocol("openai-insecure-api-key.sk-x"));
    assert!(!openai.exempts_subprotocol("realtime"));
    for provider in registry.providers().iter().filter(|provider| !provider.tunnel) {
        assert!(!provider.auth.headers.is_empty(), "{} has no credential header", provider.name);
    }
}

#[test]
fn base_urls_lead_to_the_real_host() {
    let registry = Registry::builtin();
    let to = registry.ingress("/anthropic/v1/messages?beta=true").unwrap();
    assert_eq!(
        (to.host, to.port, to.plain, to.path),
        ("api.anthropic.com", 443, false, "/v1/messages?beta=true")
    );
    let to = registry.ingress("/ollama/v1/chat/completions").unwrap();
    assert_eq!((to.host, to.port, to.plain), ("localhost", 11434, true));
    assert_eq!(registry.ingress("/openai").unwrap().path, "/");
    for path in ["/", "/anthropicx/v1", "/unknown/v1", "anthropic", "/proxy.pac"] {
        assert!(registry.ingress(path).is_none(), "{path}");
    }
    let names: Vec<_> = registry.ingress_names().into_iter().map(|(name, _)| name).collect();
    assert!(["anthropic", "gemini", "openai"].iter().all(|name| names.contains(name)));
}

#[test]
fn documents_add_and_amend_providers() {
    let registry = extended(
        Origin::User,
        "{name: corp-llm, hosts: [llm.corp.example, \"*.llm.corp.example\"], agreement: self_hosted, ingress: corp,\
         endpoints: [{path: /v1/chat/completions, family: openai_chat}]}",
    )
    .unwrap();
    let corp = registry.intercepted("a.llm.corp.example", 8443).unwrap();
    assert_eq!((corp.agreement, corp.origin), (Agreement::SelfHosted, Origin::User));
    assert_eq!(corp.endpoint("/v1/chat/completions").family, WireFamily::OpenAiChat);
    assert!(registry.intercepted_hosts().contains(&"*.llm.corp.example".to_owned()));

    let registry = extended(
        Origin::Managed,
        "{name: openai, hosts: [eu.api.openai.com], agreement: enterprise, residency: eu}",
    )
    .unwrap();
    let openai = registry.intercepted("api.openai.com", 443).unwrap();
    assert_eq!(openai.hosts, ["api.openai.com", "eu.api.openai.com"]);
    assert_eq!((openai.agreement, openai.residency.as_deref()), (Agreement::Enterprise, Some("eu")));
    assert_eq!(openai.endpoint("/v1/chat/completions").family, WireFamily::OpenAiChat);
    for path in ["//v1/chat/completions", "/v1//chat/completions/", "/v1/chat/completions//"] {
        assert_eq!(openai.endpoint(path).family, WireFamily::OpenAiChat, "{path}");
    }

    let registry = extended(Origin::User, "{name: github-account, tunnel: false}").unwrap();
    assert!(registry.intercepted("api.github.com", 443).is_some());
    assert!(
        extended(Origin::Managed, "{name: cursor, tunnel: true}")
            .unwrap()
            .intercepted("api2.cursor.sh", 443)
            .is_none()
    );
}

#[test]
fn unsound_rows_are_refused() {
    let table = [
        ("{name: nobody}", "hosts: no provider is called `nobody`"),
        ("{name: a, hosts: [\"*.amazonaws.com\"]}", "hosts.0: `*.amazonaws.com` takes in hosts of others"),
        ("{name: a, hosts: [\"*.s3.amazonaws.com\"]}", "hosts.0: "),
        ("{name: a, hosts: [\"*.com\"]}", "hosts.0: "),
        ("{name: a, hosts: [ok.example, \"*\"]}", "hosts.1: `*` is no host name"),
        ("{name: a, hosts: [\"a.*.example\"]}", "hosts.0: "),
        ("{name: a, hosts: [\"A.example\"]}", "hosts.0: "),
        ("{name: a, hosts: [\"x\\\"y.example\"]}", "hosts.0: "),
        ("{name: a, hosts: [\"{mars}.example\"]}", "hosts.0: `{mars}` is no list of regions"),
        ("{name: a, hosts: [api.openai.com]}", "hosts: `api.openai.com` belongs to `openai`"),
        ("{name: A, hosts: [a.example]}", "name: "),
        ("{name: a, hosts: [a.example], plain: true}", "plain: "),
        ("{name: a, hosts: [a.example], ingress: openai}", "ingress: `/openai` leads to another provider"),
        ("{name: a, hosts: [a.example], endpoints: [{path: v1}]}", "endpoints.0.path: "),
        ("{name: a, hosts: [a.example], endpoints: [{path: /v1*/x}]}", "endpoints.0.path: "),
        ("{name: openai, tunnel: true}", "tunnel: `api.openai.com` is inspected"),
        (
            "{name: a, hosts: [mine.openai.azure.com], tunnel: true}",
            "tunnel: `mine.openai.azure.com` is inspected",
        ),
    ];
    for (yaml, expected) in table {
        let got = extended(Origin::User, yaml).expect_err(yaml);
        assert!(got.starts_with(expected), "{yaml}\n  got      {got}\n  expected {expected}");
    }
}

/// Runs the PAC file in Node, as a browser would.
#[test]
fn the_pac_file_sends_ai_hosts_through_us_and_nothing_else() {
    let proxy: SocketAddr = "127.0.0.1:8877".parse().unwrap();
    let registry = Registry::builtin();
    let closed = pac(proxy, &registry, FailMode::Closed);
    let open = pac(proxy, &registry, FailMode::Open);
    assert!(open.contains("\"PROXY 127.0.0.1:8877; DIRECT\"") && !closed.contains("; DIRECT"));
    let hosts = [
        ("api.openai.com", true),
        ("API.OPENAI.COM", true),
        ("api.openai.com.", true),
        ("x.openai.azure.com", true),
        ("openai.azure.com", false),
        ("api5.cursor.sh", true),
        ("authenticator.cursor.sh", false),
        ("auth.openai.com", false),
        ("example.org", false),
        ("constructor", false),
        ("s3.us-east-1.amazonaws.com", false),
        ("localhost", false),
    ];
    let calls: Vec<_> =
        hosts.iter().map(|(host, _)| format!("FindProxyForURL('https://{host}/', '{host}')")).collect();
    let script = format!("{closed}\nconsole.log([{}].join('\\n'))", calls.join(","));
    let output = Command::new("node").arg("-e").arg(script).output().expect("node runs the PAC file");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers = String::from_utf8(output.stdout).unwrap();
    for ((host, ours), answer) in hosts.iter().zip(answers.lines()) {
        assert_eq!(answer, if *ours { "PROXY 127.0.0.1:8877" } else { "DIRECT" }, "{host}");
    }
}
