//! `policy schema`: JSON Schemas for editors.

use sallyport_policy::schema;

use crate::cli::EXIT_CODES;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Out;

/// Print the JSON Schema of a kind of document, for editors that complete and check YAML
///
/// Without a kind, the kinds are listed.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:\n  sallyport policy schema\n  sallyport policy schema SallyportPolicy > sallyport-policy.schema.json\n  sallyport policy schema config > config.schema.json\n\nIn an editor with the YAML language server, put this at the top of a document:\n  # yaml-language-server: $schema=sallyport-policy.schema.json\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// A kind of document, or config, assessment, test
    #[arg(value_name = "KIND")]
    kind: Option<String>,
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Outcome {
    let Some(kind) = &args.kind else {
        for name in schema::NAMES {
            out.line(name)?;
        }
        return Ok(Exit::Ok);
    };
    let known = schema::NAMES.into_iter().find(|name| name.eq_ignore_ascii_case(kind));
    match known.and_then(schema::of) {
        Some(schema) => out.json(&schema)?,
        None => {
            return Err(Failure::usage(format!("there is no schema called {kind}"))
                .hint(format!("there are {}", schema::NAMES.join(", "))));
        }
    }
    Ok(Exit::Ok)
}
