//! A call of a model that was let through. Whatever becomes of it, it gives back what it does not need.

use std::sync::Arc;

use sallyport_policy::quotas::{Limit, Ticket, estimate};
use sallyport_wire::Usage;

use super::{Counter, Entry, Quotas, Settlement, now};
use crate::engine::Engine;

/// Settled by [`Loan::ended`] or [`Loan::unsent`]; dropped before that, by what is known.
pub(crate) struct Loan {
    engine: Arc<Engine>,
    pub(super) subject: String,
    pub(super) counter: Counter,
    /// None where it passes uncounted, or is settled.
    ticket: Option<Ticket>,
    model: Option<String>,
    input_estimate: u64,
    pub(super) count_cache_reads: bool,
    /// The limit that it passes, where policy only warns.
    pub(crate) warned: Option<Limit>,
    sent: bool,
    over: bool,
}

/// How an exchange ended.
pub(crate) struct Ending<'e> {
    pub(crate) status: u16,
    pub(crate) usage: Usage,
    /// Bytes of what the model said.
    pub(crate) said: u64,
    /// It broke off, so what was reported is not the whole.
    pub(crate) cut: bool,
    pub(crate) model: Option<&'e str>,
}

impl Loan {
    pub(super) fn new(
        engine: Arc<Engine>,
        subject: String,
        counter: Counter,
        model: Option<&str>,
        input_estimate: u64,
    ) -> Loan {
        Loan {
            engine,
            subject,
            counter,
            ticket: None,
            model: model.map(str::to_owned),
            input_estimate,
            count_cache_reads: false,
            warned: None,
            sent: false,
            over: false,
        }
    }

    pub(super) fn take(&mut self, ticket: Ticket) {
        let running = (self.subject.clone(), self.counter.clone());
        self.engine.quotas.running.lock().insert(ticket.id, running);
        self.ticket = Some(ticket);
    }

    /// From here on it costs something.
    pub(crate) fn is_sent(&mut self) {
        self.sent = true;
    }

    /// It never left: it costs nothing.
    pub(crate) fn unsent(mut self) {
        self.over = true;
        self.give_back(None);
    }

    pub(crate) fn ended(mut self, ending: &Ending<'_>) {
        self.over = true;
        if self.model.is_none() {
            self.model = ending.model.map(str::to_owned);
        }
        let usage = self.completed(ending);
        self.settle(&usage);
    }

    /// The provider's own figures; where it gives none, what bytes tell. An error without figures is free.
    fn completed(&self, ending: &Ending<'_>) -> Usage {
        let Usage { input, output, cache_read, cache_write } = ending.usage;
        let known = input.or(output).or(cache_read).or(cache_write).is_some();
        if ending.status >= 400 && !known {
            return Usage::default();
        }
        let said = estimate(usize::try_from(ending.said).unwrap_or(usize::MAX));
        let output = match output {
            // The last word on the output comes at the end.
            Some(output) if ending.cut => output.max(said),
            Some(output) => output,
            None => said,
        };
        Usage { input: input.or(Some(self.input_estimate)), output: Some(output), cache_read, cache_write }
    }

    fn settle(&mut self, usage: &Usage) {
        let figure = |figure: Option<u64>| figure.unwrap_or(0);
        let (input, output) = (figure(usage.input), figure(usage.output));
        let (cache_read, cache_write) = (figure(usage.cache_read), figure(usage.cache_write));
        let counted_reads = if self.count_cache_reads { cache_read } else { 0 };
        self.give_back(Some(input + output + cache_write + counted_reads));
        let quotas = &self.engine.quotas;
        let price = self.model.as_deref().and_then(|model| quotas.prices.of(model));
        quotas.local.used(Entry {
            at: now(),
            subject: self.subject.clone(),
            model: self.model.clone(),
            requests: 1,
            refused: 0,
            input,
            output,
            cache_read,
            cache_write,
            micros: price.map(|price| price.micros(input, output, cache_read, cache_write)),
        });
    }

    fn give_back(&mut self, tokens: Option<u64>) {
        let Some(ticket) = self.ticket.take() else { return };
        let settlement =
            Settlement { subject: self.subject.clone(), ticket, tokens, counter: self.counter.clone() };
        Quotas::settle(&self.engine, settlement);
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        match self.sent {
            // Nobody knows what came of it; what was sent was sent.
            true => self.settle(&Usage { input: Some(self.input_estimate), ..Usage::default() }),
            false => self.give_back(None),
        }
    }
}
