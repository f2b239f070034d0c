//! Declares the window's commands, each of which then needs a permission, and makes sure that there are pages to embed.

use std::path::Path;

const COMMANDS: &[&str] = &[
    "status",
    "on",
    "off",
    "activity",
    "audit",
    "verify",
    "export_trail",
    "rules",
    "sources",
    "sync_sources",
    "policy",
    "reload_policy",
    "quota",
    "quota_history",
    "approvals",
    "approve",
    "deny",
    "revoke",
    "allowed",
    "allow",
    "disallow",
    "ca",
    "self_test",
    "tool_setup",
    "remove_certificate",
    "bring_back",
    "shell",
    "change_shell",
    "quit",
    "settings",
    "change_settings",
];

/// Shown when the app was built before its pages were.
const UNBUILT: &str = "<!doctype html><title>Sallyport</title><p>The pages were not built: run <code>make ui</code>, then build the app again.</p>";

fn main() {
    println!("cargo::rerun-if-changed=../ui/dist");
    let pages = Path::new("../ui/dist");
    if !pages.join("index.html").exists() {
        std::fs::create_dir_all(pages)
            .and_then(|()| std::fs::write(pages.join("index.html"), UNBUILT))
            .expect("ui/dist can be written");
    }
    let manifest = tauri_build::AppManifest::new().commands(COMMANDS);
    tauri_build::try_build(tauri_build::Attributes::new().app_manifest(manifest))
        .expect("the app's configuration is sound");
}
