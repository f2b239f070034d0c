//! Labelled lines of configuration and code that a seed makes: the same set in each run, ours to keep.
//!
//! Values are random or put together as people put passwords together; decoys are what stands in
//! such places instead: placeholders, references, words, digests, identifiers.

use sallyport_detect::Scanner;

use crate::secrets;
use crate::share::Share;

pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) secret: Option<std::ops::Range<usize>>,
    pub(crate) form: &'static str,
}

pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below.max(1)
    }

    pub(crate) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.next(all.len())]
    }

    fn chars(&mut self, alphabet: &str, len: usize) -> String {
        let alphabet: Vec<char> = alphabet.chars().collect();
        (0..len).map(|_| self.of(&alphabet)).collect()
    }
}

const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const HEX: &str = "0123456789abcdef";
const MARKS: &str = "!@#%^&*_+-=.?";

const SECRET_NAMES: &[&str] = &[
    "password",
    "db_password",
    "DB_PASSWORD",
    "admin_password",
    "smtpPassword",
    "spring.datasource.password",
    "POSTGRES_PASSWORD",
    "passwd",
    "root_passwd",
    "userPassword",
    "ldap_bind_password",
    "keystorePassword",
    "secret",
    "client_secret",
    "clientSecret",
    "JWT_SECRET",
    "session_secret",
    "SECRET_KEY",
    "secret_key",
    "signing_secret",
    "webhookSecret",
    "token",
    "auth_token",
    "authToken",
    "ACCESS_TOKEN",
    "access_token",
    "refresh_token",
    "bot_token",
    "api_token",
    "api_key",
    "apiKey",
    "API_KEY",
    "x-api-key",
    "service_api_key",
    "private_token",
    "encryption_key",
    "ENCRYPTION_KEY",
    "license_key",
    "account_key",
    "storage_key",
    "redis_password",
    "mysql_root_password",
    "pass",
    "ftp_pass",
    "proxy_pass",
    "credentials",
    "vault_token",
    "deploy_token",
    "registryPassword",
    "sonar.password",
];
const OTHER_NAMES: &[&str] = &[
    "checksum",
    "sha256",
    "commit",
    "digest",
    "etag",
    "integrity",
    "id",
    "request_id",
    "uuid",
    "trace_id",
    "image",
    "revision",
    "build",
    "version",
    "public_key",
    "fingerprint",
    "cache_key",
    "primary_key",
    "sort_key",
    "color",
    "session_id",
    "correlation_id",
    "content_hash",
    "tree",
    "parent",
    "nonce_length",
    "key_id",
    "kid",
];
const CONFIG: &[(&str, &str)] = &[
    ("env", "{n}={v}"),
    ("env", "export {n}=\"{v}\""),
    ("env", "{n}='{v}'"),
    ("yaml", "  {n}: {v}"),
    ("yaml", "{n}: \"{v}\""),
    ("yaml", "    - name: {n}\n      value: \"{v}\""),
    ("json", "  \"{n}\": \"{v}\","),
    ("json", "{\"host\": \"db\", \"{n}\": \"{v}\"}"),
    ("toml", "{n} = \"{v}\""),
    ("ini", "{n} = {v}"),
    ("properties", "{n}={v}"),
    ("xml", "<{n}>{v}</{n}>"),
    ("xml", "<property name=\"{n}\" value=\"{v}\"/>"),
    ("xml", "<add key=\"{n}\" value=\"{v}\" />"),
    ("docker", "ENV {n} {v}"),
    ("docker", "docker run -e {n}={v} image"),
    ("terraform", "  {n} = \"{v}\""),
];
const CODE: &[(&str, &str)] = &[
    ("python", "{n} = \"{v}\""),
    ("python", "    self.{n} = '{v}'"),
    ("python", "client = connect(host=HOST, {n}=\"{v}\")"),
    ("python", "os.environ[\"{n}\"] = \"{v}\""),
    ("javascript", "const {n} = \"{v}\";"),
    ("javascript", "  {n}: '{v}',"),
    ("typescript", "private readonly {n}: string = \"{v}\";"),
    ("go", "{n} := \"{v}\""),
    ("go", "var {n} string = \"{v}\""),
    ("java", "String {n} = \"{v}\";"),
    ("java", "System.setProperty(\"{n}\", \"{v}\");"),
    ("csharp", "public const string {n} = \"{v}\";"),
    ("ruby", "{n} = '{v}'"),
    ("ruby", "  :{n} => '{v}',"),
    ("php", "${n} = '{v}';"),
    ("php", "define('{n}', '{v}');"),
    ("rust", "let {n} = \"{v}\";"),
    ("rust", "const {n}: &str = \"{v}\";"),
    ("kotlin", "val {n} = \"{v}\""),
    ("swift", "let {n}: String = \"{v}\""),
    ("c", "static const char *{n} = \"{v}\";"),
    ("powershell", "${n} = \"{v}\""),
];
const COMMANDS: &[(&str, &str)] = &[
    ("flag", "tool --user app --{n} {v} run"),
    ("flag", "tool --{n}={v} deploy"),
    ("flag", "tool --{n} '{v}'"),
    ("header", "curl -H \"Authorization: Bearer {v}\" https://api.host/x"),
    ("header", "curl -H 'X-Api-Key: {v}' https://api.host/x"),
    ("query", "GET https://api.host/v1/items?{n}={v}&page=2"),
    ("url", "git clone https://ci:{v}@git.host/team/app.git"),
    ("url", "postgresql://app:{v}@db.host:5432/app"),
    ("user", "curl -u deploy:{v} https://repo.host/x"),
    ("sql", "CREATE USER app IDENTIFIED BY '{v}';"),
    ("sql", "ALTER ROLE app WITH PASSWORD '{v}';"),
];

fn word(dice: &mut Dice) -> &'static str {
    dice.of(&[
        "summer", "dragon", "tiger", "winter", "monkey", "silver", "purple", "castle", "rocket", "banana",
        "harbour", "velvet", "thunder", "marble", "falcon", "coffee", "garden", "shadow", "ocean", "pepper",
    ])
}

/// A password as people make them.
pub(crate) fn human(dice: &mut Dice) -> String {
    let mut base = word(dice).to_owned();
    if dice.next(2) == 0 {
        base[..1].make_ascii_uppercase();
    }
    match dice.next(6) {
        0 => format!("{base}{}{}", 1960 + dice.next(66), dice.chars("!?#$*.", 1)),
        1 => format!("{base}@{}", dice.chars("0123456789", 3)),
        2 => format!("{}-{}-{}", word(dice), word(dice), dice.chars("0123456789", 4)),
        3 => base.replace('a', "4").replace('e', "3").replace('o', "0") + &dice.chars("0123456789!$", 3),
        4 => format!("{}{base}{}", dice.chars("0123456789", 2), dice.chars(MARKS, 2)),
        _ => format!("{}{}{}", dice.chars(ALNUM, 4), dice.chars(MARKS, 1), dice.chars(ALNUM, 4)),
    }
}

pub(crate) fn random(dice: &mut Dice) -> String {
    match dice.next(8) {
        0 => {
            let len = dice.of(&[32, 40, 64]);
            dice.chars(HEX, len)
        }
        1 => format!(
            "{}-{}-4{}-a{}-{}",
            dice.chars(HEX, 8),
            dice.chars(HEX, 4),
            dice.chars(HEX, 3),
            dice.chars(HEX, 3),
            dice.chars(HEX, 12)
        ),
        2 => dice.chars(&format!("{ALNUM}+/"), 43) + "=",
        3 => {
            let len = 20 + dice.next(40);
            dice.chars(&format!("{ALNUM}-_"), len)
        }
        4 => {
            let len = 10 + dice.next(8);
            dice.chars(&format!("{ALNUM}{MARKS}"), len)
        }
        5 => format!("{}_{}", dice.chars("abcdefghijklmnop", 4), dice.chars(ALNUM, 28)),
        _ => {
            let len = 16 + dice.next(32);
            dice.chars(ALNUM, len)
        }
    }
}

pub(crate) fn decoy(dice: &mut Dice) -> String {
    let pool = [
        "changeme",
        "<password>",
        "${DB_PASSWORD}",
        "{{ vault_token }}",
        "xxxxxxxxxxxx",
        "********",
        "your-api-key",
        "YOUR_TOKEN_HERE",
        "$(cat /run/secrets/x)",
        "os.environ[\"TOKEN\"]",
        "process.env.API_KEY",
        "getToken()",
        "config.password",
        "example",
        "null",
        "true",
        "/run/secrets/db_password",
        "secrets/token.txt",
        "password",
        "secret",
        "user_password_field",
        "Enter your password",
        "The token has expired",
        "REDACTED",
        "<token>",
        "%PASSWORD%",
        "$TOKEN",
        "self.token",
        "request.token",
        "TOKEN_EXPIRED",
        "invalid_token",
        "string",
        "required",
        "placeholder",
        "3600",
        "Bearer",
        "access_token",
        "refresh_token",
        "application/json",
        "PasswordField",
        "my-secret-name",
        "vault:secret/data/app#token",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app",
        "keys/public.pem",
        "https://auth.host/oauth/token",
        "-----BEGIN PUBLIC KEY-----",
        "test",
        "default",
    ];
    dice.of(&pool).to_owned()
}

fn line(form: &'static str, template: &str, name: &str, value: &str, is_secret: bool) -> Line {
    let text = template.replace("{n}", name);
    let at = text.find("{v}").unwrap_or(0);
    Line { text: text.replacen("{v}", value, 1), secret: is_secret.then(|| at..at + value.len()), form }
}

pub(crate) fn lines(seed: u64, count: usize) -> Vec<Line> {
    let dice = &mut Dice::new(seed);
    (0..count)
        .map(|number| {
            let (form, template) = match number % 3 {
                0 => dice.of(CONFIG),
                1 => dice.of(CODE),
                _ => dice.of(COMMANDS),
            };
            let plain = ["url", "user", "query", "flag", "env", "ini", "docker", "yaml", "properties", "xml"]
                .contains(&form);
            match dice.next(10) {
                0..5 => {
                    let name = dice.of(SECRET_NAMES);
                    let human_made = name.to_lowercase().contains("pass")
                        || form == "user"
                        || form == "sql"
                        || form == "url";
                    let mut value = if human_made && dice.next(3) > 0 { human(dice) } else { random(dice) };
                    if plain {
                        // What a shell, a URL or XML would read otherwise stands quoted in life.
                        value =
                            value.replace(['#', '&', '@', '%', '?', '+', '=', '/', '^', '*', '!', '$'], "7");
                    }
                    line(form, template, name, &value, true)
                }
                5..8 => {
                    let name = dice.of(SECRET_NAMES);
                    let value = decoy(dice);
                    line(form, template, name, &value, false)
                }
                _ => {
                    let (form, template) = if dice.next(2) == 0 { dice.of(CONFIG) } else { dice.of(CODE) };
                    let name = dice.of(OTHER_NAMES);
                    let value = if dice.next(4) > 0 { random(dice) } else { decoy(dice) };
                    line(form, template, name, &value, false)
                }
            }
        })
        .collect()
}

/// The seed of the set that is reported; the trainer uses others.
const REPORTED: u64 = 1;

pub(crate) fn report(scanner: &Scanner, shown: &mut Vec<String>) {
    let mut forms: std::collections::BTreeMap<&str, (Share, Share)> = std::collections::BTreeMap::new();
    let mut all = (Share::default(), Share::default());
    for line in lines(REPORTED, 12_000) {
        let findings = secrets(scanner, &line.text);
        let whole = |secret: &std::ops::Range<usize>| {
            findings.iter().any(|f| f.span.start <= secret.start && secret.end <= f.span.end)
        };
        let form = forms.entry(line.form).or_default();
        if let Some(secret) = &line.secret {
            form.0.add(whole(secret));
            all.0.add(whole(secret));
        }
        if !findings.is_empty() {
            let right = line.secret.as_ref().is_some_and(whole);
            form.1.add(right);
            all.1.add(right);
        }
        if line.secret.as_ref().is_some_and(|secret| !whole(secret))
            || line.secret.is_none() && !findings.is_empty()
        {
            let rules: Vec<&str> = findings.iter().map(|f| f.rule.as_str()).collect();
            let kind = if line.secret.is_some() { "missed" } else { "fired" };
            shown.push(format!("line\t{kind}\t{}\t{:?}\t{rules:?}", line.form, line.text));
        }
    }
    println!("generated lines (seed {REPORTED})   whole recall                     precision");
    println!("  {:<24} {} {}", "all", all.0, all.1);
    for (form, (recall, precision)) in forms {
        println!("  {form:<24} {recall} {precision}");
    }
}
