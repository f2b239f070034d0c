//! Signed policy from an address, over real TLS: it counts like one in a file, never goes back, and what can't be fetched
//! leaves the last good one in force, with a health item that says why.

use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sallyport_tests::front::Answer;
use sallyport_tests::managed::Managed;
use sallyport_tests::process::{Outcome, run};
use sallyport_tests::relay::TunnelToOne;
use sallyport_tests::stage::{NEGATIVE, OK, USAGE};
use sallyport_tests::{Front, Stage, TestRoot, tools, wait};
use serde_json::{Value, json};

const NAME: &str = "policy.corp.example";

/// What the server answers: status, where else to look, and the file.
type Served = Arc<Mutex<(u16, Option<String>, Vec<u8>)>>;

struct House {
    front: Front,
    root: TestRoot,
    managed: Managed,
    served: Served,
    keys: tempfile::TempDir,
    trusted: String,
}

impl House {
    fn new() -> Result<House> {
        let root = TestRoot::new()?;
        let front = Front::start(&root, &[NAME])?;
        let served = Served::default();
        let script = served.clone();
        front.answer(move |request| {
            let (mut status, mut location, body) = script.lock().map(|now| now.clone()).unwrap_or_default();
            if request.path().starts_with("/moved") {
                (status, location) = (200, None);
            }
            let headers = location.map(|place| ("location".to_owned(), place)).into_iter().collect();
            Answer::Reply { status, headers, body }
        });
        let keys = tempfile::tempdir()?;
        let mut house = House { front, root, managed: Managed::new()?, served, keys, trusted: String::new() };
        house.trusted = house.key("signing.key")?;
        house.key("other.key")?;
        Ok(house)
    }

    fn sallyport(&self, arguments: &[&str]) -> Result<Outcome> {
        let mut command = Command::new(tools::sallyport()?);
        command.args(arguments).current_dir(self.keys.path());
        run(command, wait::PATIENCE)
    }

    fn key(&self, name: &str) -> Result<String> {
        let made = self.sallyport(&["policy", "bundle", "keygen", "--output", name])?.ok()?;
        Ok(made.stdout.trim().to_owned())
    }

    fn signed(&self, version: u32, spec: &str, key: &str) -> Result<Vec<u8>> {
        let text = format!(
            "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {{name: house}}\nspec: {spec}\n"
        );
        fs::write(self.keys.path().join("house.yaml"), text)?;
        let version = version.to_string();
        let words = ["--key", key, "--version", &version, "--output", "out.bundle", "house.yaml"];
        self.sallyport(&[&["policy", "bundle", "sign"], &words[..]].concat())?.ok()?;
        Ok(fs::read(self.keys.path().join("out.bundle"))?)
    }

    fn serve(&self, status: u16, location: Option<&str>, body: Vec<u8>) {
        if let Ok(mut served) = self.served.lock() {
            *served = (status, location.map(str::to_owned), body);
        }
    }

    /// Another address, so that it is looked at now.
    fn look(&self, what: &str) -> Result<()> {
        self.managed.write(
            "config.yaml",
            &format!(
                "bundles: {{trusted_keys: [\"{}\"], url: \"https://{NAME}/p/policy.bundle?{what}\"}}\n",
                self.trusted
            ),
        )
    }

    /// `policy bundle install` where the administrator's folder is seen, with this configuration.
    fn install(&self, config: &Value, from: &str) -> Result<(Outcome, Stage)> {
        let stage = Stage::new()?;
        fs::write(stage.path("config/config.yaml"), config.to_string())?;
        let wrapper = self.managed.wrapper()?;
        let mut command = Command::new(&wrapper[0]);
        command.args(&wrapper[1..]).arg(tools::sallyport()?).args(["policy", "bundle", "install", from]);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("SALLYPORT_HOME", stage.home()).env("HOME", stage.path("user"));
        Ok((run(command, Duration::from_secs(60))?, stage))
    }
}

fn opaque(stage: &Stage) -> Option<String> {
    let view = stage.json(&["policy", "show", "--json"]).ok()?;
    let row = view["settings"].as_array()?.iter().find(|row| row["key"] == "opaque")?.clone();
    (row["origin"] == "managed" && row["locked"] == true).then(|| row["value"].as_str().map(str::to_owned))?
}

#[test]
fn a_bundle_from_an_address_counts_and_never_goes_back() -> Result<()> {
    let house = House::new()?;
    let mut stage = Stage::new()?.behind(&house.front, &house.root);
    house.look("first")?;
    house.serve(200, None, house.signed(7, "{opaque: block}", "signing.key")?);
    stage.start_with(house.managed.wrapper()?)?;
    wait::until("the bundle to count", || (opaque(&stage)? == "block").then_some(()))?;
    let show = stage.cli(&["policy", "show"])?.ok()?.stdout;
    ensure!(show.contains("/p/policy.bundle") && !show.contains("?first"), "no query is shown: {show}");

    let older = house.signed(6, "{opaque: allow}", "signing.key")?;
    let foreign = house.signed(9, "{opaque: allow}", "other.key")?;
    let long = vec![b' '; 17 << 20];
    let elsewhere = "http://policy.corp.example/policy.bundle";
    for (status, location, body, said) in [
        (200, None, older, "version 6, and version 7"),
        (200, None, foreign, "does not trust"),
        (200, None, b"hello".to_vec(), "no policy bundle"),
        (503, None, Vec::new(), "status 503"),
        (200, None, long, "more than a policy bundle needs"),
        (302, Some(elsewhere), Vec::new(), "without TLS"),
    ] {
        house.serve(status, location, body);
        house.look(&said.replace([' ', ','], "-"))?;
        let item = wait::until(said, || {
            let item = stage.health().ok()?.into_iter().find(|item| item["code"] == "policy-bundle")?;
            item["sentence"].as_str()?.contains(said).then_some(item)
        });
        let item = item.with_context(|| format!("{:?}", stage.health()))?;
        ensure!(item["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{item}");
        ensure!(opaque(&stage).as_deref() == Some("block"), "{said}");
    }
    // A redirect that stays within TLS is followed.
    let moved = format!("https://{NAME}/moved");
    house.serve(302, Some(&moved), house.signed(8, "{opaque: warn}", "signing.key")?);
    house.look("eighth")?;
    wait::until("the next one", || (opaque(&stage)? == "warn").then_some(()))?;
    wait::until("the item to go", || {
        let items = stage.health().ok()?;
        items.iter().all(|item| item["code"] != "policy-bundle").then_some(())
    })?;
    // In a later run, with the server away, what was accepted still counts.
    house.serve(503, None, Vec::new());
    stage.stop()?;
    stage.start_with(house.managed.wrapper()?)?;
    ensure!(opaque(&stage).as_deref() == Some("warn"));
    stage.health_item("policy-bundle").map(drop)
}

#[test]
fn a_bundle_is_fetched_again_as_often_as_policy_says() -> Result<()> {
    let house = House::new()?;
    let mut stage = Stage::new()?.behind(&house.front, &house.root);
    let config = format!(
        "bundles: {{trusted_keys: [\"{}\"], url: \"https://{NAME}/\", refresh: 10s}}\n",
        house.trusted
    );
    house.managed.write("config.yaml", &config)?;
    house.serve(200, None, house.signed(1, "{opaque: block}", "signing.key")?);
    stage.start_with(house.managed.wrapper()?)?;
    wait::until("the bundle to count", || (opaque(&stage)? == "block").then_some(()))?;
    house.serve(200, None, house.signed(2, "{opaque: warn}", "signing.key")?);
    wait::until("the next one", || (opaque(&stage)? == "warn").then_some(()))?;
    Ok(())
}

#[test]
fn install_takes_an_address_through_the_proxy_of_the_house() -> Result<()> {
    let house = House::new()?;
    house.managed.write("config.yaml", &format!("bundles: {{trusted_keys: [\"{}\"]}}\n", house.trusted))?;
    house.serve(200, None, house.signed(3, "{opaque: block}", "signing.key")?);
    let address = format!("https://{NAME}/policy.bundle");
    let proxy = TunnelToOne::start(house.front.address())?;
    let way = |roots: bool| {
        let roots = if roots { json!([house.root.pem()]) } else { json!([]) };
        json!({"upstream": {"proxy": format!("http://{}", proxy.address), "extra_roots": roots}})
    };
    let (installed, stage) = house.install(&way(true), &address)?;
    ensure!(installed.code == OK && installed.stdout.contains("version 3"), "{installed:?}");
    ensure!(proxy.asked() == [format!("{NAME}:443")], "{:?}", proxy.asked());
    ensure!(stage.path("state/policy.bundle").exists());

    let (refused, stage) = house.install(&way(false), &address)?;
    ensure!(refused.code == NEGATIVE && refused.stderr.contains("certificate"), "{refused:?}");
    ensure!(!stage.path("state/policy.bundle").exists());
    for bad in ["http://policy.corp.example/x", "https://ann:pw@policy.corp.example/x", "ftp://x/y"] {
        let (refused, _) = house.install(&way(true), bad)?;
        ensure!(refused.code == USAGE && refused.stderr.contains("https://"), "{bad}: {refused:?}");
    }
    house.serve(404, None, Vec::new());
    let (refused, _) = house.install(&way(true), &address)?;
    ensure!(refused.code == NEGATIVE && refused.stderr.contains("status 404"), "{refused:?}");
    Ok(())
}
