//! Values that the form of a text gives a name, made by a seed: tables, lists, blocks, files of clients, sentences.
//!
//! The trainer sees none of these.

use std::collections::BTreeMap;

use sallyport_detect::Scanner;

use crate::generated::{Dice, decoy, human, random};
use crate::secrets;
use crate::share::Share;

/// `{n}`: a name, `{v}`: a value wherever it stands.
const FORMS: &[(&str, &str)] = &[
    ("csv", "user,{n},role\nmira,{v},admin\njuri,{v},reader\n"),
    ("csv", "name;{n}\nbilling;{v}\nsearch;{v}\nledger;{v}"),
    ("csv", "host\t{n}\tnote\ndb1\t{v}\tmain\ndb2\t{v}\treplica\n"),
    ("csv", "\"url\",\"{n}\"\n\"https://git.host\",\"{v}\"\n"),
    ("table", "| User | {n} |\n|------|:---:|\n| mira | `{v}` |\n| juri | {v} |\n"),
    (
        "table",
        "+----+--------+\n| id | {n} |\n+----+--------+\n|  1 | {v} |\n|  2 | {v} |\n+----+--------+\n",
    ),
    ("table", " id | {n}\n----+--------\n  1 | {v}\n  2 | {v}\n(2 rows)\n"),
    (
        "table",
        "======  ========================\nUser    {n}\n======  ========================\nmira    {v}\njuri    {v}\n======  ========================\n",
    ),
    ("terraform", "variable \"{n}\" {\n  type      = string\n  sensitive = true\n  default   = \"{v}\"\n}\n"),
    ("block", "service:\n  {n}: >-\n    {v}\n  port: 80\n"),
    ("block", "{n} = '''\n{v}\n'''\n"),
    ("list", "{n}s:\n  - {v}\n  - \"{v}\"\n"),
    ("list", "{\"{n}s\": [\"{v}\", \"{v}\"]}"),
    ("declared", "public string {n} { get; set; } = \"{v}\";"),
    ("declared", "const x = env.{n} || '{v}';"),
    ("declared", "\"{n}\" -> \"{v}\","),
    ("declared", "let {n} = String::from(\"{v}\");"),
    ("declared", "$conf->{{n}} = '{v}';"),
    ("xml", "<name>app.{n}</name>\n<value>{v}</value>"),
    ("xml", "<{n}><![CDATA[{v}]]></{n}>"),
    ("client", "db.host:5432:shop:app:{v}\n"),
    ("client", "keytool -list -storepass '{v}'"),
    ("client", "echo 'root:{v}' | chpasswd"),
    ("client", "zip -r -P '{v}' out.zip data"),
    ("client", "requirepass {v}"),
    ("sentence", "Hallo, das Passwort lautet {v}\n"),
    ("sentence", "la contraseña es {v}\n"),
    ("sentence", "пароль: {v}\n"),
    ("sentence", "パスワード：{v}\n"),
    ("sentence", "the password is {v}\n"),
];
const NAMES: &[&str] = &[
    "password",
    "Password",
    "db_password",
    "api_key",
    "apiKey",
    "secret",
    "client_secret",
    "token",
    "access_token",
];

/// A text, and where its secrets stand.
struct Text {
    form: &'static str,
    text: String,
    secrets: Vec<std::ops::Range<usize>>,
}

fn text(dice: &mut Dice) -> Text {
    let (form, template) = dice.of(FORMS);
    let name = dice.of(NAMES);
    let is_secret = dice.next(2) == 0;
    let (mut text, mut secrets) = (String::new(), Vec::new());
    let mut parts = template.split("{v}");
    text.push_str(&parts.next().unwrap_or_default().replace("{n}", name));
    for part in parts {
        let of_password = name.to_lowercase().contains("pass") || ["client", "sentence"].contains(&form);
        let value = match (is_secret, of_password) {
            (true, true) if dice.next(3) > 0 => human(dice),
            (true, _) => random(dice),
            (false, _) => decoy(dice),
        };
        let start = text.len();
        text.push_str(&value);
        if is_secret {
            secrets.push(start..text.len());
        }
        text.push_str(&part.replace("{n}", name));
    }
    Text { form, text, secrets }
}

pub(crate) fn report(scanner: &Scanner, shown: &mut Vec<String>) {
    const SEED: u64 = 31;
    let dice = &mut Dice::new(SEED);
    let mut forms: BTreeMap<&str, (Share, Share)> = BTreeMap::new();
    for _ in 0..6_000 {
        let Text { form, text, secrets: wanted } = text(dice);
        let found = secrets(scanner, &text);
        let rules: Vec<&str> = found.iter().map(|finding| finding.rule.as_str()).collect();
        for row in ["all", form] {
            let (recall, fired) = forms.entry(row).or_default();
            for secret in &wanted {
                recall.add(found.iter().any(|f| f.span.start <= secret.start && secret.end <= f.span.end));
            }
            if wanted.is_empty() {
                fired.add(!found.is_empty());
            }
        }
        let missed =
            wanted.iter().any(|s| !found.iter().any(|f| f.span.start <= s.start && s.end <= f.span.end));
        if missed || wanted.is_empty() && !found.is_empty() {
            let kind = if missed { "missed" } else { "fired" };
            shown.push(format!("form\t{kind}\t{form}\t{text:?}\t{rules:?}"));
        }
    }
    println!(
        "\ngenerated forms (seed {SEED})    whole recall                     fired where no secret stands"
    );
    for (form, (recall, fired)) in forms {
        println!("  {form:<24} {recall} {fired}");
    }
}
