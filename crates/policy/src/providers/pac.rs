//! The proxy auto-configuration file: AI hosts by way of us, everything else untouched.

use std::net::SocketAddr;

use super::Registry;
use crate::settings::FailMode;

/// Text of the PAC file. With [`FailMode::Closed`] AI hosts fail when nobody listens at `proxy`; with
/// [`FailMode::Open`] they then go straight out.
pub fn pac(proxy: SocketAddr, registry: &Registry, fail_mode: FailMode) -> String {
    let way = match fail_mode {
        FailMode::Closed => format!("PROXY {proxy}"),
        FailMode::Open => format!("PROXY {proxy}; DIRECT"),
    };
    let hosts = registry.intercepted_hosts();
    let exact = hosts.iter().filter(|host| !host.starts_with("*.")).map(String::as_str);
    let suffixes = hosts.iter().filter_map(|host| host.strip_prefix("*."));
    format!(
        "// Sallyport: AI providers go through the proxy on this machine, nothing else does.\n\
         var names = {names};\n\
         var suffixes = {suffixes};\n\
         var exceptions = {exceptions};\n\
         function has(table, host) {{ return Object.prototype.hasOwnProperty.call(table, host); }}\n\
         function FindProxyForURL(url, host) {{\n\
         \x20 host = host.toLowerCase().replace(/\\.$/, \"\");\n\
         \x20 if (has(exceptions, host)) return \"DIRECT\";\n\
         \x20 if (has(names, host)) return \"{way}\";\n\
         \x20 for (var dot = host.indexOf(\".\"); dot !== -1; dot = host.indexOf(\".\", dot + 1)) {{\n\
         \x20   if (has(suffixes, host.substring(dot + 1))) return \"{way}\";\n\
         \x20 }}\n\
         \x20 return \"DIRECT\";\n\
         }}\n",
        names = table(exact),
        suffixes = table(suffixes),
        exceptions = table(registry.exceptions().into_iter()),
    )
}

/// Host names hold no quotes: the registry takes none that do.
fn table<'a>(keys: impl Iterator<Item = &'a str>) -> String {
    let entries: Vec<_> = keys.map(|key| format!("\n  \"{key}\": 1")).collect();
    format!("{{{}\n}}", entries.join(","))
}
