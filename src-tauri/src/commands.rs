//! What the window may ask for. Each command is one call to the engine, or one setting of this app; nothing else of the
//! system is within its reach.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sallyport_ipc::types::{
    Activity, ActivityRequest, AllowDraft, AllowEntry, AllowRemoval, AuditFilter, AuditPage, CaView,
    ElevationAnswer, ElevationView, OffRequest, PolicyView, QuotaHistory, QuotaView, RuleView,
    SelfTestReport, SourceStatus, Status, TrailProof,
};
use serde::Serialize;
use tauri::ipc::Invoke;
use tauri::{AppHandle, Manager, State, Wry};
use tauri_plugin_autostart::ManagerExt;

use crate::export::{Exported, Format, export};
use crate::failure::Failure;
use crate::settings::{self, AppSettings, Kept};
use crate::shell::{ShellSetup, Startup};
use crate::{App, engine};

/// How long an engine may finish what is under way, and how often that is looked at.
const DRAINED: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(100);

type Answer<T> = Result<T, Failure>;

pub(crate) fn all() -> impl Fn(Invoke<Wry>) -> bool + Send + Sync + 'static {
    tauri::generate_handler![
        status,
        on,
        off,
        activity,
        audit,
        verify,
        export_trail,
        rules,
        sources,
        sync_sources,
        policy,
        reload_policy,
        quota,
        quota_history,
        approvals,
        approve,
        deny,
        revoke,
        allowed,
        allow,
        disallow,
        ca,
        self_test,
        tool_setup,
        remove_certificate,
        bring_back,
        shell,
        change_shell,
        quit,
        settings,
        change_settings,
    ]
}

#[tauri::command]
async fn status(app: State<'_, App>) -> Answer<Status> {
    Ok(app.client.status().await?)
}

#[tauri::command]
async fn on(app: State<'_, App>) -> Answer<Status> {
    Ok(app.client.on().await?)
}

#[tauri::command]
async fn off(app: State<'_, App>, request: OffRequest) -> Answer<Status> {
    Ok(app.client.off(&request).await?)
}

#[tauri::command]
async fn activity(app: State<'_, App>, request: ActivityRequest) -> Answer<Activity> {
    Ok(app.client.audit_activity(&request).await?)
}

#[tauri::command]
async fn audit(app: State<'_, App>, filter: AuditFilter) -> Answer<AuditPage> {
    Ok(app.client.audit_query(&filter).await?)
}

#[tauri::command]
async fn verify(app: State<'_, App>) -> Answer<TrailProof> {
    Ok(app.client.audit_verify().await?)
}

#[tauri::command]
async fn export_trail(
    handle: AppHandle,
    app: State<'_, App>,
    filter: AuditFilter,
    format: Format,
) -> Answer<Exported> {
    let home = app.paths.user_home().join("Downloads");
    let folder = handle.path().download_dir().unwrap_or(home);
    export(&app.client, &folder, filter, format).await
}

#[tauri::command]
async fn rules(app: State<'_, App>) -> Answer<Vec<RuleView>> {
    Ok(app.client.rules().await?)
}

#[tauri::command]
async fn sources(app: State<'_, App>) -> Answer<Vec<SourceStatus>> {
    Ok(app.client.sources().await?)
}

#[tauri::command]
async fn sync_sources(app: State<'_, App>) -> Answer<Vec<SourceStatus>> {
    Ok(app.client.secrets_sync().await?)
}

#[tauri::command]
async fn policy(app: State<'_, App>) -> Answer<PolicyView> {
    Ok(app.client.policy().await?)
}

#[tauri::command]
async fn reload_policy(app: State<'_, App>) -> Answer<PolicyView> {
    Ok(app.client.policy_reload().await?)
}

#[tauri::command]
async fn quota(app: State<'_, App>) -> Answer<QuotaView> {
    Ok(app.client.quota().await?)
}

#[tauri::command]
async fn quota_history(app: State<'_, App>) -> Answer<QuotaHistory> {
    Ok(app.client.quota_history().await?)
}

#[tauri::command]
async fn approvals(app: State<'_, App>) -> Answer<Vec<ElevationView>> {
    Ok(app.client.elevations().await?)
}

/// The engine makes sure of the person before it grants anything; a click here proves nothing.
#[tauri::command]
async fn approve(app: State<'_, App>, answer: ElevationAnswer) -> Answer<ElevationView> {
    Ok(app.client.elevation_approve(&answer).await?)
}

#[tauri::command]
async fn deny(app: State<'_, App>, answer: ElevationAnswer) -> Answer<ElevationView> {
    Ok(app.client.elevation_deny(&answer).await?)
}

#[tauri::command]
async fn revoke(app: State<'_, App>, answer: ElevationAnswer) -> Answer<ElevationView> {
    Ok(app.client.elevation_revoke(&answer).await?)
}

#[tauri::command]
async fn allowed(app: State<'_, App>) -> Answer<Vec<AllowEntry>> {
    Ok(app.client.allowed().await?)
}

/// As with a grant: the engine makes sure of the person first.
#[tauri::command]
async fn allow(app: State<'_, App>, draft: AllowDraft) -> Answer<AllowEntry> {
    Ok(app.client.allow_add(&draft).await?)
}

#[tauri::command]
async fn disallow(app: State<'_, App>, removal: AllowRemoval) -> Answer<AllowEntry> {
    Ok(app.client.allow_remove(&removal).await?)
}

#[tauri::command]
async fn ca(app: State<'_, App>) -> Answer<CaView> {
    Ok(app.client.ca().await?)
}

#[tauri::command]
async fn self_test(app: State<'_, App>) -> Answer<SelfTestReport> {
    Ok(app.client.self_test().await?)
}

/// Lines to paste into a shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ToolSetup {
    env: String,
    exec: String,
    off: String,
}

#[tauri::command]
async fn tool_setup() -> Answer<ToolSetup> {
    Ok(tool_lines(&own_word()))
}

/// Deletes the certificate, and answers when the engine is gone: the window then says what is true. The engine makes
/// sure of the person first.
#[tauri::command]
async fn remove_certificate(app: State<'_, App>) -> Answer<()> {
    app.stays_away.store(true, Ordering::Relaxed);
    if let Err(error) = app.client.ca_remove().await {
        app.stays_away.store(false, Ordering::Relaxed);
        return Err(error.into());
    }
    let end = tokio::time::Instant::now() + DRAINED;
    while tokio::time::Instant::now() < end {
        if app.client.status().await.is_err_and(|error| error.is_unreachable()) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(Failure::new(
        "still_running",
        "The certificate is gone, but the engine still finishes what is under way.",
    ))
}

/// Starts the engine again after all; it makes another certificate.
#[tauri::command]
async fn bring_back(app: State<'_, App>) -> Answer<()> {
    app.stays_away.store(false, Ordering::Relaxed);
    engine::start().map_err(|e| Failure::new("not_started", format!("The engine could not be started: {e}.")))
}

#[tauri::command]
async fn shell(app: State<'_, App>) -> Answer<Option<ShellSetup>> {
    startup(&app).map(|startup| startup.seen().map_err(|e| unwritten(&e))).transpose()
}

#[tauri::command]
async fn change_shell(app: State<'_, App>, add: bool) -> Answer<Option<ShellSetup>> {
    startup(&app).map(|startup| startup.change(add).map_err(|e| unwritten(&e))).transpose()
}

fn startup(app: &App) -> Option<Startup> {
    let shell = std::env::var("SHELL").ok()?;
    Startup::of(&shell, app.paths.user_home(), &own_word())
}

fn unwritten(error: &std::io::Error) -> Failure {
    Failure::new("shell", format!("The start-up file could not be changed: {error}."))
}

#[tauri::command]
async fn quit(handle: AppHandle) -> Answer<()> {
    handle.exit(0);
    Ok(())
}

/// The command line's program as a shell of this session would call it.
fn own_word() -> String {
    let own = std::env::current_exe().ok();
    let program = engine::program(own.as_deref(), std::env::var_os("PATH").as_deref());
    program_word(program.as_deref().map(|p| p.display().to_string()), std::env::var("PATH").ok().as_deref())
}

/// The bare name where a shell would find it, else the whole path.
fn program_word(program: Option<String>, path: Option<&str>) -> String {
    let on_path =
        std::env::split_paths(path.unwrap_or_default()).any(|folder| folder.join(engine::PROGRAM).is_file());
    match program {
        Some(whole) if !on_path => whole,
        _ => "sallyport".to_owned(),
    }
}

fn tool_lines(program: &str) -> ToolSetup {
    ToolSetup {
        env: format!("eval \"$({program} env)\""),
        exec: format!("{program} exec -- claude"),
        off: format!("eval \"$({program} env --unset)\""),
    }
}

#[tauri::command]
async fn settings(handle: AppHandle, app: State<'_, App>) -> Answer<AppSettings> {
    Ok(shown(&handle, &kept(&app)))
}

#[tauri::command]
async fn change_settings(
    handle: AppHandle,
    app: State<'_, App>,
    settings: AppSettings,
) -> Answer<AppSettings> {
    let failed = |what: &str, why: String| Failure::new("settings", format!("{what}: {why}."));
    let autostart = handle.autolaunch();
    if autostart.is_enabled().unwrap_or(false) != settings.autostart {
        let changed = if settings.autostart { autostart.enable() } else { autostart.disable() };
        changed.map_err(|e| failed("Starting at login could not be changed", e.to_string()))?;
    }
    let new = Kept { popups: settings.popups, first_run_done: settings.first_run_done };
    settings::save(&settings::file(app.paths.config_dir()), &new)
        .map_err(|e| failed("The settings could not be written", e.to_string()))?;
    if let Ok(mut kept) = app.kept.lock() {
        *kept = new.clone();
    }
    Ok(shown(&handle, &new))
}

fn kept(app: &App) -> Kept {
    app.kept.lock().map(|kept| kept.clone()).unwrap_or_default()
}

fn shown(handle: &AppHandle, kept: &Kept) -> AppSettings {
    AppSettings {
        popups: kept.popups,
        autostart: handle.autolaunch().is_enabled().unwrap_or(false),
        first_run_done: kept.first_run_done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_no_shell_would_find_is_named_whole() {
        let word = program_word(Some("/opt/sallyport/sallyport".into()), Some("/nowhere"));
        assert_eq!(tool_lines(&word).exec, "/opt/sallyport/sallyport exec -- claude");
        assert_eq!(tool_lines(&program_word(None, None)).env, "eval \"$(sallyport env)\"");
    }

    /// A command is declared, permitted and answered, or it is none: forgetting one place shows here, not in the window.
    #[test]
    fn every_command_stands_in_all_three_places() {
        let words = |text: &str, from: &str, to: &str| -> Vec<String> {
            let list = text.split(from).nth(1).unwrap().split(to).next().unwrap();
            let words = list.split(|c: char| !(c.is_alphanumeric() || "_-:".contains(c)));
            words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        let answered = words(include_str!("commands.rs"), "generate_handler![", "]");
        assert_eq!(words(include_str!("../build.rs"), "COMMANDS: &[&str] = &[", "]"), answered);
        let permitted = words(include_str!("../capabilities/window.json"), "\"permissions\": [", "]");
        let ours: Vec<_> = permitted.iter().filter_map(|word| word.strip_prefix("allow-")).collect();
        assert_eq!(ours, answered.iter().map(|word| word.replace('_', "-")).collect::<Vec<_>>());
    }
}
