//! Sallyport's tray app: a client of the engine, as the command line is. It shows state, pops up what a person should know,
//! and opens a window on request. It decides nothing, holds no secret, and the engine outlives it.

mod afresh;
mod automation;
mod commands;
mod engine;
mod export;
mod failure;
mod link;
mod popups;
mod reasons;
mod settings;
mod shell;
mod tray;
mod window;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use sallyport_ipc::Client;
use sallyport_platform::{Paths, desktop};
use tauri::{AppHandle, Manager, RunEvent};
use tokio::sync::Notify;

pub use automation::Automation;

/// Started at login: no window.
const BACKGROUND: &str = "--background";

/// What the whole app shares.
pub(crate) struct App {
    pub(crate) client: Client,
    pub(crate) paths: Paths,
    pub(crate) kept: Mutex<settings::Kept>,
    /// The first run has not been agreed to yet, or the person took the certificate back: no engine is started until they want it.
    pub(crate) stays_away: AtomicBool,
    /// Another process of this app takes over, and tells what there is to tell.
    pub(crate) leaving: AtomicBool,
    /// What was chosen from the tray's menu has been tried: its tick may say something else than the engine.
    pub(crate) tried: Notify,
    /// The last window was closed.
    pub(crate) closed: Notify,
}

/// Runs until the person quits.
pub fn run(automation: Automation) -> ExitCode {
    desktop::draw_plainly();
    desktop::adopt_children();
    let asked_for = automation::asked_for(&|name| std::env::var_os(name).is_some());
    if automation == Automation::Refused && !asked_for.is_empty() {
        return start_again_without(&asked_for);
    }
    let filter =
        tracing_subscriber::EnvFilter::try_from_env("SALLYPORT_LOG").unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the app could not start");
            ExitCode::FAILURE
        }
    }
}

fn start_again_without(variables: &[&str]) -> ExitCode {
    let arguments = std::env::args_os().skip(1).collect();
    let again = std::env::current_exe()
        .map(|program| automation::without(variables, program.into_os_string(), arguments))
        .and_then(|mut command| desktop::become_program(&mut command));
    match again {
        Ok(code) => ExitCode::from(code),
        // Better no window than one that can be driven.
        Err(_) => ExitCode::FAILURE,
    }
}

fn start() -> Result<(), Box<dyn std::error::Error>> {
    let paths = Paths::from_env()?;
    let kept = settings::load(&settings::file(paths.config_dir()));
    let stays_away = AtomicBool::new(!kept.first_run_done);
    let client = Client::new(paths.control_socket());
    let app = tauri::Builder::default()
        .plugin(tauri_plugin_single_instance::init(|app, _arguments, _folder| window::open(app, "")))
        .plugin(tauri_plugin_autostart::init(
            tauri_plugin_autostart::MacosLauncher::LaunchAgent,
            Some(vec![BACKGROUND]),
        ))
        .manage(App {
            client,
            paths,
            kept: Mutex::new(kept),
            stays_away,
            leaving: AtomicBool::new(false),
            tried: Notify::new(),
            closed: Notify::new(),
        })
        .invoke_handler(commands::all())
        .on_menu_event(|app, event| {
            if let Some(act) = tray::Act::of(event.id().as_ref()) {
                chosen(app, act);
            }
        })
        .setup(|app| {
            let handle = app.handle();
            let seen = tauri::async_runtime::block_on(link::first_look(&handle.state::<App>().client));
            let tray = tray::Tray::new(handle, &seen)?;
            link::keep(handle.clone(), tray);
            let first = !handle.state::<App>().kept.lock().is_ok_and(|kept| kept.first_run_done);
            if first || !std::env::args().any(|argument| argument == BACKGROUND) {
                window::open(handle, "");
            }
            Ok(())
        })
        .build(embedded())?;
    app.run(|app, event| {
        // The last window's closing is no reason to leave: the icon stays.
        if let RunEvent::ExitRequested { code: None, api, .. } = event {
            api.prevent_exit();
            app.state::<App>().closed.notify_one();
        }
    });
    Ok(())
}

/// Configuration and pages, as they were when the program was built.
#[expect(
    clippy::disallowed_methods,
    reason = "the macro's own code ends the program when it was built wrongly"
)]
fn embedded() -> tauri::Context {
    tauri::generate_context!()
}

/// Something was chosen from the tray's menu.
fn chosen(app: &AppHandle, act: tray::Act) {
    match act {
        tray::Act::Toggle => link::change(app.clone(), link::Change::Toggle),
        tray::Act::Pause { minutes } => link::change(app.clone(), link::Change::Pause { minutes }),
        tray::Act::Open => window::open(app, ""),
        tray::Act::OpenOverview => window::open(app, "/overview"),
        tray::Act::OpenApprovals => window::open(app, "/approvals"),
        tray::Act::OpenQuotas => window::open(app, "/quotas"),
        tray::Act::Quit => app.exit(0),
    }
}
