//! A certificate authority with a broker's and a client's certificate, made by the `openssl` command.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::prerequisites::Prerequisite;
use super::{Error, Result, command, process};

/// Paths of certificates and keys, valid for 127.0.0.1 and localhost. The files go with the server.
#[derive(Debug, Clone)]
pub struct Certificates {
    dir: PathBuf,
}

impl Certificates {
    /// The password of every protected file.
    pub const PASSWORD: &'static str = "store-secret";

    /// Makes them in a folder.
    pub fn make(dir: &Path) -> Result<Self> {
        Prerequisite::Openssl.check()?;
        let openssl = |line: &str| {
            let words = line.split_whitespace();
            let doing = format!("making certificates with openssl {line}");
            command::run(Command::new("openssl").args(words).current_dir(dir), &doing, Duration::from_secs(60))
        };
        let password = format!("pass:{}", Self::PASSWORD);
        process::write(dir, "names.cnf", "subjectAltName=DNS:localhost,IP:127.0.0.1\n")?;
        openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=test-ca")?;
        for name in ["broker", "client"] {
            openssl(&format!("req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"))?;
            openssl(&format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -extfile names.cnf"
            ))?;
        }
        openssl(&format!(
            "pkcs12 -export -inkey client.key -in client.pem -certfile ca.pem -out client.p12 -passout {password}"
        ))?;
        openssl(&format!("pkcs8 -topk8 -in client.key -out client-encrypted.key -v2 aes-256-cbc -passout {password}"))?;
        let certificates = Self { dir: dir.into() };
        let mut bundle = String::new();
        for file in ["broker.key", "broker.pem", "ca.pem"] {
            let path = dir.join(file);
            let text = std::fs::read_to_string(&path).map_err(Error::io(format!("reading {}", path.display())))?;
            bundle.push_str(&text);
        }
        process::write(dir, "broker-bundle.pem", &bundle)?;
        Ok(certificates)
    }

    /// The authority's certificate (PEM), which clients trust.
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// The client's certificate (PEM).
    pub fn client_certificate(&self) -> PathBuf {
        self.dir.join("client.pem")
    }

    /// The client's key (PEM, PKCS#8).
    pub fn client_key(&self) -> PathBuf {
        self.dir.join("client.key")
    }

    /// The client's key (PEM, PKCS#8) encrypted with [`PASSWORD`](Self::PASSWORD).
    pub fn encrypted_client_key(&self) -> PathBuf {
        self.dir.join("client-encrypted.key")
    }

    /// The client's key and certificate as a PKCS#12 keystore with [`PASSWORD`](Self::PASSWORD).
    pub fn client_keystore(&self) -> PathBuf {
        self.dir.join("client.p12")
    }

    /// The broker's key and certificates in one file (PEM).
    pub fn broker_bundle(&self) -> PathBuf {
        self.dir.join("broker-bundle.pem")
    }
}
