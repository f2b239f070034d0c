use std::process::Command;

use crate::support::*;

const NAMES: &[&str] = &["api.openai.com", "*.anthropic.com", "10.1.2.3", "fd00::7"];

#[test]
fn rustls_openssl_and_gnutls_accept_our_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, _) = open(dir.path(), &MemoryKeys::default(), NAMES).unwrap();
    for name in ["api.openai.com", "api.anthropic.com", "a.b.anthropic.com", "10.1.2.3", "fd00::7"] {
        let leaf = ca.certified_key_now(name).unwrap();
        rustls_accepts(ca.root_pem(), &leaf.cert, name).unwrap();
        let files = Files::new(ca.root_pem(), &leaf.cert);
        let (accepted, text) = files.openssl_accepts(name);
        assert!(accepted, "{name}: {text}");
        // certtool has no way to ask for an address.
        if name.parse::<std::net::IpAddr>().is_err()
            && let Some((accepted, text)) = files.gnutls_accepts(name)
        {
            assert!(accepted, "{name}: {text}");
        }
        // Nor is it good for another of the names.
        assert!(rustls_accepts(ca.root_pem(), &leaf.cert, "x.openai.com").is_err());
    }
}

#[test]
fn they_refuse_what_a_thief_of_the_key_could_make() {
    // With addresses configured and without: the other addresses must be shut either way.
    for names in [NAMES, &["api.openai.com"], &["10.1.2.3"]] {
        let dir = tempfile::tempdir().unwrap();
        let keys = MemoryKeys::default();
        let (ca, _) = open(dir.path(), &keys, names).unwrap();
        let thief = Thief::steal(dir.path(), &keys);
        for name in ["bank.example", "openai.com", "notanthropic.com", "203.0.113.9", "2001:db8::1"] {
            let chain = thief.forge(name);
            let refusal = rustls_accepts(ca.root_pem(), &chain, name);
            assert!(format!("{refusal:?}").contains("NameConstraintViolation"), "{name}: {refusal:?}");
            let files = Files::new(ca.root_pem(), &chain);
            let (accepted, text) = files.openssl_accepts(name);
            assert!(!accepted && text.contains("subtree violation"), "{name}: {text}");
            if let Some((accepted, text)) = files.gnutls_accepts(name) {
                assert!(!accepted && text.contains("constraints"), "{name}: {text}");
            }
            // Even where the root is taken as an anchor without its constraints, the intermediate's hold.
            let intermediate = pem(&chain[1]);
            assert!(rustls_accepts(&intermediate, &chain, name).is_err());
        }
        // The forgery is sound but for its name: for one that the root covers it is believed.
        rustls_accepts(ca.root_pem(), &thief.forge(names[0]), names[0]).unwrap();
    }
}

/// The extensions as OpenSSL reads them.
#[test]
fn the_certificates_say_what_they_should() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, _) = open(dir.path(), &MemoryKeys::default(), &["api.openai.com", "*.anthropic.com"]).unwrap();
    let leaf = ca.certified_key_now("api.openai.com").unwrap();
    let files = Files::new(ca.root_pem(), &leaf.cert);
    let text = |file: &str| {
        let (ok, text) = files.run("openssl", &["x509", "-in", file, "-noout", "-text"]);
        assert!(ok, "{text}");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let constraints = "X509v3 Name Constraints: critical Permitted: DNS:anthropic.com DNS:api.openai.com Excluded: \
                       IP:0.0.0.0/0.0.0.0 IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0";
    let (root, intermediate, leaf) = (text("root.pem"), text("intermediate.pem"), text("leaf.pem"));
    for (authority, depth) in [(&root, 1), (&intermediate, 0)] {
        assert!(authority.contains(constraints), "{authority}");
        assert!(
            authority.contains(&format!("Basic Constraints: critical CA:TRUE, pathlen:{depth}")),
            "{authority}"
        );
        assert!(authority.contains("Key Usage: critical Certificate Sign, CRL Sign"), "{authority}");
        assert!(authority.contains("Public Key Algorithm: id-ecPublicKey") && authority.contains("P-256"));
    }
    assert!(root.contains("Subject: O = Sallyport, CN = Sallyport local root "), "{root}");
    assert!(intermediate.contains("TLS Web Server Authentication"));
    assert!(leaf.contains("Subject: O = Sallyport Subject") && leaf.contains("CA:FALSE"), "{leaf}");
    assert!(leaf.contains("Extended Key Usage: TLS Web Server Authentication"));
    assert!(leaf.contains("Subject Alternative Name: DNS:api.openai.com X509"), "{leaf}");
    let after = |text: &str, label: &str| {
        text.split_once(label)
            .unwrap_or_else(|| panic!("{label} in {text}"))
            .1
            .split(' ')
            .next()
            .unwrap()
            .to_owned()
    };
    let (subject_key, authority_key) =
        ("X509v3 Subject Key Identifier: ", "X509v3 Authority Key Identifier: ");
    assert_eq!(after(&leaf, authority_key).trim_start_matches("keyid:"), after(&intermediate, subject_key));
    assert_eq!(after(&intermediate, authority_key).trim_start_matches("keyid:"), after(&root, subject_key));
    // Three keys, all different.
    let keys = [&root, &intermediate, &leaf].map(|t| after(t, subject_key));
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
}

#[test]
fn a_real_handshake_with_openssl() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, _) = open(dir.path(), &MemoryKeys::default(), NAMES).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(std::sync::Arc::new(rustls::sign::SingleCertAndKey::from(
            ca.certified_key_now("api.anthropic.com").unwrap(),
        )));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut connection = rustls::ServerConnection::new(config.into()).unwrap();
        // The client hangs up as soon as it has seen enough.
        let _ = connection.complete_io(&mut socket);
        let _ = connection.complete_io(&mut socket);
    });
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &address, "-servername", "api.anthropic.com", "-verify_return_error"])
        .args(["-verify_hostname", "api.anthropic.com", "-CAfile"])
        .arg(ca.root_path())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("Verify return code: 0 (ok)"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    server.join().unwrap();
}
