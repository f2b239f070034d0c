//! The proxy as its clients and servers see it: dialogues over real sockets, with roots made for each run.

mod chain;
mod drain;
mod explicit;
mod framing;
mod hostile;
mod intercept;
mod limits;
mod named;
mod streams;
mod support;
mod tunnel;
mod upgrade;
mod versions;
