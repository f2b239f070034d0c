//! Whole-product tests: the real binary between real clients and servers. Each module is one promise.

mod agents;
mod allow;
mod architecture;
mod audit_tamper;
mod bad_days;
mod broker;
mod common;
mod constraints;
mod crash_durability;
mod daily_use;
mod desk;
mod elevation;
mod hold;
mod hold_clients;
mod injected;
mod kept_content;
mod listener;
mod quotas;
mod refusals;
mod routing;
mod scan_modes;
mod secrets_never_leave;
mod service_accounts;
mod stable_turns;
mod stage;
mod streaming;
