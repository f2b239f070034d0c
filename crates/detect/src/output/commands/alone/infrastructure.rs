//! One command and what stands elsewhere: clusters, clouds, databases, a repository's history.

use sallyport_policy::Severity::{Critical, High, Medium};
use sallyport_policy::shell::SimpleCommand;

use super::One;
use crate::output::commands::Judgement;
use crate::output::commands::words::{flag, has, targets, words};

/// Clusters and containers.
pub(super) fn clusters(one: &One<'_>) -> Option<Judgement> {
    let One { command, name, text, .. } = *one;
    match name {
        "terraform" | "tofu" | "pulumi" | "cdk"
            if has(command, &["destroy"]) || has(command, &["apply", "-destroy"]) =>
        {
            let sure = ["-auto-approve", "--auto-approve", "-y", "--yes", "--force", "-force"]
                .iter()
                .any(|word| words(command).contains(word));
            Some(("destroys_infrastructure", if sure { Critical } else { High }))
        }
        "kubectl" | "oc" if has(command, &["delete"]) => {
            let broad = flag(command, 'A', "all-namespaces")
                || text.contains("--all")
                || ["ns", "namespace", "namespaces", "node", "nodes", "pv", "pvc", "crd"]
                    .iter()
                    .any(|kind| has(command, &[kind]) || text.contains(&format!(" {kind}/")));
            broad.then_some(("destroys_infrastructure", High))
        }
        "docker" | "podman" => {
            let prunes = has(command, &["prune"])
                && has(command, &["system"])
                && (flag(command, 'a', "all") && text.contains("--volumes"));
            let all = text.contains("$(docker ps")
                || text.contains("$(docker images")
                || text.contains("$(docker volume")
                || text.contains("`docker ps");
            let removes = ["rm", "rmi", "kill"].iter().any(|word| has(command, &[word]))
                && all
                && (flag(command, 'f', "force") || text.contains("volume rm"));
            let escapes = text.contains("--privileged")
                && (text.contains("-v /:/") || text.contains("--pid=host"))
                || text.contains("-v /:/")
                || text.contains("--volume /:/")
                || text.contains("source=/,");
            match () {
                () if escapes => Some(("opens_the_machine", High)),
                () if prunes || removes => Some(("destroys_infrastructure", High)),
                () => None,
            }
        }
        _ => None,
    }
}

/// Clouds, by their own command lines.
pub(super) fn clouds(one: &One<'_>) -> Option<Judgement> {
    let One { command, name, text, .. } = *one;
    match name {
        "aws" => {
            let destroys = text.contains("s3 rb") && text.contains("--force")
                || text.contains("s3 rm")
                    && text.contains("--recursive")
                    && targets(command).any(|t| {
                        t.strip_prefix("s3://").is_some_and(|rest| !rest.trim_end_matches('/').contains('/'))
                    })
                || [
                    "terminate-instances",
                    "delete-db-instance",
                    "delete-db-cluster",
                    "delete-stack",
                    "delete-user",
                    "delete-cluster",
                    "delete-table",
                    "delete-bucket",
                    "delete-function",
                    "schedule-key-deletion",
                    "delete-vpc",
                    "delete-snapshot",
                    "delete-trail",
                    "stop-logging",
                ]
                .iter()
                .any(|word| has(command, &[word]));
            destroys.then_some(("destroys_infrastructure", High))
        }
        "gcloud" | "az" => {
            let quiet =
                ["--quiet", "-q", "--yes", "-y", "--force"].iter().any(|word| words(command).contains(word));
            let broad = [
                "projects",
                "group",
                "instances",
                "clusters",
                "databases",
                "sql",
                "buckets",
                "vm",
                "account",
                "keyvault",
            ]
            .iter()
            .any(|word| has(command, &[word]));
            (has(command, &["delete"]) && (quiet || has(command, &["projects"])) && broad)
                .then_some(("destroys_infrastructure", High))
        }
        "gsutil"
            if text.contains(" rm")
                && flag(command, 'r', "")
                && targets(command).any(|t| {
                    t.strip_prefix("gs://")
                        .is_some_and(|rest| !rest.trim_end_matches(['/', '*']).contains('/'))
                }) =>
        {
            Some(("destroys_infrastructure", High))
        }
        _ => None,
    }
}

/// Databases, and the history of a repository.
pub(super) fn data(one: &One<'_>) -> Option<Judgement> {
    let One { command, name, text, .. } = *one;
    match name {
        "dropdb" => Some(("destroys_data", High)),
        "psql" | "mysql" | "mariadb" | "sqlite3" | "mongo" | "mongosh" | "clickhouse-client" | "sqlcmd"
        | "mysqladmin" => destroys_data(text).then_some(("destroys_data", High)),
        "redis-cli"
            if ["flushall", "flushdb"].iter().any(|word| text.to_ascii_lowercase().contains(word)) =>
        {
            Some(("destroys_data", High))
        }
        "git" => git(command, text),
        _ => None,
    }
}

fn destroys_data(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    [
        "DROP DATABASE",
        "DROP TABLE",
        "DROP SCHEMA",
        "TRUNCATE TABLE",
        "TRUNCATE ",
        "DROPDATABASE(",
        ".DROP()",
        "DROP USER",
        "DROP ALL",
    ]
    .iter()
    .any(|word| upper.contains(word))
        || (upper.contains("DELETE FROM ") && !upper.contains(" WHERE "))
        || upper.contains("MYSQLADMIN") && upper.contains(" DROP ")
}

fn git(command: &SimpleCommand, text: &str) -> Option<Judgement> {
    let main = ["main", "master", "production", "release", "--all", "--mirror"]
        .iter()
        .any(|branch| has(command, &[branch]) || text.ends_with(&format!(":{branch}")));
    let forced = flag(command, 'f', "force") && !text.contains("--force-with-lease")
        || text.contains(" +main")
        || text.contains(" +master");
    let deletes = (has(command, &["--delete"]) || text.contains(" :main") || text.contains(" :master"))
        && has(command, &["push"]);
    match () {
        () if has(command, &["push"]) && (forced && (main || text.contains(" +"))) => {
            Some(("rewrites_history", High))
        }
        () if deletes && (main || text.contains(":ma")) => Some(("rewrites_history", High)),
        () if has(command, &["push", "--mirror"]) => Some(("rewrites_history", High)),
        () if text.contains("reflog expire") && text.contains("--expire=now") => {
            Some(("rewrites_history", High))
        }
        () if text.contains("http.sslVerify false") || text.contains("http.sslVerify=false") => {
            Some(("tls_verification_off", Medium))
        }
        () => None,
    }
}
