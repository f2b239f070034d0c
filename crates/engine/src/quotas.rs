//! Quotas at the rim: whose limits count, where they are counted, and what an exchange gives back when it has ended.
//!
//! The rules are `policy::quotas`; nothing here decides how much is too much.

mod asked;
mod history;
mod journal;
mod loan;
mod local;
mod refused;
mod repeats;
mod shared;
mod told;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use parking_lot::Mutex;
use sallyport_ipc::types::{Event, QuotaGauge, QuotaHistory, QuotaView, SubjectQuota, Usage};
use sallyport_platform::fs::ensure_private_file;
use sallyport_policy::config::{OnExceed, QuotaStore};
use sallyport_policy::quotas::{
    Ask, Exceeded, Gauge, Limit, MINUTE, Millis, Prices, RequestId, Tally, Ticket, Tier, reservation,
};
use sallyport_policy::settings::{FailMode, QuotaSettings};
use tokio_util::sync::CancellationToken;

pub(crate) use asked::Asked;
pub(crate) use loan::{Ending, Loan};
pub(crate) use refused::OverQuota;

use crate::accounts::ServiceAccount;
use crate::engine::Engine;
use crate::health::{Condition, Health};
use history::Entry;
use local::Local;
use repeats::{Repeats, Signature};
use shared::{Away, Place, Shared};
use told::Told;

/// How long the slot of a request lasts when nobody renews it: what a crash may cost.
const LEASE: Millis = 2 * MINUTE;

/// How often slots are renewed and what could not be settled is tried again.
const ROUND: Duration = Duration::from_secs(30);

/// A loop that was not seen for so long is over.
const FORGOTTEN: Millis = 10 * MINUTE;

/// Settlements that wait for the shared store; beyond it their reserve stays counted.
const MAX_UNSETTLED: usize = 10_000;

pub(crate) fn now() -> Millis {
    Timestamp::now().as_millisecond()
}

/// The quotas of one engine.
pub(crate) struct Quotas {
    file: PathBuf,
    local: Arc<Local>,
    shared: ArcSwapOption<Shared>,
    prices: Prices,
    repeats: Mutex<Repeats>,
    told: Mutex<Told>,
    /// Accounts that go round in a circle, and when they were last seen to.
    looping: Mutex<HashMap<String, Millis>>,
    running: Mutex<HashMap<RequestId, (String, Counter)>>,
    unsettled: Mutex<Vec<Settlement>>,
}

/// Where a request was counted, whatever policy says meanwhile.
#[derive(Clone)]
pub(crate) enum Counter {
    Local(Arc<Local>),
    Shared(Arc<Shared>),
}

/// What a request has to give back.
#[derive(Clone)]
struct Settlement {
    subject: String,
    ticket: Ticket,
    /// None where it was never sent.
    tokens: Option<u64>,
    counter: Counter,
}

/// What is asked of a model, by whom.
pub(crate) struct Call<'c> {
    pub(crate) account: &'c ServiceAccount,
    pub(crate) thread: &'c str,
    pub(crate) asked: &'c Asked,
    /// A digest of the body that would be sent.
    pub(crate) body: Option<&'c str>,
    pub(crate) model: Option<&'c str>,
    /// A WebSocket is opened: what is said on it is not read, so only its opening counts.
    pub(crate) upgrade: bool,
}

impl Quotas {
    /// Opens the counters. A file that can't be used is put aside, or counted without: quotas never stop an engine.
    pub(crate) fn open(folder: &Path, health: &Health) -> Quotas {
        let file = folder.join("quota.db");
        Quotas {
            local: Arc::new(open_local(&file, health)),
            file,
            shared: ArcSwapOption::empty(),
            prices: Prices::builtin().unwrap_or_else(|error| unreachable!("tested with the table: {error}")),
            repeats: Mutex::default(),
            told: Mutex::default(),
            looping: Mutex::default(),
            running: Mutex::default(),
            unsettled: Mutex::default(),
        }
    }

    /// Writes the rest down. Blocks.
    pub(crate) fn close(&self) {
        self.local.close();
    }

    fn counter(&self, settings: &QuotaSettings) -> Counter {
        let QuotaStore::Redis(address) = &settings.store.value else {
            return Counter::Local(self.local.clone());
        };
        let (password_file, ca) = (&settings.password_file.value, &settings.ca.value);
        if let Some(shared) = &*self.shared.load()
            && shared.place.address == *address
            && shared.place.password_file == *password_file
            && shared.place.ca == *ca
        {
            return Counter::Shared(shared.clone());
        }
        let place = Place { address: address.clone(), password_file: password_file.clone(), ca: ca.clone() };
        let shared = Arc::new(Shared::new(place));
        self.shared.store(Some(shared.clone()));
        Counter::Shared(shared)
    }
}

fn open_local(file: &Path, health: &Health) -> Local {
    let opened = private(file).map_err(|error| error.to_string());
    let first = match opened.and_then(|()| Local::open(file, now()).map_err(|error| error.to_string())) {
        Ok(local) => return local,
        Err(error) => error,
    };
    let aside = file.with_extension("db.broken");
    let put_aside = !local::is_sound(file) && std::fs::rename(file, &aside).is_ok();
    let second = put_aside.then(|| Local::open(file, now()).ok()).flatten();
    let (sentence, fix) = match &second {
        Some(_) => (
            format!("The counters of quotas were damaged ({first}), so they begin anew."),
            format!("The damaged file is {}; remove it when you have looked at it.", aside.display()),
        ),
        None => (
            format!("{} can't be used: {first}. Quotas are counted until the engine ends.", file.display()),
            "Free space on that disk and check the file's permissions, then restart Sallyport.".to_owned(),
        ),
    };
    health.raise(Condition::QuotaStore, "file", sentence, fix);
    second.unwrap_or_else(Local::forgetful)
}

/// The file and what the database keeps beside it, which takes its permissions: for the owner alone.
fn private(file: &Path) -> Result<(), sallyport_platform::Error> {
    let beside = ["-wal", "-shm"].map(|ending| {
        let mut name = file.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    });
    ensure_private_file(file)?;
    beside.iter().filter(|file| file.exists()).try_for_each(|file| ensure_private_file(file))
}

/// Whose counters a request goes to, and which tier they have.
fn subject(user: &str, account: &ServiceAccount, settings: &QuotaSettings) -> (String, String) {
    match settings.agent_tiers.value.get(&account.class) {
        // By class and not by session: a new session is no new quota.
        Some(tier) if account.session => (format!("{user}/{}", account.class), tier.clone()),
        _ => (user.to_owned(), settings.tier.value.clone()),
    }
}

/// Lets a call of a model through, or says why not.
pub(crate) async fn admit(
    engine: &Arc<Engine>,
    settings: &QuotaSettings,
    call: &Call<'_>,
) -> Result<Loan, OverQuota> {
    note_repeats(engine, settings, call)?;
    let quotas = &engine.quotas;
    let (subject, tier_name) = subject(&engine.identity.user, call.account, settings);
    let tiers = &settings.tiers.value;
    let Some(tier) = tiers.get(&tier_name) else {
        let known: Vec<_> = tiers.keys().map(String::as_str).collect();
        return Err(OverQuota::unknown_tier(&tier_name, &known));
    };
    let input_estimate = if call.upgrade { 0 } else { call.asked.input_estimate };
    let ask = Ask {
        // In the order of time: rows of the journal are then added at the end, and not each to a page of its own.
        id: uuid::Uuid::now_v7().as_u128(),
        prompt_length: call.asked.prompt_length,
        tokens: if call.upgrade { 0 } else { reservation(input_estimate, call.asked.max_tokens) },
        lease: LEASE,
        enforce: settings.on_exceed.value == OnExceed::Block,
    };
    let counter = quotas.counter(settings);
    let ruled = match &counter {
        Counter::Local(local) => Ok(local.reserve(&subject, tier, &ask, now())),
        Counter::Shared(shared) => shared.reserve(&subject, tier, &ask).await,
    };
    let mut loan = Loan::new(engine.clone(), subject, counter, call.model, input_estimate);
    loan.count_cache_reads = settings.count_cache_reads.value;
    let ruling = match ruled {
        Ok(ruling) => ruling,
        Err(away) => {
            store_away(engine, settings, &away);
            return match settings.fail_mode.value {
                FailMode::Open => Ok(loan),
                FailMode::Closed => Err(OverQuota::store_away(&settings.store.value.to_string())),
            };
        }
    };
    if matches!(loan.counter, Counter::Shared(_)) {
        engine.health.clear(Condition::QuotaStore, "shared");
    }
    quotas.tell(engine, &loan.subject, tier, &ruling.tally);
    let Some(ticket) = ruling.ticket else {
        quotas.local.used(Entry {
            at: now(),
            subject: loan.subject.clone(),
            model: call.model.map(str::to_owned),
            refused: 1,
            micros: Some(0),
            ..Entry::default()
        });
        let exceeded = ruling.exceeded.unwrap_or(Exceeded {
            limit: Limit::RequestsPerMinute,
            size: tier.requests_per_minute,
            wanted: ruling.tally.minute,
            free_at: None,
        });
        return Err(OverQuota::limit(&loan.subject, &tier_name, &exceeded, ruling.tally.now));
    };
    loan.take(ticket);
    loan.warned = ruling.exceeded.map(|exceeded| exceeded.limit);
    Ok(loan)
}

/// Sees whether an agent goes round in a circle; an error where policy refuses that.
fn note_repeats(engine: &Engine, settings: &QuotaSettings, call: &Call<'_>) -> Result<(), OverQuota> {
    let policy = settings.repeats.value;
    if policy.after == 0 || call.upgrade {
        return Ok(());
    }
    let account = &call.account.name;
    let signature = Signature { body: call.body.map(str::to_owned), calls: call.asked.calls };
    let times = engine.quotas.repeats.lock().note(account, call.thread, signature);
    if times < policy.after {
        engine.quotas.out_of_loop(engine, |looping, _| looping == account);
        return Ok(());
    }
    let refused = policy.action == OnExceed::Block;
    if times == policy.after {
        let _ = engine.events.send(Event::Loop { account: account.clone(), times, refused });
    }
    engine.quotas.looping.lock().insert(account.clone(), now());
    engine.health.raise(
        Condition::AgentLoop,
        account,
        format!("{account} made the same call {times} times, one after the other."),
        "Look at what it does; stop it, or tell it to try something else.".into(),
    );
    if refused { Err(OverQuota::repeats(times)) } else { Ok(()) }
}

fn store_away(engine: &Engine, settings: &QuotaSettings, away: &Away) {
    let passes = match settings.fail_mode.value {
        FailMode::Open => "Requests pass uncounted until it answers.",
        FailMode::Closed => "Calls of models are refused until it answers.",
    };
    if let Away::Failed(why) = away {
        engine.health.raise(
            Condition::QuotaStore,
            "shared",
            format!("Quotas are counted at {}, which can't be asked: {why}. {passes}", settings.store.value),
            "Start that server, or correct `quotas.store`, `quotas.password_file` and `quotas.ca`.".into(),
        );
    }
}

impl Quotas {
    /// Takes back what was said of the accounts that `which` names.
    fn out_of_loop(&self, engine: &Engine, which: impl Fn(&str, Millis) -> bool) {
        self.looping.lock().retain(|account, seen| {
            let over = which(account, *seen);
            if over {
                engine.health.clear(Condition::AgentLoop, account);
            }
            !over
        });
    }

    /// Says that a limit is used up to 80 or 100 per cent, once for each time that it fills.
    fn tell(&self, engine: &Engine, subject: &str, tier: &Tier, tally: &Tally) {
        for (percent, gauge) in self.told.lock().due(subject, &tier.gauges(tally), tally.now) {
            let gauge = shown(&gauge);
            let _ = engine.events.send(Event::Quota { subject: subject.to_owned(), percent, gauge });
        }
    }

    /// Settles what an exchange took, or takes back what was never sent.
    fn settle(engine: &Arc<Engine>, settlement: Settlement) {
        engine.quotas.running.lock().remove(&settlement.ticket.id);
        match &settlement.counter {
            Counter::Local(local) => match settlement.tokens {
                Some(tokens) => local.settle(&settlement.subject, settlement.ticket, tokens),
                None => local.cancel(&settlement.subject, settlement.ticket),
            },
            Counter::Shared(_) => {
                let engine = engine.clone();
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    runtime.spawn(async move { settle_shared(&engine, settlement).await });
                }
            }
        }
    }
}

async fn settle_shared(engine: &Engine, settlement: Settlement) -> bool {
    let Counter::Shared(shared) = &settlement.counter else { return true };
    let settled = match settlement.tokens {
        Some(tokens) => shared.settle(&settlement.subject, &settlement.ticket, tokens).await,
        None => shared.cancel(&settlement.subject, &settlement.ticket).await,
    };
    if let Err(away) = settled {
        tracing::debug!(%away, "a settlement waits for the shared store");
        let mut unsettled = engine.quotas.unsettled.lock();
        if unsettled.len() < MAX_UNSETTLED {
            unsettled.push(settlement.clone());
        }
        return false;
    }
    true
}

/// Renews the slots of what runs, settles what had to wait, and notices when the shared store answers again.
pub(crate) async fn watch(engine: Arc<Engine>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(ROUND) => {}
        }
        let quiet = now() - FORGOTTEN;
        engine.quotas.out_of_loop(&engine, |_, seen| seen < quiet);
        let running: Vec<_> = {
            let running = engine.quotas.running.lock();
            running.iter().map(|(id, (subject, counter))| (*id, subject.clone(), counter.clone())).collect()
        };
        for (id, subject, counter) in running {
            match counter {
                Counter::Local(local) => local.renew(&subject, id, now(), LEASE),
                Counter::Shared(shared) => {
                    if shared.renew(&subject, id, LEASE).await.is_err() {
                        break;
                    }
                }
            }
        }
        let waiting = std::mem::take(&mut *engine.quotas.unsettled.lock());
        for settlement in waiting {
            settle_shared(&engine, settlement).await;
        }
        if engine.health.holds_for(Condition::QuotaStore, "shared") {
            let policy = engine.policy();
            match engine.quotas.counter(&policy.snapshot.quotas) {
                Counter::Shared(shared) if shared.look(&engine.identity.user).await.is_err() => {}
                _ => engine.health.clear(Condition::QuotaStore, "shared"),
            }
        }
    }
}

/// Quotas as faces see them.
pub(crate) async fn view(engine: &Engine) -> QuotaView {
    let policy = engine.policy();
    let settings = &policy.snapshot.quotas;
    let user = &engine.identity.user;
    let mut wanted = vec![(user.clone(), settings.tier.value.clone())];
    let of_classes = settings.agent_tiers.value.iter();
    wanted.extend(of_classes.map(|(class, tier)| (format!("{user}/{class}"), tier.clone())));
    let counter = engine.quotas.counter(settings);
    let (mut subjects, mut store_reachable) = (Vec::new(), true);
    for (subject, tier) in wanted {
        let tally = match &counter {
            Counter::Local(local) => Ok(local.look(&subject, now())),
            Counter::Shared(shared) => shared.look(&subject).await,
        };
        store_reachable &= tally.is_ok();
        let known = settings.tiers.value.get(&tier);
        let gauges = match (known, tally) {
            (Some(tier), Ok(tally)) => tier.gauges(&tally).iter().map(shown).collect(),
            _ => Vec::new(),
        };
        subjects.push(SubjectQuota {
            subject,
            max_prompt_length: known.map(|tier| tier.max_prompt_length),
            tier,
            gauges,
        });
    }
    let quotas = &engine.quotas;
    let today = quotas.read(|connection| history::since(connection, local::day_start(now()))).await;
    QuotaView {
        subjects,
        on_exceed: settings.on_exceed.value,
        store: settings.store.value.to_string(),
        store_reachable,
        today: today.unwrap_or_else(|_| Usage::default()),
    }
}

/// What was used in the last 30 days.
pub(crate) async fn history(engine: &Engine) -> Result<QuotaHistory, String> {
    engine.quotas.read(|connection| history::read(connection, now())).await
}

impl Quotas {
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&rusqlite::Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, String> {
        let (local, file) = (self.local.clone(), self.file.clone());
        let reading = tokio::task::spawn_blocking(move || {
            local.flush();
            local::connect(&file).and_then(|connection| read(&connection))
        });
        reading.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}

fn shown(gauge: &Gauge) -> QuotaGauge {
    QuotaGauge {
        limit: gauge.limit,
        size: gauge.size,
        used: gauge.used,
        resets_at: gauge.resets_at.map(history::moment),
    }
}
