//! The tie to the engine: started when absent, followed by its events, found again when it comes back. Feeds the tray, the
//! popups and the window; asks nothing while nothing happens.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use sallyport_ipc::types::{Event, HealthSeverity, OffRequest, QuotaGauge, QuotaView, State, Status};
use sallyport_ipc::{Client, ClientError};
use sallyport_policy::elevation;
use serde::Serialize;
use tauri::{AppHandle, Emitter, Manager};
use tokio::time::{Instant, sleep, sleep_until};

use crate::failure::Failure;
use crate::popups::{self, Popups};
use crate::settings::PopupMode;
use crate::tray::{Seen, Tray};
use crate::{App, afresh, engine, window};

/// Between two looks for an engine that does not answer; longer each time, so that a broken one costs nothing.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// Until a started engine is given up on and started again.
const START: Duration = Duration::from_secs(30);
/// How long the icon may wait for what it shows first.
const FIRST_LOOK: Duration = Duration::from_millis(500);
/// Events come in bursts; one look at the status answers a burst.
const BURST: Duration = Duration::from_millis(300);

/// What the window is told beside the engine's own events.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Told {
    Connected,
    Disconnected { reason: String },
}

/// Keeps the tie for the life of the app.
pub(crate) fn keep(app: AppHandle, tray: Tray) {
    tauri::async_runtime::spawn(async move {
        let client = app.state::<App>().client.clone();
        let mut link = Link { app, client, tray, popups: Popups::default() };
        let mut wait = FIRST_WAIT;
        let mut started: Option<Instant> = None;
        loop {
            match link.follow().await {
                // It was there and is gone: an upgrade, a restart. Look again at once.
                Ok(()) => wait = FIRST_WAIT,
                Err(error) => {
                    let wanted = !link.app.state::<App>().stays_away.load(Ordering::Relaxed);
                    if wanted && error.is_unreachable() && started.is_none_or(|at| at.elapsed() > START) {
                        started = Some(Instant::now());
                        if let Err(error) = engine::start() {
                            tracing::warn!(%error, "the engine could not be started");
                        }
                    }
                    link.away(&error);
                    sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
    });
}

struct Link {
    app: AppHandle,
    client: Client,
    tray: Tray,
    popups: Popups,
}

impl Link {
    /// Follows one engine until it goes away.
    async fn follow(&mut self) -> Result<(), ClientError> {
        // Subscribed first: what happens between the two calls must not be missed.
        let mut events = self.client.events().await?;
        let mut status = self.client.status().await?;
        self.show(&status).await;
        self.say(&Told::Connected);
        let mut look: Option<Instant> = None;
        let mut anew: Option<Instant> = None;
        let app = self.app.clone();
        let (closed, tried) = (&app.state::<App>().closed, &app.state::<App>().tried);
        loop {
            let pause_over = status.paused_until.map(|until| instant(until) + Duration::from_millis(200));
            let popups_due = self.popups.next_due().map(instant);
            tokio::select! {
                event = events.next() => match event {
                    None => return Ok(()),
                    Some(Err(error)) => return Err(error),
                    Some(Ok(event)) => {
                        self.heard(&event);
                        look.get_or_insert_with(|| Instant::now() + BURST);
                    }
                },
                () = at(look) => {
                    look = None;
                    status = self.client.status().await?;
                    self.show(&status).await;
                }
                () = at(pause_over) => {
                    status = self.client.status().await?;
                    self.show(&status).await;
                    self.say(&Told::Connected);
                }
                () = tried.notified() => look = Some(Instant::now()),
                () = closed.notified() => anew = Some(Instant::now() + afresh::LEFT_ALONE),
                () = at(anew) => {
                    // A window that was opened since says so again when it is closed.
                    let windowless = app.get_webview_window(window::LABEL).is_none();
                    let idle = popups_due.is_none() && afresh::may_begin(&app);
                    if idle {
                        afresh::begin(&app);
                    }
                    anew = (windowless && !idle).then(|| Instant::now() + afresh::LEFT_ALONE);
                }
                () = at(popups_due) => {
                    for popup in self.popups.due(self.mode(), Timestamp::now()) {
                        self.pop_up(popup);
                    }
                }
            }
        }
    }

    fn heard(&mut self, event: &Event) {
        if let Some(news) = popups::news_of(event)
            && let Some(popup) = self.popups.tell(news, self.mode(), Timestamp::now())
        {
            self.pop_up(popup);
        }
        self.say(event);
    }

    fn away(&mut self, error: &ClientError) {
        self.draw(&Seen::default());
        let reason = if self.app.state::<App>().stays_away.load(Ordering::Relaxed) {
            "It is started when you want it.".to_owned()
        } else if error.is_unreachable() {
            "The engine is not running; it is being started.".to_owned()
        } else {
            error.to_string()
        };
        self.say(&Told::Disconnected { reason });
    }

    async fn show(&mut self, status: &Status) {
        let seen = seen(&self.client, status).await;
        if seen.waiting == Some(0) {
            self.popups.nothing_waits();
            popups::nothing_waits();
        }
        self.draw(&seen);
    }

    fn draw(&mut self, seen: &Seen) {
        if let Err(error) = self.tray.show(&self.app, seen) {
            tracing::warn!(%error, "the tray could not be drawn");
        }
    }

    /// Tells the window, if there is one.
    fn say(&self, what: &impl Serialize) {
        if let Some(window) = self.app.get_webview_window(window::LABEL)
            && let Err(error) = window.emit(window::CHANNEL, what)
        {
            tracing::debug!(%error, "the window could not be told");
        }
    }

    fn pop_up(&self, popup: popups::Popup) {
        if self.app.state::<App>().leaving.load(Ordering::Relaxed) {
            return;
        }
        let app = self.app.clone();
        popups::show(popup, icon(&self.app), move |page| open(&app, page));
    }

    fn mode(&self) -> PopupMode {
        self.app.state::<App>().kept.lock().map(|kept| kept.popups).unwrap_or_default()
    }
}

/// What the icon shows at once, so that it does not say for a moment that nothing runs.
pub(crate) async fn first_look(client: &Client) -> Seen {
    let look = async { Some(seen(client, &client.status().await.ok()?).await) };
    tokio::time::timeout(FIRST_LOOK, look).await.ok().flatten().unwrap_or_default()
}

async fn seen(client: &Client, status: &Status) -> Seen {
    // What can't be told right now is left out of the menu; it is no reason to draw none.
    let quota = client.quota().await.ok();
    let waiting =
        client.elevations().await.ok().map(|requests| {
            requests.iter().filter(|request| request.state == elevation::State::Pending).count()
        });
    let trouble = status.health.iter().find(|item| item.severity > HealthSeverity::Info);
    Seen {
        state: Some(status.state),
        paused_until: status.paused_until,
        forbids_off: status.policy.forbids_off,
        asks_reason: status.policy.asks_reason,
        trouble: trouble.map(|item| item.title.clone()),
        waiting,
        quota: quota.as_ref().and_then(fullest),
    }
}

/// The limit that is nearest for this person, once anything of it is used.
fn fullest(quota: &QuotaView) -> Option<(String, u64)> {
    let mine = quota.subjects.first()?;
    let used = mine.gauges.iter().filter(|gauge| gauge.size > 0 && gauge.used > 0);
    let share = |gauge: &QuotaGauge| gauge.used.saturating_mul(100) / gauge.size;
    let gauge = used.max_by_key(|gauge| share(gauge))?;
    Some((popups::limit_words(gauge.limit).to_owned(), share(gauge)))
}

/// What the tray's menu changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Toggle,
    Pause { minutes: u64 },
}

/// Asks the engine for it. Where a reason is wanted the window asks the person; what the engine refuses pops up,
/// since the menu that was clicked is gone.
pub(crate) fn change(app: AppHandle, change: Change) {
    tauri::async_runtime::spawn(async move {
        let client = app.state::<App>().client.clone();
        match changed(&client, change).await {
            Ok(None) => {}
            Ok(Some(page)) => open(&app, page.to_owned()),
            Err(error) => {
                tracing::warn!(%error, "the engine did not do it");
                let failure = Failure::from(error);
                let handle = app.clone();
                popups::show(popups::refused(failure), icon(&app), move |page| open(&handle, page));
            }
        }
        app.state::<App>().tried.notify_one();
    });
}

fn icon(app: &AppHandle) -> String {
    popups::icon(app.state::<App>().paths.state_dir())
}

fn open(app: &AppHandle, page: String) {
    let handle = app.clone();
    let _ = app.run_on_main_thread(move || window::open(&handle, &page));
}

/// Does it, or gives the page that asks for what is missing.
async fn changed(client: &Client, change: Change) -> Result<Option<&'static str>, ClientError> {
    let status = client.status().await?;
    let goes_off = matches!(status.state, State::Protected | State::Attention);
    match change {
        _ if goes_off && status.policy.asks_reason => return Ok(Some(asks(change))),
        Change::Pause { minutes } => {
            client.off(&OffRequest { for_seconds: Some(minutes * 60), reason: None }).await?
        }
        Change::Toggle if goes_off => client.off(&OffRequest::default()).await?,
        Change::Toggle => client.on().await?,
    };
    Ok(None)
}

/// The dialog that takes a reason, at what was chosen.
fn asks(change: Change) -> &'static str {
    match change {
        Change::Toggle => "/overview?pause=off",
        Change::Pause { minutes: 5 } => "/overview?pause=5",
        Change::Pause { minutes: 60 } => "/overview?pause=60",
        Change::Pause { .. } => "/overview?pause=15",
    }
}

/// Never, where there is no moment to wait for.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn instant(moment: Timestamp) -> Instant {
    let left = moment.as_millisecond() - Timestamp::now().as_millisecond();
    Instant::now() + Duration::from_millis(u64::try_from(left).unwrap_or(0))
}
