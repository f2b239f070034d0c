//! Bodies and parts of bodies that are not JSON: forms, multipart, base64, and telling them apart.

pub(crate) mod base64;
pub(crate) mod form;
pub(crate) mod multipart;
pub(crate) mod sniff;
